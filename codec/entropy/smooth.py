"""Means and scales of y over the whole latent map at once, for every codec: float32 and differentiable.

On the fixed grid y_hat = round(y) is known before any context model runs, so the parameters of every position
follow from one masked convolution over the known-context map instead of a loop over positions. Training uses
this module; codec/entropy/exact.py computes the same numbers in exact arithmetic, and is tested against
it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from codec.models.model import Cells, Given, LatentModel, Pass, mask_of

if TYPE_CHECKING:
    from compressai.layers import MaskedConv2d

SCALE_MIN = 0.11  # CompressAI's smallest scale: below it the scale table ends
LIKELIHOOD_MIN = 1e-9  # CompressAI's lower bound of a probability


def parameters(
    model: LatentModel,
    z_hat: Tensor,  # [B, N, H/4, W/4]
    y_context: Tensor,  # [B, M, H, W] known vectors, integers, zero where nothing is known
) -> tuple[Tensor, Tensor]:  # means, scales: [B, M, H, W] each
    """Entropy parameters of y given z_hat and the known-context map; a position sees only what precedes it in
    coding order.

    With the net's own y_hat as context the result is that of CompressAI's own forward pass. Scales are not
    yet bounded below (`SCALE_MIN`)."""
    hyper = model.h_s(z_hat)
    means, scales = [], []
    for (start, _), steps in groupby(model.passes, key=lambda step: (step.channels.start, id(step.head))):
        scale, mean = _slice_parameters(list(steps), hyper, y_context, start)
        means.append(mean)
        scales.append(scale)
    return torch.cat(means, dim=1), torch.cat(scales, dim=1)


def _slice_parameters(
    steps: list[Pass], hyper: Tensor, y_context: Tensor, start: int
) -> tuple[Tensor, Tensor]:
    """Scales and means of passes over the same channels with one head: one evaluation of the head for all of
    their positions, each seeing what its own pass gives it (a pass without a window: nothing, not even a
    bias)."""
    first = steps[0]
    if first.head is None:
        return hyper, torch.zeros_like(hyper)
    given = {Given.HYPER: hyper}
    if first.earlier is not None:
        given[Given.EARLIER] = first.earlier(y_context[:, :start])
    for step in steps:
        if step.window is not None:
            seen = masked_convolution(step.window, y_context[:, step.channels])
            seen = seen if step.cells is Cells.ALL else seen * _cells(step.cells, seen)
            given[Given.WINDOW] = given[Given.WINDOW] + seen if Given.WINDOW in given else seen
    scale, mean = first.head(torch.cat([given[part] for part in first.inputs], dim=1)).chunk(2, 1)
    return scale, mean


def _cells(cells: Cells, like: Tensor) -> Tensor:
    anchors = checkerboard(*like.shape[-2:], device=like.device)
    return (anchors if cells is Cells.ANCHORS else ~anchors).to(like.dtype)


def masked_convolution(layer: MaskedConv2d, values: Tensor) -> Tensor:
    """CompressAI's masked convolution without its side effect of overwriting the weight (which would cut the
    gradient)."""
    return F.conv2d(values, layer.weight * mask_of(layer), layer.bias, padding=layer.padding)


def checkerboard(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """True at the anchors, (row + column) even: bool [height, width]."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return (rows[:, None] + columns[None, :]) % 2 == 0


def gaussian_likelihood(values: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Probability of the unit interval around each value under N(mean, max(scale, SCALE_MIN)), not below
    LIKELIHOOD_MIN.

    The bounds pass the gradient that leads back inside (Balle et al. 2018), as CompressAI's do.
    """
    scales = _LowerBound.apply(scales, SCALE_MIN)
    distance = (values - means).abs()
    upper = torch.special.ndtr((0.5 - distance) / scales)
    lower = torch.special.ndtr((-0.5 - distance) / scales)
    return _LowerBound.apply(upper - lower, LIKELIHOOD_MIN)


class _LowerBound(torch.autograd.Function):
    """max(x, bound), whose gradient also passes below the bound where a descent step would raise x."""

    @staticmethod
    def forward(ctx, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ((x >= ctx.bound) | (gradient < 0)), None
