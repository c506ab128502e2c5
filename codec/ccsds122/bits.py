"""Bits into and out of a byte array, most significant first."""

from __future__ import annotations

import numba
import numpy as np

POSITION, END, FAULT = range(3)  # fields of the int64 state: next bit, bits there are, what went wrong
SPENT, DAMAGED = 1, 2


def writer(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(zeroed uint8 [size], state)."""
    return np.zeros(size, dtype=np.uint8), np.zeros(3, dtype=np.int64)


def reader(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 of the data, state)."""
    return np.frombuffer(data, dtype=np.uint8), np.array([0, 8 * len(data), 0], dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def put(buffer, state, value, length):
    """Append the low `length` bits of a value."""
    position = state[POSITION]
    for shift in range(length - 1, -1, -1):
        if (value >> shift) & 1:
            buffer[position >> 3] |= np.uint8(128 >> (position & 7))
        position += 1
    state[POSITION] = position


@numba.njit(cache=True, nogil=True)
def take(buffer, state, length):
    """The next `length` bits; -1, and SPENT, where there are fewer."""
    if state[FAULT]:
        return -1
    position = state[POSITION]
    if position + length > state[END]:
        state[FAULT] = SPENT
        return -1
    value = 0
    for at in range(position, position + length):
        value = value << 1 | ((buffer[at >> 3] >> (7 - (at & 7))) & 1)
    state[POSITION] = position + length
    return value


@numba.njit(cache=True, nogil=True)
def put_column(buffer, state, values, plane):
    """Append one bit of every value."""
    for k in range(len(values)):
        put(buffer, state, (values[k] >> plane) & 1, 1)


@numba.njit(cache=True, nogil=True)
def take_column(buffer, state, values, known, plane):
    """Set bit `plane` of every value, and note in `known` that it is."""
    for k in range(len(values)):
        bit = take(buffer, state, 1)
        if bit < 0:
            return
        values[k] |= bit << plane
        known[k] = plane
