"""An adaptive binary range coder in exact integers, whose encoder and decoder are one function.

Design choices:
* A model calls `code_bit(coder, context, bit)`. When encoding it writes `bit` and returns it; when decoding
  it ignores `bit` and returns the one read. A model is therefore written once, and its two directions cannot
  drift apart.
* 40-bit range, 16-bit probabilities, bytes out as they settle, carries rippled back into the buffer (Martin
  1979; no carry-free corner cases).
* A context holds the probability of a one and how many bits that opinion is worth; its step is 1 / (worth +
  1.5) until `LIMIT`: at first a Bayesian estimate under a beta prior, later an exponential average.
* Bit 0 takes the lower part of the range, and the end of a stream is the value with the most zero bytes,
  which are then dropped; a decoder reads zeros past the end. A run of zeros only therefore costs no byte.
* Any bytes decode to something, in bounded time; the caller judges what came out.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numba
import numpy as np

MODE, LOW, RANGE, AT, CODE, SIZE, OVERFLOW = range(7)  # fields of the int64 state vector
# TALLY only counts: bits in `chances`, ones among them in `counts`; priors are fitted to that. RECORD only
# lists: contexts in `chances`, bits in `counts`
ENCODE, DECODE, TALLY, RECORD = 0, 1, 2, 3
# State, buffer, chances of a one / 65536 and their worth, per context
CODER = "Tuple((int64[::1], uint8[::1], int32[::1], int32[::1]))"
TOP = 1 << 40
BOTTOM = 1 << 32
ONE = 1 << 16  # probability 1
FLOOR = 40  # probabilities stay within FLOOR / ONE of 0 and 1
LIMIT = 160  # bits after which an estimate forgets
_COSTS = np.rint(-256 * np.log2((np.arange(ONE // 4 + 1) + 0.5) / (ONE // 4))).astype(
    np.int64
)  # of a bit by its chance
_STEPS = np.array([int(ONE / (worth + 1.5)) for worth in range(LIMIT + 1)], dtype=np.int64)


@functools.cache
def _priors(file: Path) -> np.ndarray:
    """Chances and worths by profile, int32 [profiles, 2, contexts], of a .npy file that ships."""
    return np.load(file, allow_pickle=False).astype(np.int32)


def fitted_contexts(file: Path, profile: int) -> tuple[np.ndarray, np.ndarray]:
    """Chances of a one and what they are worth, int32 [contexts] each, writable: what a profile of the priors
    in a shipped file (benchmarks/priors/) expects before the first bit."""
    chances, worths = _priors(file)[profile]
    return chances.copy(), worths.copy()


@numba.njit("void(int64[::1], uint8[::1])", cache=True, nogil=True)
def _shift(coder, buffer):
    """Move whole bytes while the range is small."""
    while coder[RANGE] < BOTTOM:
        if coder[MODE] == ENCODE:
            if coder[AT] >= len(buffer):
                coder[OVERFLOW] = 1
                coder[AT] = 0
            buffer[coder[AT]] = coder[LOW] >> 32
            coder[LOW] = (coder[LOW] & (BOTTOM - 1)) << 8
        else:
            byte = np.int64(buffer[coder[AT]]) if coder[AT] < coder[SIZE] else np.int64(0)
            coder[CODE] = (coder[CODE] << 8) | byte
        coder[AT] += 1
        coder[RANGE] <<= 8


@numba.njit("void(int64[::1], uint8[::1], int64)", cache=True, nogil=True)
def _add(coder, buffer, amount):
    """low += amount, carrying into bytes already written."""
    coder[LOW] += amount
    if coder[LOW] >= TOP:
        coder[LOW] -= TOP
        at = coder[AT] - 1
        while at >= 0 and buffer[at] == 255:
            buffer[at] = 0
            at -= 1
        if at >= 0:
            buffer[at] += 1


@numba.njit(f"int64({CODER}, int64, int64)", cache=True, nogil=True)
def code_bit(model, context, bit):
    """Code one bit with an adaptive context; returns it."""
    coder, buffer, chances, counts = model
    if coder[MODE] == TALLY:
        chances[context] += 1
        counts[context] += bit
        return bit
    if coder[MODE] == RECORD:
        if coder[AT] < len(chances):
            chances[coder[AT]], counts[coder[AT]] = context, bit
        coder[AT] += 1
        return bit
    chance = np.int64(chances[context])
    zero = (coder[RANGE] >> 16) * (ONE - chance)
    if coder[MODE] == DECODE:
        bit = np.int64(1) if coder[CODE] >= zero else np.int64(0)
    if bit:
        if coder[MODE] == ENCODE:
            _add(coder, buffer, zero)
        else:
            coder[CODE] -= zero
        coder[RANGE] -= zero
    else:
        coder[RANGE] = zero
    count = counts[context]
    chance += ((bit * ONE - chance) * _STEPS[count]) >> 16
    chances[context] = min(max(chance, FLOOR), ONE - FLOOR)
    if count < LIMIT:
        counts[context] = count + 1
    _shift(coder, buffer)
    return bit


@numba.njit(f"int64({CODER}, int64, int64)", cache=True, nogil=True)
def code_uniform(model, value, count):
    """Code one of `count` (at most 2^20) equally likely values; returns it."""
    coder, buffer = model[0], model[1]
    if count <= 1:
        return np.int64(0)
    if coder[MODE] >= TALLY:
        return value
    share = coder[RANGE] // count
    if coder[MODE] == DECODE:
        value = min(coder[CODE] // share, count - 1)
        coder[CODE] -= value * share
    else:
        _add(coder, buffer, value * share)
    if value == count - 1:
        coder[RANGE] -= value * share
    else:
        coder[RANGE] = share
    _shift(coder, buffer)
    return value


@numba.njit("int64(int32[::1], int32[::1], int32[::1], int32[::1])", cache=True, nogil=True)
def recorded_cost(contexts, bits, chances, counts):
    """What a record (contexts and bits, int32 [n]) would take under the priors `chances`, `counts` (both are
    used up), in 1/256 bit."""
    cost = np.int64(0)
    for i in range(len(contexts)):
        context, bit = contexts[i], np.int64(bits[i])
        chance, count = np.int64(chances[context]), counts[context]
        cost += _COSTS[(chance if bit else ONE - chance) >> 2]
        chance += ((bit * ONE - chance) * _STEPS[count]) >> 16
        chances[context] = min(max(chance, FLOOR), ONE - FLOOR)
        if count < LIMIT:
            counts[context] = count + 1
    return cost


@numba.njit("int64(int64[::1], uint8[::1])", cache=True, nogil=True)
def finish(coder, buffer):
    """End an encoding; returns the length in bytes without trailing zeros, -1 where the buffer was too
    small."""
    last = coder[LOW] + coder[RANGE] - 1
    for zeros in range(40, -1, -1):
        value = ((coder[LOW] + (1 << zeros) - 1) >> zeros) << zeros
        if value <= last:
            break
    _add(coder, buffer, value - coder[LOW])
    if coder[OVERFLOW] or coder[AT] + 5 > len(buffer):
        return np.int64(-1)
    for byte in range(5):
        buffer[coder[AT] + byte] = (coder[LOW] >> (32 - 8 * byte)) & 255
    size = coder[AT] + 5
    while size > 0 and buffer[size - 1] == 0:
        size -= 1
    return size


def start_encoding() -> np.ndarray:
    """State of a fresh encoder, int64 [7]."""
    return np.array([ENCODE, 0, TOP, 0, 0, 0, 0], dtype=np.int64)


def start_decoding(buffer: np.ndarray) -> np.ndarray:
    """State of a decoder of `buffer`, uint8 [n], int64 [7]."""
    first = int.from_bytes(buffer[:5].tobytes().ljust(5, b"\0"), "big")
    return np.array([DECODE, 0, TOP, 5, first, len(buffer), 0], dtype=np.int64)
