"""g_a and g_s of a codec in portable arithmetic."""

from __future__ import annotations

import zlib

import numpy as np

from codec.models.encoders.cosmic import LocalGate
from codec.models.encoders.lsconv import LSConv
from codec.models.model import LatentModel
from codec.portable.compiler import compiled
from codec.portable.kernels import to_picture
from codec.portable.product import chosen_backend

COUNT = 64  # a predicted picture has 1/64 counts
WHITE = 255 * COUNT


class Transforms:
    """The transforms of `model`, their weights frozen as they are now: the same bits on every machine.

    backend: auto, int8 or float64, with equal results."""

    def __init__(self, model: LatentModel, backend: str = "auto") -> None:
        self.backend = chosen_backend(backend)
        self.m, self.bands = model.m, model.widths.bands
        self._layers = model.g_a
        self._g_s = compiled(model.g_s, self.backend)
        if self.exact_analysis:
            self._g_a = compiled(model.g_a, self.backend)

    @property
    def exact_analysis(self) -> bool:
        """Whether exact arithmetic knows every layer of g_a; `latents` needs it."""
        return not any(isinstance(layer, LSConv | LocalGate) for layer in self._layers)

    def picture(self, y: np.ndarray) -> np.ndarray:
        """g_s: uint8 [16 H, 16 W, bands] of integers y [M, H, W]."""
        rows = np.ascontiguousarray(np.moveaxis(np.asarray(y), 0, -1).astype(np.int16))
        values = self._g_s.of_integers(rows, 1.0)
        out = np.empty(values.shape, np.uint8)
        to_picture(values.reshape(-1), out.reshape(-1))
        return out

    def latents(self, picture: np.ndarray) -> np.ndarray:
        """g_a: float64 [H * W, M], raster order, of a picture int16 [P, P, bands] in 1/64 counts, 0 to
        16320."""
        given = np.ascontiguousarray(picture, dtype=np.int16)
        return self._g_a.of_integers(given, 1.0 / WHITE).reshape(-1, self.m)


def picture_digest(picture: np.ndarray) -> int:
    """CRC-32 of a picture uint8 [P, P, bands], row by row."""
    return zlib.crc32(np.ascontiguousarray(picture).tobytes())
