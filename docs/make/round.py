"""Draw docs/pictures/round.png, the README's picture of a round: `python docs/make/round.py`.

Who codes what in the first round of `dense`, as every run draws it, and below the footprints what was
captured and what the ground has."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import dlrc
from constellation.common.files import replacing
from dlrc.report.mosaics import compose
from dlrc.report.owners import owners
from dlrc.report.sheet import FAINT, by_priority, picture_of, write
from ground.records import RoundRecord

TARGET = Path(__file__).resolve().parents[1] / "pictures" / "round.png"
PANELS = {"captured": "captured", "dlrc": "rebuilt from the streams"}
LEFT_PX, TOP_PX, SIDE_PX, GAP_PX = 12, 706, 240, 16  # the empty corner of the sheet
MAX_COLOURS = 256


def picture(run: dlrc.Run, record: RoundRecord) -> Image.Image:
    """The sheet of a round with two mosaics of its window in the corner that it leaves empty."""
    from PIL import ImageDraw

    sheet = owners(run, record)
    draw = ImageDraw.Draw(sheet)
    for place, (kind, caption) in enumerate(PANELS.items()):
        placed = [
            (one.place.row, one.place.col, getattr(run.gallery.images(record.number, one.satellite), kind))
            for one in by_priority(record)
            if one.place is not None
        ]
        mosaic = picture_of(compose(placed, run.scenario.capture.window_px)).resize((SIDE_PX, SIDE_PX))
        left = LEFT_PX + place * (SIDE_PX + GAP_PX)
        sheet.paste(mosaic, (left, TOP_PX))
        write(draw, (left, TOP_PX - 20), caption, SIDE_PX, (FAINT, 14))
    return sheet


if __name__ == "__main__":
    flown = dlrc.run("dense", rounds=1)
    with replacing(TARGET) as temporary:
        picture(flown, flown.rounds[0]).quantize(MAX_COLOURS).save(temporary, format="PNG", optimize=True)
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB")
