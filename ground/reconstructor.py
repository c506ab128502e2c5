"""Reconstructor (paper section 3.5): from latents, every vector of which has been taken from the satellite
that coded it (codec/maps/references.py), to images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.surroundings import RING
from constellation.common.frozen import value
from ground.mosaic import mosaics


@value
class Grid:
    """A satellite's latents, [M, H, W]; halo: whether they saw what surrounds the patch."""

    latents: np.ndarray
    halo: bool


def reconstruct(model: LatentModel, *sets: Mapping[int, Grid]) -> list[dict[int, np.ndarray]]:
    """x_hat = g_s(y_tilde), uint8 [16 H, 16 W, B], by satellite, of each set of grids; equal latents are
    synthesised once.

    Latents that were made with a halo are given surroundings from the others of their set (ground.mosaic)
    before g_s."""
    done: dict[tuple[int, tuple[int, ...], bytes], np.ndarray] = {}

    def image(given: np.ndarray, ring: int) -> np.ndarray:
        key = ring, given.shape, given.tobytes()
        if key not in done:
            done[key] = synthesise(model, given, ring)
        return done[key]

    out = []
    for grids in sets:
        wide = mosaics({satellite: grid.latents for satellite, grid in grids.items() if grid.halo})
        mosaic_of = {satellite: mosaic for mosaic in wide for satellite in mosaic.corners}
        out.append(
            {
                satellite: image(mosaic_of[satellite].surrounded(satellite), RING)
                if grid.halo
                else image(grid.latents, 0)
                for satellite, grid in grids.items()
            }
        )
    return out


@torch.no_grad()
def synthesise(model: LatentModel, latents: np.ndarray, ring: int) -> np.ndarray:
    """uint8 [16 H, 16 W, B] from latents [M, H + 2 ring, W + 2 ring]: the ring feeds g_s and is cut off."""
    y_tilde = torch.from_numpy(latents.astype(np.float32))[None].to(model.device)
    x_hat = model.synthesis(y_tilde)[0].clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
    edge = ring * LATENT_STRIDE_PX
    return np.rint(x_hat[edge : x_hat.shape[0] - edge, edge : x_hat.shape[1] - edge] * 255).astype(np.uint8)
