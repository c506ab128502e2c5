"""Satellites seen from a station, along time, and the moments when they rise, culminate and set.

Elevation is geometric (no refraction) over the geodetic horizon, as in skyfield's `find_events`, with which
rise and set agree within a second (tests). Positions come from SGP4 every `STEP_S` and cubic interpolation
between: at 60 s and 550 km the cubic is 9/384 (omega h)^4 r, some 3 m, off, so the search needs no further
propagation and stays vectorised over satellites and passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constellation.orbit.frames import itrs_of_ground_point_km
from constellation.orbit.orbits import Constellation
from constellation.scenario.network import GroundKnobs
from constellation.scenario.stations import parse_mask

STEP_S = 60.0
_HORIZON_STEP_S = 5.0  # where a horizon rises and falls with the azimuth: a pass may be cut in pieces
_GOLDEN_STEPS = 40  # 10 min * 0.618^40: 3 us
_BISECTIONS = 30


class Tracks:
    """Earth-fixed positions of S satellites seen from a station: samples [T, S, 3], cubic (four-point
    Lagrange) between them."""

    def __init__(
        self, constellation: Constellation, begin_s: float, end_s: float, ground: GroundKnobs
    ) -> None:
        self._mask_sine = float(np.sin(np.radians(ground.min_elevation_deg)))
        self._horizon = np.array(parse_mask(ground.mask)).reshape(-1, 2)
        self.step_s = step_s_of(ground)
        steps = max(1, int(np.ceil((end_s - begin_s) / self.step_s - 1e-9)))
        self.times_s = begin_s + self.step_s * np.arange(-1, steps + 2)  # one more at each end, for the cubic
        station_km = itrs_of_ground_point_km(ground.latitude_deg, ground.longitude_deg, ground.elevation_m)
        self.relative_km = constellation.positions_itrs_km(self.times_s) - station_km
        self.east, self.north, self.up = _geodetic_axes(ground)

    def excess(self, satellite: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """How far above mask and horizon: a difference of sines. Broadcasts over satellite and time."""
        return self._excess_of(self.at(satellite, time_s))

    def sampled_excess(self) -> np.ndarray:
        """The same at `times_s`: float64 [T, S]."""
        return self._excess_of(self.relative_km)

    def sampled_sine(self) -> np.ndarray:
        """Sine of the elevation at `times_s`: float64 [T, S]."""
        return self.relative_km @ self.up / np.linalg.norm(self.relative_km, axis=-1)

    def _excess_of(self, relative_km: np.ndarray) -> np.ndarray:
        sine = relative_km @ self.up / np.linalg.norm(relative_km, axis=-1)
        if not len(self._horizon):
            return sine - self._mask_sine
        azimuth_deg = np.degrees(np.arctan2(relative_km @ self.east, relative_km @ self.north))
        lowest_deg = np.interp(azimuth_deg, self._horizon[:, 0], self._horizon[:, 1], period=360)
        return sine - np.maximum(self._mask_sine, np.sin(np.radians(lowest_deg)))

    def sine_elevation(self, satellite: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Sine of the elevation. Broadcasts over satellite and time."""
        relative = self.at(satellite, time_s)
        return relative @ self.up / np.linalg.norm(relative, axis=-1)

    def distance_km(self, satellite: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Slant range. Broadcasts over satellite and time."""
        return np.linalg.norm(self.at(satellite, time_s), axis=-1)

    def at(self, satellite: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Vectors from the station, km: [..., 3]."""
        place = (time_s - self.times_s[0]) / self.step_s
        first = np.clip(np.floor(place).astype(np.int64), 1, len(self.times_s) - 3)
        u = (place - first)[..., None]
        before, here, after, beyond = (self.relative_km[first + shift, satellite] for shift in (-1, 0, 1, 2))
        return (
            -u * (u - 1) * (u - 2) / 6 * before
            + (u + 1) * (u - 1) * (u - 2) / 2 * here
            - (u + 1) * u * (u - 2) / 2 * after
            + (u + 1) * u * (u - 1) / 6 * beyond
        )


def step_s_of(ground: GroundKnobs) -> float:
    """How far apart the samples are in which passes over a station are looked for."""
    return _HORIZON_STEP_S if ground.mask else STEP_S


@dataclass(frozen=True, eq=False)
class Crossings:
    """Passages through the mask, E in no order: satellite int64 [E], time_s float64 [E], rises bool [E]."""

    satellite: np.ndarray
    time_s: np.ndarray
    rises: np.ndarray

    def within(self, begin_s: float, end_s: float) -> Crossings:
        """Those strictly inside a span."""
        inside = (self.time_s > begin_s) & (self.time_s < end_s)
        return Crossings(self.satellite[inside], self.time_s[inside], self.rises[inside])


def crossings_of(tracks: Tracks, excess: np.ndarray) -> Crossings:
    """Every passage through the mask. excess: `Tracks.sampled_excess`.

    Between samples of different sign there is one; around a sample that is highest among its neighbours, and
    still below, there may be a short pass."""
    step, satellite = np.nonzero((excess[1:] > 0) != (excess[:-1] > 0))
    below_s, above_s = tracks.times_s[step], tracks.times_s[step + 1]
    rises = excess[step + 1, satellite] > 0
    below_s, above_s = np.where(rises, below_s, above_s), np.where(rises, above_s, below_s)

    step, hidden = np.nonzero(
        (excess[1:-1] >= excess[:-2]) & (excess[1:-1] > excess[2:]) & (excess[1:-1] <= 0)
    )
    near_s = tracks.times_s[step + 1]
    peak_s = _highest(tracks, hidden, near_s - tracks.step_s, near_s + tracks.step_s)
    up = tracks.excess(hidden, peak_s) > 0
    hidden, near_s, peak_s = hidden[up], near_s[up], peak_s[up]

    satellite = np.concatenate([satellite, hidden, hidden])
    below_s = np.concatenate([below_s, near_s - tracks.step_s, near_s + tracks.step_s])
    above_s = np.concatenate([above_s, peak_s, peak_s])
    rises = np.concatenate([rises, np.ones(len(hidden), bool), np.zeros(len(hidden), bool)])
    for _ in range(_BISECTIONS):
        middle_s = (below_s + above_s) / 2
        up = tracks.excess(satellite, middle_s) > 0
        above_s, below_s = np.where(up, middle_s, above_s), np.where(up, below_s, middle_s)
    return Crossings(satellite, (below_s + above_s) / 2, rises)


def paired(
    crossings: Crossings,
    at_begin: np.ndarray,  # [S], excess over the mask when the span begins
    begin_s: float,
    end_s: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rises with their sets, by satellite; who is up at the beginning rises then, who is up at the end sets
    then."""
    count = len(at_begin)
    order = np.lexsort((crossings.time_s, crossings.satellite))
    satellite, time_s, rises = (
        column[order] for column in (crossings.satellite, crossings.time_s, crossings.rises)
    )
    first, last = (np.searchsorted(satellite, np.arange(count), side) for side in ("left", "right"))
    quiet = first == last
    always = quiet & (at_begin > 0)
    at = np.zeros(count, dtype=np.int64) if not len(rises) else np.minimum(first, len(rises) - 1)
    sets_first = always if not len(rises) else np.where(quiet, always, ~rises[at])
    rises_last = always if not len(rises) else np.where(quiet, always, rises[np.maximum(last, 1) - 1])
    early, late = np.flatnonzero(sets_first), np.flatnonzero(rises_last)
    satellite = np.concatenate([satellite, early, late])
    time_s = np.concatenate([time_s, np.full(len(early), begin_s), np.full(len(late), end_s)])
    order = np.lexsort((time_s, satellite))
    return satellite[order][::2], time_s[order][::2], time_s[order][1::2]


def culminations_s(
    tracks: Tracks, satellite: np.ndarray, rise_s: np.ndarray, set_s: np.ndarray
) -> np.ndarray:
    """Time of the highest point of every window, float64 [W].

    The pass of a high or eccentric orbit may culminate more than once: the highest sample says where to look,
    and between its neighbours there is one maximum. A pass between two samples has one itself."""
    low_s, high_s, sine = rise_s.copy(), set_s.copy(), tracks.sampled_sine()
    first = np.searchsorted(tracks.times_s, rise_s)
    last = np.searchsorted(tracks.times_s, set_s, side="right")
    for window in np.flatnonzero(last > first).tolist():
        inside = sine[first[window] : last[window], satellite[window]]
        best_s = tracks.times_s[first[window] + int(inside.argmax())]
        low_s[window] = max(rise_s[window], best_s - tracks.step_s)
        high_s[window] = min(set_s[window], best_s + tracks.step_s)
    return _highest(tracks, satellite, low_s, high_s)


def _highest(tracks: Tracks, satellite: np.ndarray, low_s: np.ndarray, high_s: np.ndarray) -> np.ndarray:
    """Times of highest elevation between two times that have one maximum between them, by golden sections."""
    shrink = (np.sqrt(5) - 1) / 2
    for _ in range(_GOLDEN_STEPS):
        left, right = high_s - shrink * (high_s - low_s), low_s + shrink * (high_s - low_s)
        falling = tracks.sine_elevation(satellite, left) > tracks.sine_elevation(satellite, right)
        low_s, high_s = np.where(falling, low_s, left), np.where(falling, right, high_s)
    return (low_s + high_s) / 2


def _geodetic_axes(ground: GroundKnobs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors east, north and up at the station, Earth-fixed."""
    latitude, longitude = np.radians([ground.latitude_deg, ground.longitude_deg])
    east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
    up = np.array(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    return east, np.cross(up, east), up
