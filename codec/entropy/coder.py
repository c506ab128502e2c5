"""A codec made ready for entropy coding: its entropy model in exact arithmetic, and its tables.

    coder = EntropyCoder(model)                          # weights are frozen here
    z = coder.hyper_symbols(y)                           # on board
    coded = encode(coder, z, y, known)                   # encoder.py; known: AssignmentMap.known
    (latents,) = decode(coder, [StreamItem(coded.z_bytes, coded.y_bytes, known)])      # decoder.py

With `portable=True` (default) every table index comes from exact arithmetic (codec/entropy/network.py), and
streams decode on any machine, in any batch, with any number of threads. With `portable=False` the same
networks run in float32: for comparison; such a stream decodes only where float32 sums come out as they did at
the encoder, which other shapes, threads or libraries do not promise (the digest then tells)."""

from __future__ import annotations

import zlib

import numpy as np
import torch

from codec.entropy.digits import int8_is_exact, int8_is_quick
from codec.entropy.exact import ExactParameters
from codec.entropy.tables import bottleneck_tables, gaussian_tables
from codec.maps.assignment import FILL
from codec.models.model import LatentModel

GRIDS = ("fixed", "centred")
Y_LIMIT = 32000  # |y_hat| is at most this
BATCH_ROWS = 2048  # rows of the 1x1 networks at a time, a bound on memory


class EntropyCoder:
    """What encoder and decoder share. grid: fixed (y_hat = round(y)) or centred (CompressAI's rule, round(y -
    mean) + mean). backend: of the exact arithmetic, auto, int8 or float64."""

    def __init__(
        self, model: LatentModel, *, portable: bool = True, grid: str = "fixed", backend: str = "auto"
    ) -> None:
        if grid not in GRIDS:
            raise ValueError(f"grid {grid!r}: expected {' or '.join(GRIDS)}")
        self.model, self.grid = model, grid
        with torch.no_grad():
            self.exact = ExactParameters(model, portable, backend)
        self.tables = gaussian_tables()
        self.z_tables = bottleneck_tables(model.bottleneck)
        self._z_median = model.bottleneck._get_medians().detach().cpu().reshape(-1, 1, 1)

    @property
    def centred(self) -> bool:
        """Whether a vector's value depends on its context, so that it must be known before it is coded."""
        return self.grid == "centred" and self.model.has_context

    @property
    def vector_type(self) -> str:
        """Of vectors of y_hat: integers on the fixed grid."""
        return "float32" if self.grid == "centred" else "int16"

    @torch.no_grad()
    def hyper_symbols(self, y: torch.Tensor) -> np.ndarray:
        """z = h_a(y) on the grid around its medians, int32 [N, h, w], for y [1, M, H, W] on the model's
        device."""
        z = self.model.hyper_analysis(y)[0].float().cpu() - self._z_median
        return torch.round(z).clamp(-Y_LIMIT, Y_LIMIT).to(torch.int32).numpy()

    def z_indices(self, positions: int) -> np.ndarray:
        """Tables of z's symbols, int32 [positions * N]: raster order, channels fastest."""
        return np.tile(np.arange(self.z_tables.count, dtype=np.int32), positions)


def context_digest(y_context: np.ndarray) -> int:
    """CRC-32 of a context map [M, H, W] as little-endian int16 (integers) or float32."""
    kind = "<f4" if y_context.dtype.kind == "f" else "<i2"
    return zlib.crc32(np.ascontiguousarray(y_context.astype(kind)).tobytes())


def context_map(y_hat: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What a decoder knows of y_hat [M, H, W]: own vectors where kept or known, the representative's at local
    copies, else 0. known: int32 [H, W]."""
    flat, source = y_hat.reshape(y_hat.shape[0], -1), np.asarray(known).reshape(-1)
    behind = np.where(source >= 0, source, np.arange(len(source)))
    context = flat[:, behind]
    context[:, source[behind] == FILL] = 0
    return context.reshape(y_hat.shape)


def warm_up() -> None:
    """Load tables and choose the arithmetic now rather than at the first stream."""
    gaussian_tables()
    if int8_is_quick():
        int8_is_exact()
