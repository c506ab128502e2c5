"""Two pictures of a round, as PNG: what the ground got beside what was captured, and who owns what.

Drawn with Pillow, pixel by pixel, so that a patch is shown as it is and a latent position is one crisp
square. Windows wider than 1024 px are shown smaller; a latent grid is shown whole, whatever its size."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from ground.records import Fates

if TYPE_CHECKING:
    from PIL import Image

MAX_PANEL_PX = 1024
MAX_GRIDS = 64
_PAD, _LINE = 12, 22
_PAPER, _INK, _FAINT = (252, 252, 250), (32, 34, 38), (110, 114, 120)
_EMPTY = np.array([206, 206, 202], dtype=np.uint8)
# Okabe and Ito's colours (black left out, and one more): told apart with any colour vision
_COLOURS = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (86, 180, 233),
    (204, 121, 167),
    (240, 228, 66),
    (120, 94, 60),
)


@dataclass(frozen=True)
class View:
    """What is drawn of one satellite's view.

    row, col: top left corner of the patch in the window, px. original: np.uint8 [P, P, 3]; dlrc, independent:
    the same, decoded, or None where there is no image. fates: the assignment map, H x W, or None without
    DLRC."""

    satellite: int
    row: int
    col: int
    original: np.ndarray
    dlrc: np.ndarray | None
    independent: np.ndarray | None
    fates: AssignmentMap | Fates | None


def draw_mosaics(
    path: Path, views: Sequence[View], window_px: int, order: Sequence[int], captions: tuple[str, str, str]
) -> None:
    """Write originals, DLRC and independent reconstructions as three mosaics of the window, side by side.

    Where patches overlap, the satellite that comes first in `order` (ids, highest priority first) is on top.
    `captions` stand above the three mosaics."""
    mosaics = [compose(views, window_px, order, which) for which in ("original", "dlrc", "independent")]
    panels = [_shrink(_image(mosaic)) for mosaic in mosaics]
    size = panels[0].width
    sheet, draw = _sheet(3 * size + 4 * _PAD, size + _LINE + 2 * _PAD)
    for index, (panel, caption) in enumerate(zip(panels, captions)):
        left = _PAD + index * (size + _PAD)
        draw.text((left, _PAD - 2), _fit(draw, caption, size), fill=_INK, font=_font())
        sheet.paste(panel, (left, _PAD + _LINE))
    _save(sheet, path)


def compose(views: Sequence[View], window_px: int, order: Sequence[int], which: str) -> np.ndarray:
    """The mosaic of one kind of image, np.uint8 [W, W, 3]; `which` is original, dlrc or independent. Grey
    where there is nothing."""
    mosaic = np.broadcast_to(_EMPTY, (window_px, window_px, 3)).copy()
    for view in sorted(views, key=lambda view: -_rank(order, view.satellite)):
        image = getattr(view, which)
        if image is not None:
            mosaic[view.row : view.row + image.shape[0], view.col : view.col + image.shape[1]] = image
    return mosaic


def draw_owners(
    path: Path, views: Sequence[View], window_px: int, order: Sequence[int], title: str = ""
) -> None:
    """Write the window with its footprints, and each satellite's latent grid coloured by owner (first 64
    satellites by priority)."""
    views = sorted(views, key=lambda view: _rank(order, view.satellite))
    colours = {
        view.satellite: colour_of(index)
        for index, view in enumerate(sorted(views, key=lambda view: view.satellite))
    }
    shown = [view for view in views if view.fates is not None][:MAX_GRIDS]
    columns = max(1, min(8, int(np.ceil(np.sqrt(max(1, len(shown)))))))
    cell = _cell_px(shown, columns)
    tiles = [
        (view, _image(owner_grid(view.fates, colours, view.satellite, cell)))
        for view in shown
        if view.fates is not None
    ]
    tile = max((image.width for _, image in tiles), default=0)
    tile_height = max((image.height for _, image in tiles), default=0) + 2 * _LINE
    rows = -(-len(tiles) // columns)
    left_size = 560
    top = _PAD + 2 * _LINE
    width = max(left_size + columns * (tile + _PAD) + 3 * _PAD, 760)
    sheet, draw = _sheet(width, top + max(left_size + 4 * _LINE, rows * (tile_height + _PAD)) + _LINE + _PAD)
    draw.text(
        (_PAD, _PAD - 2), _fit(draw, title or "Who owns what", width - 2 * _PAD), fill=_INK, font=_font(17)
    )
    _legend(sheet, draw, left_size + 2 * _PAD, _PAD + _LINE, tiles != [])
    sheet.paste(_footprints(views, window_px, colours, left_size), (_PAD, top + 6))
    note = "footprints in the window; the darker, the more views; on the right by priority"
    draw.text((_PAD, top + left_size + 10), note, fill=_FAINT, font=_font())
    left = left_size + 3 * _PAD
    for index, (view, image) in enumerate(tiles):
        x, y = left + index % columns * (tile + _PAD), top + 6 + index // columns * (tile_height + _PAD)
        sheet.paste(image, (x, y + 2 * _LINE))
        draw.rectangle((x, y + 3, x + 13, y + 16), fill=colours[view.satellite])
        draw.text((x + 20, y), _fit(draw, f"satellite {view.satellite}", tile - 20), fill=_INK, font=_font())
        draw.text((x, y + _LINE - 2), _fit(draw, _shares(view.fates), tile), fill=_FAINT, font=_font(12))
    if len(tiles) < sum(view.fates is not None for view in views):
        draw.text(
            (left, sheet.height - _LINE),
            f"the first {len(tiles)} of {len(views)} satellites",
            fill=_FAINT,
            font=_font(),
        )
    _save(sheet, path)


def owner_grid(
    fates: AssignmentMap | Fates, colours: dict[int, tuple[int, int, int]], satellite: int, cell_px: int
) -> np.ndarray:
    """The latent grid with `cell_px` per position, np.uint8 [H cell_px, W cell_px, 3].

    Kept: the satellite's colour. Local copy: the same, lightened, with a stroke. Remote copy: the owner's
    colour around a light core (dark core: inexact). Marks need cells of 6 px; smaller cells show lightness
    alone."""
    grid = np.empty((*fates.fate.shape, 3))
    owners = np.where(fates.fate == REMOTE, fates.owner, satellite)
    for owner in np.unique(owners):
        grid[owners == owner] = colours.get(int(owner), (90, 90, 90))
    grid[fates.fate == LOCAL] += 0.5 * (255 - grid[fates.fate == LOCAL])
    if cell_px < 6:
        grid[fates.fate == REMOTE] += 0.55 * (255 - grid[fates.fate == REMOTE])
    big = np.kron(grid, np.ones((cell_px, cell_px, 1)))
    if cell_px >= 6:
        inside = np.zeros((cell_px, cell_px), dtype=bool)
        inset = max(2, cell_px // 4)
        inside[inset : cell_px - inset, inset : cell_px - inset] = True
        _mark(big, (fates.fate == REMOTE) & fates.exact, inside, 0.78, 255)
        _mark(big, (fates.fate == REMOTE) & ~fates.exact, inside, 0.75, 20)
        _mark(big, fates.fate == LOCAL, np.fliplr(np.eye(cell_px, dtype=bool)), 0.7, 20)
        big[::cell_px] += 0.35 * (255 - big[::cell_px])
        big[:, ::cell_px] += 0.35 * (255 - big[:, ::cell_px])
    return np.rint(big).astype(np.uint8)


def colour_of(index: int) -> tuple[int, int, int]:
    """A colour for the index-th satellite: eight that anyone can tell apart, then hues at golden-ratio
    steps."""
    if index < len(_COLOURS):
        return _COLOURS[index]
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.5 + 0.4 * (index % 3) / 2, 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


# ---------------------------------------------------------------- parts


def _rank(order: Sequence[int], satellite: int) -> int:
    return list(order).index(satellite)


def _mark(big: np.ndarray, where: np.ndarray, shape: np.ndarray, opacity: float, tone: float) -> None:
    mask = np.kron(where, shape).astype(bool)
    big[mask] += opacity * (tone - big[mask])


def _cell_px(shown: Sequence[View], columns: int) -> int:
    side = max((max(view.fates.fate.shape) for view in shown if view.fates is not None), default=16)
    return max(1, min(14, 1400 // (columns * side)))


def _shares(fates: AssignmentMap | Fates | None) -> str:
    if fates is None:
        return ""
    kept, local, remote = (100 * np.mean(fates.fate == fate) for fate in (KEPT, LOCAL, REMOTE))
    return f"kept {kept:.0f} %  local {local:.0f} %  remote {remote:.0f} %"


def _footprints(
    views: Sequence[View], window_px: int, colours: dict[int, tuple[int, int, int]], size: int
) -> Image.Image:
    from PIL import ImageDraw

    count = np.zeros((size, size))
    scale = size / window_px
    boxes = []
    for view in views:
        top, left = round(view.row * scale), round(view.col * scale)
        bottom, right = (
            round((view.row + view.original.shape[0]) * scale) - 1,
            round((view.col + view.original.shape[1]) * scale) - 1,
        )
        count[top : bottom + 1, left : right + 1] += 1
        boxes.append((view, (left, top, right, bottom)))
    tone = 244 - 150 * (count / max(1.0, count.max())) ** 0.8
    tone[count == 0] = 250
    picture = _image(np.repeat(np.rint(tone).astype(np.uint8)[:, :, None], 3, axis=2))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, size - 1, size - 1), outline=_FAINT)
    for view, box in reversed(boxes):
        draw.rectangle(box, outline=colours[view.satellite], width=4)
    for view, (left, top, _, _) in reversed(
        boxes
    ):  # labels on top of all outlines, nudged apart where corners coincide
        nudge = sum(
            other.satellite < view.satellite and (other.row, other.col) == (view.row, view.col)
            for other in views
        )
        text = str(view.satellite)
        left += 30 * nudge
        right = left + draw.textlength(text, font=_font(16)) + 12
        draw.rectangle((left, top, right, top + 22), fill=colours[view.satellite])
        draw.text((left + 6, top + 1), text, fill=_text_on(colours[view.satellite]), font=_font(16))
    return picture


def _text_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    return (0, 0, 0) if 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 140 else (255, 255, 255)


def _legend(sheet, draw, left: int, top: int, has_grids: bool) -> None:
    """One row of sample cells, drawn by `owner_grid` itself."""
    if not has_grids:
        draw.text((left, top), "no assignment maps: DLRC is off", fill=_FAINT, font=_font())
        return
    samples = AssignmentMap(
        fate=np.array([[KEPT, LOCAL, REMOTE, REMOTE]], dtype=np.uint8),
        exact=np.array([[False, False, True, False]]),
        owner=np.array([[-1, -1, 1, 1]], dtype=np.int16),
        source=np.array([[-1, 0, 0, 0]], dtype=np.int32),
    )
    cells = owner_grid(samples, {0: colour_of(0), 1: colour_of(1)}, 0, 14)
    x = left + _PAD
    for index, text in enumerate(("kept", "local copy", "remote copy (owner's colour)", "inexact")):
        sheet.paste(_image(cells[:, 14 * index : 14 * index + 14]), (x, top + 2))
        draw.text((x + 19, top - 1), text, fill=_INK, font=_font(13))
        x += 19 + int(draw.textlength(text, font=_font(13))) + 16


def _sheet(width: int, height: int):
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (width, height), _PAPER)
    return sheet, ImageDraw.Draw(sheet)


def _image(array: np.ndarray) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(array))


def _shrink(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.width <= MAX_PANEL_PX:
        return image
    return image.resize(
        (MAX_PANEL_PX, round(MAX_PANEL_PX * image.height / image.width)), Image.Resampling.LANCZOS
    )


def _font(size: int = 14):
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _fit(draw, text: str, width: int) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` px."""
    while len(text) > 4 and draw.textlength(text, font=_font()) > width:
        text = text[:-4] + "..."
    return text


def _save(image: Image.Image, path: Path) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    image.save(temporary, format="PNG", optimize=False)
    temporary.replace(path)
