"""The rule `nearest`: a greedy matching by ascending distance, each satellite with so many terminals.

Pairs are looked at from the shortest to the longest; a pair becomes a link while both ends have a free
terminal and see each other. A satellite whose neighbours are all taken points further, up to the longest link
allowed. In shells of growing distance: within a shell only satellites with a free terminal are searched, so
dense neighbourhoods drop out early and the answer is that of sorting all pairs (the tests do)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

_FIRST_NEIGHBOURS = (
    2  # the first shell reaches this many times `terminals` neighbours of the median satellite
)
_GROWTH = 1.25  # of a shell's radius; pairs of a shell stay few against sorting, shells stay few
_SAME_KM = 1e-6  # distances this close are one: a pattern's symmetries, not rounding, decide ties (then ids)

Sees = Callable[[np.ndarray], np.ndarray]  # pairs int64 [E, 2] -> bool [E]


def greedy_matching(
    positions_km: np.ndarray, terminals: int, max_distance_km: float, sees: Sees
) -> np.ndarray:
    """Positions [S, 3] -> the chosen pairs, int64 [E, 2], first < second, in the order chosen."""
    count = len(positions_km)
    free = np.full(count, terminals)
    chosen: list[tuple[int, int]] = []
    inner_km, outer_km = -1.0, min(max_distance_km, _first_radius_km(positions_km, terminals))
    while True:
        waiting = np.flatnonzero(free)
        if len(waiting) < 2:
            break
        pairs, distance_km = _shell(positions_km, waiting, inner_km, outer_km)
        visible = sees(pairs)
        pairs, distance_km = pairs[visible], distance_km[visible]
        for a, b in pairs[np.argsort(np.rint(distance_km / _SAME_KM), kind="stable")].tolist():
            if free[a] and free[b]:
                free[a] -= 1
                free[b] -= 1
                chosen.append((a, b))
        if outer_km >= max_distance_km:
            break
        inner_km, outer_km = outer_km, min(max_distance_km, outer_km * _GROWTH)
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)


def _first_radius_km(positions_km: np.ndarray, terminals: int) -> float:
    """Where the median satellite has met a few neighbours for each of its terminals."""
    count = len(positions_km)
    if count < 2:
        return 0.0
    rank = min(count, _FIRST_NEIGHBOURS * min(terminals, count) + 1)
    distance_km, _ = KDTree(positions_km).query(positions_km, k=rank)
    return max(
        1.0, float(np.median(distance_km[:, -1]))
    )  # 1 km: satellites at one point still begin somewhere


def _shell(
    positions_km: np.ndarray, waiting: np.ndarray, inner_km: float, outer_km: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs among the waiting satellites at distances in (inner, outer], by ids: int64 [E, 2], km [E]."""
    tree = KDTree(positions_km[waiting])
    near = tree.query_pairs(outer_km * (1 + 1e-9), output_type="ndarray")  # its rounding is not ours
    pairs = np.sort(waiting[near], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    distance_km = np.linalg.norm(positions_km[pairs[:, 0]] - positions_km[pairs[:, 1]], axis=1)
    inside = (distance_km > inner_km) & (distance_km <= outer_km)
    return pairs[inside], distance_km[inside]
