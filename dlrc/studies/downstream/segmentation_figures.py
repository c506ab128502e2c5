"""Curves of the study of maps: IoU and F1 over bits per pixel and band, one picture a task."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

_CLASSICAL = ("JPEG 2000", "JPEG 2000 KLT")


def curves(rows: Sequence[Any]) -> bytes:
    """A PNG of one task's rows (segmentation_report.Row): a column of panels for each choice of bands, IoU
    above, F1 below. Full: U-Net trained on originals; hollow: it went on with decoded pictures. Lines across:
    ceiling (originals), threshold, floor (nothing marked). What has another reference than the ceiling
    (hollow; a codec that was measured on fewer sources) is drawn at the ceiling plus its change."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = list(dict.fromkeys(row.bands for row in rows))
    figure = Figure(figsize=(6.5 * len(cells), 8.5), layout="constrained")
    figure.suptitle(f"{rows[0].task} ({rows[0].says})\nmaps by an own small U-Net; real bytes", fontsize=11)
    panels = figure.subplots(2, len(cells), squeeze=False)
    for column, bands in enumerate(cells):
        mine = [row for row in rows if row.bands == bands]
        for axes, name in zip(panels[:, column], ("iou", "f1"), strict=True):
            _panel(axes, mine, name)
        panels[0, column].set_title(f"{bands}, {mine[0].sources} independent sources")
    panels[0, 0].legend(fontsize=7, loc="lower right")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _panel(axes: Any, rows: Sequence[Any], name: str) -> None:
    families, most = _families(rows), max(row.sources for row in rows)
    hues = [*_CLASSICAL, *sorted({label.partition(",")[0] for label in families} - {*_CLASSICAL})]
    ceiling = next(getattr(row, name) for row in rows if row.method == "original")
    for label, mine in families.items():
        alone = label.endswith("by band")
        look = {"color": f"C{hues.index(label.partition(',')[0])}", "marker": "s" if alone else "o"}
        if fewer := mine[0].sources < most:
            look["marker"] = "*"
            label += f" (on {mine[0].sources} of {most} sources: ceiling plus change)"
        for segmenter, line, fill in (("originals", "-", "full"), ("went on with decoded", ":", "none")):
            moved = fewer or fill == "none"
            some = [row for row in mine if row.segmenter == segmenter]
            points = [
                (r.bppb, ceiling + getattr(r, f"d_{name}") if moved else getattr(r, name)) for r in some
            ]
            if points:
                look |= {"linestyle": "--" if alone else line, "fillstyle": fill}
                axes.plot(*zip(*sorted(points), strict=True), **look, label=label if fill == "full" else None)
    _levels(axes, rows, name)
    axes.set(xlabel="bit per pixel and band", ylabel={"iou": "IoU", "f1": "F1"}[name], xscale="log")
    axes.grid(alpha=0.3)


def _levels(axes: Any, rows: Sequence[Any], name: str) -> None:
    """Ceiling, threshold and floor, across."""
    for row in rows:
        if row.method == "original" and row.segmenter == "threshold":
            axes.axhline(getattr(row, name), color="0.3", linestyle=":", label="threshold, originals")
        elif row.method == "original" and row.segmenter == "originals":
            axes.axhline(getattr(row, name), color="0.3", label="ceiling: originals")
            if name == "iou":
                axes.axhspan(row.low, row.high, color="0.92", zorder=0, label="its interval, 95 %")
    axes.axhline(0, color="0.6", linestyle="--", label="floor: nothing marked")


def _families(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Rows of codecs by who codes, whatever the level or lambda."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        if row.method.startswith("original") or " seed " in row.method or " patches " in row.method:
            continue
        if row.method.startswith("JPEG"):
            label = row.method.rsplit(" ", 2)[0]
        else:
            label = row.method.partition(" ")[0]
            label += ", band by band" if row.method.endswith("band by band") else ""
        found.setdefault(label, []).append(row)
    return found
