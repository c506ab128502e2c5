"""A small U-Net, trained from scratch: pictures in 0..1, a logit for each pixel."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 3  # halvings: sides are multiples of 8
WIDTH = 8  # channels at full size; twice as many at each halving


def _double(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.GroupNorm(4, after), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Of pictures of `bands` bands; mean and deviation of each band, [bands], are part of it."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, bands: int, width: int = WIDTH) -> None:
        super().__init__()
        sizes = [width * 2**level for level in range(LEVELS + 1)]
        self.down = nn.ModuleList(_double(a, b) for a, b in zip([bands, *sizes], sizes, strict=False))
        self.up = nn.ModuleList(_double(a + b, a) for a, b in pairwise(sizes))
        self.last = nn.Conv2d(width, 1, 1)
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(bands))

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, H, W] of pictures [B, bands, H, W]; H and W multiples of 8."""
        x = (x - self.mean[:, None, None]) / self.deviation[:, None, None]
        seen = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            seen.append(x)
        for level in range(LEVELS - 1, -1, -1):
            larger = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.up[level](torch.cat([seen[level], larger], dim=1))
        return self.last(x)[:, 0]
