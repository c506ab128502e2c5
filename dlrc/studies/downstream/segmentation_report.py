"""Rows of the study of maps: as tables for people, as CSV; bits at equal PSNR."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from constellation.common.files import write_bytes, write_text
from constellation.common.frozen import value
from dlrc.studies.downstream.segmentation_figures import curves
from dlrc.studies.downstream.segmentation_methods import Key, reference_of
from dlrc.tasks.cell import Measured, joined
from dlrc.tasks.scores import difference, f1_of, score

CSV = "segmentation.csv"


@value
class Row:
    """One method of one cell. says: what is a proxy in it. bpp: bits per pixel, all bands; bppb: per pixel
    and band. psnr_db: peak is the scale of each band; infinite for originals, NaN where not measured. low,
    high: of iou, 95 %, over sources. d_iou, d_f1: change against the method's reference (same sources drawn),
    with intervals."""

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
    d_iou: float
    d_iou_low: float
    d_iou_high: float
    f1: float
    d_f1: float
    d_f1_low: float
    d_f1_high: float
    precision: float
    recall: float


COLUMNS = tuple(Row.__annotations__)
NO_CHANGE = (math.nan,) * 3
Found = dict[Key, list[Measured]]  # by method, of each fold


@value
class Table:
    """Of one cell. psnr, rate: lines (Markdown) on bits at equal PSNR, and on maps at nearly equal rate."""

    rows: tuple[Row, ...]
    psnr: tuple[str, ...]
    rate: tuple[str, ...]


def table_of(cell: tuple[str, str, str], found: Found) -> Table:
    """cell: task, bands and what its lines must say."""
    whole = {key: joined(parts) for key, parts in found.items()}
    rows = (
        row_of((*cell, *key), len(parts), whole[key], whole.get(reference_of(key)))
        for key, parts in found.items()
    )
    return Table(tuple(rows), tuple(equal_psnr(found)), tuple(equal_rate(found)))


def row_of(place: tuple[str, ...], folds: int, found: Measured, against: Measured | None) -> Row:
    """place: task, bands, what its line must say, who codes, what the segmenter saw. folds: how many are in
    `found`. against: the reference, of these sources at least."""
    bits, got = 8 * found.size, score(found.counts)
    d_iou = d_f1 = NO_CHANGE
    if against is not None and found.counts.keys() <= against.counts.keys():
        same = {source: against.counts[source] for source in found.counts}
        d_iou, d_f1 = difference(same, found.counts), difference(same, found.counts, f1_of)
    rates = (bits / found.pixels, bits / found.samples, _psnr_db(place[3], found))
    scores = (got.iou, got.low, got.high, *d_iou, got.f1, *d_f1, got.precision, got.recall)
    return Row(*place, folds, got.sources, *rates, *scores)  # type: ignore[arg-type]


def _psnr_db(method: str, found: Measured) -> float:
    if found.squared:
        return -10 * math.log10(found.squared / found.samples)
    return math.nan if "patches" in method else math.inf


def report(tables: Sequence[Table], out: Path) -> list[str]:
    """Write CSV and PNGs below `out`; return the lines (Markdown) of two tables a cell."""
    rows = [row for table in tables for row in table.rows]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_plain(getattr(row, name)) for name in COLUMNS] for row in rows)
    write_text(out / CSV, text.getvalue())
    for task in dict.fromkeys(row.task for row in rows):
        write_bytes(out / f"curves_{task}.png", curves([row for row in rows if row.task == task]))
    lines = []
    for table in tables:
        first = table.rows[0]
        lines += ["", f"{first.task}, {first.bands} ({first.says})", "", *_table(table.rows)]
        for more in (table.psnr, table.rate):
            lines += ["", *more] if more else []
    return lines


def _plain(held: Any) -> str:
    return f"{held:.5g}" if isinstance(held, float) else str(held)


def _table(rows: Sequence[Row]) -> list[str]:
    head = ("map", "coded by", "U-Net", "sources", "bit/px/band", "PSNR dB")
    head += ("IoU [95 %]", "its change [95 %]", "F1", "its change [95 %]", "P", "R")
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = (
            row.says,
            row.method,
            row.segmenter,
            str(row.sources),
            f"{row.bppb:.3f}",
            f"{row.psnr_db:.1f}" if math.isfinite(row.psnr_db) else "-",
            f"{row.iou:.3f} [{row.low:.3f}, {row.high:.3f}]",
            _change(row.d_iou, row.d_iou_low, row.d_iou_high),
            f"{row.f1:.3f}",
            _change(row.d_f1, row.d_f1_low, row.d_f1_high),
            f"{row.precision:.3f}",
            f"{row.recall:.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    floor = (rows[0].says, "nothing marked", "-", str(rows[0].sources), "0.000", "-")
    lines.append(f"| {' | '.join(floor)} | 0.000 | - | 0.000 | - | - | 0.000 |")
    return lines


def _change(value_: float, low: float, high: float) -> str:
    return f"{value_:+.3f} [{low:+.3f}, {high:+.3f}]" if math.isfinite(value_) else "-"


def _rated(found: Found) -> tuple[dict[str, list[Measured]], dict[str, list[str]]]:
    """(folds by codec, codecs by family), of maps with the U-Net that originals trained."""
    rated = {method: parts for (method, segmenter), parts in found.items() if segmenter == "originals"}
    rated = {method: parts for method, parts in rated.items() if all(part.squared for part in parts)}
    families = {name: [one for one in rated if _family(one) == name] for name in map(_family, rated)}
    return rated, families


def equal_psnr(found: Found) -> list[str]:
    """Bits per pixel and band of each learned codec beside what others need for its PSNR on the same sources:
    from their measured points, linear in dB over the logarithm of the rate; a dash outside of them."""
    rated, families = _rated(found)
    rivals = [name for name in families if name.startswith("JPEG") or name.endswith("band by band")]
    learned = [method for method in rated if _family(method) not in rivals]
    if not learned or not rivals:
        return []
    head = ("at the PSNR of", "sources", "PSNR dB", "its bit/px/band", *rivals)
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for method in learned:
        folds = len(rated[method])
        sources = sum(len(part.counts) for part in rated[method])
        psnr_db, rate = _point(rated[method], folds)
        cells = []
        for name in rivals:
            points = [_point(rated[one], folds) for one in families[name] if len(rated[one]) >= folds]
            needed = rate_at(psnr_db, points)
            cells.append(f"{needed:.3f} ({100 * (rate / needed - 1):+.0f} %)" if needed else "-")
        lines.append(f"| {method} | {sources} | {psnr_db:.1f} | {rate:.3f} | {' | '.join(cells)} |")
    return lines


def equal_rate(found: Found) -> list[str]:
    """IoU of each learned codec less that of the point of JPEG 2000 whose rate is nearest, on the same
    sources, with its interval."""
    rated, families = _rated(found)
    rivals = [name for name in families if name.startswith("JPEG")]
    learned = [method for method in rated if not method.startswith("JPEG")]
    if not learned or not rivals:
        return []
    head = ("IoU of", "sources", "bit/px/band", *(f"less that of {name}" for name in rivals))
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for method in learned:
        folds, mine = len(rated[method]), joined(rated[method])
        rate, cells = _point(rated[method], folds)[1], []
        for name in rivals:
            near = min(families[name], key=lambda one: abs(math.log(_point(rated[one], folds)[1] / rate)))
            change = difference(joined(rated[near][:folds]).counts, mine.counts)
            cells.append(f"{_change(*change)} at {_point(rated[near], folds)[1]:.3f}")
        lines.append(f"| {method} | {len(mine.counts)} | {rate:.3f} | {' | '.join(cells)} |")
    return lines


def _point(parts: Sequence[Measured], folds: int) -> tuple[float, float]:
    """(PSNR, bits per pixel and band) of the first folds."""
    one = joined(parts[:folds])
    return -10 * math.log10(one.squared / one.samples), 8 * one.size / one.samples


def _family(method: str) -> str:
    """A method's name without its level or lambda."""
    if method.startswith("JPEG"):
        return method.rsplit(" ", 2)[0]
    model, _, rest = method.partition(" ")
    return f"{model} band by band" if rest.endswith("band by band") else model


def rate_at(psnr_db: float, points: Sequence[tuple[float, float]]) -> float:
    """The rate at a PSNR between measured points (PSNR, rate); 0 outside of them."""
    found = sorted(points)
    if len(found) < 2 or not found[0][0] <= psnr_db <= found[-1][0]:
        return 0.0
    levels, rates = zip(*found, strict=True)
    return float(np.exp(np.interp(psnr_db, levels, np.log(rates))))
