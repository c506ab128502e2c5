"""Integer distributions: Gaussians by (scale, fraction of the mean) for y, and the entropy bottleneck's own
tables for z.

Design choices:
* 64 log-spaced scales from 0.11 to 256, as in CompressAI. A scale takes the nearest of them (thresholds at
  geometric midpoints, rounded to multiples of 2^-20 so that comparing with them is exact), which loses less
  than CompressAI's next larger one.
* The mean is an integer plus a fraction on a grid of 1/F(scale), F the power of two with step / scale <= 1/8
  (at least 64 steps at the smallest scale): a mean off by half a step costs at most (step / scale)^2 / (8 ln
  2) = 0.003 bit, on average a third of that, 0.05 % of a typical symbol.
* The tables are made from `erfc`, a float function that libraries round differently, so they are shipped as
  integers (`gaussian_tables.npz`); `python -m codec.entropy.tables` rebuilds the file, and a test compares it
  with a fresh build.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numba
import numpy as np

TABLE_FILE = Path(__file__).with_name("gaussian_tables.npz")
PRECISION = 16  # bits of a probability
TOTAL = 1 << PRECISION
SCALE_COUNT, SCALE_MIN, SCALE_MAX = 64, 0.11, 256.0
GRID_BITS = 20  # scales and thresholds are multiples of 2^-20
MEAN_LIMIT = 32000  # |mean| is clamped here: y is int16


@dataclass(frozen=True)
class SymbolTables:
    """Integer distributions packed flat; table t covers the values first[t] .. first[t] + size[t] - 1, and an
    escape.

    cdf: int32, table t at cdf[offset[t] : offset[t] + size[t] + 2], from 0 to 65536, strictly increasing.
    offset, size, first: int32 [T].
    """

    cdf: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    first: np.ndarray

    def __post_init__(self) -> None:
        for name in ("cdf", "offset", "size", "first"):
            value = np.ascontiguousarray(getattr(self, name), dtype=np.int32)
            object.__setattr__(self, name, value)
        if not (self.offset.shape == self.size.shape == self.first.shape) or self.offset.ndim != 1:
            raise ValueError("offset, size and first must be vectors of one length")
        last = self.offset.astype(np.int64) + self.size + 1
        if (
            self.size.min(initial=1) < 1
            or self.offset.min(initial=0) < 0
            or last.max(initial=0) >= len(self.cdf)
        ):
            raise ValueError("a table reaches outside cdf")
        steps = np.diff(self.cdf.astype(np.int64))
        inside = np.zeros(len(self.cdf) + 1, dtype=np.int64)
        np.add.at(inside, self.offset, 1)
        np.add.at(inside, last, -1)
        if (
            (self.cdf[self.offset] != 0).any()
            or (self.cdf[last] != 1 << PRECISION).any()
            or (steps[np.cumsum(inside)[: len(steps)] > 0] < 1).any()
        ):
            raise ValueError("a table does not rise strictly from 0 to 65536")

    @property
    def count(self) -> int:
        return len(self.offset)

    @cached_property
    def bits(self) -> np.ndarray:
        """-log2 of the share of every entry of `cdf`, float64; of a table's last one, which has none, 16."""
        shares = np.diff(self.cdf.astype(np.float64), append=0)
        return PRECISION - np.log2(np.maximum(shares, 1.0))

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.cdf, self.offset, self.size, self.first


@dataclass(frozen=True)
class GaussianTables:
    """Tables of the integers under N(fraction, scale), fraction = 0, 1/F, .. (F - 1)/F; table index =
    base[scale] + fraction * F.

    code: the distributions.  scales: float64 [64].  thresholds: float64 [63], between neighbouring scales.
    base, steps: int32 [64], first table and F of each scale.
    """

    code: SymbolTables
    scales: np.ndarray
    thresholds: np.ndarray
    base: np.ndarray
    steps: np.ndarray

    def index(self, parameters: np.ndarray, with_mean: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """(table index, integer part of the mean), int32 [n, C] each, of `parameters` [n, 2 C]: scales, then
        means; any values, NaN too.

        Without `with_mean` the means count as 0 (the centred grid codes round(y - mean)).
        """
        parameters = np.ascontiguousarray(parameters, dtype=np.float64)
        table = np.empty((len(parameters), parameters.shape[1] // 2), dtype=np.int32)
        centre = np.empty_like(table)
        _index(parameters, with_mean, self.thresholds, self.base, self.steps, table, centre)
        return table, centre


@numba.njit(
    "void(float64[:,::1], boolean, float64[::1], int32[::1], int32[::1], int32[:,::1], int32[:,::1])",
    cache=True,
    nogil=True,
)
def _index(parameters, with_mean, thresholds, base, steps, table, centre):
    columns = table.shape[1]
    for r in range(table.shape[0]):
        for c in range(columns):
            value = parameters[r, c]
            low = 0
            high = len(thresholds)
            while low < high:  # number of thresholds below the scale; 0 for NaN
                middle = (low + high) >> 1
                if thresholds[middle] < value:
                    low = middle + 1
                else:
                    high = middle
            mean = parameters[r, columns + c] if with_mean else 0.0
            if not mean > -MEAN_LIMIT:
                mean = -MEAN_LIMIT
            elif mean > MEAN_LIMIT:
                mean = MEAN_LIMIT
            step = steps[low]
            scaled = np.int64(np.floor(mean * step + 0.5))
            whole = scaled // step  # floor division: the fraction is not negative
            table[r, c] = base[low] + np.int32(scaled - whole * step)
            centre[r, c] = np.int32(whole)


def _steps_for(scale: float) -> int:
    return 1 << max(0, math.ceil(math.log2(8.0 / scale)))


def _tail(x: float) -> float:  # P(standard normal > x)
    return 0.5 * math.erfc(x / math.sqrt(2.0))


def _frequencies(scale: float, fraction: float) -> tuple[int, list[int]]:
    """First value and integer frequencies (escape last) of the integers under N(fraction, scale), summing to
    2^16."""
    reach = math.ceil(4.5 * scale + 2)
    values = range(-reach, reach + 2)
    edges = [(value - 0.5 - fraction) / scale for value in values] + [(reach + 1.5 - fraction) / scale]
    mass = [_tail(a) - _tail(b) if a > 0 else _tail(-b) - _tail(-a) for a, b in itertools.pairwise(edges)]
    mass.append(_tail(-edges[0]) + _tail(edges[-1]))
    frequencies = [max(1, math.floor(p * TOTAL + 0.5)) for p in mass]
    surplus = sum(frequencies) - TOTAL
    while surplus:  # take from (give to) the symbol whose code length suffers least (gains most)
        step = 1 if surplus > 0 else -1
        cost = [
            p * (math.log(f) - math.log(f - step)) if f - step >= 1 else math.inf
            for p, f in zip(mass, frequencies, strict=True)
        ]
        chosen = min(range(len(cost)), key=cost.__getitem__)
        frequencies[chosen] -= step
        surplus -= step
    return -reach, frequencies


def build_gaussian_tables() -> dict[str, np.ndarray]:
    """The contents of `gaussian_tables.npz` from scratch: cdf, offset, size, first, base, steps, and scales
    and thresholds in 2^-20."""
    ratio = (SCALE_MAX / SCALE_MIN) ** (1 / (SCALE_COUNT - 1))
    scales = [round(SCALE_MIN * ratio**i * (1 << GRID_BITS)) for i in range(SCALE_COUNT)]
    thresholds = [round(math.sqrt(a * b)) for a, b in itertools.pairwise(scales)]
    cdf, offset, size, first, base, steps = [], [], [], [], [], []
    for scaled in scales:
        scale = scaled / (1 << GRID_BITS)
        base.append(len(offset))
        steps.append(_steps_for(scale))
        for fraction in range(steps[-1]):
            start, frequencies = _frequencies(scale, fraction / steps[-1])
            offset.append(len(cdf))
            size.append(len(frequencies) - 1)
            first.append(start)
            cdf.extend(np.concatenate(([0], np.cumsum(frequencies))).tolist())
    names = {"cdf": cdf, "offset": offset, "size": size, "first": first, "base": base, "steps": steps}
    names |= {"scales": scales, "thresholds": thresholds}
    return {name: np.array(values, dtype=np.int32) for name, values in names.items()}


@functools.lru_cache(maxsize=1)
def gaussian_tables() -> GaussianTables:
    """The shipped tables (one object per process)."""
    with np.load(TABLE_FILE, allow_pickle=False) as stored:
        part = {name: stored[name].astype(np.int64) for name in stored.files}
    cdf = np.cumsum(part.pop("cdf_steps"))
    offset = np.concatenate(([0], np.cumsum(part["size"] + 2)[:-1]))
    part["steps"] = np.diff(np.append(part["base"], len(offset)))
    code = SymbolTables(cdf, offset, part["size"], part["first"])
    grid = float(1 << GRID_BITS)
    return GaussianTables(
        code,
        part["scales"] / grid,
        part["thresholds"] / grid,
        part["base"].astype(np.int32),
        part["steps"].astype(np.int32),
    )


def bottleneck_tables(entropy_bottleneck) -> SymbolTables:
    """One table per channel of z from CompressAI's `_quantized_cdf` [N, L], `_cdf_length`, `_offset` (last
    bin: escape).

    Raises ValueError where they are missing (CompressAI's `update()` makes them) or not distributions.
    """
    quantized = entropy_bottleneck._quantized_cdf.detach().cpu().numpy()
    if quantized.ndim != 2 or not quantized.size:
        raise ValueError("entropy bottleneck: no integer tables; call its update() first")
    lengths = entropy_bottleneck._cdf_length.detach().cpu().numpy().reshape(-1).astype(np.int64)
    first = entropy_bottleneck._offset.detach().cpu().numpy().reshape(-1)
    if lengths.min() < 3 or lengths.max() > quantized.shape[1]:
        raise ValueError("entropy bottleneck: a table's length does not fit its row")
    cdf = np.concatenate([row[:length] for row, length in zip(quantized, lengths, strict=True)])
    return SymbolTables(cdf, np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths - 2, first)


def code_lengths(symbols: np.ndarray, tables: np.ndarray, code: SymbolTables) -> np.ndarray:
    """Bits that the coder spends on each symbol, float64 of the shape of `symbols`: -log2 of its share, plus
    6 + n raw bits after an escape."""
    given = np.array(symbols, dtype=np.int64, order="C")
    out = np.empty(given.shape, dtype=np.float64)
    chosen = np.array(np.broadcast_to(tables, given.shape), dtype=np.int32, order="C")
    _lengths(given.reshape(-1), chosen.reshape(-1), *code.arrays[1:], code.bits, out.reshape(-1))
    return out


@numba.njit(
    "void(int64[::1], int32[::1], int32[::1], int32[::1], int32[::1], float64[::1], float64[::1])",
    cache=True,
    nogil=True,
)
def _lengths(symbols, tables, offset, size, first, bits, out):
    for i in range(len(symbols)):
        t = tables[i]
        at = symbols[i] - first[t]
        if 0 <= at < size[t]:
            out[i] = bits[offset[t] + at]
        else:
            excess = max(np.int64(1), -at if at < 0 else at - size[t] + 1)
            out[i] = bits[offset[t] + size[t]] + (6.0 + np.floor(np.log2(excess)))


def _write_table_file() -> None:
    part = build_gaussian_tables()
    steps = np.diff(
        part["cdf"], prepend=0
    )  # differences compress better; a table's first one undoes the 65536 of the last
    small = {name: part[name] for name in ("size", "first", "base", "scales", "thresholds")}
    np.savez_compressed(TABLE_FILE, cdf_steps=steps.astype(np.int32), **small)
    print(
        f"{TABLE_FILE.name}: {len(part['offset'])} tables, {len(part['cdf'])} entries, "
        f"{TABLE_FILE.stat().st_size} bytes"
    )


if __name__ == "__main__":
    _write_table_file()
