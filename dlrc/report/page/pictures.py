"""The views of a run as data URIs for a page: captured, rebuilt with DLRC, rebuilt from the independent
stream, generated where a net made one, one below the other in one WebP, because what they have in common
then costs once.

Lossless while a page's budget lasts; then lossy, which the page says; then not at all."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlrc.store.results import Images

LOSSLESS_BYTES = 2_000_000  # of views, before base64 adds a third
ALL_BYTES = 4_500_000
LOSSY_QUALITY = 95
MAX_SIDE_PX = 1024  # a larger view is shown smaller
KINDS = ("captured", "dlrc", "independent", "generated")


@dataclass
class PictureBook:
    """Encoded views by (round, satellite), kept so that a page written after each round encodes only what is
    new."""

    made: dict[tuple[int, int], dict[str, Any] | None] = field(default_factory=dict)
    spent: int = 0

    def view(self, number: int, satellite: int, images: Images) -> dict[str, Any] | None:
        """The pictures of a view, as the page takes them; None without any, or beyond the budget."""
        key = number, satellite
        if key not in self.made:
            self.made[key] = self._encoded(images)
        return self.made[key]

    def _encoded(self, images: Images) -> dict[str, Any] | None:
        held = {kind: picture for kind in KINDS if (picture := getattr(images, kind)) is not None}
        if not held or self.spent > ALL_BYTES:
            return None
        lossless = self.spent < LOSSLESS_BYTES
        shown = {kind: _three_bands(picture) for kind, picture in held.items()}
        side = next(iter(shown.values())).shape[:2]
        data = webp(np.concatenate(list(shown.values())), lossless)
        self.spent += len(data)
        return {
            "kinds": list(shown),
            "height": side[0],
            "width": side[1],
            "lossless": lossless and max(side) <= MAX_SIDE_PX,
            "uri": "data:image/webp;base64," + base64.b64encode(data).decode(),
        }


def webp(pixels: np.ndarray, lossless: bool) -> bytes:
    """uint8 [H, W, 3] as WebP, fast rather than small."""
    from PIL import Image

    out = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if lossless:
        picture.save(out, format="WEBP", lossless=True, quality=30, method=1)
    else:
        picture.save(out, format="WEBP", quality=LOSSY_QUALITY, method=2)
    return out.getvalue()


def _three_bands(picture: np.ndarray) -> np.ndarray:
    """For the eye: the first three bands, one band in grey; large views by every n-th pixel."""
    bands = picture[:, :, :3] if picture.shape[2] >= 3 else np.repeat(picture[:, :, :1], 3, axis=2)
    step = -(-max(bands.shape[:2]) // MAX_SIDE_PX)
    return bands[::step, ::step]
