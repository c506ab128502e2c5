"""Begin training one codec from the weights of another.

Same family and widths: every tensor is copied, and where the lambda differs the latents' scale follows it.
Another family: h_a, the bottleneck and whatever else has the same name and shape is copied, and the strided
convolutions of g_a and g_s are matched in order. ELIC's residual and attention branches then start at zero
and each GDN of the source becomes its best linear gain (least squares, on sample pictures), so that the new
network begins as a working linear codec and learns the rest, instead of beginning as noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codec.models.checkpoint import CheckpointInfo, load_checkpoint
from codec.models.model import LatentModel
from codec.training.initialise import is_depthwise, pass_cells, rescale_latents
from constellation.common.errors import naming

GATE_BIAS = -3.0  # sigmoid(-3) = 0.05: nearly shut, and the gradient still passes


def checkpoint_of(key: str, path: str) -> tuple[LatentModel, CheckpointInfo]:
    """The checkpoint at the path that a knob names. Raises `UserError`, which begins with the knob."""
    return naming(key)(load_checkpoint)(path)


@torch.no_grad()
def warm_start(target: LatentModel, source: LatentModel, sample: Tensor, latent_gain: float = 1.0) -> int:
    """Copy what fits from `source` into `target`; return how many tensors were copied.

    `sample`: [B, 3, H, W] in 0..1, to measure gains. `latent_gain`: factor on y between equal families,
    sqrt(lambda / lambda of the source): at high rate the best step is proportional to 1 / sqrt(lambda) (the
    distortion is step^2 / 12), so a coarser or finer codec begins where it should end, instead of creeping
    there."""
    if (target.name, target.widths) == (source.name, source.widths):
        tables = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")
        state = {k: v for k, v in source.net.state_dict().items() if not k.endswith(tables)}
        target.net.load_state_dict({**target.net.state_dict(), **state})
        rescale_latents(target, latent_gain)
        return len(state)
    parts = [(target.h_a, source.h_a), (target.h_s, source.h_s), (target.bottleneck, source.bottleneck)]
    if len(target.passes) == len(source.passes):
        for mine, theirs in zip(target.passes, source.passes, strict=True):
            parts += [(mine.window, theirs.window), (mine.earlier, theirs.earlier), (mine.head, theirs.head)]
    copied = sum(_copy_equal(mine, theirs) for mine, theirs in dict.fromkeys(parts) if mine is not None)
    return copied + copy_transforms(target, source, sample)


@torch.no_grad()
def copy_transforms(target: LatentModel, source: LatentModel, sample: Tensor) -> int:
    """Copy g_a and g_s alone, as far as they fit; return how many tensors were copied."""
    return _copy_transform(target.g_a, source.g_a, sample) + _copy_transform(
        target.g_s, source.g_s, torch.round(source.g_a(sample))
    )


@torch.no_grad()
def become_student(student: LatentModel, teacher: LatentModel) -> None:
    """Take a teacher's entropy model and decoder as they are, and its strided convolutions as far as the
    student's reach (the middle of larger kernels), so that learning begins near its latents. Both of elic's
    kind: equal names outside g_a."""
    theirs = dict(teacher.net.named_parameters())
    for name, parameter in student.net.named_parameters():
        if not name.startswith("g_a."):
            parameter.copy_(theirs[name])
    given = [layer for layer in teacher.g_a if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)]
    mine = [layer for layer in student.g_a if isinstance(layer, nn.Conv2d)]  # blocks are modules of their own
    for layer in given:
        strided = mine.pop(0)
        if is_depthwise(strided):
            _factorise(strided, mine.pop(0), layer)
        else:
            at = layer.padding[0] - strided.padding[0]
            side = strided.kernel_size[0]
            strided.weight.copy_(layer.weight[:, :, at : at + side, at : at + side])
            strided.bias.copy_(layer.bias)


def _factorise(depthwise: nn.Conv2d, pointwise: nn.Conv2d, layer: nn.Conv2d) -> None:
    """The 2 x 2 cell in the middle of a strided convolution as a depthwise convolution that passes each of
    its four values on, and a pointwise one that weighs them."""
    pass_cells(depthwise)
    at = layer.padding[0]
    cell = layer.weight[:, :, at : at + 2, at : at + 2].flatten(2).flatten(1)
    pointwise.weight.copy_(cell[:, :, None, None])
    pointwise.bias.copy_(layer.bias)


def _copy_equal(target: nn.Module, source: nn.Module | None) -> int:
    if source is None:
        return 0
    theirs, count = dict(source.named_parameters()), 0
    for name, parameter in target.named_parameters():
        if name in theirs and theirs[name].shape == parameter.shape:
            parameter.copy_(theirs[name])
            count += 1
    return count


def _copy_transform(target: nn.Sequential, source: nn.Sequential, values: Tensor) -> int:
    """Strided convolutions in order; a source's GDN, where the target has none, becomes a gain folded into
    the convolution before it."""
    if {k: v.shape for k, v in target.named_parameters()} == {
        k: v.shape for k, v in source.named_parameters()
    }:
        return _copy_equal(target, source)  # the very same transform
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    ours, theirs = [m for m in target if isinstance(m, kinds)], [m for m in source if isinstance(m, kinds)]
    if len(ours) != len(theirs) or any(
        a.weight.shape != b.weight.shape for a, b in zip(ours, theirs, strict=True)
    ):
        return _copy_equal(target, source)
    for layer, after in zip(source, [*list(source)[1:], None], strict=True):
        out = layer(values)
        if isinstance(layer, kinds):
            mine = ours[theirs.index(layer)]
            mine.load_state_dict(layer.state_dict())
            if "GDN" in type(after).__name__:
                passed = after(out)
                gain = (passed * out).sum((0, 2, 3)) / (out * out).sum((0, 2, 3)).clamp_min(1e-9)
                shape = (-1, 1, 1, 1) if isinstance(layer, nn.Conv2d) else (1, -1, 1, 1)
                mine.weight.mul_(gain.reshape(shape))
                mine.bias.mul_(gain)
        values = out
    _silence_branches(target)
    return 2 * len(ours)


def _silence_branches(transform: nn.Sequential) -> None:
    """Begin every residual block as the identity (last convolution zero), every attention block close to it
    (gate nearly shut)."""
    for block in transform:
        if hasattr(block, "conv_b"):  # attention: x + a(x) * sigmoid(b(x))
            nn.init.zeros_(block.conv_b[-1].weight)
            nn.init.constant_(block.conv_b[-1].bias, GATE_BIAS)
        elif hasattr(block, "conv3"):
            nn.init.zeros_(block.conv3.weight)
            nn.init.zeros_(block.conv3.bias)
