"""LSConv of RS-LLIC: large-kernel perception, small-kernel aggregation (Liu et al., TGRS 2026; layer by layer
as in the authors' public code), and the norms that its dynamic kernels may have.

    x [B, C, H, W] -> LKP -> w [B, C/8 kernels x 9 taps, H, W] -> norm -> SKA(x, w) -> ReLU -> + x

One kernel serves the eight channels c, c + C/8, c + 2 C/8, ...; it is applied as nine shifted multiply-adds,
with zeros outside the picture."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARED = 8  # channels that one dynamic kernel serves
TAPS = 9  # of a dynamic kernel, 3 x 3
NORMS = ("frozen", "group", "position", "none")
MOMENTUM = 0.02  # of the running statistics
EPS = 1e-5
QUIET = 1e-2  # gain of a fresh norm, so that a fresh LSConv is nearly the identity


class Depthwise(nn.Conv2d):
    """A depthwise convolution that keeps the size; trained on a CPU in channels-last float32, whose backward
    pass takes a quarter of the time of bfloat16's (a fifth of a training step). In flight a plain one."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__(channels, channels, side, padding=side // 2, groups=channels)

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        if not (self.training and torch.is_grad_enabled() and input.device.type == "cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            kind, x = input.dtype, input.float().contiguous(memory_format=torch.channels_last)
            return super().forward(x).to(kind).contiguous()


class GroupStatistics(nn.Module):
    """GroupNorm over the nine taps of each kernel whose statistics are those of the training set: they follow
    the batches while `live` is 1, stay as they are while it is 0, and are folded into the convolution before
    them on saving (`fold`), so that in flight equal ground gives equal latents at any place of a patch.

    In a fresh one `live` is 1; it is a tensor so that a captured step can read it anew."""

    weight: nn.Parameter
    mean: Tensor
    variance: Tensor
    live: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        groups = channels // TAPS
        self.weight = nn.Parameter(torch.full((channels,), QUIET))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(groups))
        self.register_buffer("variance", torch.ones(groups))
        self.register_buffer("live", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, 9 K, H, W], each kernel's taps at mean 0 and variance 1, scaled and shifted by channel."""
        if self.training:
            variance, mean = torch.var_mean(x.float().unflatten(1, (-1, TAPS)), (0, 2, 3, 4), correction=0)
            with torch.no_grad():
                share = MOMENTUM * self.live
                self.mean.lerp_(mean.detach(), share)
                self.variance.lerp_(variance.detach(), share)
            mean = torch.where(self.live > 0.5, mean, self.mean)
            variance = torch.where(self.live > 0.5, variance, self.variance)
        else:
            mean, variance = self.mean, self.variance
        gain, shift = self._affine(mean, variance)
        return x * gain.to(x.dtype).reshape(1, -1, 1, 1) + shift.to(x.dtype).reshape(1, -1, 1, 1)

    def _affine(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        gain = self.weight * torch.rsqrt(variance + EPS).repeat_interleave(TAPS)
        return gain, self.bias - gain * mean.repeat_interleave(TAPS)

    @torch.no_grad()
    def folded_into(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """(weight, bias) of a convolution that does what the given one and this norm do with the kept
        statistics."""
        gain, shift = (part.double() for part in self._affine(self.mean, self.variance))
        return (weight * gain.reshape(-1, 1, 1, 1)).float(), (bias * gain + shift).float()


class PositionNorm(nn.Module):
    """The norm over the nine taps of one kernel at one position: local, but it forgets a kernel's size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), QUIET))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, 9 K, H, W], each kernel's taps at mean 0 and variance 1 at every position."""
        taps = x.float().unflatten(1, (-1, TAPS))
        variance, mean = torch.var_mean(taps, 2, correction=0, keepdim=True)
        normal = ((taps - mean) * torch.rsqrt(variance + EPS)).flatten(1, 2).to(x.dtype)
        return normal * self.weight.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)


def norm_of(kind: str, channels: int) -> nn.Module:
    """The norm of a network in flight: `frozen` has been folded away, as `none` never was there."""
    if kind == "group":
        norm = nn.GroupNorm(channels // TAPS, channels)
        nn.init.constant_(norm.weight, QUIET)
        return norm
    return PositionNorm(channels) if kind == "position" else nn.Identity()


def aggregate(x: Tensor, kernels: Tensor) -> Tensor:
    """Small-kernel aggregation: x [B, C, H, W], kernels [B, C/8 x 9, H, W] -> [B, C, H, W]."""
    return cast(Tensor, Aggregation.apply(x, kernels))


class Aggregation(torch.autograd.Function):
    """`aggregate` with a backward pass of its own: autograd would make a picture of zeros around each of the
    nine shifted parts, twice, which took a seventh of a training step on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor) -> Tensor:
        """As `aggregate`."""
        ctx.save_for_backward(x, kernels)
        height, width = x.shape[2:]
        padded = F.pad(x, (1, 1, 1, 1)).unflatten(1, (SHARED, -1))
        taps = kernels.unflatten(1, (-1, TAPS))
        total = None
        for tap in range(TAPS):
            row, column = divmod(tap, 3)
            part = padded[..., row : row + height, column : column + width] * taps[:, None, :, tap]
            total = part if total is None else total + part
        return cast(Tensor, total).flatten(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of x and of the kernels, from [B, C, H, W]."""
        x, kernels = ctx.saved_tensors
        height, width = x.shape[2:]
        grad = grads[0].unflatten(1, (SHARED, -1))
        padded = F.pad(x, (1, 1, 1, 1)).unflatten(1, (SHARED, -1))
        taps = kernels.unflatten(1, (-1, TAPS))
        of_x = torch.zeros(padded.shape, dtype=grad.dtype, device=grad.device)
        of_taps = torch.empty_like(taps)
        for tap in range(TAPS):
            row, column = divmod(tap, 3)
            part = (..., slice(row, row + height), slice(column, column + width))
            of_taps[:, :, tap] = (padded[part] * grad).sum(1)
            of_x[part].addcmul_(grad, taps[:, None, :, tap].to(grad.dtype))
        return of_x[..., 1:-1, 1:-1].flatten(1, 2).to(x.dtype), of_taps.flatten(1, 2)


class LSConv(nn.Module):
    """relu(SKA(x, LKP(x))) + x."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        half, kernels = channels // 2, channels // SHARED * TAPS
        self.reduce = nn.Conv2d(channels, half, 1)
        self.look = Depthwise(half, 7)
        self.mix = nn.Conv2d(half, half, 1)
        self.kernels = nn.Conv2d(half, kernels, 1)
        self.norm = norm_of(norm, kernels)
        if norm in ("frozen", "none"):
            with torch.no_grad():  # no gain of a norm keeps the fresh branch quiet
                for part in self.kernels.parameters():
                    part.mul_(QUIET)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        seen = F.relu(self.mix(self.look(F.relu(self.reduce(x)))))
        return F.relu(aggregate(x, self.norm(self.kernels(F.relu(seen))))) + x


def thaw(net: nn.Module) -> int:
    """Give every LSConv without a norm one whose statistics follow the batches, as training begins with;
    returns how many. Only for networks whose norm is `frozen`."""
    blocks = [block for block in net.modules() if isinstance(block, LSConv)]
    for block in blocks:
        fresh = GroupStatistics(block.kernels.out_channels).to(block.kernels.weight.device)
        with torch.no_grad():  # the convolution's own gain returns to the norm
            block.kernels.weight.div_(QUIET)
            if block.kernels.bias is not None:
                block.kernels.bias.div_(QUIET)
        block.norm = fresh
    return len(blocks)


def freeze(net: nn.Module) -> None:
    """Keep the statistics of every norm as they are from here on."""
    for block in net.modules():
        if isinstance(block, GroupStatistics):
            block.live.zero_()


def folded_state(net: nn.Module) -> dict[str, Tensor]:
    """The state dict of a network whose `GroupStatistics` are folded into the convolutions before them: what
    flies, and what a checkpoint holds. Of any other network its own."""
    state = dict(net.state_dict())
    for name, block in net.named_modules():
        if isinstance(block, LSConv) and isinstance(block.norm, GroupStatistics):
            stem = f"{name}.kernels"
            weight, bias = block.norm.folded_into(state[f"{stem}.weight"], state[f"{stem}.bias"])
            state[f"{stem}.weight"], state[f"{stem}.bias"] = weight, bias
            for key in [key for key in state if key.startswith(f"{name}.norm.")]:
                del state[key]
    return state
