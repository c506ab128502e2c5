"""From a codec's transforms, as torch modules, to portable steps."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from codec.portable.maps import Attention, Chain, Convolution, Normalisation, Residual, Step, Upsampling


def compiled(module: nn.Module, backend: str) -> Chain:
    """The steps of g_a or g_s: convolutions (transposed ones and pixel shuffles of factor 2), GDN, ReLU, and
    the blocks of cheng and elic. Raises ValueError for anything else."""
    steps: list[Step] = []
    _append(module, steps, backend)
    return Chain(steps)


def _append(module: nn.Module, steps: list[Step], backend: str) -> None:
    kind = type(module).__name__
    if isinstance(module, nn.Sequential):
        parts = list(module)
        while parts:
            first, second = parts[0], parts[1] if len(parts) > 1 else None
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.PixelShuffle):
                steps.append(_shuffled(first, second, backend))
                parts = parts[2:]
            else:
                _append(parts.pop(0), steps, backend)
    elif isinstance(module, nn.ConvTranspose2d):
        steps.append(_transposed(module, backend))
    elif isinstance(module, nn.Conv2d):
        steps.append(_convolution(module, backend))
    elif isinstance(module, (nn.ReLU, nn.LeakyReLU)):
        _set_slope(steps, float(module.negative_slope) if isinstance(module, nn.LeakyReLU) else 0.0)
    elif kind == "GDN":
        _set_norm(steps, _normalisation(module))
    elif kind in BLOCKS:
        steps.append(BLOCKS[kind](module, backend))
    elif not isinstance(module, nn.Identity):
        raise ValueError(f"{kind} cannot be made portable")


def _set_slope(steps: list[Step], slope: float) -> None:
    last = steps[-1] if steps else None
    if isinstance(last, Convolution) and last.norm is None and last.product.slope == 1.0:
        last.product.slope = slope
    elif isinstance(last, Upsampling) and last.norm is None and last.slope == 1.0:
        last.slope = slope
    else:
        raise ValueError("a ReLU that does not follow a convolution cannot be made portable")


def _set_norm(steps: list[Step], norm: Normalisation) -> None:
    last = steps[-1] if steps else None
    if not isinstance(last, (Convolution, Upsampling)) or last.norm is not None:
        raise ValueError("a GDN that does not follow a convolution cannot be made portable")
    last.norm = norm


def doubles(tensor: torch.Tensor) -> np.ndarray:
    """Its values, float64."""
    return tensor.detach().cpu().double().numpy()


def _bias(module: nn.Conv2d | nn.ConvTranspose2d, outputs: int) -> np.ndarray:
    return np.zeros(outputs) if module.bias is None else doubles(module.bias)


def _convolution(module: nn.Conv2d, backend: str) -> Convolution:
    stride, pad = module.stride[0], int(module.padding[0])
    plain = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    square = all(pair[0] == pair[1] for pair in (module.kernel_size, module.stride, module.padding))
    if not plain or not square:
        raise ValueError(f"{module}: only plain, square convolutions can be made portable")
    weight = doubles(module.weight).transpose(2, 3, 1, 0)
    return Convolution(weight, _bias(module, module.out_channels), stride, pad, backend)


def _transposed(module: nn.ConvTranspose2d, backend: str) -> Upsampling:
    """Output 2 q + r sums inputs q - d times tap 2 d + r + padding, for d = -1, 0, 1."""
    size, padding = module.kernel_size[0], int(module.padding[0])
    grows = size - 2 * padding + int(module.output_padding[0]) == 2
    taps = [
        (r, 1 - d, 2 * d + r + padding)
        for r in (0, 1)
        for d in range(-size, size + 1)
        if 0 <= 2 * d + r + padding < size
    ]
    fits = all(0 <= line < 3 for _, line, _ in taps) and module.kernel_size == (size, size)
    if module.stride != (2, 2) or module.groups != 1 or not grows or not fits:
        raise ValueError(f"{module}: only transposed convolutions that double the size can be made portable")
    weight = doubles(module.weight)  # [C, N, k, k]
    full = np.zeros((2, 3, 3, weight.shape[0], 2, weight.shape[1]))
    for r, line, tap in taps:
        for c, column, other in taps:
            full[r, line, column, :, c] = weight[:, :, tap, other]
    return Upsampling(full, np.tile(_bias(module, module.out_channels), 4), backend)


def _shuffled(module: nn.Conv2d, shuffle: nn.PixelShuffle, backend: str) -> Upsampling:
    kernel, outputs = module.kernel_size[0], module.out_channels // 4
    same = module.stride == (1, 1) and int(module.padding[0]) == kernel // 2 and kernel % 2
    if shuffle.upscale_factor != 2 or not same or module.groups != 1:
        raise ValueError(f"{module}: only pixel shuffles of factor 2 can be made portable")
    weight = doubles(module.weight).reshape(outputs, 2, 2, -1, kernel, kernel)  # N, r, c, C, k, k
    bias = _bias(module, module.out_channels).reshape(outputs, 4).T
    return Upsampling(weight.transpose(1, 4, 5, 3, 2, 0), bias, backend)


def _normalisation(module: nn.Module) -> Normalisation:
    """Its parameters are squares less a pedestal, here of doubles."""
    layer = copy.deepcopy(module).cpu().double()
    with torch.no_grad():
        beta = layer.beta_reparam(layer.beta)  # type: ignore[operator]
        gamma = layer.gamma_reparam(layer.gamma)  # type: ignore[operator]
    return Normalisation(doubles(beta), doubles(gamma).T, bool(layer.inverse))


def _chain(backend: str, *modules: nn.Module) -> Chain:
    return compiled(nn.Sequential(*modules), backend)


def _shortcut(module: nn.Module | None, backend: str) -> Step | None:
    return None if module is None or isinstance(module, nn.Identity) else _chain(backend, module)


def _bottleneck(m, backend: str) -> Residual:
    body = _chain(backend, m.conv1, m.relu1, m.conv2, m.relu2, m.conv3)
    return Residual(body, _shortcut(m.skip, backend), False)


def _plain_block(m, backend: str) -> Residual:
    body = _chain(backend, m.conv1, m.leaky_relu, m.conv2, m.leaky_relu)
    return Residual(body, _shortcut(m.skip, backend), False)


def _smaller(m, backend: str) -> Residual:
    body = _chain(backend, m.conv1, m.leaky_relu, m.conv2, m.gdn)
    return Residual(body, _shortcut(m.skip, backend), False)


def _larger(m, backend: str) -> Residual:
    body = _chain(backend, m.subpel_conv, m.leaky_relu, m.conv, m.igdn)
    return Residual(body, _shortcut(m.upsample, backend), False)


def _unit(m, backend: str) -> Residual:
    return Residual(_chain(backend, m.conv), None, True)


def _attention(m, backend: str) -> Attention:
    return Attention(_chain(backend, m.conv_a), _chain(backend, m.conv_b))


BLOCKS = {
    "ResidualBottleneckBlock": _bottleneck,
    "ResidualBlock": _plain_block,
    "ResidualBlockWithStride": _smaller,
    "ResidualBlockUpsample": _larger,
    "ResidualUnit": _unit,
    "AttentionBlock": _attention,
}
