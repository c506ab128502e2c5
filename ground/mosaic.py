"""Where the patches of a round lie, told from their latents alone, and what therefore surrounds each of them.

Views of the same ground that are aligned to the latent grid have equal vectors, at one displacement. So the ground needs no positions: vectors that
occur once in each of two patches vote for a displacement, and patches that agree on one are laid on a common grid. Patches that share
no vectors (no overlap, another geometry or light, another date) stay alone, and nothing of them reaches the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from codec.surroundings import RING, ring_index

MIN_VOTES = 4  # equal vectors that a displacement needs
MIN_SHARE = 0.5  # of a pair's votes
MAX_SIDE = 4096  # latent cells of a common grid; what would be wider is left apart


@dataclass(frozen=True)
class Mosaic:
    """Patches on one grid. corners: (row, col) of each patch's first cell, by satellite. vectors: [M, H, W], of the lowest satellite number where
    patches overlap. known: bool [H, W]."""

    corners: dict[int, tuple[int, int]]
    vectors: np.ndarray
    known: np.ndarray

    def surrounded(self, satellite: int, latents: np.ndarray) -> np.ndarray:
        """The patch `latents` [M, h, w] of `satellite` with RING cells around it, [M, h + 2 RING, w + 2 RING]: others' vectors where they sent
        any, the nearest known ones elsewhere."""
        (row, col), (height, width) = self.corners[satellite], latents.shape[1:]
        index = ring_index(self.known, row, col, height, width)
        out = self.vectors.reshape(len(self.vectors), -1)[:, index]
        out[:, RING : RING + height, RING : RING + width] = latents
        return out


def mosaics(latents: Mapping[int, np.ndarray], told_by: Mapping[int, np.ndarray] | None = None) -> list[Mosaic]:
    """The patches of a round, latents [M, H, W] by satellite, laid together as far as their vectors tell; every patch is in one mosaic.

    told_by: other latents of the same patches that tell where they lie, where `latents` cannot (on the centred grid no two vectors are equal).
    """
    return [_lay(latents, corners) for corners in _together(latents, displacements(told_by or latents))]


def displacements(latents: Mapping[int, np.ndarray]) -> list[tuple[int, int, int, int, int]]:
    """Pairs of patches that agree on where they lie: (votes, a, b, rows, cols), most votes first; cell (0, 0) of b is cell (rows, cols) of a."""
    satellites, parts = sorted(latents), []
    identity = _identities([latents[s] for s in satellites])
    for slot, satellite in enumerate(satellites):
        found, at, count = np.unique(identity[slot], return_index=True, return_counts=True)
        rows, cols = np.divmod(at, latents[satellite].shape[2])
        parts.append(np.stack([found, np.full_like(found, satellite), rows, cols], 1)[count == 1])
    holders = np.concatenate(parts) if parts else np.zeros((0, 4), np.int64)
    holders = holders[np.lexsort((holders[:, 1], holders[:, 0]))]
    first, second = holders[:-1], holders[1:]  # neighbours in the list of a vector's holders: enough to connect them all
    same = first[:, 0] == second[:, 0]
    first, second = first[same], second[same]
    ballots, votes = np.unique(np.concatenate([first[:, 1:2], second[:, 1:2], first[:, 2:] - second[:, 2:]], 1), axis=0, return_counts=True)
    total: dict[tuple[int, int], int] = {}
    for (a, b, _, _), n in zip(ballots.tolist(), votes.tolist(), strict=True):
        total[a, b] = total.get((a, b), 0) + n
    agreed = [(n, a, b, row, col) for (a, b, row, col), n in zip(ballots.tolist(), votes.tolist(), strict=True)
              if n >= MIN_VOTES and n > MIN_SHARE * total[a, b]]
    return sorted(agreed, key=lambda pair: (-pair[0], *pair[1:]))


def _identities(latents: list[np.ndarray]) -> list[np.ndarray]:
    """A number for each position's vector, int64 [H * W] per patch; equal numbers, equal vectors."""
    rows = [np.ascontiguousarray(values.reshape(len(values), -1).T + 0) for values in latents]  # + 0: no negative zeros
    if not rows:
        return []
    stacked = np.concatenate(rows)
    keys = stacked.view(np.dtype((np.void, stacked.shape[1] * stacked.itemsize))).ravel()
    numbers = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return np.split(numbers, np.cumsum([len(part) for part in rows])[:-1])


def _together(latents: Mapping[int, np.ndarray], pairs: list[tuple[int, int, int, int, int]]) -> list[dict[int, tuple[int, int]]]:
    """Groups of patches with their corners on the group's grid, joined along the pairs with most votes first."""
    group = {satellite: {satellite: (0, 0)} for satellite in sorted(latents)}
    for _, a, b, row, col in pairs:
        one, other = group[a], group[b]
        if one is other:
            continue
        down, right = one[a][0] + row - other[b][0], one[a][1] + col - other[b][1]
        merged = {**one, **{s: (r + down, c + right) for s, (r, c) in other.items()}}
        if max(_extent(latents, merged)) <= MAX_SIDE:
            group.update(dict.fromkeys(merged, merged))
    return list({id(corners): corners for corners in group.values()}.values())


def _extent(latents: Mapping[int, np.ndarray], corners: Mapping[int, tuple[int, int]]) -> tuple[int, int]:
    ends = [(r + latents[s].shape[1], c + latents[s].shape[2]) for s, (r, c) in corners.items()]
    return max(r for r, _ in ends) - min(r for r, _ in corners.values()), max(c for _, c in ends) - min(c for _, c in corners.values())


def _lay(latents: Mapping[int, np.ndarray], corners: Mapping[int, tuple[int, int]]) -> Mosaic:
    top, left = min(r for r, _ in corners.values()), min(c for _, c in corners.values())
    placed = {satellite: (r - top, c - left) for satellite, (r, c) in corners.items()}
    some = latents[next(iter(placed))]
    height, width = _extent(latents, placed)
    vectors, known = np.zeros((len(some), height, width), some.dtype), np.zeros((height, width), bool)
    for satellite in sorted(placed, reverse=True):
        (row, col), own = placed[satellite], latents[satellite]
        place = slice(row, row + own.shape[1]), slice(col, col + own.shape[2])
        vectors[:, place[0], place[1]], known[place] = own, True
    return Mosaic(placed, vectors, known)
