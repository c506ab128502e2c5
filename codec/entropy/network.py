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
than float32; without AVX-512 20 times slower), `float64` uses an ordinary double GEMM. `int8` is taken where
it is quicker and a self-test of worst cases comes out exact. Convolutions are always unfold + GEMM;
transposed ones become convolutions + pixel shuffle.

`Network(..., portable=False)` runs the same layers in float32, for comparison: fast or not, such a stream
decodes only where the sums come out alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from codec.entropy.digits import (
    WEIGHT_MAX,
    Digits,
    finish_bytes,
    finish_doubles,
    int8_is_exact,
    int8_is_quick,
    int8_product,
    padded_rows,
    quantise,
    step_exponent,
)
from codec.models.model import mask_of

if TYPE_CHECKING:
    from compressai.layers import MaskedConv2d

MAX_INPUTS = 1 << 17  # 2^17 products of signed bytes stay below 2^31, of 2^22 below 2^53
CHUNK_ROWS = 1024

Rows = np.ndarray  # [rows, channels], float64 (portable) or float32


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
        exponent = np.array([step_exponent(value, 7, WEIGHT_MAX) for value in magnitude]).repeat(
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
            finish_doubles(
                (mantissa @ self._matrix).numpy(), given.unit, self.unit, self.bias, self.slope, out
            )
            return out
        a = given.digits.reshape(-1, self.inputs) if given.has_high else given.digits[1]
        products = int8_product(torch.from_numpy(a), self._matrix).numpy()
        low_row = given.digits.shape[1] if given.has_high else 0
        finish_bytes(products, low_row, given.unit, self.unit, self.bias, self.slope, out)
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
            backend = "int8" if int8_is_quick() and int8_is_exact() else "float64"
        self.layers, self.portable = list(layers), portable
        self.dtype = np.float64 if portable else np.float32
        for layer in self.layers:
            layer.prepare(backend if portable else "float32")

    @property
    def inputs(self) -> int:
        """Channels of the first layer's input."""
        return self.layers[0].inputs // self.layers[0].kernel ** 2

    @property
    def outputs(self) -> int:
        """Channels of the last layer's output."""
        return self.layers[-1].outputs // self.layers[-1].shuffle ** 2

    def rows(self, values: Rows | Digits) -> Rows:
        """Dense layers over independent rows: chunks of rows give the same as all at once."""
        for layer in self.layers:
            if isinstance(values, Digits):
                values = layer.apply(values)
            elif self.portable:
                values = layer.apply(quantise(values, per_row=True))
            else:
                values = layer.apply_float(values)
        assert not isinstance(values, Digits), "a network without layers"
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
        assert not isinstance(values, Digits), "a network without layers"
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


def masked_layer(module: MaskedConv2d, portable: bool, backend: str = "auto") -> Network:
    """A masked convolution as one dense layer over the cells that it sees, in raster order."""
    visible = np.argwhere(mask_of(module)[0, 0].cpu().numpy() > 0)
    taps = [module.weight[:, :, row, column].t() for row, column in visible]
    return Network([Layer(torch.cat(taps), module.bias)], portable, backend)


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
    stride, size, padding = module.stride[0], module.kernel_size[0], int(module.padding[0])
    grows = (size - 2 * padding + module.output_padding[0]) == stride  # output = stride * input
    if (
        module.groups != 1
        or not grows
        or module.stride != (stride, stride)
        or module.kernel_size != (size, size)
    ):
        raise ValueError(
            f"{module}: only transposed convolutions that multiply the size by their stride can be "
            "made portable"
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
