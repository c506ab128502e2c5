"""Who looks at what, and when: passes over targets, and the windows of time that are rounds.

A satellite looks at a target when it is nearest to it in a pass, if the target then lies within
`region.max_off_nadir_deg` of the nadir and the Sun stands high enough. The first look opens a window; who
looks within `sight.window_s` of it belongs to the same round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from scipy.optimize import linear_sum_assignment

from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.orbit.orbits import Constellation, subset
from constellation.scenario.network import RegionKnobs
from constellation.scenario.sight import SightKnobs
from constellation.sight.camera import off_nadir_deg
from constellation.sight.earth import point_km
from constellation.sight.sun import sun_elevation_deg
from constellation.sight.targets import Target

STEP_S = 20.0
_SPAN_S = 6 * 3600.0
_BLOCK = 2_000_000  # satellites times steps that are held at once
_FINER_S = (1.0, 0.05)


@value
class Sighting:
    """A satellite nearest to a target. off_nadir_deg: of the target; of the nadir on the ellipsoid."""

    satellite: int
    target: int
    time_s: float
    off_nadir_deg: float


@value
class Window:
    """A round: one look of each satellite at most, in the order of time."""

    begin_s: float
    sightings: tuple[Sighting, ...]

    @property
    def end_s(self) -> float:
        """Of the last look: then satellites talk to each other."""
        return self.sightings[-1].time_s


def windows_of(
    constellation: Constellation,
    targets: Sequence[Target],
    region: RegionKnobs,
    sight: SightKnobs,
    until_s: float,
) -> Iterator[Window]:
    """The windows from the epoch on, in the order of time, found as they are asked for."""
    waiting: list[Sighting] = []
    begin_s = 0.0
    while begin_s < until_s or waiting:
        end_s = min(begin_s + _SPAN_S, until_s)
        if begin_s < end_s:
            waiting += sightings(constellation, targets, region, (begin_s, end_s))
        waiting = [
            one for one in waiting if _lit(constellation, targets[one.target], one.time_s, sight.min_sun_deg)
        ]
        waiting.sort(key=lambda one: (one.time_s, one.satellite, one.target))
        while waiting and (end_s >= until_s or waiting[0].time_s + sight.window_s < end_s):
            last_s = waiting[0].time_s + sight.window_s
            together = [one for one in waiting if one.time_s <= last_s]
            waiting = [one for one in waiting if one.time_s > last_s]
            chosen = assigned(together, targets, sight.looks_per_target)
            if len(chosen) >= sight.at_least:
                yield Window(together[0].time_s, tuple(chosen))
        begin_s = max(end_s, begin_s + 1e-9) if end_s < until_s else until_s


def rounds_of(windows: Iterator[Window], count: int, region: RegionKnobs, until_s: float) -> list[Window]:
    """The first `count` windows. Raises `UserError` where there are fewer."""
    found = list(islice(windows, count))
    if len(found) < count:
        raise UserError(
            f"rounds={count}: within orbit.duration_s={until_s:g} there are {len(found)} windows in which "
            f"somebody looks at {region.latitude_deg:g} N {region.longitude_deg:g} E within "
            f"region.max_off_nadir_deg={region.max_off_nadir_deg:g}; give fewer rounds, a longer duration, "
            "wider angles, or other orbits"
        )
    return found


def assigned(sightings: Sequence[Sighting], targets: Sequence[Target], per_target: int) -> list[Sighting]:
    """Who takes which target of a window: most of priority and of cosine of the off-nadir angle in all, one
    target a satellite, `per_target` satellites a target at most (Hungarian method). Ordered by time."""
    satellites = sorted({one.satellite for one in sightings})
    wanted = sorted({one.target for one in sightings})
    copies = min(per_target, len(satellites))
    worth = np.zeros((len(satellites), len(wanted) * copies))
    best: dict[tuple[int, int], Sighting] = {}
    for one in sightings:
        key = satellites.index(one.satellite), wanted.index(one.target)
        if key not in best or one.off_nadir_deg < best[key].off_nadir_deg:
            best[key] = one
    for (row, col), one in best.items():
        gain = targets[one.target].priority * np.cos(np.radians(one.off_nadir_deg))
        worth[row, col * copies : (col + 1) * copies] = gain
    rows, cols = linear_sum_assignment(worth, maximize=True)
    chosen = [
        best[row, col // copies]
        for row, col in zip(rows.tolist(), cols.tolist(), strict=True)
        if (row, col // copies) in best
    ]
    return sorted(chosen, key=lambda one: (one.time_s, one.satellite))


def sightings(
    constellation: Constellation, targets: Sequence[Target], region: RegionKnobs, span_s: tuple[float, float]
) -> list[Sighting]:
    """Every satellite's nearest moments to every target within [begin, end), those near enough to the
    nadir."""
    begin_s, end_s = span_s
    limit = region.max_off_nadir_deg
    places = np.array([point_km(t.longitude_deg, t.latitude_deg, 0.0) for t in targets])
    steps = np.arange(begin_s - STEP_S, end_s + 2 * STEP_S, STEP_S)
    block = max(4, _BLOCK // max(1, len(constellation)))
    found = []
    for start in range(0, len(steps) - 2, block):
        times_s = steps[start : start + block + 2]
        km = constellation.positions_itrs_km(times_s)
        for number, place in enumerate(places):
            distance = np.linalg.norm(km - place, axis=2)
            middle = distance[1:-1]
            near = (middle <= distance[:-2]) & (middle < distance[2:])
            # in half a step nobody goes farther than 8 km/s takes him
            near &= _reach_km(np.linalg.norm(km[1:-1], axis=2), limit) + 4.0 * STEP_S >= middle
            for step, satellite in np.argwhere(near).tolist():
                one = _refined(constellation, satellite, (number, place), float(times_s[step + 1]))
                if begin_s <= one.time_s < end_s and one.off_nadir_deg <= limit:
                    found.append(one)
    return found


def _reach_km(radius_km: np.ndarray, limit_deg: float) -> np.ndarray:
    """Distance beyond which nothing is within so many degrees of the nadir; generous, for an ellipsoid."""
    eta, ground = np.radians(min(limit_deg + 0.3, 89.0)), 6356.0
    sine = np.minimum(radius_km / ground * np.sin(eta), 1.0)
    to_horizon = np.sqrt(np.maximum(radius_km**2 - ground**2, 0.0))
    slant = radius_km * np.cos(eta) - ground * np.sqrt(1 - sine**2)
    return np.where(sine >= 1.0, to_horizon, slant) + 60.0


def _refined(
    constellation: Constellation, satellite: int, target: tuple[int, np.ndarray], time_s: float
) -> Sighting:
    """The moment of the least off-nadir angle within a step of `time_s`, to a twentieth of a second."""
    alone, (number, place), reach_s = subset(constellation, [satellite]), target, STEP_S
    for finer_s in _FINER_S:
        times_s = time_s + np.arange(-reach_s, reach_s + finer_s / 2, finer_s)
        angles = off_nadir_deg(alone.positions_itrs_km(times_s)[:, 0], place)
        best = int(angles.argmin())
        time_s, reach_s = float(times_s[best]), finer_s
    return Sighting(satellite, number, time_s, float(angles[best]))


def _lit(constellation: Constellation, target: Target, time_s: float, least_deg: float) -> bool:
    place = target.longitude_deg, target.latitude_deg
    return least_deg <= -90 or sun_elevation_deg(constellation.epoch, time_s, place)[0] >= least_deg
