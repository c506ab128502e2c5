"""Exact products of integers with a matrix of weights: the sums come out alike however they are formed.

Weights are 14-bit integers with one step per output channel, the largest magnitude / 8191 (a double; a power
of two would cost up to a bit of them). They are cut into two digits of base 128, both within 64, activations
into two signed bytes: a pair of products is at most 2 * 255 * 64 < 2^15, so that `torch._int_mm` is exact
also on machines whose instructions add pairs of products in 16 bits and saturate (those before VNNI; whole
bytes as weights are summed wrongly there). The other back end multiplies the whole integers as doubles; all
sums stay below 2^53. Both give the same integers, and `auto` takes the faster one of this machine."""

from __future__ import annotations

import functools

import numpy as np
import torch

from codec.entropy.digits import int8_is_exact, int8_product, quickest_s
from codec.portable.kernels import from_bytes, from_doubles

BACKENDS = ("int8", "float64")
WEIGHT_MAX = 8191  # 14 bits with the sign
BASE_BITS = 7
MAX_INPUTS = 1 << 16  # 2^16 * 128 * 64 < 2^31, * 32639 * 8191 < 2^53 / 2


def integers_of(weight: np.ndarray, limit: int, phases: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(integers float64 [K, N], steps [N]) of weights [K, N], the largest of each column `limit`.

    phases: columns n, n + N / phases, ... are one output channel and have one step."""
    largest = np.abs(weight).max(axis=0, initial=0.0).reshape(phases, -1).max(axis=0)
    unit = np.tile(np.maximum(largest, 1e-30) / limit, phases)
    return np.clip(np.floor(weight / unit + 0.5), -limit, limit), unit


class Product:
    """Integer rows [R, K] times weights [K, N], and what follows: scale, bias, leaky ReLU."""

    def __init__(self, integers: np.ndarray, unit: np.ndarray, bias: np.ndarray, backend: str) -> None:
        self.inputs, self.outputs = integers.shape
        if self.inputs > MAX_INPUTS:
            raise ValueError(f"a layer of {self.inputs} inputs: exact sums take at most {MAX_INPUTS}")
        if not (np.isfinite(integers).all() and np.isfinite(unit).all() and np.isfinite(bias).all()):
            raise ValueError("a layer has weights that are not finite")
        self.backend, self.slope = backend, 1.0
        self.unit, self.bias = np.ascontiguousarray(unit), np.ascontiguousarray(bias, dtype=np.float64)
        if backend == "int8":
            whole = integers.astype(np.int32)
            high = (whole + (1 << (BASE_BITS - 1))) >> BASE_BITS
            digits = np.concatenate((high, whole - (high << BASE_BITS)), axis=1)
            self._matrix = torch.from_numpy(digits.astype(np.int8))
        else:
            self._matrix = torch.from_numpy(np.ascontiguousarray(integers))

    def apply(self, digits: np.ndarray, unit: np.ndarray, out: np.ndarray) -> None:
        """Activations into out [R, N]. digits: int8 [1 or 2, >= R, K] or float64 [1, >= R, K]. unit: steps
        [R]."""
        planes, rows, _ = digits.shape
        given = torch.from_numpy(digits)
        if self.backend == "int8":
            products = int8_product(given.reshape(planes * rows, -1), self._matrix).numpy()
            low = rows if planes == 2 else 0
            from_bytes(products, low, unit, self.unit, self.bias, self.slope, out)
        else:
            products = (given[0] @ self._matrix).numpy()
            from_doubles(products, unit, self.unit, self.bias, self.slope, out)


@functools.lru_cache(maxsize=1)
def fastest_backend() -> str:
    """int8 where its products are exact and take less time than those of doubles."""
    if not int8_is_exact(64):
        return "float64"
    rows, inputs, outputs = 512, 800, 64
    a = torch.zeros(2 * rows, inputs, dtype=torch.int8)
    b = torch.zeros(inputs, 2 * outputs, dtype=torch.int8)
    whole_a, whole_b = torch.zeros(rows, inputs).double(), torch.zeros(inputs, outputs).double()
    bytes_s = quickest_s(lambda: int8_product(a, b))
    return "int8" if bytes_s < quickest_s(lambda: whole_a @ whole_b) else "float64"


def chosen_backend(backend: str) -> str:
    """`auto` resolved."""
    return fastest_backend() if backend == "auto" else backend
