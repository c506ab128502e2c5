"""Second views of real crops, whose registration is known, and a codec that codes them in the light of the
first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.exactness import crops
from codec.entropy.coder import EntropyCoder
from codec.models.checkpoint import load_weights
from codec.models.model import LatentModel
from codec.prediction.checkpoint import load_fusion, shipped_fusion
from codec.prediction.fusion import Fusion
from codec.prediction.predictor import Predictor
from codec.prediction.values import CELL_PX, LATENT_PX, ROOT_PX, Guide, all_sent
from constellation.common.frozen import value

DOWN_PX, RIGHT_PX, GAIN, NOISE = 3, 2, 269 / 256, 2.0  # of the second view; right: and a half


@value
class Case:
    """A second view to code. y_hat: int32 [M, H, W]. z: int32 [N, h, w]. first: of the neighbour, [M, H,
    W]."""

    y_hat: np.ndarray
    z: np.ndarray
    first: np.ndarray
    guide: Guide


class Bench:
    """A codec, and the same predictor in each back end."""

    def __init__(self, name: str, lambda_: float) -> None:
        self.model, info = load_weights("", name, lambda_)
        path = shipped_fusion(info)
        self.trained = path is not None
        self.fusion = load_fusion(path, self.model, info.sha256)[0] if path else _lively(self.model)
        self.coder = EntropyCoder(self.model)

    def predictor(self, backend: str) -> Predictor:
        """In exact arithmetic."""
        return Predictor(self.model, self.fusion, backend=backend)

    @torch.no_grad()
    def cases(self, patch_px: int, seed: int) -> Iterator[Case]:
        """Without end."""
        rng = np.random.default_rng(seed)
        for crop in crops(10**9, patch_px + 64, seed):
            first, second = crop[:patch_px, :patch_px], second_view(crop, patch_px, rng)
            y, y_first = (self.model.g_a(_pixels(picture)) for picture in (second, first))
            z = self.coder.hyper_symbols(y)
            yield Case(_rounded(y), z, _rounded(y_first), guide_of(patch_px, rng))


def _lively(model: LatentModel) -> Fusion:
    """A fusion of random weights, where none ships."""
    torch.manual_seed(1)
    fusion = Fusion(model)
    for head in fusion.heads:
        for parameter in list(head.children())[-1].parameters():
            parameter.data = 0.01 * torch.randn_like(parameter)
    return fusion.eval().requires_grad_(False)


def _pixels(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


def _rounded(y: torch.Tensor) -> np.ndarray:
    return np.rint(y[0].numpy()).astype(np.int32)


def second_view(crop: np.ndarray, patch_px: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 [patch_px, patch_px, 3], half a pixel between those of the crop, brighter and noisy."""
    rows = crop[DOWN_PX : DOWN_PX + patch_px].astype(np.float64)
    a, b, c, d = (rows[:, RIGHT_PX + k : RIGHT_PX + k + patch_px] for k in (-1, 0, 1, 2))
    shifted = (9 * (b + c) - a - d) / 16
    noisy = GAIN * shifted + NOISE * rng.standard_normal(shifted.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def guide_of(patch_px: int, rng: np.random.Generator) -> Guide:
    """The true registration; one root is plain, and cells of another one move."""
    roots, cells = patch_px // ROOT_PX, patch_px // CELL_PX
    chosen = np.ones((roots, roots), np.uint8)
    chosen[0, 0] = 0
    motion = np.zeros((cells, cells, 2), np.int16)
    motion[-4:, -4:] = rng.integers(-6, 7, (4, 4, 2))
    depth = np.zeros((cells, cells), np.uint8)
    depth[-4:, -4:] = 2
    corners = np.tile(np.array([16 * DOWN_PX, 16 * RIGHT_PX + 8], np.int32), 4)[None]
    gains, offsets = np.full((1, 3), 269, np.int32), np.zeros((1, 3), np.int32)
    side = ROOT_PX // LATENT_PX
    levels = (chosen * rng.integers(1, 4, chosen.shape)).astype(np.uint8).repeat(side, 0).repeat(side, 1)
    return Guide((0,), corners, gains, offsets, chosen, levels, all_sent(levels), motion, depth)
