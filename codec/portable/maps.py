"""Convolutions and what stands between them, over maps [H, W, C] of float64, in block floating point.

A layer rounds its input to 16 bits with one step per map, a power of two taken from the largest magnitude,
unfolds windows (runs of k * C numbers) and multiplies (codec/portable/product.py). No calibration and no
saturation: whatever a stream holds, the same numbers come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import torch

from codec.entropy.digits import MANTISSA_MAX, step_exponent
from codec.portable.kernels import (
    divide,
    gate,
    integers_to_bytes,
    multiply,
    squares,
    to_bytes,
    to_doubles,
    unfold,
)
from codec.portable.product import WEIGHT_MAX, Product, integers_of

CHUNK_ROWS = {"int8": 1024, "float64": 512}  # windows at a time
GAMMA_MAX = 32639
MAX_NORMALISED = 256  # channels
HUGE = 1e100  # activations are cut here; trained networks never come near
SIGMOID_STEPS = 64  # points of the table per unit, up to 16: off by less than 4e-6

Map = np.ndarray  # float64 [H, W, C]
Step = Callable[[Map], Map]


class Planes:
    """A map's integers with a border of zeros. digits: int8 [1 or 2, H + 2 pad, (W + 2 pad) * C] or float64
    [1, ..., ...]. unit: float64, what 1 stands for."""

    def __init__(self, values: np.ndarray, pad: int, backend: str, unit: float | None = None) -> None:
        height, width, channels = values.shape
        if channels % 4:  # runs of whole words
            wider = np.zeros((height, width, channels + 4 - channels % 4), values.dtype)
            wider[:, :, :channels] = values
            values, channels = wider, wider.shape[2]
        self.height, self.width, self.channels, self.pad = height, width, channels, pad
        size = height + 2 * pad, (width + 2 * pad) * channels
        lines = np.ascontiguousarray(values).reshape(height, width * channels)
        place = pad, pad * channels
        self.digits = np.zeros((2, *size), np.int8) if backend == "int8" else np.zeros((1, *size))
        if unit is not None:
            self.unit = unit
            self._integers(lines, place)
            return
        lines, largest = _bounded(lines)
        e = step_exponent(largest, 15, MANTISSA_MAX)
        self.unit = float(np.ldexp(1.0, -e))
        (to_bytes if backend == "int8" else to_doubles)(lines, float(np.ldexp(1.0, e)), *place, self.digits)

    def _integers(self, lines: np.ndarray, place: tuple[int, int]) -> None:
        """Integers int16 as they are; without the high bytes where all are 0."""
        top, left = place
        if self.digits.dtype == np.int8:
            if not integers_to_bytes(lines, top, left, self.digits):
                self.digits = self.digits[1:]
        else:
            whole = np.clip(lines, -MANTISSA_MAX, MANTISSA_MAX)
            self.digits[0, top : top + lines.shape[0], left : left + lines.shape[1]] = whole

    def windows(self, start: int, shape: tuple[int, int], run: tuple[int, int, int, int], room: np.ndarray):
        """room [P, R, lines * columns * C], filled with windows start .. start + R.

        shape: how many windows there are, down and across. run: lines, columns, stride, first line."""
        lines, columns, stride, top = run
        planes, channels = self.digits, self.channels
        if planes.dtype == np.int8:  # longer words: four times faster
            word = np.int64 if channels % 8 == 0 else np.int32
            planes, room = planes.view(word), room.view(word)
            channels = channels * planes.shape[2] // self.digits.shape[2]
        unfold(
            planes,
            np.array((start, shape[1]), dtype=np.int64),
            np.array((lines, columns * channels, stride, stride * channels, top), dtype=np.int64),
            room,
        )


def _bounded(lines: np.ndarray) -> tuple[np.ndarray, float]:
    """Finite values and the largest magnitude of them."""
    largest = max(float(lines.max(initial=0.0)), -float(lines.min(initial=0.0)))
    if not largest <= HUGE:
        lines = np.clip(np.nan_to_num(lines, nan=0.0, posinf=HUGE, neginf=-HUGE), -HUGE, HUGE)
        largest = float(np.abs(lines).max())
    return lines, largest


class Normalisation:
    """GDN or its inverse over rows [R, C], in place. beta: float64 [C]. gamma: float64 [C, C], [j, i] of
    x_j^2 in the norm of x_i.

    Squares of 15-bit mantissas times weights of 16 bits: at 256 channels the sum is below 2^53."""

    def __init__(self, beta: np.ndarray, gamma: np.ndarray, inverse: bool) -> None:
        if len(beta) > MAX_NORMALISED:
            raise ValueError(
                f"a normalisation of {len(beta)} channels: exact sums take at most {MAX_NORMALISED}"
            )
        integers, self.unit = integers_of(gamma, GAMMA_MAX)
        self._gamma = torch.from_numpy(np.ascontiguousarray(integers))
        self._beta = np.ascontiguousarray(beta, dtype=np.float64)
        self._apply = multiply if inverse else divide

    def apply(self, x: np.ndarray) -> None:
        """x [R, C] is overwritten."""
        mantissas, unit = np.empty_like(x), np.empty(len(x))
        squares(x, mantissas, unit)
        energy = (torch.from_numpy(mantissas) @ self._gamma).numpy()
        self._apply(x, energy, unit, self.unit, self._beta)


class Convolution:
    """k x k, any stride and padding. weight: float64 [k, k, C, N]."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray, stride: int, pad: int, backend: str) -> None:
        self.kernel = weight.shape[0]
        self.stride, self.pad, self.backend = stride, pad, backend
        self._pointwise = self.kernel == 1 and stride == 1 and pad == 0
        self.norm: Normalisation | None = None
        self.product = Product(*integers_of(_flat(weight), WEIGHT_MAX), bias, backend)

    def __call__(self, values: Map, unit: float | None = None) -> Map:
        """unit: values are integers int16 of this step."""
        planes = Planes(values, self.pad, self.backend, unit)
        height, width = (
            (side + 2 * self.pad - self.kernel) // self.stride + 1 for side in (planes.height, planes.width)
        )
        out = np.empty((height, width, self.product.outputs))
        flat, rows = out.reshape(height * width, -1), CHUNK_ROWS[self.backend]
        whole = (
            planes.digits.reshape(len(planes.digits), -1, self.product.inputs) if self._pointwise else None
        )
        room = Room(planes, self.product.inputs)
        for start in range(0, len(flat), rows):
            some = flat[start : start + rows]
            if whole is None:
                digits = room.of(len(some))
                planes.windows(start, (height, width), (self.kernel, self.kernel, self.stride, 0), digits)
            else:  # positions are their own windows
                digits = whole[:, start : start + len(some)]
            self.product.apply(digits, np.full(len(some), planes.unit), some)
            if self.norm is not None:
                self.norm.apply(some)
        return out


class Upsampling:
    """Twice the size: a transposed convolution of stride 2 or a convolution with a pixel shuffle, as sums
    over windows of the smaller map.

    weight: float64 [2, w, w, C, 2, N]: row parity, window (w odd), input, column parity, output. bias:
    float64 [2, 2, N]."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray, backend: str) -> None:
        self.window, self.outputs = weight.shape[1], weight.shape[-1]
        self.backend, bias = backend, bias.reshape(-1)
        self.norm: Normalisation | None = None
        whole = np.concatenate([_flat(part) for part in weight], axis=1)  # one step for all four phases
        integers, unit = integers_of(whole, WEIGHT_MAX, phases=4)
        columns, run = 2 * self.outputs, len(integers) // self.window  # run: one line of a window
        used = [_lines(integers[:, r * columns : (r + 1) * columns], run) for r in (0, 1)]
        self._parts: list[tuple[int, int, Product]] = []  # first line, lines, product
        if self.outputs <= 8:  # few columns: both parities in one product
            used, widths = [(0, self.window)], [slice(0, 2 * columns)]
        else:
            widths = [slice(0, columns), slice(columns, 2 * columns)]
        for (top, lines), at in zip(used, widths, strict=True):
            some = integers[top * run : (top + lines) * run, at]
            self._parts.append((top, lines, Product(some, unit[at], bias[at], backend)))

    @property
    def slope(self) -> float:
        """Of the leaky ReLU."""
        return self._parts[0][2].slope

    @slope.setter
    def slope(self, slope: float) -> None:
        for _, _, product in self._parts:
            product.slope = slope

    def __call__(self, values: Map, unit: float | None = None) -> Map:
        """unit: values are integers int16 of this step."""
        planes = Planes(values, self.window // 2, self.backend, unit)
        height, width = planes.height, planes.width
        out = np.empty((height, 2, 2 * width * self.outputs))
        lines = max(1, CHUNK_ROWS[self.backend] // width)
        room = [Room(planes, product.inputs) for _, _, product in self._parts]
        for start in range(0, height, lines):
            stop = min(height, start + lines)
            count = (stop - start) * width
            at = 0
            for number, (top, deep, product) in enumerate(self._parts):
                digits = room[number].of(count)
                planes.windows(start * width, (height, width), (deep, self.window, 1, top), digits)
                x = np.empty((count, product.outputs))
                product.apply(digits, np.full(count, planes.unit), x)
                if self.norm is not None:
                    self.norm.apply(x.reshape(-1, self.outputs))
                for part in np.split(x, product.outputs // (2 * self.outputs), axis=1):
                    out[start:stop, at] = part.reshape(stop - start, -1)
                    at += 1
        return out.reshape(2 * height, 2 * width, self.outputs)


class Room:
    """Digits of windows, kept from one chunk to the next."""

    def __init__(self, planes: Planes, inputs: int) -> None:
        self._planes, self._inputs, self._held = planes.digits, inputs, np.zeros((0, 0, 0), np.int8)

    def of(self, rows: int) -> np.ndarray:
        """[P, rows, K], not cleared."""
        if self._held.shape[1] != rows:
            self._held = np.empty((len(self._planes), rows, self._inputs), self._planes.dtype)
        return self._held


def _flat(weight: np.ndarray) -> np.ndarray:
    """[k, k, C, ...] -> [k * k * C', N], inputs padded with zeros to a multiple of 4 as `Planes` does."""
    channels = weight.shape[2]
    wider = np.zeros((*weight.shape[:2], channels + -channels % 4, *weight.shape[3:]))
    wider[:, :, :channels] = weight
    return wider.reshape(weight.shape[0] * weight.shape[1] * wider.shape[2], -1)


def _lines(integers: np.ndarray, run: int) -> tuple[int, int]:
    """(first, how many) lines of a window have weights."""
    seen = np.flatnonzero(np.abs(integers).reshape(-1, run * integers.shape[1]).max(axis=1))
    if not len(seen):
        return 0, 1
    return int(seen[0]), int(seen[-1] - seen[0] + 1)


class Chain:
    """Steps one after the other."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)

    def __call__(self, values: Map) -> Map:
        for step in self._steps:
            values = step(values)
        return values

    def of_integers(self, values: np.ndarray, unit: float) -> Map:
        """The same of integers int16 [H, W, C] of this step, which a first convolution takes as they are."""
        first, *others = self._steps
        layer = isinstance(first, (Convolution, Upsampling))
        return Chain(others)(first(values, unit) if layer else first(values * unit))


class Residual:
    """body(x) + shortcut(x), and a ReLU if so."""

    def __init__(self, body: Step, shortcut: Step | None, rectified: bool) -> None:
        self._body, self._shortcut, self._rectified = body, shortcut, rectified

    def __call__(self, values: Map) -> Map:
        out = self._body(values)
        out += values if self._shortcut is None else self._shortcut(values)
        return np.maximum(out, 0.0, out=out) if self._rectified else out


class Attention:
    """a(x) * sigmoid(b(x)) + x (Cheng et al. 2020)."""

    def __init__(self, a: Step, b: Step) -> None:
        self._a, self._b, self._table = a, b, sigmoid_table()

    def __call__(self, values: Map) -> Map:
        out = self._a(values)
        gate(
            out.reshape(-1),
            self._b(values).reshape(-1),
            np.ascontiguousarray(values).reshape(-1),
            self._table,
        )
        return out


def sigmoid_table() -> np.ndarray:
    """Sigmoid at 0, 1/64 ... 16 and once more, rounded to 2^-24; by decimals, whose `exp` is correctly
    rounded on every machine."""
    points = [Decimal(i) / SIGMOID_STEPS for i in range(16 * SIGMOID_STEPS + 1)]
    values = [int((1 << 24) / (1 + (-x).exp()) + Decimal("0.5")) / float(1 << 24) for x in points]
    return np.array([*values, values[-1]])
