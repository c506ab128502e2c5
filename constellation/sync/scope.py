"""Who gathers with whom (`sync.scope`), by where satellites look: an index over places on the ground, so that
its cost grows with neighbours and not with pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Audience = Mapping[int, frozenset[int]]  # sender -> receivers that it is meant for, itself among them


def audience_of(scope: str, corners: Mapping[int, tuple[int, int]], patch_px: int) -> Audience | None:
    """Whom each satellite's message is meant for; None: for everybody.

    scope: all; overlap, those whose patch shares a pixel with the satellite's own; region, those joined by
    such overlaps, directly or through others. corners: top left (row, col) of each satellite's nominal patch,
    px of one window. The same on all satellites, because where each looks is planned."""
    if scope == "all" or not corners:
        return None
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    satellites = np.array(sorted(corners))
    places = np.array([corners[s] for s in satellites.tolist()], dtype=np.float64)
    pairs = KDTree(places).query_pairs(patch_px - 0.5, p=np.inf, output_type="ndarray")
    if scope == "region":
        ones = np.ones(len(pairs), dtype=bool)
        graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(satellites),) * 2)
        groups = connected_components(graph, directed=False)[1]
        inside = {
            group: frozenset(satellites[groups == group].tolist()) for group in np.unique(groups).tolist()
        }
        return {satellite: inside[group] for satellite, group in zip(satellites.tolist(), groups.tolist())}
    heard = {satellite: {satellite} for satellite in satellites.tolist()}
    for one, other in satellites[pairs].tolist():
        heard[one].add(other)
        heard[other].add(one)
    return {satellite: frozenset(others) for satellite, others in heard.items()}


def wanted_pairs(satellites: Sequence[int], audience: Audience) -> np.ndarray:
    """bool [K, K]: whether the message of a satellite (row) is meant for another (column)."""
    place = {satellite: at for at, satellite in enumerate(satellites)}
    wanted = np.zeros((len(place), len(place)), dtype=bool)
    for satellite, at in place.items():
        wanted[at, [place[other] for other in audience.get(satellite, ()) if other in place]] = True
    return wanted
