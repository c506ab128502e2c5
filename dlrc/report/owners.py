"""Who owns what in a round: the window with its footprints, and each satellite's latent grid by owner.

A latent position is one crisp square; a grid is shown whole, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from codec.earlier import SATELLITES
from codec.maps.assignment import KEPT, LOCAL, REMOTE
from dlrc.report.sheet import (
    EMPTY,
    FAINT,
    INK,
    LINE,
    PAD,
    Colour,
    blank,
    by_priority,
    captions,
    colour_of,
    font,
    picture_of,
    write,
)
from dlrc.store.results import Run
from ground.records import PREDICTED, Fates, Outcome, RoundRecord, SatelliteRecord

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

MAX_GRIDS = 64
_LEFT_PX = 560  # side of the picture of the window
_TEXT_PX = 150  # a tile has room for this much
_PATCH_CELLS = 16  # of a satellite without a map, when nobody has one


def owners(run: Run, record: RoundRecord) -> Image.Image:
    """Footprints, and the latent grids of the first 64 satellites by priority with what came of each."""
    ordered = by_priority(record)
    colours = {one.satellite: colour_of(i) for i, one in enumerate(record.satellites)}
    shown = [one for one in ordered if one.fates is not None or one.outcome is not Outcome.EXACT][:MAX_GRIDS]
    columns = max(1, min(8, int(np.ceil(np.sqrt(max(1, len(shown)))))))
    side = max((max(one.fates.fate.shape) for one in shown if one.fates is not None), default=_PATCH_CELLS)
    cell = max(1, min(14, 1400 // (columns * side)))
    tile = max(cell * side, _TEXT_PX)
    rows, top, left = -(-len(shown) // columns), PAD + 3 * LINE, _LEFT_PX + 3 * PAD
    width = max(left + columns * (tile + PAD), 760)
    height = top + max(_LEFT_PX + 3 * LINE, rows * (cell * side + 2 * LINE + PAD) + 2 * LINE)
    sheet, draw = blank(width, height)
    title, about = captions(run, record)
    write(draw, (PAD, PAD - 4), f"{title}: who codes what", width - 2 * PAD, (INK, 17))
    write(draw, (PAD, PAD - 4 + LINE), about, width - 2 * PAD, (FAINT, 14))
    has_grids, streams = any(one.fates is not None for one in shown), run.scenario.dlrc.streams
    _legend(sheet, draw, (left, PAD + 2 * LINE - 2), has_grids, streams)
    capture = run.scenario.capture
    sheet.paste(_footprints(ordered, capture.window_px, capture.patch_px, colours), (PAD, top + 6))
    note = "footprints in the window; the darker, the more views; on the right by priority"
    write(draw, (PAD, top + _LEFT_PX + 10), note, _LEFT_PX, (FAINT, 14))
    for index, one in enumerate(shown):
        x = left + index % columns * (tile + PAD)
        y = top + 6 + index // columns * (cell * side + 2 * LINE + PAD)
        _tile(sheet, draw, (x, y, tile, cell), (one, colours))
    if len(shown) < sum(one.fates is not None for one in ordered):
        text = f"the first {len(shown)} of {len(ordered)} satellites"
        write(draw, (left, height - LINE), text, width - left, (FAINT, 14))
    return sheet


def _tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    of: tuple[SatelliteRecord, Mapping[int, Colour]],
) -> None:
    """One satellite's grid with what came of it. box: left, top, width and cell, px."""
    (x, y, width, cell), (one, colours) = box, of
    outcome = "" if one.outcome is Outcome.EXACT else f": {one.outcome.value}"
    draw.rectangle((x, y + 3, x + 13, y + 16), fill=colours[one.satellite])
    write(draw, (x + 20, y), f"satellite {one.satellite}{outcome}", width - 20, (INK, 14))
    if one.fates is None:
        write(draw, (x, y + LINE - 2), "no map", width, (FAINT, 12))
        draw.rectangle((x, y + 2 * LINE, x + width // 2, y + 2 * LINE + width // 2), fill=EMPTY)
        return
    write(draw, (x, y + LINE - 2), _shares(one), width, (FAINT, 12))
    sheet.paste(picture_of(owner_grid(one.fates, colours, one.satellite, cell)), (x, y + 2 * LINE))


def owner_grid(fates: Fates, colours: Mapping[int, Colour], satellite: int, cell_px: int) -> np.ndarray:
    """The latent grid with `cell_px` per position, uint8 [H cell_px, W cell_px, 3].

    Kept: the satellite's colour. Predicted: the same around a core of the colour of the satellite that it is
    predicted from. Local copy: its own, lightened, with a stroke. Remote copy: the owner's colour around a
    light core (dark core: inexact). Marks need cells of 6 px; smaller cells show lightness alone, and a
    predicted one half of either colour."""
    grid = np.empty((*fates.fate.shape, 3))
    owning = np.where(fates.fate == REMOTE, fates.owner, satellite)
    for owner in np.unique(owning):
        grid[owning == owner] = colours.get(int(owner) % SATELLITES, (90, 90, 90))
    predicted, cores = fates.fate == PREDICTED, np.zeros_like(grid)
    for source in np.unique(fates.owner[predicted]):
        cores[predicted & (fates.owner == source)] = colours.get(int(source) % SATELLITES, (90, 90, 90))
    grid[fates.fate == LOCAL] += 0.5 * (255 - grid[fates.fate == LOCAL])
    if cell_px < 6:
        grid[fates.fate == REMOTE] += 0.55 * (255 - grid[fates.fate == REMOTE])
        grid[predicted] += 0.5 * (cores[predicted] - grid[predicted])
    big = np.kron(grid, np.ones((cell_px, cell_px, 1)))
    if cell_px >= 6:
        inside = np.zeros((cell_px, cell_px), dtype=bool)
        inset = max(2, cell_px // 4)
        inside[inset : cell_px - inset, inset : cell_px - inset] = True
        core = np.kron(predicted, inside).astype(bool)
        big[core] = np.kron(cores, np.ones((cell_px, cell_px, 1)))[core]
        _mark(big, np.kron((fates.fate == REMOTE) & fates.exact, inside), 0.78, 255)
        _mark(big, np.kron((fates.fate == REMOTE) & ~fates.exact, inside), 0.75, 20)
        _mark(big, np.kron(fates.fate == LOCAL, np.fliplr(np.eye(cell_px, dtype=bool))), 0.7, 20)
        big[::cell_px] += 0.35 * (255 - big[::cell_px])
        big[:, ::cell_px] += 0.35 * (255 - big[:, ::cell_px])
    return np.rint(big).astype(np.uint8)


def _mark(big: np.ndarray, where: np.ndarray, opacity: float, tone: float) -> None:
    mask = where.astype(bool)
    big[mask] += opacity * (tone - big[mask])


def _shares(one: SatelliteRecord) -> str:
    """What became of a grid's positions, in percent; of a predicted one from whom, at how many bits."""
    if one.fates is None:
        return ""
    fate = one.fates.fate
    if not one.predicted:
        kept, local, remote = (100 * np.mean(fate == kind) for kind in (KEPT, LOCAL, REMOTE))
        return f"kept {kept:.0f} %  local {local:.0f} %  remote {remote:.0f} %"
    told = [f"{'plain' if s < 0 else f'from {s}'} {bits / 1000:.1f}" for s, bits in one.bits]
    copied = [f"copied {100 * np.mean(fate == REMOTE):.0f} %"] if (fate == REMOTE).any() else []
    return ", ".join(["kbit: " + ", ".join(told), *copied])


def _footprints(
    ordered: Sequence[SatelliteRecord], window_px: int, patch_px: int, colours: Mapping[int, Colour]
) -> Image.Image:
    from PIL import ImageDraw

    scale, count = _LEFT_PX / window_px, np.zeros((_LEFT_PX, _LEFT_PX))
    boxes = []
    for one in ordered:
        if one.place is not None:
            top, left = round(one.place.row * scale), round(one.place.col * scale)
            bottom, right = (
                round((corner + patch_px) * scale) - 1 for corner in (one.place.row, one.place.col)
            )
            count[max(0, top) : bottom + 1, max(0, left) : right + 1] += 1
            boxes.append((one, (left, top, right, bottom)))
    tone = 244 - 150 * (count / max(1.0, count.max())) ** 0.8
    tone[count == 0] = 250
    picture = picture_of(np.repeat(np.rint(tone).astype(np.uint8)[:, :, None], 3, axis=2))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, _LEFT_PX - 1, _LEFT_PX - 1), outline=FAINT)
    for one, box in reversed(boxes):
        lost = one.outcome is Outcome.LOST
        draw.rectangle(box, outline=colours[one.satellite], width=1 if lost else 4)
    taken: dict[tuple[int, int], int] = {}
    for one, (left, top, _, _) in boxes:  # labels on top of all outlines, side by side where corners coincide
        place = taken[left, top] = taken.get((left, top), -1) + 1
        _label(draw, (left + 30 * place, top), str(one.satellite), colours[one.satellite])
    return picture


def _label(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, colour: Colour) -> None:
    left, top = at
    dark = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] <= 140
    draw.rectangle((left, top, left + draw.textlength(text, font=font(16)) + 12, top + 22), fill=colour)
    draw.text((left + 6, top + 1), text, fill=(255, 255, 255) if dark else (0, 0, 0), font=font(16))


def _legend(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int], has_grids: bool, streams: bool
) -> None:
    """One row of sample cells, drawn by `owner_grid` itself."""
    x, top = at
    if not has_grids:
        draw.text((x, top), "no assignment maps: nobody shared", fill=FAINT, font=font())
        return
    samples = Fates(
        np.array([[KEPT, LOCAL, REMOTE, REMOTE, PREDICTED]]),
        np.array([[False, False, True, False, False]]),
        np.array([[-1, -1, 1, 1, 1]]),
    )
    texts = ["kept", "local copy", "remote copy (owner's colour)", "inexact", "predicted (core: from whom)"]
    if streams:
        texts[2] = "copied (owner's colour)"
    chosen = (0, 4, 2) if streams else (0, 1, 2, 3)

    cells = owner_grid(samples, {0: colour_of(0), 1: colour_of(1)}, 0, 14)
    for index in chosen:
        text = texts[index]
        sheet.paste(picture_of(cells[:, 14 * index : 14 * index + 14]), (x, top + 2))
        draw.text((x + 19, top - 1), text, fill=INK, font=font(13))
        x += 19 + int(draw.textlength(text, font=font(13))) + 16
