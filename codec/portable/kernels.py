"""Inner loops of the portable transforms. Maps are height, width, channel; every line is one IEEE double
operation after the other or works on integers, so that compilers and machines agree."""

from __future__ import annotations

import math

import numba
import numpy as np

from codec.entropy.digits import MANTISSA_MAX, step_exponent

SQUARE_BITS = 15  # of a mantissa that is squared: 2^30 times 16 bits times 128 channels stay below 2^53


@numba.njit(
    "void(float64[:,::1], float64, int64, int64, int8[:,:,::1])", cache=True, nogil=True, error_model="numpy"
)
def to_bytes(values, scale, top, left, digits):
    """floor(values [H, n] * scale + 0.5) as two signed bytes, high and low, at (top, left) of digits [2, ..,
    ..]."""
    width = values.shape[1]
    for y in range(values.shape[0]):
        line = values[y]  # views of lines, and 32 bits throughout, let compilers use vectors
        high = digits[0, y + top, left : left + width]
        low = digits[1, y + top, left : left + width]
        for x in range(width):
            mantissa = np.int32(np.floor(line[x] * scale + 0.5))
            high[x] = np.int8(np.int32(mantissa + np.int32(128)) >> np.int32(8))
            low[x] = np.int8(mantissa)


@numba.njit(
    "void(float64[:,::1], float64, int64, int64, float64[:,:,::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def to_doubles(values, scale, top, left, digits):
    """The same integers as doubles, in digits [1, .., ..]."""
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            digits[0, y + top, x + left] = np.floor(values[y, x] * scale + 0.5)


@numba.njit("boolean(int16[:,::1], int64, int64, int8[:,:,::1])", cache=True, nogil=True, error_model="numpy")
def integers_to_bytes(values, top, left, digits):
    """Integers [H, n] as two signed bytes; returns whether any high byte is not 0."""
    any_high = np.int32(0)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            mantissa = min(max(np.int32(values[y, x]), np.int32(-MANTISSA_MAX)), np.int32(MANTISSA_MAX))
            high = (mantissa + 128) >> 8
            any_high |= high
            digits[0, y + top, x + left] = np.int8(high)
            digits[1, y + top, x + left] = np.int8(mantissa - (high << 8))
    return any_high != 0


@numba.njit(
    [
        "void(int8[:,:,::1], int64[::1], int64[::1], int8[:,:,::1])",
        "void(int32[:,:,::1], int64[::1], int64[::1], int32[:,:,::1])",
        "void(int64[:,:,::1], int64[::1], int64[::1], int64[:,:,::1])",
        "void(float64[:,:,::1], int64[::1], int64[::1], float64[:,:,::1])",
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def unfold(planes, corner, run, out):
    """Windows as runs: out [P, R, k * n] from planes [P, .., ..].

    corner: int64 [2], the first window's number, and windows in a line. run: int64 [5], lines and elements of
    one window, lines and elements from one window to the next, and the first window's line."""
    start, across = corner[0], corner[1]
    lines, length, down, right, top = run[0], run[1], run[2], run[3], run[4]
    rows, inputs = out.shape[1], out.shape[2]
    source, target = planes.reshape(-1), out.reshape(-1)  # flat and unsigned: the inner loop is a plain copy
    for p in range(planes.shape[0]):
        y = start // across
        x = start - y * across
        for r in range(rows):
            for j in range(lines):
                into = np.uint64((p * rows + r) * inputs + j * length)
                line = p * planes.shape[1] + y * down + top + j
                of = np.uint64(line * planes.shape[2] + x * right)
                for i in range(np.uint64(length)):
                    target[into + i] = source[of + i]
            x += 1
            if x == across:
                x = 0
                y += 1


@numba.njit(
    "void(int32[:,::1], int64, float64[::1], float64[::1], float64[::1], float64, float64[:,::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def from_bytes(products, low, unit, weight_unit, bias, slope, out):
    """Products [P * R, 2 N] of bytes with the weights' high and low digits -> leaky activations [R, N].

    low: the row where those of low bytes begin (0: there are no others). Sums stay integers below 2^53."""
    count = out.shape[1]
    for r in range(out.shape[0]):
        u = unit[r]
        for c in range(count):
            total = np.float64(products[low + r, c]) * 128.0 + np.float64(products[low + r, count + c])
            if low > 0:
                high = np.float64(products[r, c]) * 128.0 + np.float64(products[r, count + c])
                total += high * 256.0
            value = total * (u * weight_unit[c]) + bias[c]
            out[r, c] = value if value >= 0.0 else value * slope


@numba.njit(
    "void(float64[:,::1], float64[::1], float64[::1], float64[::1], float64, float64[:,::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def from_doubles(products, unit, weight_unit, bias, slope, out):
    """The same from whole products [R, N]."""
    for r in range(out.shape[0]):
        u = unit[r]
        for c in range(out.shape[1]):
            value = products[r, c] * (u * weight_unit[c]) + bias[c]
            out[r, c] = value if value >= 0.0 else value * slope


@numba.njit("void(float64[:,::1], float64[:,::1], float64[::1])", cache=True, nogil=True, error_model="numpy")
def squares(x, out, unit):
    """Squares of each row's mantissas of 15 bits [R, C], integers; unit: the squares of the steps."""
    count = x.shape[1]
    for r in range(x.shape[0]):
        row, squared = x[r], out[r]
        even = odd = 0.0  # two chains of comparisons wait less than one
        for c in range(0, count - 1, 2):
            even = max(even, abs(row[c]))
            odd = max(odd, abs(row[c + 1]))
        largest = max(even, odd, abs(row[count - 1]))
        e = step_exponent(largest, SQUARE_BITS, (1 << SQUARE_BITS) - 1)
        scale = math.ldexp(1.0, e)
        unit[r] = math.ldexp(1.0, -2 * e)
        for c in range(count):
            mantissa = np.floor(row[c] * scale + 0.5)
            squared[c] = mantissa * mantissa


@numba.njit(
    "void(float64[:,::1], float64[:,::1], float64[::1], float64[::1], float64[::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def divide(x, energy, unit, weight_unit, beta):
    """x / sqrt(beta + energy), in place: GDN of Balle, Laparra and Simoncelli 2016."""
    for r in range(x.shape[0]):
        u = unit[r]
        for c in range(x.shape[1]):
            x[r, c] = x[r, c] / np.sqrt(beta[c] + energy[r, c] * (u * weight_unit[c]))


@numba.njit(
    "void(float64[:,::1], float64[:,::1], float64[::1], float64[::1], float64[::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def multiply(x, energy, unit, weight_unit, beta):
    """x * sqrt(beta + energy), in place: the inverse."""
    for r in range(x.shape[0]):
        u = unit[r]
        for c in range(x.shape[1]):
            x[r, c] = x[r, c] * np.sqrt(beta[c] + energy[r, c] * (u * weight_unit[c]))


@numba.njit(
    "void(float64[::1], float64[::1], float64[::1], float64[::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def gate(a, b, identity, table):
    """a * sigmoid(b) + identity, into a. table: sigmoid at 0, 1/64, 2/64 ..., between whose points it is a
    line, and beyond which it is constant."""
    last = np.float64(len(table) - 2)
    for i in range(len(a)):
        place = min(abs(b[i]) * 64.0, last)
        at = np.int64(np.floor(place))
        rise = (table[at + 1] - table[at]) * (place - np.float64(at))
        value = table[at] + rise
        share = value if b[i] >= 0.0 else 1.0 - value
        product = a[i] * share
        a[i] = product + identity[i]


@numba.njit("void(float64[::1], uint8[::1])", cache=True, nogil=True, error_model="numpy")
def to_picture(values, out):
    """0 .. 1 -> 0 .. 255, halves up; what lies outside or is no number is cut."""
    for i in range(len(values)):
        value = values[i] if values[i] > 0.0 else 0.0
        value = min(value, 1.0)
        out[i] = np.uint8(np.floor(value * 255.0 + 0.5))
