"""Three levels of the two 9/7 wavelet transforms of CCSDS 122.0-B-2, section 3.

The integer transform is lifting with floor: exact both ways. The real one is a pair of filters whose high
pass has a negative centre, as the standard prints it. Pictures are mirrored at their borders. Each level
first takes rows, then columns, of what the last level left as LL. In the names of subbands the first letter
is horizontal.

Nothing overflows: a level multiplies the largest magnitude by at most 2.25^2 forward (the sum of the high
pass's taps, twice) and 2.88^2 back (`_join_integer` in exact numbers: 1.5 to even, 1 + 1.25 * 1.5 to odd
samples), and a sum before its shift is 20 times its largest sample. So pixels of 16 bits stay below 2^28, of
28 bits below 2^40, and coefficients of 32 bits, which no picture need have made, below 2^47."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEVELS = 3
SMALLEST_PX = 17  # of width and height, by the standard

# Table 3-1: taps from the centre outwards
ANALYSIS_LOW = (0.852698679009, 0.377402855613, -0.110624404418, -0.023849465020, 0.037828455507)
ANALYSIS_HIGH = (-0.788485616406, 0.418092273222, 0.040689417609, -0.064538882629)


class Level(NamedTuple):
    """The three detail bands of one level, arrays [rows, columns]."""

    hl: np.ndarray
    lh: np.ndarray
    hh: np.ndarray


class Pyramid(NamedTuple):
    """Subbands of a picture. ll: LL3; levels: details of level 3, 2, 1."""

    ll: np.ndarray
    levels: tuple[Level, ...]


def forward(image: np.ndarray, integer: bool) -> Pyramid:
    """Subbands of an image [H, W] of whole numbers whose sides are multiples of 8: of its own type by the
    integer transform, else float64."""
    split = _split_integer if integer else _split_real
    low, levels = image if integer else image.astype(np.float64), []
    for _ in range(LEVELS):
        left, right = split(low)
        (ll, lh), (hl, hh) = (_columns(split, half) for half in (left, right))
        levels.append(Level(hl, lh, hh))
        low = ll
    return Pyramid(low, tuple(levels[::-1]))


def inverse(pyramid: Pyramid, integer: bool) -> np.ndarray:
    """The image [H, W] of subbands, of their type; float64 has not been rounded."""
    join = _join_integer if integer else _join_real
    low = pyramid.ll
    for hl, lh, hh in pyramid.levels:
        left, right = (join(top.T, bottom.T).T for top, bottom in ((low, lh), (hl, hh)))
        low = join(left, right)
    return low


def _columns(split, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = split(np.ascontiguousarray(half.T))
    return np.ascontiguousarray(low.T), np.ascontiguousarray(high.T)


def _split_integer(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) along the last axis, section 3.3.2; `>>` is floor."""
    even, odd = x[..., ::2], x[..., 1::2]
    around = np.concatenate([even[..., 1:2], even, even[..., :-3:-1]], axis=-1)
    before, here, after, beyond = (around[..., k : k + odd.shape[-1]] for k in range(4))
    high = odd - ((9 * (here + after) - (before + beyond) + 8) >> 4)
    return even - ((2 - _delayed(high) - high) >> 2), high


def _join_integer(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    even = low + ((2 - _delayed(high) - high) >> 2)
    around = np.concatenate([even[..., 1:2], even, even[..., :-3:-1]], axis=-1)
    before, here, after, beyond = (around[..., k : k + high.shape[-1]] for k in range(4))
    odd = high + ((9 * (here + after) - (before + beyond) + 8) >> 4)
    return _interleave(even, odd)


def _delayed(high: np.ndarray) -> np.ndarray:
    """The high pass one step earlier; at the border mirrored, which repeats the first."""
    return np.concatenate([high[..., :1], high[..., :-1]], axis=-1)


def _interleave(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    out = np.empty((*even.shape[:-1], 2 * even.shape[-1]), dtype=even.dtype)
    out[..., ::2], out[..., 1::2] = even, odd
    return out


def _split_real(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) along the last axis, section 3.3.1."""
    around = np.concatenate([x[..., 4:0:-1], x, x[..., -2:-6:-1]], axis=-1)
    return _filtered(around, ANALYSIS_LOW, 4), _filtered(around, ANALYSIS_HIGH, 5)


def _filtered(around: np.ndarray, taps: tuple[float, ...], centre: int) -> np.ndarray:
    """Every second sample of a symmetric filter, of a line with 4 samples more at either end; centre: of the
    first."""
    count = (around.shape[-1] - 8) // 2

    def at(offset: int) -> np.ndarray:
        return around[..., centre + offset : centre + offset + 2 * count : 2]

    out = taps[0] * at(0)
    for k in range(1, len(taps)):
        out += taps[k] * (at(-k) + at(k))
    return out


def _join_real(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The synthesis filters are the analysis filters crossed, every second sign changed."""
    size = low.shape[-1]
    lows = np.concatenate([low[..., 2:0:-1], low, low[..., :-3:-1]], axis=-1)
    highs = np.concatenate([high[..., 1::-1], high, high[..., -2:-4:-1]], axis=-1)

    def c(k: int) -> np.ndarray:
        return lows[..., 2 + k : 2 + k + size]

    def d(k: int) -> np.ndarray:
        return highs[..., 2 + k : 2 + k + size]

    h, g = ANALYSIS_LOW, ANALYSIS_HIGH
    even = -g[0] * c(0) - g[2] * (c(1) + c(-1)) + h[1] * (d(0) + d(-1)) + h[3] * (d(1) + d(-2))
    odd = g[1] * (c(0) + c(1)) + g[3] * (c(-1) + c(2))
    odd = odd - h[0] * d(0) - h[2] * (d(-1) + d(1)) - h[4] * (d(-2) + d(2))
    return _interleave(even, odd)
