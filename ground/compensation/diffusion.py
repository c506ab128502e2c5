"""Diffusion over the residual original - decoded, in units of its typical size: noise of a cosine schedule
in training, a few deterministic steps back (DDIM, Song et al. 2021) when a picture is made."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ground.compensation.nets import Denoiser

STEPS = 8
_FIRST = 0.98  # level that sampling begins at: at 1 nothing but noise is left, and division by zero


def signal(level: Tensor) -> Tensor:
    """Share of the clean residual's amplitude at a level in 0..1."""
    return torch.cos(level * (math.pi / 2))


def noised(clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Residuals [B, 3, H, W] at levels [B]."""
    keep = signal(level)[:, None, None, None]
    return keep * clean + torch.sqrt(1 - keep * keep) * noise


def noise_for(decoded: np.ndarray, seed: int) -> Tensor:
    """Normal noise [1, 3, H, W] for a picture uint8 [H, W, 3]: a function of the seed and of what the picture
    shows, so that equal pictures get equal detail."""
    shown = hashlib.sha256(repr(decoded.shape).encode() + np.ascontiguousarray(decoded).tobytes()).digest()
    words = [int.from_bytes(shown[at : at + 4], "big") for at in range(0, 32, 4)]
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, *words))))
    height, width, bands = decoded.shape
    return torch.from_numpy(random.standard_normal((1, bands, height, width)).astype(np.float32))


@torch.no_grad()
def sampled(net: Denoiser, decoded: Tensor, metadata: Tensor, noise: Tensor, steps: int = STEPS) -> Tensor:
    """A residual [B, 3, H, W], in units of its typical size, for pictures [B, 3, H, W] in 0..1."""
    levels = torch.linspace(_FIRST, 0, steps + 1)
    x = noise
    for now, then in pairwise(levels):
        clean = net.denoise(x, decoded, now.expand(len(x)), metadata)
        keep, keeps = signal(now), signal(then)
        left = (x - keep * clean) / torch.sqrt(1 - keep * keep)
        x = keeps * clean + torch.sqrt((1 - keeps * keeps).clamp_min(0)) * left
    return x
