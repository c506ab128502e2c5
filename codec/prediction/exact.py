"""The fusion in exact arithmetic, so that both ends correct scales and means to the same bits.

Its layers are those of the portable transforms; what follows them is single IEEE double operations. A scale
travels as log2 with straight lines between the powers of two: the exponent and the mantissa of the double
itself, so that there and back is exact everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numba
import numpy as np
from torch import nn

from codec.entropy.digits import quantise
from codec.portable.compiler import doubles
from codec.portable.maps import Convolution
from codec.portable.product import WEIGHT_MAX, Product, chosen_backend, integers_of
from codec.prediction.values import Prediction

if TYPE_CHECKING:
    from codec.prediction.fusion import Fusion

SCALE_MIN, SCALE_MAX = 0.11, float(1 << 20)  # scales are taken within, as `Fusion` and any table do
LOG_MIN, LOG_MAX = -4, 9
POWERS = 2.0 ** np.arange(LOG_MIN, LOG_MAX + 1)


@numba.njit("void(float64[:,::1], float64[:,::1])", cache=True, nogil=True, error_model="numpy")
def _logs(scales, out):
    """Exponent and mantissa, read off the double's bits: log2 at the powers of two, straight in between."""
    for r in range(out.shape[0]):
        row = out[r]
        for c in range(len(row)):
            scale = scales[r, c]
            row[c] = min(scale if scale > SCALE_MIN else SCALE_MIN, SCALE_MAX)
        bits = row.view(np.int64)
        for c in range(len(row)):
            exponent = (bits[c] >> 52) - 1023
            bits[c] = (bits[c] & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000  # the mantissa, 1 to 2
            row[c] = (row[c] - 1.0) + np.float64(exponent)


@numba.njit(
    "void(float64[:,::1], float64[:,::1], float64[:,::1], float64[:,::1], float64[::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _correct(parameters, changes, y_pred, out, powers):
    """parameters [n, 2 C]: logs of scales, means; out: scales, means. changes [n, 3 C]: a, b, u, where the
    log goes up by a and the mean becomes (1 - g) mean + g y_pred + b, g = 0.5 + 0.5 u / (1 + |u|). powers: of
    two, from LOG_MIN on."""
    count = y_pred.shape[1]
    for r in range(out.shape[0]):
        for c in range(count):
            log = parameters[r, c] + changes[r, c]
            if not log > LOG_MIN:
                log = np.float64(LOG_MIN)
            elif log > LOG_MAX:
                log = np.float64(LOG_MAX)
            whole = np.floor(log)
            out[r, c] = (1.0 + (log - whole)) * powers[np.int64(whole) - LOG_MIN]
            u = changes[r, 2 * count + c]
            half = 0.5 * u / (1.0 + abs(u))
            kept = (0.5 - half) * parameters[r, count + c]
            taken = (0.5 + half) * y_pred[r, c]
            out[r, count + c] = (kept + taken) + changes[r, count + c]


class Dense:
    """A 1x1 convolution over rows, each with a step of its own, so that rows do not depend on those beside
    them."""

    def __init__(self, module: nn.Conv2d, slope: float, backend: str) -> None:
        assert module.bias is not None
        weight = doubles(module.weight)[:, :, 0, 0].T
        self._product = Product(*integers_of(weight, WEIGHT_MAX), doubles(module.bias), backend)
        self._product.slope = slope

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        given = quantise(rows, per_row=True)
        digits = given.digits
        if self._product.backend == "float64":
            digits = (digits[:1, : given.rows] * 256.0) + digits[1:, : given.rows]
        out = np.empty((given.rows, self._product.outputs))
        if given.rows:
            self._product.apply(digits, given.unit, out)
        return out


class ExactFusion:
    """`fusion`, its weights frozen as they are now. backend: auto, int8 or float64, with equal results."""

    def __init__(self, fusion: Fusion, backend: str = "auto") -> None:
        backend = chosen_backend(backend)
        first, first_slope, second, second_slope = cast(Any, fusion.trunk)
        self._first = Dense(first, first_slope.negative_slope, backend)
        weight = doubles(second.weight).transpose(2, 3, 1, 0)
        self._second = Convolution(weight, doubles(second.bias), 1, second.padding[0], backend)
        self._second.product.slope = second_slope.negative_slope
        self._log_hyper, self._reads = fusion.log_hyper, fusion.reads_parameters
        self.hidden = fusion.hidden
        self._head_of = fusion.head
        self._heads = {head: _dense(head, backend) for head in fusion.heads}

    def features(self, hyper: np.ndarray, prediction: Prediction, shape: tuple[int, ...]) -> np.ndarray:
        """float64 [H * W, hidden]: what the trunk makes of hyper [H * W, P] and a prediction."""
        first = hyper
        if self._log_hyper:
            first = np.empty_like(hyper)
            _logs(_writable(hyper), first)
        experts = (prediction.levels[:, None] == np.arange(1, 4)).astype(np.float64)
        rows = self._first(np.concatenate((first, prediction.y, prediction.planes, experts), axis=1))
        return self._second(rows.reshape(*shape, -1)).reshape(len(rows), -1)

    def parameters(
        self, number: int, features: np.ndarray, parameters: np.ndarray, y_pred: np.ndarray
    ) -> np.ndarray:
        """Corrected scales and means [n, 2 C] of pass `number` at n positions.

        features: their rows. parameters: scales, then means, [n, 2 C]. y_pred: [n, C], of the pass's
        channels."""
        rows, count = features, y_pred.shape[1]
        logs = np.empty((len(rows), count))
        _logs(_writable(parameters), logs)
        alone = np.concatenate((logs, parameters[:, count:]), axis=1)
        if self._reads:
            rows = np.concatenate((features, alone), axis=1)
        for layer in self._heads[self._head_of(number)]:
            rows = layer(rows)
        out = np.empty_like(alone)
        _correct(alone, rows, _writable(y_pred), out, POWERS)
        return out


def _writable(values: np.ndarray) -> np.ndarray:
    """As kernels take it: C order, a copy where it may not be written to."""
    return np.require(values, np.float64, ("C", "W"))


def _dense(head: nn.Module, backend: str) -> list[Dense]:
    parts = list(cast(Any, head))
    if len(parts) == 1:
        return [Dense(parts[0], 1.0, backend)]
    first, slope, last = parts
    return [Dense(first, slope.negative_slope, backend), Dense(last, 1.0, backend)]


class Outlook:
    """What predictions say of the cells of several images, numbered through all of them.

    parts: of each image its prediction, if it has one, its rows of h_s(z_hat) [H * W, P], and (H, W)."""

    def __init__(self, parts: Sequence[tuple[Prediction | None, np.ndarray, tuple[int, ...]]]) -> None:
        sizes = [int(np.prod(shape)) for _, _, shape in parts]
        self._image = np.repeat(np.arange(len(parts)), sizes)
        self._first = np.cumsum([0, *sizes])
        self._predictions = [prediction for prediction, _, _ in parts]
        self._features = [
            None if prediction is None else prediction.fusion.features(hyper, prediction, shape)
            for prediction, hyper, shape in parts
        ]
        levels = [
            np.zeros(size, np.uint8) if prediction is None else prediction.levels
            for (prediction, _, _), size in zip(parts, sizes, strict=True)
        ]
        self._predicted = np.concatenate([*levels, np.zeros(0, np.uint8)]) > 0

    def correct(self, number: int, rows: np.ndarray, channels: slice, parameters: np.ndarray) -> np.ndarray:
        """Parameters [n, 2 C] of pass `number` at cells `rows`, corrected where they are predicted: positions
        of level 0 keep theirs."""
        predicted = self._predicted[rows]
        if not predicted.any():
            return parameters
        out = np.array(parameters)
        for b in np.unique(self._image[rows[predicted]]):
            chosen = np.flatnonzero(predicted & (self._image[rows] == b))
            prediction, features = self._predictions[b], self._features[b]
            at = rows[chosen] - self._first[b]
            y_pred = prediction.y[at, channels]
            out[chosen] = prediction.fusion.parameters(number, features[at], parameters[chosen], y_pred)
        return out
