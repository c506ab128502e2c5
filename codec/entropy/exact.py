"""Small networks in arithmetic that gives the same bits on every machine: what stands between z_hat, context
and table indices.

An entropy decoder loses its place if one rounding differs from the encoder's, and float32 sums differ with
kernel, thread count, batch and library. Balle et al. 2019 ("Integer networks for data compression with
latent-variable models") train networks of integers; here an ordinary trained network is run in block floating
point:

* Weights are 8-bit integers with a power-of-two step per output channel. Activations are 16-bit integers with
  a power-of-two step per row (dense layers: one latent position) or per map (convolutions), taken from the
  largest magnitude in it. No calibration, no saturation. (Measured with the trained checkpoints, bits of y
  over the float32 network's: 8-bit weights +0.02 to +0.06 %, 16-bit ones below 0.001 %, at twice the work.)
* Every sum of products is a sum of integers, |sum| < 2^53, so its value does not depend on order, blocking or
  fused multiply-add.
* What happens to a sum afterwards (scale by a power of two, add the bias, ReLU, next step size, round half
  up) is one correctly rounded IEEE double operation after the other, element by element.

How the exact sums are formed is free, since all ways agree: `int8` cuts activations into two signed bytes and
multiplies those with `torch._int_mm` (on VNNI or AMX hardware 8 times faster than float64, 4 times faster
than float32), `float64` uses an ordinary double GEMM. `int8` is taken where a self-test of worst cases comes
out exact. Convolutions are always unfold + GEMM; transposed ones become convolutions + pixel shuffle.

`Network(..., portable=False)` runs the same layers in float32, for comparison: fast or not, such a stream
decodes only where the sums come out alike."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numba
import numpy as np
import torch
from torch import nn

MANTISSA_MAX = 127 * 256 + 127  # two signed bytes, high * 256 + low
MAX_EXPONENT = 40  # steps are never finer than 2^-40
WEIGHT_MAX = 127
MAX_INPUTS = 1 << 17  # 2^17 products of signed bytes stay below 2^31, of 2^22 below 2^53
CHUNK_ROWS = 1024

Rows = np.ndarray  # [rows, channels], float64 (portable) or float32


@numba.njit("int64(float64, int64, int64)", cache=True, nogil=True)
def _step_exponent(
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
    e = _step_exponent(largest, 15, MANTISSA_MAX)
    for r in range(rows):
        if per_row:
            largest = 0.0
            for c in range(columns):
                largest = max(largest, abs(values[r, c]))
            e = _step_exponent(largest, 15, MANTISSA_MAX)
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
def _finish_bytes(products, low_row, unit, weight_unit, bias, slope, out):
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
def _finish_doubles(products, unit, weight_unit, bias, slope, out):
    for r in range(out.shape[0]):
        u = unit[r]
        for c in range(out.shape[1]):
            value = products[r, c] * (u * weight_unit[c]) + bias[c]
            out[r, c] = value if value >= 0.0 else value * slope


@functools.lru_cache(maxsize=1)
def int8_is_exact() -> bool:
    """Whether `torch._int_mm` sums signed bytes exactly here (instructions before VNNI saturate pairs of
    products at 16 bits)."""
    generator = torch.Generator().manual_seed(1)
    for rows, inputs, outputs in ((1, 96, 64), (4, 768, 128), (16, 97, 34), (130, 1601, 66)):
        for low, high in ((-128, 128), (127, 128), (-128, -127)):
            a = torch.randint(low, high, (rows, inputs), dtype=torch.int8, generator=generator)
            for b in (
                torch.full((inputs, outputs), -128, dtype=torch.int8),
                torch.full((inputs, outputs), 127, dtype=torch.int8),
                torch.randint(-128, 128, (inputs, outputs), dtype=torch.int8, generator=generator),
            ):
                try:
                    if not torch.equal(torch._int_mm(a, b).double(), a.double() @ b.double()):
                        return False
                except (RuntimeError, AttributeError):
                    return False
    return True


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


class Layer:
    """A linear map of K inputs to N outputs with bias and leaky ReLU (slope 1: none, 0: ReLU); a convolution
    if kernel > 1.

    weight: [K, N]; for a kernel k, K = (row, column, channel) with the channel fastest. shuffle: pixel
    shuffle factor after it."""

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, kernel: int = 1, columns_per_channel: int = 1
    ) -> None:
        self.kernel, self.slope, self.shuffle, self.columns_per_channel = kernel, 1.0, 1, columns_per_channel
        self.weight = weight.detach().cpu().double().contiguous()
        self.inputs, self.outputs = self.weight.shape
        if self.inputs > MAX_INPUTS:
            raise ValueError(f"a layer of {self.inputs} inputs: exact sums take at most {MAX_INPUTS}")
        self.bias = np.zeros(self.outputs) if bias is None else bias.detach().cpu().double().numpy().copy()
        if not (torch.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise ValueError("a layer has weights that are not finite")

    def prepare(self, backend: str) -> None:
        """Round the weights, for the arithmetic int8, float64 (same results) or float32."""
        self.backend = backend
        if backend == "float32":
            self._matrix = self.weight.float()
            self._bias32 = torch.from_numpy(self.bias).float()
            del self.weight
            return
        magnitude = self.weight.abs().amax(dim=0).reshape(-1, self.columns_per_channel).amax(dim=1).tolist()
        exponent = np.array([_step_exponent(value, 7, WEIGHT_MAX) for value in magnitude]).repeat(
            self.columns_per_channel
        )
        self.unit = np.ldexp(1.0, -exponent)
        integers = torch.floor(self.weight * torch.from_numpy(np.ldexp(1.0, exponent)) + 0.5)
        self._matrix = integers if backend == "float64" else integers.to(torch.int8)
        del self.weight

    def apply(self, given: Digits) -> np.ndarray:
        """Activations float64 [rows, N] of integer inputs."""
        out = np.empty((given.rows, self.outputs), dtype=np.float64)
        if not given.rows:
            return out
        if self.backend == "float64":
            a = torch.from_numpy(given.digits[:, : given.rows])
            mantissa = a[0].double() * 256 + a[1].double()
            _finish_doubles(
                (mantissa @ self._matrix).numpy(), given.unit, self.unit, self.bias, self.slope, out
            )
            return out
        a = given.digits.reshape(-1, self.inputs) if given.has_high else given.digits[1]
        products = torch._int_mm(torch.from_numpy(a), self._matrix).numpy()
        low_row = given.digits.shape[1] if given.has_high else 0
        _finish_bytes(products, low_row, given.unit, self.unit, self.bias, self.slope, out)
        return out

    def apply_float(self, values: np.ndarray) -> np.ndarray:
        """Activations float32 [rows, N] of float32 [rows, K]."""
        out = torch.addmm(self._bias32, torch.from_numpy(values), self._matrix)
        if self.slope != 1.0:
            out = torch.where(out >= 0, out, out * self.slope)
        return out.numpy()


class Network:
    """A sequence of layers over one map [H, W, C] or over rows [R, C]; values are float64 when portable, else
    float32."""

    def __init__(self, layers: Sequence[Layer], portable: bool, backend: str = "auto") -> None:
        if backend == "auto":
            backend = "int8" if int8_is_exact() else "float64"
        self.layers, self.portable = list(layers), portable
        self.dtype = np.float64 if portable else np.float32
        for layer in self.layers:
            layer.prepare(backend if portable else "float32")

    def rows(self, values: Rows | Digits) -> Rows:
        """Dense layers over independent rows: chunks of rows give the same as all at once."""
        for layer in self.layers:
            if not self.portable:
                values = layer.apply_float(values)
            else:
                values = layer.apply(values if isinstance(values, Digits) else quantise(values, per_row=True))
        return values

    def map(
        self, values: np.ndarray | Digits, height: int, width: int, positions: np.ndarray | None = None
    ) -> np.ndarray:
        """Convolutions over one map, [H * W, C] (or its digits) -> [H' * W', C']; `positions`: only these
        rows of the last layer's output."""
        for number, layer in enumerate(self.layers):
            wanted = positions if number == len(self.layers) - 1 else None
            if self.portable and not isinstance(values, Digits):
                values = quantise(values, per_row=False)
            values = self._convolve(layer, values, height, width, wanted)
            if layer.shuffle > 1:
                values = _pixel_shuffle(values, height, width, layer.shuffle)
                height, width = height * layer.shuffle, width * layer.shuffle
        return values

    def _convolve(
        self, layer: Layer, values, height: int, width: int, positions: np.ndarray | None
    ) -> np.ndarray:
        count = height * width if positions is None else len(positions)
        out = np.empty((count, layer.outputs), dtype=self.dtype)
        planes = values.digits[:, : height * width] if self.portable else values[None]
        windows = _windows(planes, height, width, layer.kernel)
        for start in range(0, count, CHUNK_ROWS):
            stop = min(count, start + CHUNK_ROWS)
            chosen = np.minimum(
                np.arange(start, start + padded_rows(stop - start)), stop - 1
            )  # the last row again in the place of padding
            rows, columns = np.divmod(chosen if positions is None else positions[chosen], width)
            taken = windows[:, rows, columns].reshape(len(planes), len(rows), layer.inputs)
            if self.portable:
                out[start:stop] = layer.apply(
                    Digits(taken, values.unit[:1].repeat(stop - start), stop - start, values.has_high)
                )
            else:
                out[start:stop] = layer.apply_float(taken[0])[: stop - start]
        return out


def _windows(planes: np.ndarray, height: int, width: int, kernel: int) -> np.ndarray:
    """[P, H * W, C] -> view [P, H, W, kernel, kernel, C] of the zero-padded maps."""
    count, _, channels = planes.shape
    reach = kernel // 2
    padded = np.zeros((count, height + 2 * reach, width + 2 * reach, channels), dtype=planes.dtype)
    padded[:, reach : reach + height, reach : reach + width] = planes.reshape(count, height, width, channels)
    plane, row, column, channel = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (count, height, width, kernel, kernel, channels),
        (plane, row, column, row, column, channel),
        writeable=False,
    )


def _pixel_shuffle(values: np.ndarray, height: int, width: int, r: int) -> np.ndarray:
    blocks = values.reshape(
        height, width, -1, r, r
    )  # torch's order: channel, then row and column inside the block
    return np.ascontiguousarray(blocks.transpose(0, 3, 1, 4, 2)).reshape(height * r * width * r, -1)


def network(module: nn.Module, portable: bool, backend: str = "auto") -> Network:
    """Compile Conv2d (stride 1, same size), ConvTranspose2d, PixelShuffle, ReLU and LeakyReLU, nested in
    Sequential.

    Raises ValueError for anything else.
    """
    layers: list[Layer] = []
    _compile(module, layers)
    return Network(layers, portable, backend)


def masked_layer(module: nn.Module, portable: bool, backend: str = "auto") -> tuple[Network, np.ndarray]:
    """A masked convolution as one dense layer over its visible cells, and their offsets (row, column), int64
    [cells, 2], raster order."""
    visible = np.argwhere(module.mask[0, 0].cpu().numpy() > 0)
    offsets = visible - np.array(module.mask.shape[-2:]) // 2
    taps = [module.weight[:, :, row, column].t() for row, column in visible]
    return Network([Layer(torch.cat(taps), module.bias)], portable, backend), offsets


def _compile(module: nn.Module, layers: list[Layer]) -> None:
    if isinstance(module, nn.Sequential):
        for child in module:
            _compile(child, layers)
    elif isinstance(module, nn.ConvTranspose2d):
        layers.append(_transposed(module))
    elif isinstance(module, nn.Conv2d):
        kernel = module.kernel_size[0]
        plain = (
            module.stride == (1, 1)
            and module.dilation == (1, 1)
            and module.groups == 1
            and module.padding_mode == "zeros"
        )
        if (
            not plain
            or module.kernel_size != (kernel, kernel)
            or module.padding != (kernel // 2, kernel // 2)
        ):
            raise ValueError(
                f"{module}: only plain convolutions of stride 1 that keep the size can be made portable"
            )
        layers.append(
            Layer(module.weight.permute(2, 3, 1, 0).reshape(-1, module.out_channels), module.bias, kernel)
        )
    elif isinstance(module, nn.PixelShuffle) and layers and layers[-1].shuffle == 1:
        layers[-1].shuffle = module.upscale_factor
    elif isinstance(module, (nn.ReLU, nn.LeakyReLU)) and layers and layers[-1].slope == 1.0:
        layers[-1].slope = module.negative_slope if isinstance(module, nn.LeakyReLU) else 0.0
    elif not isinstance(module, nn.Identity):
        raise ValueError(f"{type(module).__name__} cannot be made portable")


def _transposed(module: nn.ConvTranspose2d) -> Layer:
    """A transposed convolution as convolution + pixel shuffle: output s q + r sums input q - d times tap s d
    + r + padding, for all d."""
    stride, size, padding = module.stride[0], module.kernel_size[0], module.padding[0]
    grows = (size - 2 * padding + module.output_padding[0]) == stride  # output = stride * input
    if (
        module.groups != 1
        or not grows
        or module.stride != (stride, stride)
        or module.kernel_size != (size, size)
    ):
        raise ValueError(
            f"{module}: only transposed convolutions that multiply the size by their stride can be made portable"
        )
    weight = module.weight.detach()  # [C, N, k, k]
    taps = [
        (r, d, stride * d + r + padding)
        for r in range(stride)
        for d in range(-size, size + 1)
        if 0 <= stride * d + r + padding < size
    ]
    reach = max(abs(d) for _, d, _ in taps)
    kernel = 2 * reach + 1
    full = weight.new_zeros(kernel, kernel, weight.shape[0], weight.shape[1], stride, stride)
    for r, d, t in taps:
        for c, e, u in taps:
            full[reach - d, reach - e, :, :, r, c] = weight[:, :, t, u]
    bias = None if module.bias is None else module.bias.detach().repeat_interleave(stride * stride)
    layer = Layer(full.reshape(kernel * kernel * weight.shape[0], -1), bias, kernel, stride * stride)
    layer.shuffle = stride
    return layer
