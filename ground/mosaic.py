"""Where the patches of a round lie, told from their latents alone, and what therefore surrounds each of them.

Views of the same ground that are aligned to the latent grid have equal vectors, at one displacement. So the
ground needs no positions: vectors that occur once in each of two patches vote for a displacement, and patches
that agree on one are laid on a common grid. Patches that share no vectors (no overlap, another geometry or
light, another date) stay alone, and nothing of them reaches the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from codec.surroundings import RING, ring_index

MIN_VOTES = 4  # equal vectors that a displacement needs
MIN_SHARE = 0.5  # of a pair's votes
# Two vectors a, b are alike where |a - b|^2 <= ALIKE (|a|^2 + |b|^2): 0 where equal, 1 on average where
# unrelated
ALIKE = 0.5


@dataclass(frozen=True)
class Mosaic:
    """Patches on one grid. corners: (row, col) of each patch's first cell, by satellite; latents: [M, H, W]
    each."""

    corners: dict[int, tuple[int, int]]
    latents: Mapping[int, np.ndarray]

    def surrounded(self, satellite: int) -> np.ndarray:
        """A patch [M, h, w] with RING cells around it, [M, h + 2 RING, w + 2 RING]: others' vectors where
        they sent any (the lowest satellite's, where several did), the nearest known ones elsewhere.

        A cell of another patch is left out where that patch shows something else at the nearest cell of this
        one (a cloud in one view)."""
        own = self.latents[satellite]
        inside = slice(RING, RING + own.shape[1]), slice(RING, RING + own.shape[2])
        vectors = np.zeros((len(own), own.shape[1] + 2 * RING, own.shape[2] + 2 * RING), own.dtype)
        known = np.zeros(vectors.shape[1:], bool)
        for other in sorted(self.corners, reverse=True):
            row, col = (
                theirs - ours + RING
                for theirs, ours in zip(self.corners[other], self.corners[satellite], strict=True)
            )
            values = self.latents[other]
            top, left, bottom, right = (
                max(row, 0),
                max(col, 0),
                min(row + values.shape[1], known.shape[0]),
                min(col + values.shape[2], known.shape[1]),
            )
            if other != satellite and top < bottom and left < right:
                part = np.zeros_like(vectors), np.zeros_like(known)
                part[0][:, top:bottom, left:right], part[1][top:bottom, left:right] = (
                    values[:, top - row : bottom - row, left - col : right - col],
                    True,
                )
                take = part[1] & _trusted(own, part[0][:, inside[0], inside[1]], part[1][inside])
                vectors[:, take], known[take] = part[0][:, take], True
        vectors[:, inside[0], inside[1]], known[inside] = own, True
        return vectors.reshape(len(own), -1)[:, ring_index(known, RING, RING, *own.shape[1:])]


def _trusted(own: np.ndarray, other: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """For each cell of the ring and within: whether another patch (`covered`, bool [h, w]) is not unlike this
    one at the nearest cell of it."""
    a, b = own.astype(np.float64), other.astype(np.float64)
    alike = ~covered | (((a - b) ** 2).sum(0) <= ALIKE * (a**2 + b**2).sum(0))
    return np.pad(alike, RING, mode="edge")


def mosaics(
    latents: Mapping[int, np.ndarray], told_by: Mapping[int, np.ndarray] | None = None
) -> list[Mosaic]:
    """The patches of a round, latents [M, H, W] by satellite, laid together as far as their vectors tell;
    every patch is in one mosaic.

    told_by: other latents of the same patches that tell where they lie, where `latents` cannot (on the
    centred grid no two vectors are equal)."""
    return [Mosaic(corners, latents) for corners in _together(latents, displacements(told_by or latents))]


def displacements(latents: Mapping[int, np.ndarray]) -> list[tuple[int, int, int, int, int]]:
    """Pairs of patches that agree on where they lie: (votes, a, b, rows, cols), most votes first; cell (0, 0)
    of b is cell (rows, cols) of a."""
    satellites, parts = sorted(latents), []
    identity = _identities([latents[s] for s in satellites])
    for slot, satellite in enumerate(satellites):
        found, at, count = np.unique(identity[slot], return_index=True, return_counts=True)
        rows, cols = np.divmod(at, latents[satellite].shape[2])
        parts.append(np.stack([found, np.full_like(found, satellite), rows, cols], 1)[count == 1])
    holders = np.concatenate(parts) if parts else np.zeros((0, 4), np.int64)
    holders = holders[np.lexsort((holders[:, 1], holders[:, 0]))]
    first, second = (
        holders[:-1],
        holders[1:],
    )  # neighbours in the list of a vector's holders: connect them all, as long as each says the truth
    same = first[:, 0] == second[:, 0]
    first, second = first[same], second[same]
    ballots, votes = np.unique(
        np.concatenate([first[:, 1:2], second[:, 1:2], first[:, 2:] - second[:, 2:]], 1),
        axis=0,
        return_counts=True,
    )
    total: dict[tuple[int, int], int] = {}
    for (a, b, _, _), n in zip(ballots.tolist(), votes.tolist(), strict=True):
        total[a, b] = total.get((a, b), 0) + n
    agreed = [
        (n, a, b, row, col)
        for (a, b, row, col), n in zip(ballots.tolist(), votes.tolist(), strict=True)
        if n >= MIN_VOTES and n > MIN_SHARE * total[a, b]
    ]
    return sorted(agreed, key=lambda pair: (-pair[0], *pair[1:]))


def _identities(latents: list[np.ndarray]) -> list[np.ndarray]:
    """A number for each position's vector, int64 [H * W] per patch; equal numbers, equal vectors."""
    rows = [
        np.ascontiguousarray(values.reshape(len(values), -1).T + 0) for values in latents
    ]  # + 0: no negative zeros
    if not rows:
        return []
    stacked = np.concatenate(rows)
    keys = stacked.view(np.dtype((np.void, stacked.shape[1] * stacked.itemsize))).ravel()
    numbers = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return np.split(numbers, np.cumsum([len(part) for part in rows])[:-1])


def _together(
    latents: Mapping[int, np.ndarray], pairs: list[tuple[int, int, int, int, int]]
) -> list[dict[int, tuple[int, int]]]:
    """Groups of patches with their corners on the group's grid, joined along the pairs with most votes
    first."""
    group = {satellite: {satellite: (0, 0)} for satellite in sorted(latents)}
    for _, a, b, row, col in pairs:
        one, other = group[a], group[b]
        if one is other:
            continue
        down, right = one[a][0] + row - other[b][0], one[a][1] + col - other[b][1]
        merged = {**one, **{s: (r + down, c + right) for s, (r, c) in other.items()}}
        group.update(dict.fromkeys(merged, merged))
    return list({id(corners): corners for corners in group.values()}.values())
