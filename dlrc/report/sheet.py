"""Paper, ink, type and colours of a run's pictures, drawn with Pillow."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np

from constellation.sync.series import constellation_label
from dlrc.report.lines import round_title
from dlrc.store.results import Run
from ground.records import RoundRecord, SatelliteRecord

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
PAD, LINE = 12, 22
PAPER, INK, FAINT = (252, 252, 250), (32, 34, 38), (110, 114, 120)
EMPTY = (206, 206, 202)  # where there is no picture
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


def colour_of(index: int) -> Colour:
    """A colour for the index-th satellite: eight that anyone can tell apart, then hues at golden-ratio
    steps."""
    if index < len(_COLOURS):
        return _COLOURS[index]
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.5 + 0.4 * (index % 3) / 2, 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


def blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty sheet, and what draws on it."""
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (width, height), PAPER)
    return sheet, ImageDraw.Draw(sheet)


def picture_of(pixels: np.ndarray) -> Image.Image:
    """uint8 [H, W, 3] as a picture."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


def font(size: int = 14) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one that Pillow brings along, so that a picture is the same everywhere."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, width: float, style: tuple[Colour, int]
) -> None:
    """Draw a line of text, cut with an ellipsis where it is wider than `width` px. style: colour and size;
    it is measured as it is drawn."""
    colour, size = style
    letters = font(size)
    shown = text
    while len(text) > 1 and draw.textlength(shown, font=letters) > width:
        text = text[:-1]
        shown = text.rstrip() + "..."
    draw.text(at, shown, fill=colour, font=letters)


def captions(run: Run, record: RoundRecord) -> tuple[str, str]:
    """Two lines that let a picture of a round stand alone: which run and round, and of what."""
    title = round_title(record.number, run.scenario.rounds)
    return f"{run.scenario.name}, {title}", f"{_who(run)}; {_scene(run, record)}"


def _who(run: Run) -> str:
    scenario = run.scenario
    noun = "satellite" if scenario.satellites == 1 else "satellites"
    codec = scenario.codec
    return (
        f"{scenario.satellites} {noun} of {constellation_label(scenario.orbit)}; {codec.model} at lambda "
        f"{codec.lambda_:g}"
    )


def _scene(run: Run, record: RoundRecord) -> str:
    if not run.facts.scene_real:
        return "built-in procedural scene, no real picture"
    places = [one.place for one in record.satellites if one.place is not None]
    return f"scene {places[0].scene}" if places else f"scene {run.facts.scene_source}"


def by_priority(record: RoundRecord) -> list[SatelliteRecord]:
    """The satellites of a round, highest priority first; who took no part in the order comes last."""
    rank = {satellite: place for place, satellite in enumerate(record.order)}
    return sorted(record.satellites, key=lambda one: (rank.get(one.satellite, len(rank)), one.satellite))
