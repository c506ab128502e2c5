"""The entropy models of the four codecs as portable networks: from z_hat and known vectors to means and
scales of y, at chosen positions.

One *pass* computes the parameters of one range of channels at some positions. bmshj, mbt and cheng have one
pass over all channels, elic two per channel group: anchors, then non-anchors. Encoder and decoder call the
same functions; the encoder with all its positions at once.

    z_hat -> h_s -> hyper rows -----------------------------\\
    vectors -> 5x5 mask (mbt, cheng; elic's non-anchors) ----> 1x1 layers -> scales, means
    earlier channel groups -> three 5x5 layers (elic) ------/
"""

from __future__ import annotations

import numba
import numpy as np

from codec.models.model import LatentModel
from codec.entropy.exact import MANTISSA_MAX, Digits, masked_layer, network, padded_rows


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
    has_high = _gather_digits(vectors, np.ascontiguousarray(window), channels.start, channels.stop, digits)
    return Digits(digits, np.ones(count), count, has_high)


class HyperPrior:
    """bmshj (Balle et al. 2018): scales from z_hat, means 0, no context. Base of the other two."""

    passes = 1
    window_offsets = np.zeros((0, 2), dtype=np.int64)

    def __init__(self, model: LatentModel, portable: bool, backend: str) -> None:
        self.m, self.portable = model.m, portable
        self.h_s = network(model.h_s, portable, backend)
        medians = model.entropy_bottleneck._get_medians().detach().cpu().double().reshape(1, -1).numpy()
        self.medians = np.floor(medians * 65536 + 0.5) / 65536

    @property
    def dtype(self):
        return self.h_s.dtype

    def hyper(self, z_symbols: np.ndarray, height: int, width: int) -> np.ndarray:
        """h_s(z_hat) cut to the latent map: z symbols int32 [N, h, w] -> rows [H * W, P]."""
        n, h, w = z_symbols.shape
        z_hat = z_symbols.reshape(n, -1).T + self.medians
        rows = self.h_s.map(np.ascontiguousarray(z_hat, dtype=self.dtype), h, w)
        if (h * 4, w * 4) == (height, width):
            return rows
        return np.ascontiguousarray(rows.reshape(h * 4, w * 4, -1)[:height, :width]).reshape(
            height * width, -1
        )

    def channels(self, number: int) -> slice:
        """The channels of y that pass `number` codes."""
        return slice(0, self.m)

    def side(
        self,
        number: int,
        vectors: np.ndarray,
        rows: np.ndarray,
        height: int,
        width: int,
        positions: np.ndarray,
    ) -> np.ndarray | None:
        """Context of pass `number` that comes from whole maps of earlier passes, at `positions`: rows, or
        None."""
        return None

    def parameters(
        self, number: int, hyper: np.ndarray, side: np.ndarray | None, vectors: np.ndarray, window: np.ndarray
    ) -> np.ndarray:
        """[n, 2 C], scales then means, of pass `number` at n positions.

        hyper: their rows [n, P]; side: their rows of `side`; vectors: [rows, M] int16 or float32; window:
        int64 [n, 12], rows of their context cells."""
        return np.concatenate((hyper, np.zeros_like(hyper)), axis=1)


class RasterPrior(HyperPrior):
    """mbt (Minnen et al. 2018) and cheng (Cheng et al. 2020): a 5x5 causal window, then 1x1 layers over
    cat(h_s(z_hat), context)."""

    def __init__(self, model: LatentModel, portable: bool, backend: str) -> None:
        super().__init__(model, portable, backend)
        self.context, self.window_offsets = masked_layer(model.context_prediction, portable, backend)
        self.head = network(model.entropy_parameters, portable, backend)

    def parameters(self, number, hyper, side, vectors, window):
        context = self.context.rows(gather(vectors, window, self.channels(number), self.portable))
        return self.head.rows(np.concatenate((hyper, context), axis=1))


class CheckerboardPrior(HyperPrior):
    """elic (He et al. 2022): channel groups; in each, anchors from h_s(z_hat) and earlier groups, then
    non-anchors that also see the anchors."""

    def __init__(self, model: LatentModel, portable: bool, backend: str) -> None:
        super().__init__(model, portable, backend)
        self.bounds = np.concatenate(([0], np.cumsum(model.groups))).tolist()
        self.passes = 2 * len(model.groups)
        self.spatial, self.channel, self.head = [], [], []
        for k in range(len(model.groups)):
            layer, self.window_offsets = masked_layer(model.spatial_context[k], portable, backend)
            self.spatial.append(layer)
            self.channel.append(network(model.channel_context[k], portable, backend) if k else None)
            self.head.append(network(model.param_aggregation[k], portable, backend))

    def channels(self, number):
        return slice(self.bounds[number // 2], self.bounds[number // 2 + 1])

    def side(self, number, vectors, rows, height, width, positions):
        k = number // 2
        if not k:
            return None
        known = gather(vectors, rows[:, None], slice(0, self.bounds[k]), self.portable)
        return self.channel[k].map(known, height, width, positions)

    def parameters(self, number, hyper, side, vectors, window):
        k, of = number // 2, self.channels(number)
        if number % 2:
            spatial = self.spatial[k].rows(gather(vectors, window, of, self.portable))
        else:
            spatial = np.zeros((len(hyper), 2 * (of.stop - of.start)), dtype=self.dtype)
        return self.head[k].rows(
            np.concatenate((spatial, hyper) if side is None else (spatial, side, hyper), axis=1)
        )


def portable_prior(model: LatentModel, portable: bool = True, backend: str = "auto") -> HyperPrior:
    """The entropy model of `model`, its weights frozen as they are now. `backend`: auto, int8 or float64,
    with equal results."""
    kind = {"bmshj": HyperPrior, "elic": CheckerboardPrior}.get(model.name, RasterPrior)
    return kind(model, portable, backend)
