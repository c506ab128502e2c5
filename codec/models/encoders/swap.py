"""Another norm for a trained encoder: each block's kernels go on as they were, as nearly as the new norm lets
them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from codec.models.encoders.lsconv import TAPS, GroupStatistics, LSConv, PositionNorm


def blocks_of(net: nn.Module) -> list[LSConv]:
    """The blocks with dynamic kernels, in order."""
    return [block for block in net.modules() if isinstance(block, LSConv)]


@torch.no_grad()
def swap_norms(target: nn.Sequential, source: nn.Sequential, sample: Tensor) -> None:
    """Give `target`, a g_a, the weights of `source`, one of the same widths and any norm, and fit its own
    norms: statistics that are kept are those over `sample` [B, 3, H, W]; gain and shift of each channel are
    the least-squares ones from what the norm makes of `sample` to the kernels that the source has there.

    `frozen` and `none` give the source's kernels exactly where that has no norm."""
    shared = {key: value for key, value in source.state_dict().items() if ".norm." not in key}
    target.load_state_dict({**target.state_dict(), **shared})
    raw, wanted = _seen(source, sample)
    for block, before, after in zip(blocks_of(target), raw, wanted, strict=True):
        _fit(block, before, after)


def _seen(g_a: nn.Sequential, sample: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Of each block: what goes into its norm, and what comes out."""
    raw: list[Tensor] = []
    normed: list[Tensor] = []

    def keep(found: list[Tensor]) -> Any:
        return lambda _layer, _given, out: found.append(out)

    hooks = [block.kernels.register_forward_hook(keep(raw)) for block in blocks_of(g_a)]
    hooks += [block.norm.register_forward_hook(keep(normed)) for block in blocks_of(g_a)]
    try:
        g_a(sample)
    finally:
        for hook in hooks:
            hook.remove()
    return raw, normed


def _fit(block: LSConv, raw: Tensor, wanted: Tensor) -> None:
    norm = block.norm
    if isinstance(norm, GroupStatistics):
        variance, mean = torch.var_mean(raw.unflatten(1, (-1, TAPS)), (0, 2, 3, 4), correction=0)
        norm.mean.copy_(mean)
        norm.variance.copy_(variance)
    if isinstance(norm, (GroupStatistics, PositionNorm, nn.GroupNorm)):
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)
        training, _ = norm.training, norm.eval()
        gain, shift = _line(norm(raw), wanted)
        norm.train(training)
        norm.weight.copy_(gain)
        norm.bias.copy_(shift)
    elif wanted is not raw:  # nothing that could keep them: the convolution takes them
        gain, shift = _line(raw, wanted)
        block.kernels.weight.mul_(gain.reshape(-1, 1, 1, 1))
        if block.kernels.bias is not None:
            block.kernels.bias.mul_(gain).add_(shift)


def _line(given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """(gain, shift) [C] of the least squares from given to wanted [B, C, H, W]."""
    x, y = (values.double().transpose(0, 1).flatten(1) for values in (given, wanted))
    middle_x, middle_y = x.mean(1), y.mean(1)
    x, y = x - middle_x[:, None], y - middle_y[:, None]
    gain = (x * y).sum(1) / x.square().sum(1).clamp_min(1e-12)
    return gain.float(), (middle_y - gain * middle_x).float()
