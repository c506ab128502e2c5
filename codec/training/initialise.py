"""A codec that works before its first step: the Karhunen-Loeve transform of training pictures in place of
random weights.

Stage by stage: the stage's input is cut into blocks of 2 x 2 cells, their principal components become the two
centre taps of the strided convolution, and the mirrored layer of g_s gets the transpose. Everything else
starts as (nearly) the identity: GDN, residual branches, attention gates. The last stage is divided by the
quantisation step that lambda asks for, and the entropy model starts from each channel's standard deviation.

    bmshj, mbt, elic    the chain of strided convolutions carries the transform
    cheng               the shortcuts of its strided blocks do, which see whole 2 x 2 cells where the network
                        has `stages`
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codec.models.model import LatentModel
from constellation.common.errors import UserError

GAMMA = 1e-3  # of GDN's denominator: nearly linear for values around 1
GATE_BIAS = -5.0  # sigmoid(-5) = 0.007: attention nearly shut
SPARE = 1e-2  # size of the weights of channels that have no component
HEAD = 0.1  # factor on the last weights of the entropy model, whose biases say nearly all at first


def quantisation_step(lambda_: float) -> float:
    """The step of an orthonormal transform of 0..1 values at which another step's rate and distortion would
    cost more: at high rate R = -log2(step) / 256 per px and channel, D = step^2 / 12 / 768."""
    return math.sqrt(18 / (lambda_ * 255**2 * math.log(2)))


@torch.no_grad()
def initialise(model: LatentModel, sample: Tensor, lambda_: float) -> None:
    """Set the transforms of `model` to the Karhunen-Loeve transform of sample [B, 3, H, W] in 0..1, and its
    entropy model to fit."""
    _silence(model.net)
    forward, backward = halving_layers(model), _synthesis_layers(model)
    values = before = sample
    for layer in model.g_a:
        carrier = getattr(layer, "skip", layer)
        if is_depthwise(carrier) and carrier.stride == (2, 2):
            pass_cells(carrier)
            before, values = values, layer(values)
            continue
        if carrier in forward:
            k = forward.index(carrier)
            step = quantisation_step(lambda_) if k == len(forward) - 1 else 1.0
            whole = carrier.stride == (2, 2)  # else it weighs what a depthwise layer passed on
            mean, components = principal_components(values if whole else before, carrier.out_channels)
            _set_analysis(carrier, mean, components / step)
            _set_synthesis(backward[k], mean, components * step)
        values = layer(values)
    _set_entropy(model, values)


def principal_components(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(mean [C, 2, 2], leading components [K, C, 2, 2]) of the 2 x 2 blocks of values [B, C, H, W]; K =
    count, or 4 C where that is less."""
    channels = values.shape[1]
    blocks = (
        values.double().unfold(2, 2, 2).unfold(3, 2, 2).permute(1, 4, 5, 0, 2, 3).reshape(4 * channels, -1)
    )
    mean = blocks.mean(1, keepdim=True)
    covariance = (blocks - mean) @ (blocks - mean).T / blocks.shape[1]
    _, vectors = torch.linalg.eigh(covariance.cpu())
    components = vectors.flip(1).T[:count].to(values.device)
    return mean.reshape(channels, 2, 2).to(values.dtype), components.reshape(-1, channels, 2, 2).to(
        values.dtype
    )


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each channel of a convolution sees one channel only."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


@torch.no_grad()
def pass_cells(depthwise: nn.Conv2d) -> None:
    """Make a strided depthwise convolution pass the four values of each 2 x 2 cell on, one a channel."""
    at, each = depthwise.padding[0], depthwise.out_channels // depthwise.in_channels
    depthwise.weight.mul_(SPARE)
    depthwise.bias.zero_()
    for channel in range(depthwise.out_channels):
        row, column = divmod(channel % each, 2)
        depthwise.weight[channel, 0, at + row, at + column] = 1.0


def halving_layers(model: LatentModel) -> list[nn.Conv2d]:
    """The layers of g_a that halve the size, in order; of a depthwise one the pointwise that comes after
    it."""
    whole = [getattr(layer, "skip", layer) for layer in model.g_a]
    layers = []
    for layer, after in zip(whole, [*whole[1:], None], strict=True):
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            layers.append(after if is_depthwise(layer) else layer)
    if len(layers) != 4 or any(layer.kernel_size[0] < 2 for layer in layers if layer.stride == (2, 2)):
        raise UserError(
            f"model {model.name}: its shortcuts see a quarter of each cell only, so that no transform "
            "fits through; give it widths="
        )
    return layers


def _synthesis_layers(model: LatentModel) -> list[nn.Module]:
    """The layers of g_s that double the size, the last first."""
    layers = [getattr(layer, "upsample", layer) for layer in model.g_s]
    return [
        layer
        for layer in layers
        if isinstance(layer, nn.ConvTranspose2d)
        or (isinstance(layer, nn.Sequential) and isinstance(layer[-1], nn.PixelShuffle))
    ][::-1]


def _set_analysis(layer: nn.Conv2d, mean: Tensor, components: Tensor) -> None:
    count, at = len(components), layer.padding[0]
    layer.weight.zero_()
    layer.weight[count:].normal_(std=SPARE)
    if layer.kernel_size == (1, 1):
        components = components.flatten(1)[:, :, None, None]
        layer.weight[:count] = components
        layer.bias.zero_()
        layer.bias[:count] = -(components.flatten(1) * mean.flatten()).sum(1)
        return
    layer.weight[:count, :, at : at + 2, at : at + 2] = components
    layer.bias.zero_()
    layer.bias[:count] = -(components * mean).sum((1, 2, 3))


def _set_synthesis(layer: nn.Module, mean: Tensor, components: Tensor) -> None:
    count = len(components)
    if isinstance(layer, nn.ConvTranspose2d):
        at = layer.padding[0]
        layer.weight.zero_()
        layer.weight[count:].normal_(std=SPARE)
        layer.weight[:count, :, at : at + 2, at : at + 2] = components
        layer.bias.copy_(mean.mean((1, 2)))
        return
    convolution = layer[0]  # pixel shuffle: channel, then row and column inside the block
    middle = convolution.kernel_size[0] // 2
    convolution.weight.zero_()
    convolution.weight[:, count:].normal_(std=SPARE)
    convolution.weight[:, :count, middle, middle] = components.flatten(1).T
    convolution.bias.copy_(mean.flatten())


def _silence(net: nn.Module) -> None:
    """GDN beside a transform nearly linear, residual branches without effect, attention gates nearly shut."""
    for block in net.modules():
        kind = type(block).__name__
        if kind == "GDN":
            block.gamma.copy_(
                block.gamma_reparam.init(GAMMA * torch.eye(len(block.gamma), device=block.gamma.device))
            )
            block.beta.copy_(block.beta_reparam.init(torch.ones_like(block.beta)))
        elif kind == "AttentionBlock":  # x + a(x) * sigmoid(b(x))
            block.conv_b[-1].weight.zero_()
            block.conv_b[-1].bias.fill_(GATE_BIAS)
        elif kind == "LSConv" and isinstance(block.norm, nn.Identity):
            block.kernels.weight.mul_(SPARE)
            block.kernels.bias.mul_(SPARE)
        elif kind == "ResidualBottleneckBlock":
            block.conv3.weight.zero_()
            block.conv3.bias.zero_()
        elif (
            kind == "ResidualBlock"
        ):  # a leaky ReLU comes after it: not exactly zero, where its slope is small
            block.conv2.weight.mul_(SPARE)
            block.conv2.bias.zero_()
        elif kind in ("ResidualBlockWithStride", "ResidualBlockUpsample"):
            last = block.conv2 if kind == "ResidualBlockWithStride" else block.conv
            last.weight.zero_()
            last.bias.zero_()


def entropy_outputs(model: LatentModel) -> list[nn.Conv2d]:
    """The layers whose outputs are scales and means of y, or of one group's."""
    return [[layer for layer in head.modules() if isinstance(layer, nn.Conv2d)][-1] for head in model.heads]


def latent_inputs(model: LatentModel) -> list[tuple[nn.Module, slice]]:
    """The layers outside g_s that read y, each with the channels it reads."""
    layers = {first_convolution(model.h_a): slice(0, model.m)}
    for step in model.passes:
        if step.window is not None:
            layers[step.window] = step.channels
        if step.earlier is not None:
            layers[first_convolution(step.earlier)] = slice(0, step.channels.start)
    return list(layers.items())


def first_convolution(part: nn.Module) -> nn.Conv2d:
    """The layer of a network that reads its input."""
    return next(layer for layer in part.modules() if isinstance(layer, nn.Conv2d))


def _set_entropy(model: LatentModel, y: Tensor) -> None:
    """Scales start at each channel's standard deviation (of round(y)), means at zero; what reads y sees
    channels of equal size."""
    deviation = (y.var((0, 2, 3)) + 1 / 12).sqrt()
    start = 0
    for layer, size in zip(entropy_outputs(model), model.widths.groups or (model.m,), strict=True):
        layer.weight.mul_(HEAD)
        layer.bias.zero_()
        layer.bias[:size] = deviation[start : start + size]
        start += size
    for layer, channels in latent_inputs(model):
        layer.weight.div_(deviation[channels].clamp_min(1).reshape(1, -1, 1, 1))


@torch.no_grad()
def rescale_latents(model: LatentModel, gain: float) -> None:
    """Make y `gain` times larger and everything that reads it the same as before: where lambda grows by
    gain^2, the best step shrinks so.

    For networks whose g_a ends in a convolution: all but CompressAI's own elic and cheng.
    """
    if gain == 1.0 or not isinstance(model.g_a[-1], nn.Conv2d):
        return
    for layer in (model.g_a[-1], *entropy_outputs(model)):
        layer.weight.mul_(gain)
        layer.bias.mul_(gain)
    first = model.g_s[0]
    readers = [first] if isinstance(first, nn.ConvTranspose2d) else [first.subpel_conv[0], first.upsample[0]]
    for layer in (*readers, *(layer for layer, _ in latent_inputs(model))):
        layer.weight.div_(gain)
