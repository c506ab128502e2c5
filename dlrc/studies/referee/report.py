"""One table and one picture of every way's ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlrc.studies.common.figures import save

COLOURS = {
    "independent": "#8a8f98", "signatures": "#1f5fa8", "conditional": "#3a8f5c", "hybrid": "#0b5d3b",
    "footprint": "#d9822b", "dialogue": "#8a5fbf", "uplinked": "#c0392b",
}  # fmt: skip
VISIBLE_DB = 0.05  # a change of quality below this is not said


def means(rows: Sequence[dict]) -> dict[tuple[str, str], dict[str, float]]:
    """By condition and way: bytes saved, percent of the independent ones; per satellite bytes between and up;
    delay in ms, energy in mJ; change of quality, dB, mean and worst; pictures that did not decode."""
    out = {}
    for key in dict.fromkeys((row["condition"], row["way"]) for row in rows):
        mine = [row for row in rows if (row["condition"], row["way"]) == key]
        views = sum(row["satellites"] for row in mine)
        total = {
            name: sum(row[name] for row in mine)
            for name in ("down_bytes", "alone_bytes", "between_bytes", "up_bytes", "joules", "failed")
        }
        out[key] = {
            "saved": 100 - 100 * total["down_bytes"] / total["alone_bytes"],
            "down": total["down_bytes"] / views,
            "between": total["between_bytes"] / views,
            "up": total["up_bytes"] / views,
            "delay_ms": 1e3 * float(np.mean([row["delay_s"] for row in mine])),
            "mj": 1e3 * total["joules"] / views,
            "onboard_ms": 1e3 * sum(row["onboard_s"] for row in mine) / views,
            "dpsnr": float(np.mean([row["dpsnr_db"] for row in mine])),
            "worst": min(row["worst_db"] for row in mine),
            "failed": total["failed"],
        }
    return out


def table(rows: Sequence[dict]) -> str:
    """Markdown: bytes saved by condition and way, and below each way's ledger, means over all conditions."""
    found = means(rows)
    ways = list(dict.fromkeys(row["way"] for row in rows))
    lines = ["| bytes down saved, % (mean change of PSNR, dB) | " + " | ".join(ways) + " |"]
    lines.append("|---|" + "---|" * len(ways))
    for name in dict.fromkeys(row["condition"] for row in rows):
        lines.append(f"| {name} | " + " | ".join(_saved(found.get((name, way))) for way in ways) + " |")
    for label, key, digits in (
        ("bytes down a satellite", "down", 0),
        ("bytes between satellites, each", "between", 0),
        ("bytes up a satellite", "up", 0),
        ("delay to the last usable picture, ms", "delay_ms", 1),
        ("on-board computing, ms a patch", "onboard_ms", 0),
        ("energy, mJ a patch", "mj", 0),
    ):
        cells = []
        for way in ways:
            values = [one[key] for (_, w), one in found.items() if w == way]
            cells.append(f"{np.mean(values):,.{digits}f}")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _saved(cell: dict[str, float] | None) -> str:
    if cell is None:
        return "-"
    change = f" ({cell['dpsnr']:+.2f})" if abs(cell["dpsnr"]) >= VISIBLE_DB else ""
    failed = f" {cell['failed']:.0f} FAILED" if cell["failed"] else ""
    return f"{cell['saved']:.1f}{change}{failed}"


def draw(rows: Sequence[dict], path: Path, where: str) -> None:
    """Left, bytes saved by condition and way, hollow where pictures are worse than independent ones; right,
    what goes between satellites and up, and when the last picture is usable."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = means(rows)
    names = list(dict.fromkeys(row["condition"] for row in rows))
    ways = [way for way in dict.fromkeys(row["way"] for row in rows) if way != "independent"]
    figure, (left, bytes_axes, delay_axes) = plt.subplots(
        1, 3, figsize=(11, 0.42 * len(names) + 2.2), width_ratios=(3, 1.3, 1.3), layout="constrained"
    )
    for place, way in enumerate(ways):
        for row, name in enumerate(names):
            cell = found.get((name, way))
            if cell is None:
                continue
            worse = cell["dpsnr"] <= -VISIBLE_DB
            colour = COLOURS.get(way, "#555555")
            at = row + 0.11 * (place - (len(ways) - 1) / 2)
            left.plot(
                cell["saved"], at, "o", ms=6, mec=colour, mfc="white" if worse else colour, mew=1.4,
                label=way if row == 0 else None,
            )  # fmt: skip
    left.axvline(0, color="#8a8f98", lw=1)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set_xlabel("bytes down saved, % of independent coding\n(hollow: pictures are worse than its)")
    every = ["independent", *ways]
    here = [way for way in every if any(w == way for _, w in found)]
    for axes, key, label in (
        (bytes_axes, ("between", "up"), "bytes a satellite:\nbetween (full), up (pale)"),
        (delay_axes, ("delay_ms",), "delay to the last\nusable picture, ms"),
    ):
        for place, way in enumerate(here):
            mine = [one for (_, w), one in found.items() if w == way]
            start = 0.0
            for part, alpha in zip(key, (1.0, 0.4), strict=False):
                size = float(np.mean([one[part] for one in mine]))
                axes.barh(place, size, 0.6, left=start, color=COLOURS.get(way, "#555555"), alpha=alpha)
                start += size
        axes.set_yticks(range(len(here)), here)
        axes.invert_yaxis()
        axes.set_xlabel(label)
    for axes in (left, bytes_axes, delay_axes):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle(where, fontsize=10)
    save(figure, path)
