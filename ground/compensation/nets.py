"""The nets that compensate: a residual CNN at half resolution, alone (regressor) or as the denoiser of a
conditional diffusion over the residual original - decoded (diffusion).

Pictures go in and out in quarters (2 x 2 px as 4 channels), so 3 x 3 layers see twice as far at a quarter of
the operations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from constellation.common.errors import UserError

Kind = Literal["regressor", "diffusion"]
KINDS: tuple[Kind, ...] = ("regressor", "diffusion")
FACTS = 3  # ground sample distance, Sun elevation, off-nadir
METADATA = 2 * FACTS  # each a value and whether it is known
RESIDUAL = 0.04  # typical size of original - decoded, samples 0..1
WAVES = 8  # of the embedding of the noise level
BANDS, BLOCK = 3, 2


@dataclass(frozen=True)
class Shape:
    """kind; channels of the hidden layers; number of 3 x 3 layers, first and last included."""

    kind: Kind
    channels: int = 48
    layers: int = 6

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not 4 <= self.channels <= 256 or not 3 <= self.layers <= 32:
            raise UserError(
                f"compensation: kind {self.kind}, {self.channels} channels, {self.layers} layers; expected "
                f"{' or '.join(KINDS)}, 4 to 256 channels, 3 to 32 layers"
            )


class Regressor(nn.Module):
    """An estimate of the residual, in one step. Begins as zero: the decoded picture stays as it is."""

    def __init__(self, shape: Shape, pictures: int = 1) -> None:
        super().__init__()
        self.shape, quarter = shape, BANDS * BLOCK**2
        sides = [quarter * pictures, *[shape.channels] * (shape.layers - 1), quarter]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, padding_mode="replicate") for a, b in pairwise(sides)
        )
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, decoded: Tensor) -> Tensor:
        """Residual, [B, 3, H, W] in units of RESIDUAL, of pictures [B, 3, H, W] in 0..1; sides even."""
        return self._through(decoded - 0.5, [None] * (len(self.layers) - 1))

    def _through(self, pictures: Tensor, modulation: list[Tensor | None]) -> Tensor:
        x = F.pixel_unshuffle(pictures, BLOCK)
        for place, layer in enumerate(self.layers[:-1]):
            y, told = layer(x), modulation[place]
            if told is not None:
                scale, shift = told[:, :, None, None].chunk(2, 1)
                y = y * (1 + scale) + shift
            x = F.relu(y) if place == 0 else x + F.relu(y)
        return F.pixel_shuffle(self.layers[-1](x), BLOCK)


class Denoiser(Regressor):
    """The clean residual, from one with noise, the decoded picture, the noise's level and metadata."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, pictures=2)
        c, count = shape.channels, shape.layers - 1
        self.told = nn.Sequential(nn.Linear(2 * WAVES + METADATA, c), nn.SiLU(), nn.Linear(c, 2 * c * count))
        nn.init.zeros_(self.told[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.told[-1].bias)  # type: ignore[arg-type]

    def denoise(self, noisy: Tensor, decoded: Tensor, level: Tensor, metadata: Tensor) -> Tensor:
        """Residual [B, 3, H, W] in units of RESIDUAL. level: [B] in 0 (clean) to 1 (noise); metadata: [B,
        METADATA]."""
        waves = level[:, None] * 2.0 ** torch.arange(WAVES) * (torch.pi / 2)
        told = self.told(torch.cat((waves.sin(), waves.cos(), metadata), 1))
        parts: list[Tensor | None] = list(told.chunk(len(self.layers) - 1, 1))
        return self._through(torch.cat((noisy, decoded - 0.5), 1), parts)


def net_of(shape: Shape) -> Regressor:
    """A fresh net of a shape."""
    return Denoiser(shape) if shape.kind == "diffusion" else Regressor(shape)
