"""cosmic: a COSMIC-like encoder (Gao et al., NeurIPS 2024) before elic's entropy model and decoder.

The paper's code and weights were never published; what is known is that its encoder is made of depthwise and
pointwise convolutions ("lightweight convolution blocks") and convolutional attention. This one is ours in
that spirit: two such blocks and one local gate at each of three scales. No layer looks at the whole patch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from codec.models import elic
from codec.models.encoders.lsconv import Depthwise
from codec.models.layers import conv5
from codec.models.model import Family, LatentModel, Widths
from constellation.common.errors import UserError

CELL = 4  # channels that a strided depthwise convolution makes of one: as many as a 2 x 2 cell holds
GATE_BIAS = 3.0  # sigmoid(3) = 0.95: a fresh gate is nearly open


class LightBlock(nn.Module):
    """x + pointwise(relu(depthwise 5 x 5))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = Depthwise(channels, 5)
        self.act = nn.LeakyReLU(0.1)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        for part in self.pointwise.parameters():
            nn.init.zeros_(part)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return x + self.pointwise(self.act(self.depthwise(x)))


class LocalGate(nn.Module):
    """x * sigmoid of what is seen within 7 x 7 cells: attention without a mean over the patch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = nn.Conv2d(channels, half, 1)
        self.look = Depthwise(half, 7)
        self.act = nn.LeakyReLU(0.1)
        self.gate = nn.Conv2d(half, channels, 1)
        weight, bias = self.gate.parameters()
        nn.init.zeros_(weight)
        nn.init.constant_(bias, GATE_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return x * torch.sigmoid(self.gate(self.act(self.look(self.reduce(x)))))


def shrink(before: int, after: int) -> list[nn.Module]:
    """Half the size: depthwise, four channels of each, then pointwise; a linear map of 3 x 3 cells."""
    return [
        nn.Conv2d(before, CELL * before, 3, stride=2, padding=1, groups=before),
        nn.Conv2d(CELL * before, after, 1),
    ]


def check(w: Widths) -> Widths:
    """elic's widths; this encoder has no norm."""
    if w.norm:
        raise UserError(f"model cosmic: norm={w.norm!r}, expected none (its blocks have no norm)")
    return elic.check(w)


def build(w: Widths) -> nn.Module:
    """elic's network with another g_a."""
    net: Any = elic.build(replace(w))
    a, b, c = w.stages or (w.n,) * 3

    def blocks(width: int) -> list[nn.Module]:
        return [LightBlock(width), LightBlock(width), LocalGate(width)]

    net.g_a = nn.Sequential(
        *(conv5(w.bands, a), *blocks(a), *shrink(a, b), *blocks(b)),
        *(*shrink(b, c), *blocks(c), *shrink(c, w.m)),
    )
    return net


def parts(net: Any, w: Widths) -> LatentModel:
    """elic's passes."""
    return elic.parts(net, w, FAMILY)


FAMILY = Family(
    name="cosmic",
    number=5,
    build=build,
    parts=parts,
    widths_of=partial(elic.widths_of, last="g_a.15.weight"),
    check=check,
    has_context=True,
    zoo=None,
    seconds={"titan_v": elic.with_analysis(0.38)},  # of elic's on one thread of an AMD EPYC at N=128, M=320
    whole=False,
)
