"""Pictures of masks: a few test tiles, their truth, and what the segmenter marks on originals and on decoded
pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from codec.imagery.colours import false_colour, range_of
from constellation.common.files import write_bytes
from dlrc.studies.downstream.segmentation_methods import Plan
from dlrc.tasks.cell import Cell
from dlrc.tasks.coded import Coder, learned, original
from dlrc.tasks.fitting import marked
from dlrc.tasks.scores import counts_of, score
from dlrc.tasks.sources import Tile

TILES = 4


def draw_masks(plan: Plan, cell: Cell, path: Path) -> None:
    """Write a PNG of tiles of different sources at the lowest rates, unless there is one."""
    if path.is_file():
        return
    first = {tile.source: tile for tile in reversed(cell.test)}
    tiles = [*first.values(), *(tile for tile in cell.test if tile not in first.values())][:TILES]
    low = min(plan.levels_db)
    coders: dict[str, Coder] = {"original": original, f"JPEG 2000\n{low:g} dB": cell.jpeg2000(low, False)}
    if cell.bands.count > 1:
        coders[f"JPEG 2000 KLT\n{low:g} dB"] = cell.jpeg2000(low, True)
    if plan.starts:
        start = min(plan.starts, key=lambda one: one.lambda_)
        coders[f"{start.model}\nlambda {start.lambda_:g}"] = learned(*cell.codec(start))
    write_bytes(path, _drawn(cell, tiles, coders))


def _drawn(cell: Cell, tiles: list[Tile], coders: dict[str, Coder]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 + 2 * len(coders) - 1
    figure = Figure(figsize=(2 * columns, 2.2 * len(tiles) + 0.6), layout="constrained")
    figure.suptitle(f"{cell.task.name} ({cell.task.label}): green rightly marked, red wrongly, blue missed")
    panels = figure.subplots(len(tiles), columns, squeeze=False)
    for row, tile in zip(panels, tiles, strict=True):
        counts = cell.bands.to_counts(tile.samples)
        shown = range_of(counts)
        _show(row[0], _colours(counts, shown), f"{tile.source}")
        _show(row[1], np.where(tile.mask[..., None], 255, 0).repeat(3, axis=2).astype(np.uint8), "truth")
        at = 2
        for name, coder in coders.items():
            coded = coder(counts)
            if name != "original":
                bits = 8 * coded.size / counts.size
                _show(row[at], _colours(coded.counts, shown), f"{name}\n{bits:.3f} bit/px/band")
                at += 1
            hit = marked(cell.segmenter, coded.counts)
            iou = score({"": counts_of(hit, tile.mask)}).iou
            _show(row[at], _told(hit, tile.mask), f"on {name}".replace("\n", " ") + f"\nIoU {iou:.2f}")
            at += 1
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _colours(counts: np.ndarray, shown: tuple[float, float]) -> np.ndarray:
    """RGB of counts [bands, H, W]; bands begin with blue, but those of three are red, green, blue."""
    choice = "1,2,3" if len(counts) == 3 else ""
    return false_colour(counts.transpose(1, 2, 0), choice, shown)


def _told(hit: np.ndarray, truth: np.ndarray) -> np.ndarray:
    picture = np.zeros((*hit.shape, 3), np.uint8)
    picture[hit & truth], picture[hit & ~truth], picture[~hit & truth] = (
        (0, 170, 80),
        (220, 50, 40),
        (50, 90, 230),
    )
    return picture


def _show(axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture)
    axes.set_title(title, fontsize=7)
    axes.set_axis_off()
