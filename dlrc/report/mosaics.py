"""What the ground got of a round beside what was captured: mosaics of the window, and where streams are
exchanged what came of every position.

Drawn pixel by pixel, so that a patch is shown as it is. Windows wider than 1024 px are shown smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlrc.report.owners import owner_grid
from dlrc.report.sheet import (
    EMPTY,
    FAINT,
    INK,
    LINE,
    PAD,
    blank,
    by_priority,
    captions,
    colour_of,
    picture_of,
    write,
)
from dlrc.store.results import Run
from ground.records import Outcome, RoundRecord, SatelliteRecord

if TYPE_CHECKING:
    from PIL import Image

MAX_PANEL_PX = 1024
_PANELS = {
    "captured": "captured",
    "dlrc": "rebuilt with DLRC",
    "independent": "rebuilt from independent streams",
}
_GENERATED = {"generated": "generated on the ground, never sent"}
Placed = tuple[int, int, np.ndarray | None]  # row and column in the window, px, and what is shown there


def mosaics(run: Run, record: RoundRecord) -> Image.Image:
    """Captured, rebuilt with DLRC, rebuilt from independent streams, generated where a net made any; grey
    where no image came."""
    window_px, ordered = run.scenario.capture.window_px, by_priority(record)
    shown = {**_PANELS, **(_GENERATED if record.generated else {})}
    views = {one.satellite: run.gallery.images(record.number, one.satellite) for one in ordered}
    panels = []
    for kind in shown:
        placed = [
            (one.place.row, one.place.col, getattr(views[one.satellite], kind))
            for one in ordered
            if one.place is not None
        ]
        panels.append(_shrunk(picture_of(compose(placed, window_px))))
    told = list(shown.values())
    if run.scenario.dlrc.streams:
        panels.append(_shrunk(picture_of(compose(_fates(record, ordered), window_px))))
        told.append(f"who coded what; predicted: a core in the other's colour, {_predicted(record)}")
    size = panels[0].width
    top, width = PAD + 3 * LINE, len(panels) * size
    sheet, draw = blank(width + (len(panels) + 1) * PAD, size + top + PAD)
    title, about = captions(run, record)
    write(draw, (PAD, PAD - 4), f"{title}: what was seen, and what the ground has", width, (INK, 17))
    write(draw, (PAD, PAD - 4 + LINE), about, width, (FAINT, 14))
    for index, (panel, caption) in enumerate(zip(panels, told, strict=True)):
        left = PAD + index * (size + PAD)
        if caption == _PANELS["dlrc"]:
            caption += _missing(record)
        write(draw, (left, PAD - 2 + 2 * LINE), caption, size, (INK, 14))
        sheet.paste(panel, (left, top))
    return sheet


def _fates(record: RoundRecord, ordered: Sequence[SatelliteRecord]) -> list[Placed]:
    """The grids of a round as the owners' picture draws them, a position on the ground that it lies on."""
    from codec.models.model import LATENT_STRIDE_PX  # with torch, which a report of the network does without

    colours = {one.satellite: colour_of(i) for i, one in enumerate(record.satellites)}
    return [
        (one.place.row, one.place.col, owner_grid(one.fates, colours, one.satellite, LATENT_STRIDE_PX))
        for one in ordered
        if one.place is not None and one.fates is not None
    ]


def _predicted(record: RoundRecord) -> str:
    """Share of the positions that were coded in the light of another's picture, and the bits that they
    took."""
    everything = sum(one.fates.fate.size for one in record.satellites if one.fates is not None)
    predicted = sum(one.predicted for one in record.satellites)
    bits = sum(bits for one in record.satellites for source, bits in one.bits if source >= 0)
    return f"{100 * predicted / max(1, everything):.0f} % at {bits / 1000:.1f} kbit"


def compose(placed: Sequence[Placed], window_px: int) -> np.ndarray:
    """Patches in their window, uint8 [W, W, 3]; where they overlap, the first is on top. Grey where there is
    nothing."""
    mosaic = np.broadcast_to(np.array(EMPTY, dtype=np.uint8), (window_px, window_px, 3)).copy()
    for row, col, image in reversed(placed):
        if image is not None:
            into = mosaic[max(0, row) : row + image.shape[0], max(0, col) : col + image.shape[1]]
            into[...] = image[: into.shape[0], : into.shape[1]]
    return mosaic


def _missing(record: RoundRecord) -> str:
    lost = [str(one.satellite) for one in record.satellites if one.outcome is Outcome.LOST]
    return f"; lost: {', '.join(lost)}" if lost else ""


def _shrunk(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.width <= MAX_PANEL_PX:
        return image
    size = MAX_PANEL_PX, round(MAX_PANEL_PX * image.height / image.width)
    return image.resize(size, Image.Resampling.LANCZOS)
