"""Reconstructor (paper section 3.5): from latents, every vector of which has been taken from the satellite
that coded it (codec/maps/references.py), to images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from codec.bitstream import Header
from codec.imagery.scaling import WIDE
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.portable.transforms import picture_digest
from codec.surroundings import RING
from constellation.common.errors import BitstreamError
from constellation.common.frozen import value
from ground.mosaic import mosaics
from nodes.process.board import Board


@value
class Grid:
    """A satellite's latents, [M, H, W], and the header of the stream that gave them. whole: whether they are
    all there."""

    latents: np.ndarray
    header: Header
    whole: bool = True

    @property
    def halo(self) -> bool:
        """Whether they saw what surrounds the patch."""
        return self.header.settings.halo

    @property
    def portable(self) -> bool:
        """Whether the picture is to be the same everywhere."""
        return self.header.settings.portable_pictures


def reconstruct(board: Board, *sets: Mapping[int, Grid]) -> list[dict[int, np.ndarray]]:
    """x_hat = g_s(y_tilde), uint8 or uint16 [16 H, 16 W, B], by satellite, of each set of grids; equal
    latents are synthesised once.

    Latents that were made with a halo are given surroundings from the others of their set (ground.mosaic)
    before g_s. Portable pictures are made in exact arithmetic; raises `BitstreamError` for one that is not
    what its stream says."""
    done: dict[tuple[bool, int, tuple[int, ...], bytes], np.ndarray] = {}

    def image(grid: Grid, given: np.ndarray, ring: int) -> np.ndarray:
        key = grid.portable, ring, given.shape, given.tobytes()
        if key not in done:
            made = synthesise_exactly(board, given, ring) if grid.portable else None
            peak = 255 if grid.header.bands is None else WIDE
            done[key] = synthesise(board.model, given, ring, peak) if made is None else made
        if grid.whole:
            _check(grid.header, done[key])
        return done[key]

    out = []
    for grids in sets:
        wide = mosaics({satellite: grid.latents for satellite, grid in grids.items() if grid.halo})
        mosaic_of = {satellite: mosaic for mosaic in wide for satellite in mosaic.corners}
        out.append(
            {
                satellite: image(grid, mosaic_of[satellite].surrounded(satellite), RING)
                if grid.halo
                else image(grid, grid.latents, 0)
                for satellite, grid in grids.items()
            }
        )
    return out


def _check(header: Header, picture: np.ndarray) -> None:
    found = picture_digest(picture) if header.settings.shows else 0
    if found != header.picture_digest:
        raise BitstreamError(
            f"picture of satellite {header.satellite} in round {header.round}: digest {found:08x}, its "
            f"stream says {header.picture_digest:08x}, though its latents are right"
        )


def synthesise_exactly(board: Board, latents: np.ndarray, ring: int) -> np.ndarray:
    """`synthesise` of integers, alike on every machine."""
    picture = board.transforms.picture(np.rint(latents))
    edge = ring * LATENT_STRIDE_PX
    return picture[edge : picture.shape[0] - edge, edge : picture.shape[1] - edge]


@torch.no_grad()
def synthesise(model: LatentModel, latents: np.ndarray, ring: int, peak: int = 255) -> np.ndarray:
    """uint8 (with `peak` 65535: uint16) [16 H, 16 W, B] from latents [M, H + 2 ring, W + 2 ring]: the ring
    feeds g_s and is cut off."""
    y_tilde = torch.from_numpy(latents.astype(np.float32))[None].to(model.device)
    x_hat = model.synthesis(y_tilde)[0].clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
    edge = ring * LATENT_STRIDE_PX
    inside = x_hat[edge : x_hat.shape[0] - edge, edge : x_hat.shape[1] - edge]
    return np.rint(inside * peak).astype(np.uint8 if peak == 255 else np.uint16)
