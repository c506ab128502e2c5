"""Assignment maps of synthetic rounds: patches of a window, arbitration by satellite id, and the imperfections of real matches.

The maps are made as the simulator makes them (clusters by signature, first position represents; the first satellite that holds a
signature owns it), from signatures that are drawn instead of hashed, so that coders can be tuned and compared without a codec.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codec.assignment import KEPT, LOCAL, REMOTE, AssignmentMap, coding_rank

CELL_PX = 16


@dataclass(frozen=True)
class RoundKind:
    """What kind of round: `cells` latent positions per side of a patch, window of `window` patch sides (2 dense, 4 sparse), `margin` outer
    positions that never match, share of random `misses`, share of `inexact` remote copies, `flat`: large uniform areas (water, cloud)."""

    cells: int = 16
    window: float = 2.0
    margin: int = 1
    misses: float = 0.0
    inexact: float = 0.01
    flat: bool = False
    duplicates: float = 0.01
    satellites: int = 8


def synthetic_round(kind: RoundKind, seed: int, order: str = "raster") -> dict[int, AssignmentMap]:
    """Maps of one round, satellite id -> map, in priority order."""
    rng = np.random.Generator(np.random.Philox(seed))
    views = _signatures(kind, rng)
    lists: dict[int, np.ndarray] = {}
    first_holder: dict[int, tuple[int, int]] = {}
    maps = {}
    for satellite, signatures in enumerate(views):
        maps[satellite], lists[satellite] = _arbitrated(satellite, signatures, first_holder, kind, order, rng)
        for index, signature in enumerate(lists[satellite]):
            first_holder.setdefault(int(signature), (satellite, index))
    return maps


def _signatures(kind: RoundKind, rng: np.random.Generator) -> list[np.ndarray]:
    """One int64 [cells, cells] per satellite; equal numbers match."""
    side = int(round(kind.cells * kind.window))
    world = np.arange(side * side, dtype=np.int64).reshape(side, side)
    twins = rng.random((side, side)) < kind.duplicates
    world[twins] = rng.choice(world.reshape(-1), size=np.count_nonzero(twins))
    if kind.flat:
        rows, columns = np.mgrid[:side, :side]
        for blob in range(int(rng.integers(1, 4))):
            row, column, radius = rng.random() * side, rng.random() * side, side * (0.05 + 0.25 * rng.random())
            area = np.hypot(rows - row, (columns - column) * (0.5 + rng.random())) < radius
            world[area] = side * side + 8 * blob + rng.geometric(0.6, size=np.count_nonzero(area)).clip(max=7)
    fresh = 1 << 40
    views = []
    for _ in range(kind.satellites):
        row, column = rng.integers(0, side - kind.cells + 1, size=2)
        view = world[row : row + kind.cells, column : column + kind.cells].copy()
        own = rng.random(view.shape) < kind.misses
        own[: kind.margin], own[:, : kind.margin] = True, True
        own[kind.cells - kind.margin :], own[:, kind.cells - kind.margin :] = True, True
        view[own] = fresh + np.arange(np.count_nonzero(own))
        fresh += view.size
        views.append(view)
    return views


def _arbitrated(satellite: int, signatures: np.ndarray, first_holder: dict[int, tuple[int, int]], kind: RoundKind, order: str,
                rng: np.random.Generator) -> tuple[AssignmentMap, np.ndarray]:
    flat = signatures.reshape(-1)
    by_rank = np.argsort(coding_rank(*signatures.shape, order))
    _, first, inverse = np.unique(flat[by_rank], return_index=True, return_inverse=True)
    representative = np.empty(flat.size, dtype=np.int64)
    representative[by_rank] = by_rank[first][inverse.reshape(-1)]
    local = representative != np.arange(flat.size)
    fate = np.where(local, LOCAL, KEPT).astype(np.uint8)
    source = np.where(local, representative, -1).astype(np.int32)
    owner = np.full(flat.size, -1, dtype=np.int16)
    exact = np.zeros(flat.size, dtype=bool)
    for at in np.flatnonzero(~local):
        holder = first_holder.get(int(flat[at]))
        if holder is not None:
            fate[at], (owner[at], source[at]), exact[at] = REMOTE, holder, rng.random() >= kind.inexact
    shape = signatures.shape
    return AssignmentMap(fate.reshape(shape), exact.reshape(shape), owner.reshape(shape), source.reshape(shape)), flat[~local]
