"""Rows of the study of maps: as a table for people, as CSV, as curves."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from constellation.common.files import write_bytes, write_text
from constellation.common.frozen import value
from dlrc.tasks.cell import Measured
from dlrc.tasks.scores import score

CSV, PNG = "segmentation.csv", "segmentation.png"


@value
class Row:
    """One method of one cell. bpp: bits per pixel, all bands; bppb: per pixel and band. psnr_db: peak is the
    scale of each band; infinite for originals. low, high: of iou, 95 %, over sources."""

    task: str
    bands: str
    says: str
    method: str
    segmenter: str
    folds: int
    sources: int
    bpp: float
    bppb: float
    psnr_db: float
    iou: float
    low: float
    high: float
    f1: float
    precision: float
    recall: float


COLUMNS = tuple(Row.__annotations__)


def row_of(cell: tuple[str, str, str], method: str, segmenter: str, parts: tuple[int, Measured]) -> Row:
    """cell: task, bands and what its line must say. parts: how many folds, and all of them together."""
    count, found = parts
    bits, mse = 8 * found.size, found.squared / found.samples
    got = score(found.counts)
    return Row(
        *cell,
        method,
        segmenter,
        count,
        got.sources,
        bits / found.pixels,
        bits / found.samples,
        -10 * math.log10(mse) if mse else math.inf,
        *(got.iou, got.low, got.high, got.f1, got.precision, got.recall),
    )


def report(rows: Sequence[Row], out: Path) -> list[str]:
    """Write CSV and PNG below `out`; return the table's lines (Markdown), one table a cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_plain(getattr(row, name)) for name in COLUMNS] for row in rows)
    write_text(out / CSV, text.getvalue())
    write_bytes(out / PNG, _picture(rows))
    lines = []
    for cell in dict.fromkeys((row.task, row.bands, row.says) for row in rows):
        mine = [row for row in rows if (row.task, row.bands, row.says) == cell]
        lines += [
            "",
            f"{cell[0]}, {cell[1]} ({cell[2]}; {mine[0].sources} independent sources)",
            "",
            *_table(mine),
        ]
    return lines


def _plain(held: Any) -> str:
    return f"{held:.5g}" if isinstance(held, float) else str(held)


def _table(rows: Sequence[Row]) -> list[str]:
    head = ("coded by", "U-Net trained on", "sources", "bit/px/band", "PSNR dB", "IoU [95 %]", "F1", "P", "R")
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = (
            row.method,
            row.segmenter,
            str(row.sources),
            f"{row.bppb:.3f}",
            "-" if math.isinf(row.psnr_db) else f"{row.psnr_db:.1f}",
            f"{row.iou:.3f} [{row.low:.3f}, {row.high:.3f}]",
            *(f"{figure:.3f}" for figure in (row.f1, row.precision, row.recall)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("| nothing marked | - | - | 0.000 | - | 0.000 | 0.000 | - | 0.000 |")
    return lines


def _picture(rows: Sequence[Row]) -> bytes:
    """IoU over bits per pixel and band, a panel a cell: JPEG 2000 as curves, learned codecs as points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = list(dict.fromkeys((row.task, row.bands) for row in rows))
    figure = Figure(figsize=(5 * max(1, len(cells)), 4), layout="constrained")
    figure.suptitle(
        "IoU of maps of decoded pictures: own small U-Net trained on originals (hollow: retrained)"
    )
    for axes, cell in zip(figure.subplots(1, max(1, len(cells)), squeeze=False)[0], cells, strict=False):
        mine = [row for row in rows if (row.task, row.bands) == cell]
        for label in ("JPEG 2000 KLT", "JPEG 2000"):
            curve = sorted(
                (row.bppb, row.iou)
                for row in mine
                if row.method.rsplit(" ", 2)[0] == label and row.segmenter == "originals"
            )
            if curve:
                axes.plot(*zip(*curve, strict=True), "o-", markersize=3, label=label)
        for row in mine:
            if row.segmenter in ("originals", "retrained") and row.method not in ("original",):
                filled = row.segmenter == "originals"
                if row.method.startswith("JPEG") and filled:
                    continue
                label = row.method if filled else None
                axes.plot(
                    row.bppb,
                    row.iou,
                    "s" if filled else "^",
                    fillstyle="full" if filled else "none",
                    label=label,
                )
        for row in mine:
            if row.method == "original":
                style = "-" if row.segmenter == "originals" else ":"
                axes.axhline(row.iou, color="0.5", linestyle=style, label=f"original, {row.segmenter}")
        axes.set(title=f"{cell[0]}, {cell[1]}", xlabel="bit per pixel and band", ylabel="IoU")
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
