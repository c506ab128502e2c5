"""How a generated picture says what it is: in its name, and in its PNG's text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from constellation.common.files import replacing

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

SUFFIX = ".generated.png"
TITLE = "Generated picture"
TOLD = (
    "generated: a net on the ground added detail to the decoded picture; none of it was sent, and it may be "
    "invented. The exact product is the decoded picture beside it."
)


def marked() -> PngInfo:
    """Text for a PNG."""
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Title", TITLE)
    told.add_text("Comment", TOLD)
    told.add_text("generated", "true")
    return told


def write_generated(path: Path, picture: np.ndarray) -> Path:
    """Write uint8 [H, W, 3] as NAME.generated.png beside NAME.png, through a temporary name. Returns where.
    Raises `UserError`."""
    from PIL import Image

    target = path.with_name(path.stem + SUFFIX)
    with replacing(target) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", pnginfo=marked())
    return target
