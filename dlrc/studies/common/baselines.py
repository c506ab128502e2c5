"""JPEG 2000, JPEG XL, AVIF, WebP and CCSDS 122 on the very patches that the models coded, and the distance of
a model to each at its own rate.

Each at its best for PSNR. JPEG 2000: OpenJPEG, irreversible 9/7 wavelet with the colour transform, bare
codestream (a JP2 file adds boxes) without its comment, one quality layer at a target PSNR. JPEG XL: libjxl,
lossy, effort 9, bare codestream. AVIF: libaom through libavif, 4:4:4, speed 4 (slower ones gain under 2 % and
take seconds a patch), the AV1 picture without the boxes around it. WebP: libwebp, lossy, method 6, without
spatial noise shaping and segments (both serve the eye and cost 0.3 dB of PSNR), with its RIFF container,
which the format cannot do without; like every WebP it halves the colour planes. Through imagecodecs; WebP is
written by GDAL, whose driver has these settings. CCSDS 122.0-B-2 is ours (codec/ccsds122): real 9/7 wavelet,
each band one segment, cut behind the stage of a bit plane that a slope asks for, after the reversible colour
transform of JPEG 2000, which the standard does not have; and each band by itself, as missions code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from codec.ccsds122 import bands
from codec.training.classical import encode_jpeg2000
from constellation.common.files import write_csv
from constellation.common.progress import note
from dlrc.studies.common.sights import Sights
from ground.metrics import bpp, quality
from nodes.capture import Capture

_CCSDS_SLOPES = tuple(float(f"{slope:.3g}") for slope in np.geomspace(0.0004, 0.6, 16))
QUALITIES = {
    "jpeg2000": (20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 43, 47, 52),  # dB
    "jpegxl": (0.5, 0.8, 1.2, 1.8, 2.5, 3.5, 5.0, 7.0, 10.0, 15.0, 25.0),  # Butteraugli distance
    "avif": (0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 82),
    "webp": (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90),
    "ccsds122": _CCSDS_SLOPES,
    "ccsds122_bands": _CCSDS_SLOPES,
}
SLOPES = tuple(np.geomspace(0.001, 0.3, 18))
LABELS = {
    "jpeg2000": "JPEG 2000",
    "jpegxl": "JPEG XL",
    "avif": "AVIF",
    "webp": "WebP",
    "ccsds122": "CCSDS 122 after a colour transform",
    "ccsds122_bands": "CCSDS 122, bands alone",
}
_COLOUR = {"ccsds122": True, "ccsds122_bands": False}  # whether after RCT
Triple = tuple[float, float, float]  # bpp, PSNR, MS-SSIM
FIELDS = ["codec", "quality", "round", "satellite", "bpp", "psnr_db", "ms_ssim"]


@dataclass(frozen=True)
class Point:
    """One patch, coded once."""

    codec: str
    quality: float
    round: int
    satellite: int
    bpp: float
    psnr_db: float
    ms_ssim: float


def encode(codec: str, image: np.ndarray, level: float) -> bytes:
    """Bytes of uint8 [H, W, 3] at a level of QUALITIES."""
    if codec in _COLOUR:
        return bands.encode(image, level, _COLOUR[codec])
    import imagecodecs

    if codec == "jpeg2000":
        return encode_jpeg2000(image, level)
    if codec == "jpegxl":
        options = {"lossless": False, "effort": 9, "usecontainer": False, "numthreads": 1}
        return bytes(imagecodecs.jpegxl_encode(image, distance=level, **options))
    if codec == "avif":
        return bytes(imagecodecs.avif_encode(image, level=int(level), speed=4, numthreads=1))
    return _webp(image, level)


def _webp(image: np.ndarray, level: float) -> bytes:
    import warnings

    import rasterio
    import rasterio.shutil
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import MemoryFile

    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_PAM_ENABLED=False),
        MemoryFile() as source,
        MemoryFile(ext=".webp") as target,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with source.open(
            driver="GTiff", height=image.shape[0], width=image.shape[1], count=3, dtype="uint8"
        ) as raster:
            raster.write(image.transpose(2, 0, 1))
        with source.open() as raster:
            rasterio.shutil.copy(
                raster,
                target.name,
                driver="WEBP",
                QUALITY=f"{level:g}",
                METHOD="6",
                SNS_STRENGTH="0",
                SEGMENTS="1",
            )
        return target.read()


def decode(codec: str, data: bytes) -> np.ndarray:
    """uint8 [H, W, 3]."""
    if codec in _COLOUR:
        return bands.decode(data, _COLOUR[codec])
    import imagecodecs

    return {
        "jpeg2000": imagecodecs.jpeg2k_decode,
        "jpegxl": imagecodecs.jpegxl_decode,
        "avif": imagecodecs.avif_decode,
        "webp": imagecodecs.webp_decode,
    }[codec](data)[:, :, :3]


def coded_bytes(codec: str, data: bytes) -> int:
    """What counts of a coded picture: all, but of AVIF its boxes, which a bare picture does without."""
    return len(data) - (data.index(b"mdat") + 4 if codec == "avif" else 0)


def container_overhead(image: np.ndarray) -> dict[str, int]:
    """Bytes around the coded picture: JP2's boxes and comment (not counted in the curves), JPEG XL's (not
    counted), AVIF's boxes (not counted), WebP's RIFF header (counted)."""
    import imagecodecs

    jp2 = imagecodecs.jpeg2k_encode(image, level=30, codecformat="jp2", mct=True, reversible=False)
    jxl = imagecodecs.jpegxl_encode(image, distance=3.0, lossless=False, usecontainer=True)
    return {
        "jpeg2000": len(jp2) - len(encode("jpeg2000", image, 30)),
        "jpegxl": len(jxl)
        - len(imagecodecs.jpegxl_encode(image, distance=3.0, lossless=False, usecontainer=False)),
        "avif": encode("avif", image, 40).index(b"mdat") + 4,
        "webp": 20,
    }


def measure(sights: Sights, count: int, path: Path, pictures: str) -> list[Point]:
    """All codecs at all qualities on satellite 0's patch of `count` windows; kept in a CSV file, so that only
    what is missing is coded. A patch that shows nothing but hidden cells has no points.

    The file beside it says for which pictures and settings (this module's text) its points are; for others
    they are measured anew."""
    key = path.with_suffix(".key")
    wanted_key = f"{pictures} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"
    points = _read(path) if key.is_file() and key.read_text(encoding="utf-8") == wanted_key else []
    have = {(point.round, point.codec, point.quality) for point in points}
    missing = {
        number: wanted
        for number in range(count)
        if (
            wanted := [
                (codec, level)
                for codec, levels in QUALITIES.items()
                for level in levels
                if (number, codec, level) not in have
            ]
        )
    }
    for number, wanted in missing.items():
        view, _ = sights.look(number, 0)
        if view.valid is None or view.valid.any():
            points += [_point(view, codec, level) for codec, level in wanted]
        else:
            note(f"baselines: window {number} is left out: its patch has no data")
    if missing:
        key.write_text(wanted_key, encoding="utf-8")
        write_csv(path, FIELDS, [[getattr(point, name) for name in FIELDS] for point in points])
    return [point for point in points if point.round < count]


def _point(view: Capture, codec: str, level: float) -> Point:
    """Rate and quality over the pixels that show anything, as the models' are."""
    data = encode(codec, view.image, level)
    measured = quality(view.image, np.ascontiguousarray(decode(codec, data)), view.valid)
    assert measured is not None, "a view that shows nothing is left out"
    pixels = view.image[:, :, 0].size if view.valid is None else int(view.valid.sum())
    rate = bpp(coded_bytes(codec, data), pixels)
    return Point(codec, level, view.round, view.satellite, rate, measured.psnr_db, measured.ms_ssim)


def _read(path: Path) -> list[Point]:
    import csv

    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Point(
                line["codec"],
                float(line["quality"]),
                int(line["round"]),
                int(line["satellite"]),
                float(line["bpp"]),
                float(line["psnr_db"]),
                float(line["ms_ssim"]),
            )
            for line in csv.DictReader(file)
        ]


def curve(points: Sequence[Point], codec: str) -> np.ndarray:
    """(mean bpp, PSNR of the mean MSE, mean MS-SSIM) at equal slope, float64 [slopes, 3], by rising rate.

    A learned codec is trained for one lambda, that is for bpp + lambda 255^2 MSE summed over pictures. So
    each patch takes the quality that minimises this, for each lambda of SLOPES, and what is minimised is what
    is averaged: the MSE. (Averaging decibels after such a choice would speak for neither: it moves bits to
    patches where they gain much MSE and few decibels.)"""
    mine = sorted((p.round, p.quality, p.bpp, p.psnr_db, p.ms_ssim) for p in points if p.codec == codec)
    table = np.array([row[2:] for row in mine]).reshape(
        len({row[0] for row in mine}), -1, 3
    )  # [patches, qualities, 3]
    return _lower_hull(table)


def _lower_hull(table: np.ndarray) -> np.ndarray:
    """`curve` of patches' points, [patches, qualities, 3]."""
    distortion = 255.0**2 * 10 ** (-table[:, :, 1] / 10)
    best = [np.argmin(table[:, :, 0] + slope * distortion, axis=1) for slope in SLOPES]
    return np.array(sorted({pooled(table[np.arange(len(table)), choice]) for choice in best}))


def pooled(patches: np.ndarray | Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """(bpp, PSNR, MS-SSIM) of patches, [N, 3], as one: mean bpp, PSNR of the mean MSE, mean MS-SSIM."""
    rate, psnr_db, similarity = np.asarray(patches, dtype=np.float64).T
    return float(rate.mean()), float(-10 * np.log10(np.mean(10 ** (-psnr_db / 10)))), float(similarity.mean())


def distances(
    points: Sequence[Point], codec: str, model: dict[int, tuple[float, float, float]]
) -> np.ndarray:
    """Per patch, the model's PSNR and MS-SSIM minus the codec's at the model's own rate, float64 [patches,
    2].

    model: (bpp, PSNR, MS-SSIM) by window. Between qualities the codec's values are interpolated over log bpp;
    a patch whose rate the codec's qualities do not reach is NaN."""
    out = []
    for number, (rate, psnr, similarity) in sorted(model.items()):
        known = sorted(
            (p.bpp, p.psnr_db, p.ms_ssim) for p in points if p.codec == codec and p.round == number
        )
        if not known or not known[0][0] <= rate <= known[-1][0]:
            out.append([np.nan, np.nan])
            continue
        rates, psnrs, similarities = np.array(known).T
        out.append(
            [
                psnr - np.interp(np.log(rate), np.log(rates), psnrs),
                similarity - np.interp(np.log(rate), np.log(rates), similarities),
            ]
        )
    return np.array(out).reshape(-1, 2)


def bd_rate(anchor: np.ndarray, test: np.ndarray) -> float:
    """Percent of rate that `test` needs more than `anchor` at equal PSNR (Bjontegaard, pchip); [points, (bpp,
    PSNR, ...)] each; NaN below 3 points."""
    import warnings

    from bjontegaard import bd_rate as of

    if len(anchor) < 3 or len(test) < 3:
        return float("nan")
    curves = (anchor[:, 0], anchor[:, 1], test[:, 0], test[:, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = of(*curves, method="pchip", require_matching_points=False, min_overlap=0)
    return float(cast(float, found))  # a tuple only with its interpolators


def bd_interval(
    points: Sequence[Point], codec: str, model: Sequence[dict[int, Triple]], draws: int = 400
) -> tuple[float, float]:
    """95 % interval of the BD-rate of a model against a codec, by bootstrap over windows: both curves are
    those of the same drawn windows. model: (bpp, PSNR, MS-SSIM) by window, for each lambda."""
    windows = sorted(set.intersection(*(set(found) for found in model)))
    chosen = [[p for p in points if p.codec == codec and p.round == number] for number in windows]
    table = np.array(
        [[(p.bpp, p.psnr_db, p.ms_ssim) for p in sorted(c, key=lambda p: p.quality)] for c in chosen]
    )
    own = np.array([[found[number] for number in windows] for found in model])
    random, rates = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = random.integers(len(windows), size=len(windows))
        test = np.array(sorted(pooled(found[drawn]) for found in own))
        rates.append(bd_rate(_lower_hull(table[drawn]), test))
    low, high = np.nanpercentile(rates, (2.5, 97.5))
    return float(low), float(high)
