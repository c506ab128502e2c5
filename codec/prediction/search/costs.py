"""Bits of a patch under many predictions, through the coder's tables, without a byte written."""

from __future__ import annotations

import numba
import numpy as np

from codec.entropy import order
from codec.entropy.coder import EntropyCoder
from codec.entropy.encoder import parameter_passes
from codec.entropy.tables import MEAN_LIMIT, PRECISION, code_lengths
from codec.maps.assignment import all_kept
from codec.prediction.exact import ExactFusion
from codec.prediction.values import Prediction

Own = tuple[np.ndarray, np.ndarray, np.ndarray]  # image uint8 [P, P, 3], y_hat int [M, H, W], symbols of z


class Costs:
    """Bits of a patch by position, through the coder's tables: plain, and in the light of predictions.

    hyper: bool [h, w], hyper-latents that are sent; None: all. hyper_bits: what they take."""

    def __init__(
        self,
        fusion: ExactFusion,
        coder: EntropyCoder,
        own: Own,
        kept: np.ndarray | None = None,
        hyper: np.ndarray | None = None,
    ) -> None:
        _, y_hat, z_symbols = own
        self._given = fusion, coder, own, kept
        sent = np.ones(z_symbols.shape[1:], dtype=bool) if hyper is None else hyper
        self.hyper_bits = _hyper_bits(coder, z_symbols[:, sent])
        z_symbols = z_symbols * sent
        self.fusion, self.tables, self.shape = fusion, coder.tables, y_hat.shape[1:]
        self.flat = np.ascontiguousarray(y_hat.reshape(len(y_hat), -1).T, dtype=np.int64)
        self.kept = np.ones(self.shape) if kept is None else kept.astype(np.float64)
        self.hyper = coder.exact.hyper(z_symbols, *self.shape)
        self.parts = _parts(coder, y_hat, z_symbols)
        self.lengths = _lengths_of(coder)
        self.plain = self._by_position([alone for *_, alone in self.parts])

    def sending(self, hyper: np.ndarray) -> Costs:
        """Of the same patch where these hyper-latents alone are sent."""
        return Costs(*self._given, hyper)

    def predicted(self, prediction: Prediction) -> np.ndarray:
        """float64 [H, W], with the prediction's own levels; level 0 is plain."""
        features = self.fusion.features(self.hyper, prediction, self.shape)
        rows = []
        for number, positions, channels, alone in self.parts:
            seen = prediction.y[positions, channels]
            fused = self.fusion.parameters(number, features[positions], alone, seen)
            trusted = prediction.levels[positions] > 0
            rows.append(fused if trusted.all() else np.where(trusted[:, None], fused, alone))
        return self._by_position(rows)

    def _by_position(self, parameters: list[np.ndarray]) -> np.ndarray:
        bits, tables = np.zeros(len(self.flat)), self.tables
        code = np.stack([tables.code.offset, tables.code.size, tables.code.first])
        scales = np.stack([tables.base, tables.steps])
        for (_, positions, channels, _), rows in zip(self.parts, parameters, strict=True):
            symbols = np.ascontiguousarray(self.flat[positions, channels])
            given = np.array(rows, dtype=np.float64)
            bits[positions] += _code_lengths(symbols, given, tables.thresholds, scales, self.lengths, code)
        return bits.reshape(self.shape) * self.kept


def _parts(
    coder: EntropyCoder, y_hat: np.ndarray, z_symbols: np.ndarray
) -> list[tuple[int, np.ndarray, slice, np.ndarray]]:
    """(pass, positions, channels, their plain scales and means) in coding order, each once."""
    sequence = order.groups(coder.model.passes, all_kept(*y_hat.shape[1:]).known())
    numbers = [k for k in range(len(coder.model.passes)) for _ in range(len(sequence.of_pass(k)))]
    parts, at = [], 0
    for positions, channels, alone in parameter_passes(coder, z_symbols, y_hat.astype(np.int16), sequence):
        parts.append((numbers[at], positions, channels, alone))
        at += len(positions)
    return parts


def _hyper_bits(coder: EntropyCoder, symbols: np.ndarray) -> float:
    """Of z's symbols int32 [N, n]."""
    rows = symbols.T.reshape(-1)
    return float(code_lengths(rows, coder.z_indices(symbols.shape[1]), coder.z_tables).sum())


def _lengths_of(coder: EntropyCoder) -> np.ndarray:
    """Bits of every entry of the Gaussian tables, float64 like their cdf."""
    steps = np.diff(coder.tables.code.cdf.astype(np.float64), append=0)
    return PRECISION - np.log2(np.maximum(steps, 1.0))


@numba.njit(
    "float64[::1](int64[:,::1], float64[:,::1], float64[::1], int32[:,::1], float64[::1], int32[:,::1])",
    cache=True,
    nogil=True,
)
def _code_lengths(symbols, parameters, thresholds, scales, lengths, code):
    """Bits of each row, as codec/entropy/tables.py has them: the table of a scale and mean, the share of
    the symbol or an escape.

    scales: int32 [2, 64], first table and fractions of a mean. code: int32 [3, T], offset, size and first
    value of each table."""
    out = np.zeros(symbols.shape[0])
    columns = symbols.shape[1]
    for r in range(symbols.shape[0]):
        total = 0.0
        for c in range(columns):
            scale, low = parameters[r, c], 0
            if scale > thresholds[0]:  # of most channels it is not
                high = len(thresholds)
                while low < high:
                    middle = (low + high) >> 1
                    if thresholds[middle] < scale:
                        low = middle + 1
                    else:
                        high = middle
            mean = min(max(parameters[r, columns + c], -float(MEAN_LIMIT)), float(MEAN_LIMIT))
            step = scales[1, low]
            scaled = np.int64(np.floor(mean * step + 0.5))
            whole = scaled // step
            t = scales[0, low] + scaled - whole * step
            at = symbols[r, c] - whole - code[2, t]
            if at < 0 or at >= code[1, t]:
                excess = max(np.int64(1), -at if at < 0 else at - code[1, t] + 1)
                total += lengths[code[0, t] + code[1, t]] + 6.0 + np.floor(np.log2(excess))
            else:
                total += lengths[code[0, t] + at]
        out[r] = total
    return out
