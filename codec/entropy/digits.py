"""Exact integer arithmetic on rows of numbers: block floating point in two signed bytes, and the products of
those bytes (codec/entropy/network.py says why)."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable

import numba
import numpy as np
import torch

MANTISSA_MAX = 127 * 256 + 127  # two signed bytes, high * 256 + low
MAX_EXPONENT = 40  # steps are never finer than 2^-40
WEIGHT_MAX = 127


@numba.njit("int64(float64, int64, int64)", cache=True, nogil=True)
def step_exponent(
    largest, bits, limit
):  # e such that floor(largest * 2^e + 0.5) fills `bits` bits and is at most `limit`
    if not largest > 0.0:
        return 0
    _, exponent = math.frexp(largest)
    e = min(bits - exponent, MAX_EXPONENT)
    if np.floor(math.ldexp(largest, e) + 0.5) > limit:
        e -= 1
    return e


@numba.njit("void(float64[:,::1], boolean, int8[:,:,::1], float64[::1])", cache=True, nogil=True)
def _quantise(values, per_row, digits, unit):
    """Rows [R, C] -> digits [2, >= R, C] (high, low) and the size 2^-e of each row's unit."""
    rows, columns = values.shape
    largest = 0.0
    if not per_row:
        for r in range(rows):
            for c in range(columns):
                largest = max(largest, abs(values[r, c]))
    e = step_exponent(largest, 15, MANTISSA_MAX)
    for r in range(rows):
        if per_row:
            largest = 0.0
            for c in range(columns):
                largest = max(largest, abs(values[r, c]))
            e = step_exponent(largest, 15, MANTISSA_MAX)
        scale = math.ldexp(1.0, e)
        unit[r] = math.ldexp(1.0, -e)
        for c in range(columns):
            mantissa = np.int32(np.floor(values[r, c] * scale + 0.5))
            low = ((mantissa + 128) & 255) - 128
            digits[0, r, c] = np.int8((mantissa - low) >> 8)
            digits[1, r, c] = np.int8(low)


@numba.njit(
    "void(int32[:,::1], int64, float64[::1], float64[::1], float64[::1], float64, float64[:,::1])",
    cache=True,
    nogil=True,
)
def finish_bytes(products, low_row, unit, weight_unit, bias, slope, out):
    """Byte products [rows, N], those of low digits from `low_row` on (0: there are no others) -> activations
    [rows, N]."""
    for r in range(out.shape[0]):
        u = unit[r]
        for c in range(out.shape[1]):
            total = np.int64(products[low_row + r, c])
            if low_row:
                total += np.int64(products[r, c]) << 8
            value = np.float64(total) * (u * weight_unit[c]) + bias[c]
            out[r, c] = value if value >= 0.0 else value * slope


@numba.njit(
    "void(float64[:,::1], float64[::1], float64[::1], float64[::1], float64, float64[:,::1])",
    cache=True,
    nogil=True,
)
def finish_doubles(products, unit, weight_unit, bias, slope, out):
    for r in range(out.shape[0]):
        u = unit[r]
        for c in range(out.shape[1]):
            value = products[r, c] * (u * weight_unit[c]) + bias[c]
            out[r, c] = value if value >= 0.0 else value * slope


def int8_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """int32 [R, N] of int8 [R, K] and [K, N]."""
    return torch._int_mm(a, b)  # pyright: ignore[reportPrivateImportUsage]  # torch has no public name for it


@functools.lru_cache(maxsize=2)
def int8_is_exact(weight_limit: int = 128) -> bool:
    """Whether `torch._int_mm` sums signed bytes exactly here, for weights from -weight_limit to weight_limit
    (instructions before VNNI saturate pairs of products at 16 bits; within 64 none can)."""
    generator = torch.Generator().manual_seed(1)
    for rows, inputs, outputs in ((1, 96, 64), (4, 768, 128), (16, 97, 34), (130, 1601, 66)):
        for low, high in ((-128, 128), (127, 128), (-128, -127)):
            a = torch.randint(low, high, (rows, inputs), dtype=torch.int8, generator=generator)
            least, most = -weight_limit, min(127, weight_limit)
            for b in (
                torch.full((inputs, outputs), least, dtype=torch.int8),
                torch.full((inputs, outputs), most, dtype=torch.int8),
                torch.randint(least, most + 1, (inputs, outputs), dtype=torch.int8, generator=generator),
            ):
                try:
                    if not torch.equal(int8_product(a, b).double(), a.double() @ b.double()):
                        return False
                except (RuntimeError, AttributeError):
                    return False
    return True


@functools.lru_cache(maxsize=1)
def int8_is_quick() -> bool:
    """Whether `torch._int_mm` of numbers in two signed bytes takes less time here than the same product of
    doubles (before AVX-512 torch has no kernel for it, and takes 20 times as long)."""
    rows, inputs, outputs = 32, 576, 128
    a, b = (torch.zeros(shape, dtype=torch.int8) for shape in ((2 * rows, inputs), (inputs, outputs)))
    whole_a, whole_b = a[:rows].double(), b.double()
    try:
        return quickest_s(lambda: int8_product(a, b)) < quickest_s(lambda: whole_a @ whole_b)
    except (RuntimeError, AttributeError):
        return False


def quickest_s(work: Callable[[], object]) -> float:
    """Seconds that `work` takes when nothing disturbs it."""
    times = []
    for _ in range(4):  # the first prepares
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def padded_rows(rows: int) -> int:
    """Row counts come in few sizes, so that the GEMM library prepares few kernels."""
    for limit, multiple in ((64, 4), (512, 32)):
        if rows <= limit:
            return -(-rows // multiple) * multiple
    return -(-rows // 256) * 256


class Digits:
    """Integers as two signed bytes: high, low [rows (padded), C] with value (high * 256 + low) * unit[row];
    high may be all zero."""

    def __init__(self, digits: np.ndarray, unit: np.ndarray, rows: int, has_high: bool = True) -> None:
        self.digits, self.unit, self.rows, self.has_high = digits, unit, rows, has_high


def quantise(values: np.ndarray, per_row: bool) -> Digits:
    """Block floating point of float64 rows [R, C], one step size per row or for all of them."""
    rows, columns = values.shape
    padded = padded_rows(rows)
    digits = np.empty((2, padded, columns), dtype=np.int8)
    digits[:, rows:] = 0
    unit = np.empty(rows, dtype=np.float64)
    _quantise(np.ascontiguousarray(values, dtype=np.float64), per_row, digits, unit)
    return Digits(digits, unit, rows)
