"""Reconstructor (paper section 3.5): every latent position's vector, from the satellite that coded it, and
the images.

A remote copy names (owner, index in the owner's transmitted list); the owner may itself have dropped the
vector in favour of a satellite that the copier did not hear. So references are followed until they end at a
kept position; they point up the priority order, so chains end. What cannot be followed (the owner's stream is
missing) stays unresolved and is filled and reported, never passed off as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap, signature_positions
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.surroundings import RING
from constellation.common.frozen import value
from ground.mosaic import mosaics

UNRESOLVED = -1


@dataclass(frozen=True)
class Origins:
    """Where each position's vector was coded, for the satellites of one round that reached the ground.

    satellite: int32 [S, H * W], slot (index into `satellites`) of the coding satellite, or UNRESOLVED.
    position: int32 [S, H * W], flat position there.
    """

    satellites: tuple[int, ...]
    satellite: np.ndarray
    position: np.ndarray

    @property
    def resolved(self) -> np.ndarray:
        """bool [S, H * W]."""
        return self.satellite != UNRESOLVED


def resolve(maps: Mapping[int, AssignmentMap]) -> Origins:
    """Follow every reference of a round to the kept position it ends at. All maps have one shape."""
    satellites = tuple(maps)
    pointer = _pointers(maps)
    for _ in range(max(1, len(pointer)).bit_length() + 1):  # pointer doubling: chains halve in length
        pointer = np.where(pointer >= 0, pointer[np.maximum(pointer, 0)], UNRESOLVED)
    cells = len(pointer) // max(1, len(satellites))
    fate = (
        np.concatenate([maps[s].fate.reshape(-1) for s in satellites])
        if satellites
        else np.zeros(0, np.uint8)
    )
    good = (pointer >= 0) & (fate[np.maximum(pointer, 0)] == KEPT)
    slot = np.where(good, pointer // max(1, cells), UNRESOLVED).astype(np.int32)
    position = np.where(good, pointer % max(1, cells), UNRESOLVED).astype(np.int32)
    return Origins(satellites, slot.reshape(len(satellites), -1), position.reshape(len(satellites), -1))


def immediate_sources(maps: Mapping[int, AssignmentMap]) -> np.ndarray:
    """One step of every reference, int64 [S, H * W]: flat index slot * H * W + position (its own where kept),
    or UNRESOLVED."""
    pointer = _pointers(maps)
    return pointer.reshape(len(maps), -1)


def reassemble(coded: np.ndarray, origins: Origins) -> np.ndarray:
    """y_tilde of every satellite, [S, C, H * W], from `coded` [S, C, H * W] (valid at kept positions); zero
    where unresolved."""
    out = np.zeros_like(coded)
    for slot in range(coded.shape[0]):
        good = np.flatnonzero(origins.satellite[slot] != UNRESOLVED)
        out[slot][:, good] = coded[origins.satellite[slot][good], :, origins.position[slot][good]].T
    return out


def _pointers(maps: Mapping[int, AssignmentMap]) -> np.ndarray:
    slot_of = {satellite: slot for slot, satellite in enumerate(maps)}
    lists = {satellite: signature_positions(assignment) for satellite, assignment in maps.items()}
    parts = []
    for satellite, assignment in maps.items():
        fate, owner, source = (
            assignment.fate.reshape(-1),
            assignment.owner.reshape(-1),
            assignment.source.reshape(-1),
        )
        cells = len(fate)
        base = slot_of[satellite] * cells
        pointer = base + np.arange(cells, dtype=np.int64)
        local = fate == LOCAL
        pointer[local] = base + source[local]
        for other in np.unique(owner[fate == REMOTE]):
            at = np.flatnonzero((fate == REMOTE) & (owner == other))
            pointer[at] = UNRESOLVED
            if int(other) in slot_of:
                inside = source[at] < len(lists[int(other)])
                pointer[at[inside]] = slot_of[int(other)] * cells + lists[int(other)][source[at[inside]]]
        parts.append(pointer)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


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
