"""The entropy model of a codec in portable arithmetic (codec/entropy/network.py): from z_hat and known
vectors to scales and means of y, at chosen positions.

Encoder and decoder call the same functions; the encoder with all its positions at once."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from codec.entropy.digits import MANTISSA_MAX, Digits, padded_rows
from codec.entropy.network import Network, masked_layer, network
from codec.models.model import Given, LatentModel, Pass


@numba.njit("boolean(int16[:,::1], int64[:,::1], int64, int64, int8[:,:,::1])", cache=True, nogil=True)
def _gather_digits(vectors, window, start, stop, digits):
    """Window vectors' channels start .. stop as signed bytes [2, rows, cells * channels]; returns whether any
    high byte is not 0."""
    width = stop - start
    any_high = False
    for r in range(window.shape[0]):
        for k in range(window.shape[1]):
            source = window[r, k]
            base = k * width
            high_bits = np.int32(0)
            for c in range(width):
                value = min(
                    max(np.int32(vectors[source, start + c]), np.int32(-MANTISSA_MAX)), np.int32(MANTISSA_MAX)
                )
                low = ((value + 128) & 255) - 128
                high = (value - low) >> 8
                digits[0, r, base + c] = np.int8(high)
                digits[1, r, base + c] = np.int8(low)
                high_bits |= high
            any_high |= high_bits != 0
    return any_high


def gather(vectors: np.ndarray, window: np.ndarray, channels: slice, portable: bool) -> Digits | np.ndarray:
    """Rows [n, cells * channels] of the vectors [rows, M] that `window` [n, cells] names, as a network's
    input.

    int16 vectors (fixed grid) become exact integers, float32 vectors (centred grid) float64 rows; without
    `portable`, float32 rows."""
    count, cells = window.shape
    width = channels.stop - channels.start
    if not portable or vectors.dtype != np.int16:
        rows = vectors[window, channels].reshape(count, -1)
        return rows.astype(np.float64 if portable else np.float32)
    padded = padded_rows(count)
    digits = np.empty((2, padded, cells * width), dtype=np.int8)
    digits[:, count:] = 0
    window = np.require(window, requirements=("C", "W"))  # a copy where it may not be written to
    has_high = _gather_digits(vectors, window, channels.start, channels.stop, digits)
    return Digits(digits, np.ones(count), count, has_high)


@dataclass(frozen=True, eq=False)
class ExactPass:
    """A pass with its networks frozen for exact arithmetic."""

    step: Pass
    window: Network | None
    earlier: Network | None
    head: Network | None


class ExactParameters:
    """The entropy model of `model`, its weights frozen as they are now.

    portable: exact arithmetic; else the same networks in float32. backend: auto, int8 or float64, with equal
    results."""

    def __init__(self, model: LatentModel, portable: bool = True, backend: str = "auto") -> None:
        self.m, self.portable = model.m, portable
        self._made: dict[int, Network] = {}
        self.h_s = network(model.h_s, portable, backend)
        self.passes = tuple(self._frozen(step, backend) for step in model.passes)
        medians = model.bottleneck._get_medians().detach().cpu().double().reshape(1, -1).numpy()
        self.medians = np.floor(medians * 65536 + 0.5) / 65536

    def _frozen(self, step: Pass, backend: str) -> ExactPass:
        window = None if step.window is None else masked_layer(step.window, self.portable, backend)
        for part in (step.earlier, step.head):  # passes share them
            if part is not None and id(part) not in self._made:
                self._made[id(part)] = network(part, self.portable, backend)
        earlier, head = (self._made[id(p)] if p is not None else None for p in (step.earlier, step.head))
        return ExactPass(step, window, earlier, head)

    @property
    def dtype(self) -> type:
        """Of parameters: float64, or float32 where not portable."""
        return self.h_s.dtype

    def hyper(self, z_symbols: np.ndarray, height: int, width: int) -> np.ndarray:
        """h_s(z_hat) cut to the latent map: z symbols int32 [N, h, w] -> rows [H * W, P]."""
        n, h, w = z_symbols.shape
        z_hat = z_symbols.reshape(n, -1).T + self.medians
        rows = self.h_s.map(np.ascontiguousarray(z_hat, dtype=self.dtype), h, w)
        if (h * 4, w * 4) == (height, width):
            return rows
        cut = rows.reshape(h * 4, w * 4, -1)[:height, :width]
        return np.ascontiguousarray(cut).reshape(height * width, -1)

    def earlier(
        self, number: int, vectors: np.ndarray, rows: np.ndarray, positions: np.ndarray
    ) -> np.ndarray:
        """What pass `number`, which has a network over them, sees of whole maps of earlier passes: rows at
        flat `positions`.

        vectors: [rows, M]. rows: int64 [H, W], which of them is at each position."""
        exact = self.passes[number]
        assert exact.earlier is not None, "a pass without a network over earlier ones"
        before = slice(0, exact.step.channels.start)
        known = gather(vectors, rows.reshape(-1, 1), before, self.portable)
        height, width = rows.shape
        return exact.earlier.map(known, height, width, positions)

    def parameters(
        self, number: int, hyper: np.ndarray, earlier: np.ndarray | None, cells: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray:
        """[n, 2 C], scales then means, of pass `number` at n positions.

        hyper: their rows [n, P]. earlier: their rows of `earlier`. cells: vectors [rows, M] int16 or float32,
        and int64 [n, cells], rows of those in their windows."""
        exact = self.passes[number]
        if exact.head is None:
            return np.concatenate((hyper, np.zeros_like(hyper)), axis=1)
        given = {Given.HYPER: hyper, Given.EARLIER: earlier}
        if exact.window is not None:
            given[Given.WINDOW] = exact.window.rows(gather(*cells, exact.step.channels, self.portable))
        known = sum(given[part].shape[1] for part in exact.step.inputs if given.get(part) is not None)
        nothing = np.zeros((len(hyper), exact.head.inputs - known), dtype=self.dtype)
        parts = [nothing if given.get(part) is None else given[part] for part in exact.step.inputs]
        return exact.head.rows(np.concatenate(parts, axis=1))
