"""Figure 12: the number of hash rounds k, and the original or the mean vector as a cluster's representative.

Every k is flown over the same captures; bytes are those of real streams, qualities those of the decoder. The
time is this machine's CPU time of Recognizer and Selector per satellite (one thread, smallest of the
windows). Writes runs/ablation-<digest>/: ablation.csv, figure12.png."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from constellation.scenario.load import SCENARIO
from dlrc.commands.models import known_models
from dlrc.studies.common.figures import save
from dlrc.studies.common.terms import FLOWN, refuse_estimates, surveyed
from dlrc.studies.common.variants import Compared, Shared, Trial, fly, see, shown
from ground.metrics import ms_ssim
from nodes.process.board import load_board
from nodes.process.preflight import check_inputs

REPRESENTATIVES = ("original", "mean")


class AblationKeys(Knobs):
    """Keys of this study."""

    windows: Annotated[int, Field(ge=1, le=10000)] = 4
    """rounds to fly"""
    k: Several[Annotated[int, Field(ge=1, le=64)]] = (2, 4, 8, 12, 16, 20, 24)
    """numbers of hash rounds"""


def study(given: Given) -> None:
    """Fly every k and representative, print, write."""
    scenario, windows = given.subject, given.own.windows
    refuse_estimates(scenario.codec)
    if scenario.dlrc.signature != "lsh" or scenario.dlrc.dedup != "signature":
        raise UserError(
            "dlrc.signature, dlrc.dedup: k matters to dlrc.signature=lsh with dlrc.dedup=signature alone"
        )
    known_models([scenario.codec.model], "codec.model")
    check_inputs(scenario)  # before a folder is made
    folder = make_folder(Path(scenario.output) / f"ablation-{scenario.digest}")
    trial = Trial(scenario, load_board(scenario.codec))
    rows = survey(trial, windows, given.own.k, folder / "ablation.csv")
    title = f"{scenario.codec.model}, {scenario.name}, {surveyed(scenario.scene, windows)}"
    print(f"{title}\n\n{table(summarise(rows))}")
    draw(summarise(rows), folder / "figure12.png", title)
    print(f"\nwrote {folder}/ (ablation.csv, figure12.png)")


def survey(trial: Trial, windows: int, ks: Sequence[int], path: Path) -> list[dict]:
    """One row per window, k and representative; the CSV grows as they come."""
    rows: list[dict] = []
    for window in watched(range(windows), "windows"):
        views = see(trial, window)
        if not shown(views, window):
            continue
        alone = [ms_ssim(view.look.image, view.alone_image, view.look.valid) for view in views]
        for k in ks:
            for representative in REPRESENTATIVES:
                knobs = {"k": k, "representative": representative}
                found = outcome(trial.under(dlrc=knobs), window, views, alone)
                rows.append({"window": window, **knobs, **found})
        write_records(path, rows)
    return rows


def outcome(trial: Trial, window: int, views: Sequence[Shared], alone_ms_ssim: Sequence[float]) -> dict:
    """Rate, quality and time of one k in one window; qualities of the views that show anything."""
    flown = fly(trial, window, views)
    pixels = sum(view.look.pixels for view in views)
    psnr = Compared.of(views, flown)
    similar = [
        float("nan") if image is None else ms_ssim(view.look.image, image, view.look.valid) - before
        for view, image, before in zip(views, flown.images, alone_ms_ssim, strict=True)
        if view.look.pixels
    ]
    return {
        "y_bytes": sum(flown.y_bytes),
        "total_bytes": sum(flown.total_bytes),
        "map_bytes": sum(flown.map_bytes),
        "alone_y_bytes": sum(v.alone_y_bytes for v in views),
        "alone_total_bytes": sum(len(v.alone) for v in views),
        "pixels": pixels,
        "remote_share": flown.remote_share,
        "local_share": flown.local_share,
        "psnr_db": float(np.mean(psnr.alone + psnr.change)),
        "dpsnr_db": float(np.mean(psnr.change)),
        "worst_dpsnr_db": float(np.min(psnr.change)),
        "dms_ssim": float(np.mean(similar)),
        "select_ms": 1000 * flown.select_s,
        "failed": flown.failed,
    }


def summarise(rows: Sequence[dict]) -> list[dict]:
    """Over the windows, per k and representative."""
    out = []
    for key in dict.fromkeys((row["k"], row["representative"]) for row in rows):
        mine = [row for row in rows if (row["k"], row["representative"]) == key]
        total = {
            name: sum(row[name] for row in mine)
            for name in mine[0]
            if name.endswith("bytes") or name == "pixels"
        }
        mean = {
            name: float(np.mean([row[name] for row in mine]))
            for name in ("dpsnr_db", "dms_ssim", "psnr_db", "remote_share", "local_share")
        }
        out.append(
            {
                "k": key[0],
                "representative": key[1],
                "bpp": 8 * total["total_bytes"] / total["pixels"],
                "saved_y_pct": 100 - 100 * total["y_bytes"] / total["alone_y_bytes"],
                "saved_pct": 100 - 100 * total["total_bytes"] / total["alone_total_bytes"],
                "worst_dpsnr_db": min(row["worst_dpsnr_db"] for row in mine),
                "select_ms": min(row["select_ms"] for row in mine),
                **mean,
            }
        )
    return out


def table(summary: Sequence[dict]) -> str:
    """Markdown."""
    lines = [
        "| k | representative | bpp | y saved % | all saved % | local / remote % of positions | "
        "dPSNR dB (worst view) | dMS-SSIM | Recognizer + Selector ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['k']} | {r['representative']} | {r['bpp']:.4f} | {r['saved_y_pct']:.1f} | "
        f"{r['saved_pct']:.1f} | {100 * r['local_share']:.1f} / {100 * r['remote_share']:.1f} | "
        f"{r['dpsnr_db']:+.3f} ({r['worst_dpsnr_db']:+.2f}) | {r['dms_ssim']:+.5f} | {r['select_ms']:.1f} |"
        for r in summary
    ]
    return "\n".join(lines)


def draw(summary: Sequence[dict], path: Path, title: str) -> None:
    """Rate, quality and time against k."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = (
        ("bpp", "bits per pixel, all"),
        ("dpsnr_db", "change of PSNR, dB"),
        ("dms_ssim", "change of MS-SSIM"),
        ("select_ms", "Recognizer + Selector, ms (CPU time)"),
    )
    figure, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
    for axis, (name, label) in zip(axes, panels, strict=True):
        for representative, colour in zip(REPRESENTATIVES, ("#d9822b", "#1f5fa8"), strict=True):
            mine = [row for row in summary if row["representative"] == representative]
            axis.plot(
                [row["k"] for row in mine],
                [row[name] for row in mine],
                "o-",
                color=colour,
                label=representative,
                markersize=4,
            )
        axis.set_xlabel("hash rounds k")
        axis.set_title(label, fontsize=9)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[3].set_ylim(bottom=0)
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    save(figure, path)


COMMAND = Command(
    name="study ablation",
    about=__doc__ or "",
    own=AblationKeys,
    work=study,
    subject=SCENARIO,
    honours=FLOWN,
    sets={"dlrc.k": "k", "dlrc.representative": "", "dlrc.enabled": ""},
    default="dense",
    examples=(
        "dlrc study ablation windows=1 k=8,20",
        "dlrc study ablation scene.path=FOLDER codec.model=elic",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
