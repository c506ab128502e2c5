"""The models without DLRC beside JPEG 2000, JPEG XL, AVIF, WebP and CCSDS 122: what `dlrc study rd` and `dlrc
study codecs` print and write of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from constellation.common.files import make_folder, write_text
from dlrc.studies.common.baselines import QUALITIES, Point
from dlrc.studies.common.statistics import Line, Triple, bd_interval, bd_rate, curve, distances, pooled
from dlrc.studies.paper.rd_report import markdown
from dlrc.studies.paper.rd_rounds import Configuration, Row

Patches = dict[int, Triple]  # by window
Compared = Mapping[tuple[str, float], Patches]  # by model and lambda
ABOUT = "bytes of real streams"  # of our files in CompressAI's layout


def model_points(rows: Sequence[Row], points: Sequence[Point]) -> Patches:
    """Without DLRC, of satellite 0's decoded patches that show anything: those of `points`, or all where
    there are none."""
    known = {point.round for point in points}
    return {
        row.round: (8 * (row.y_i + row.z_i + row.header_i) / row.pixels, row.psnr_i, row.ms_ssim_i)
        for row in rows
        if row.satellite == 0 and row.decoded and row.pixels and (not known or row.round in known)
    }


def compared_of(rows: Mapping[Configuration, Sequence[Row]], points: Sequence[Point]) -> Compared:
    """The models' own patches, without DLRC and without a halo, by model and lambda."""
    return {
        (c.model, c.lambda_): model_points(found, points)
        for c, found in rows.items()
        if c.density == "dense" and c.halo_px == 0
    }


def write_results(folder: Path, compared: Compared, points: Sequence[Point]) -> Path:
    """One JSON file for each model and codec in CompressAI's evaluation layout, which its plotting tools
    read: bpp, psnr-rgb (of the mean error) and ms-ssim-rgb, by rising rate. Files of an earlier call, which
    may be of other patches, go. Returns the folder."""
    curves = {codec: curve(points, codec) for codec in measured_codecs(points)}
    for model in dict.fromkeys(model for model, _ in compared):
        own = [
            pooled(list(found.values())) for (name, _), found in compared.items() if name == model and found
        ]
        curves[model] = np.array(sorted(own)).reshape(-1, 3)
    make_folder(folder)
    for file in folder.glob("*.json"):
        if file.stem not in curves and f'"description": "{ABOUT}"' in file.read_text(encoding="utf-8"):
            file.unlink()
    for name, table in curves.items():
        keys = ("bpp", "psnr-rgb", "ms-ssim-rgb")
        results = {
            key: [round(float(v), 6) for v in column] for key, column in zip(keys, table.T, strict=True)
        }
        content = {"name": name, "description": ABOUT, "results": results}
        write_text(folder / f"{name}.json", json.dumps(content, indent=2) + "\n")
    return folder


def codecs_text(
    compared: Compared,
    points: Sequence[Point],
    overhead: Mapping[str, int],
    where: str,
    units: Mapping[int, int] | None = None,
) -> list[str]:
    """What is printed of models without DLRC against other codecs. overhead: as of `container_overhead`;
    where: what the patches are; units: as of `bd_interval`."""
    curves = {codec: curve(points, codec) for codec in measured_codecs(points)}
    gaps = {
        (key, codec): distances(points, codec, found) for key, found in compared.items() for codec in curves
    }
    return [
        "",
        f"Without DLRC against other codecs, on {where}, at each model's own rate",
        "(mean MSE: of all patches as one, where each codec gives every patch the quality that minimises bpp "
        "+ lambda 255^2 MSE, at the lambda that makes its",
        "mean rate the model's; per patch: at the model's rate on each patch, mean ± 95 %). Codecs at their "
        "best for PSNR (dlrc/studies/common/baselines.py). Our",
        f"bytes are whole containers; theirs: {', '.join(_containers(curves, overhead)) or 'bare streams'}",
        *baseline_table(compared, gaps, curves, units),
    ]


def _containers(codecs: Iterable[str], overhead: Mapping[str, int]) -> list[str]:
    """What is counted of the containers of these codecs."""
    said = {
        "jpeg2000": "no JP2 boxes and comment (they would be {} bytes)",
        "jpegxl": "no container of JPEG XL ({})",
        "avif": "no boxes of AVIF ({})",
        "webp": "WebP's RIFF container is counted ({})",
    }
    return [said[codec].format(overhead[codec]) for codec in codecs if codec in said]


def baseline_table(
    compared: Compared,
    gaps: Mapping[tuple[tuple[str, float], str], np.ndarray],
    curves: Mapping[str, np.ndarray],
    units: Mapping[int, int] | None = None,
) -> list[str]:
    """The models' rate and quality and their distance to each codec: of all patches as one, and patch by
    patch with 95 % t-intervals. units: as of `bd_interval`."""
    head = [
        "model",
        "lambda",
        "patches",
        "bpp",
        "PSNR, dB",
        "MS-SSIM",
        "PSNR of the mean MSE, dB",
        *(f"its distance to {codec}, dB" for codec in curves),
        *(f"PSNR - {codec}, per patch, dB" for codec in curves),
        *(f"MS-SSIM - {codec}, per patch" for codec in curves),
    ]
    rows = []
    for key, found in compared.items():
        if not found:
            continue
        psnr, (rate, whole, similarity) = (
            np.mean(list(found.values()), axis=0)[1],
            pooled(list(found.values())),
        )
        unit_of = np.array([number if units is None else units[number] for number in sorted(found)])
        rows.append(
            [
                key[0],
                f"{key[1]:g}",
                str(len(found)),
                f"{rate:.3f}",
                f"{psnr:.2f}",
                f"{similarity:.4f}",
                f"{whole:.2f}",
                *(_distance_text(curves[codec], rate, whole) for codec in curves),
                *(_mean_text(gaps[key, codec][:, 0], 2, unit_of) for codec in curves),
                *(_mean_text(gaps[key, codec][:, 1], 4, unit_of) for codec in curves),
            ]
        )
    return markdown(head, rows)


def _distance_text(codec: np.ndarray, rate_bpp: float, psnr_db: float) -> str:
    """PSNR less that of a codec's curve at a rate, dB; nothing where the curve does not reach it."""
    if not codec[0, 0] <= rate_bpp <= codec[-1, 0]:
        return "-"
    return f"{psnr_db - np.interp(np.log(rate_bpp), np.log(codec[:, 0]), codec[:, 1]):+.2f}"


def _mean_text(values: np.ndarray, digits: int, unit_of: np.ndarray) -> str:
    """Mean and t-interval of the finite values; their number where some patches had none. Values of one unit
    lean on each other, so their errors are summed before they are squared."""
    from scipy.stats import t

    known = np.isfinite(values)
    found, (_, index) = values[known], np.unique(unit_of[known], return_inverse=True)
    sums = np.bincount(index, weights=found - found.mean()) if found.size else found
    units = len(sums)
    if units < 2:
        return "-"
    error = np.sqrt(units / (units - 1) * np.square(sums).sum()) / len(found)
    text = f"{found.mean():+.{digits}f} ± {float(t.ppf(0.975, units - 1) * error):.{digits}f}"
    return text if known.all() else f"{text} ({len(found)} patches)"


def bd_rates(
    compared: Compared,
    points: Sequence[Point],
    units: Mapping[int, int] | None = None,
    drawn: str = "windows",
) -> list[str]:
    """BD-rates of models with three lambdas and more against the other codecs. units, drawn: what intervals
    draw instead of windows, as of `bd_interval`, and its name."""
    text = []
    for model in dict.fromkeys(model for model, _ in compared):
        each = [found for (name, _), found in compared.items() if name == model and found]
        own = np.array(sorted(pooled(list(found.values())) for found in each))
        if len(own) < 3:
            continue
        parts = []
        for codec in measured_codecs(points):
            interval = bd_interval(points, codec, each, units=units)
            parts.append(f"{codec} {_rate_text(bd_rate(curve(points, codec), own), interval)}")
        text += [
            "",
            f"BD-rate of {model} (without DLRC, {len(own)} lambdas, PSNR of the mean MSE, negative: fewer "
            f"bits; 95 %, bootstrap over {drawn}) against {', '.join(parts)}",
        ]
    return text


def dlrc_rates(lines: Mapping[Configuration, Line]) -> list[str]:
    """BD-rates of models with three lambdas and more with DLRC against without."""
    text = []
    for model, density in dict.fromkeys((c.model, c.density) for c in lines):
        found = [
            (
                sum(v for k, v in line.bpp.items() if k.endswith("_d")),
                sum(v for k, v in line.bpp.items() if k.endswith("_i")),
                line.psnr_i.value,
                line.psnr_i.value + line.d_psnr.value,
            )
            for c, line in lines.items()
            if c.model == model and c.density == density and c.halo_px == 0
        ]
        if len(found) >= 3:
            table = np.array(sorted(found))
            rate_pct = bd_rate(table[:, [1, 2]], table[:, [0, 3]])
            text.append(f"BD-rate of DLRC against {model} alone, {density}: {_rate_text(rate_pct)}")
    return text


def _rate_text(rate_pct: float, interval_pct: tuple[float, float] = (np.nan, np.nan)) -> str:
    """A BD-rate and what is known of its interval."""
    low, high = interval_pct
    if not np.isfinite(rate_pct):
        return "-"
    return f"{rate_pct:+.1f} %" + (f" [{low:+.1f}, {high:+.1f}]" if np.isfinite(low) else "")


def measured_codecs(points: Sequence[Point]) -> list[str]:
    """Those with points, in the order of QUALITIES."""
    known = {point.codec for point in points}
    return [codec for codec in QUALITIES if codec in known]
