"""Means and scales of y over the whole latent map in one pass, for all four codecs: float32 and
differentiable.

On the fixed grid (design.md) y_hat = round(y) is known before any context model runs, so the parameters of
every position follow from one masked convolution over the known-context map instead of a loop over positions.
Training uses this module; the portable coder (`codec/entropy/exact.py`) computes the same numbers in exact
arithmetic, and is tested against it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.models.model import LatentModel

SCALE_MIN = 0.11  # CompressAI's smallest scale: below it the scale table ends
LIKELIHOOD_MIN = 1e-9  # CompressAI's lower bound of a probability


def gaussian_parameters(
    model: LatentModel,
    z_hat: Tensor,  # [B, N, H/4, W/4]
    y_context: Tensor,  # [B, M, H, W] known vectors, integers, zero where nothing is known
) -> tuple[Tensor, Tensor]:  # means, scales: [B, M, H, W] each
    """Entropy parameters of y given z_hat and the known-context map; a position sees only what precedes it in
    coding order.

    mbt, cheng: Minnen et al. 2018, figure 1; elic: He et al. 2022, equation 4. With the net's own y_hat as
    context the result is that of CompressAI's own forward pass. Scales are not yet bounded below
    (`SCALE_MIN`)."""
    hyper = model.h_s(z_hat)
    if model.name == "bmshj":
        return torch.zeros_like(hyper), hyper
    if model.name == "elic":
        return _elic_parameters(model, hyper, y_context)
    context = masked_convolution(model.context_prediction, y_context)
    scales, means = model.entropy_parameters(torch.cat((hyper, context), dim=1)).chunk(2, 1)
    return means, scales


def masked_convolution(layer: nn.Module, values: Tensor) -> Tensor:
    """CompressAI's masked convolution without its side effect of overwriting the weight (which would cut the
    gradient)."""
    return F.conv2d(values, layer.weight * layer.mask, layer.bias, padding=layer.padding)


def checkerboard(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """True at the anchors, (row + column) even: bool [height, width]."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return (rows[:, None] + columns[None, :]) % 2 == 0


def _elic_parameters(model: LatentModel, hyper: Tensor, y_context: Tensor) -> tuple[Tensor, Tensor]:
    """Group after group: earlier groups everywhere, this group's anchors for the non-anchors, nothing (not
    even a bias) for the anchors."""
    follower = (~checkerboard(*y_context.shape[-2:], device=y_context.device)).to(y_context.dtype)
    parts = torch.split(y_context, model.groups, dim=1)
    means, scales = [], []
    for k, part in enumerate(parts):
        side = hyper
        if k:
            side = torch.cat((model.channel_context[k](torch.cat(parts[:k], dim=1)), hyper), dim=1)
        spatial = masked_convolution(model.spatial_context[k], part) * follower
        scale, mean = model.param_aggregation[k](torch.cat((spatial, side), dim=1)).chunk(2, 1)
        means.append(mean)
        scales.append(scale)
    return torch.cat(means, dim=1), torch.cat(scales, dim=1)


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
