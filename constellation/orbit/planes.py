"""Planes of satellites that come from a file: shells by inclination and size, planes by their nodes, and
within a plane the order in which satellites follow each other.

A pattern knows its planes; elements do not say them. Satellites of one shell differ by much less among
themselves than from the next shell, and those of one plane by much less than planes from each other, so that
a gap between sorted values is where one ends and the next begins."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy.optimize import linear_sum_assignment
from sgp4.earth_gravity import wgs72

from constellation.orbit.orbits import Constellation

SHELL_GAP_DEG = 0.1  # of inclination; Starlink's 53.05 and 53.22 deg are two shells
SHELL_GAP_KM = 5.0  # of the semi-major axis; what is on its way up stands apart
PLANE_GAP_DEG = 0.75  # of the node; the largest shells have planes 2.5 deg apart and hold them to 0.2 deg
SEAM = 2.5  # a gap between planes as many times the usual one has counter-rotating planes, or none, behind it
_EARTH_KM3_S2 = wgs72.mu


def file_grid(constellation: Constellation) -> np.ndarray:
    """The +grid pairs of satellites without a pattern, as they stand at the epoch: int64 [E, 2], first <
    second.

    In a plane each is linked to the next; beside it, to the one of the next plane that is nearest in phase,
    such that nobody has two in the same direction (the least sum of differences). No link leaves a shell."""
    return _file_grid(constellation)


@lru_cache(
    maxsize=4
)  # constellations are told apart by identity: one is loaded once and asked at every instant
def _file_grid(constellation: Constellation) -> np.ndarray:
    inclination, node, latitude, axis_km = mean_elements(constellation)
    pairs: list[tuple[int, int]] = []
    for shell in shells_of(inclination, axis_km):
        planes = planes_of(node, shell)
        for plane in planes:
            plane.sort(key=lambda one: (latitude[one], one))
            pairs += _around(plane)
        for left, right in _neighbours(node, planes):
            pairs += _across(latitude, left, right)
    found = np.sort(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
    found = np.unique(found, axis=0)
    found.flags.writeable = False
    return found


def mean_elements(constellation: Constellation) -> np.ndarray:
    """Inclination, node, argument of latitude (deg) and semi-major axis (km) at the epoch: float64 [4, S].

    From the states, with the largest of J2's short periods taken off the axis (9 km of a polar orbit); what
    stays in the angles is below 0.1 deg."""
    state = constellation.states_teme_km(np.zeros(1))[0]
    place, speed = state[:, :3], state[:, 3:]
    normal = np.cross(place, speed)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    radius = np.linalg.norm(place, axis=1)
    axis = 1 / (2 / radius - (speed**2).sum(axis=1) / _EARTH_KM3_S2)
    inclination = np.arccos(np.clip(normal[:, 2], -1, 1))
    node = np.arctan2(normal[:, 0], -normal[:, 1])
    ahead = np.stack([np.cos(node), np.sin(node), np.zeros(len(node))], axis=1)
    along = np.arctan2((place * np.cross(normal, ahead)).sum(axis=1), (place * ahead).sum(axis=1))
    bulge = 1.5 * wgs72.j2 * wgs72.radiusearthkm**2 / axis
    axis = axis - bulge * np.sin(inclination) ** 2 * np.cos(2 * along)
    return np.stack([*np.degrees([inclination, node % (2 * np.pi), along % (2 * np.pi)]), axis])


def shells_of(inclination_deg: np.ndarray, axis_km: np.ndarray) -> list[list[int]]:
    """Satellites that have inclination and size in common, shell by shell."""
    found = []
    for alike in _groups(inclination_deg, np.arange(len(axis_km)), SHELL_GAP_DEG):
        found += [part.tolist() for part in _groups(axis_km, alike, SHELL_GAP_KM)]
    return found


def planes_of(node_deg: np.ndarray, shell: list[int]) -> list[list[int]]:
    """The planes of a shell, by ascending node."""
    planes = [part.tolist() for part in _groups(node_deg, np.array(shell), PLANE_GAP_DEG)]
    if len(planes) > 1 and node_deg[planes[0][0]] + 360 - node_deg[planes[-1][-1]] <= PLANE_GAP_DEG:
        planes[0] = planes.pop() + planes[0]  # one plane on either side of 0 deg
    return planes


def _groups(values: np.ndarray, members: np.ndarray, gap: float) -> list[np.ndarray]:
    order = members[np.lexsort((members, values[members]))]
    return np.split(order, np.flatnonzero(np.diff(values[order]) > gap) + 1)


def _around(plane: list[int]) -> list[tuple[int, int]]:
    return [(one, two) for one, two in zip(plane, plane[1:] + plane[:1], strict=True) if one != two]


def _neighbours(node_deg: np.ndarray, planes: list[list[int]]) -> Iterator[tuple[list[int], list[int]]]:
    """Planes beside each other; none across the seam of a star."""
    if len(planes) < 2:
        return
    turned = [np.exp(1j * np.radians(node_deg[plane])).mean() for plane in planes]
    middle = np.degrees(np.angle(turned)) % 360
    order = np.argsort(middle, kind="stable")
    gaps = (np.roll(middle[order], -1) - middle[order]) % 360
    usual = np.sort(gaps)[(len(gaps) - 1) // 2]
    for place, gap in enumerate(gaps.tolist()):
        if gap <= SEAM * usual:
            yield planes[order[place]], planes[order[(place + 1) % len(planes)]]


def _across(latitude_deg: np.ndarray, left: list[int], right: list[int]) -> list[tuple[int, int]]:
    away = np.abs((latitude_deg[left][:, None] - latitude_deg[right][None] + 180) % 360 - 180)
    rows, columns = linear_sum_assignment(away**2)
    return [(left[row], right[column]) for row, column in zip(rows, columns, strict=True)]
