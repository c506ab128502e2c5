"""When satellites see the ground station, and how fast they can talk to it meanwhile.

Elevation is geometric (no refraction) over the geodetic horizon, as in skyfield's `find_events`, with which
rise and set agree within a second (tests). Positions come from SGP4 every `STEP_S` and cubic interpolation
between: at 60 s and 550 km the cubic is 9/384 (omega h)^4 r, some 3 m, off, so the search needs no further
propagation and stays vectorised over satellites and passes.

The station has an antenna for every satellite in view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from constellation.common.errors import UserError
from constellation.links.budget import rate_bps
from constellation.orbit.frames import itrs_of_ground_point_km
from constellation.orbit.orbits import Constellation, subset
from constellation.scenario.network import GroundKnobs

STEP_S = 60.0
DAY_S = 86400.0
METRIC_HORIZONS_S = (
    3 * 3600.0,
    DAY_S,
)  # how far `next_contact` looks: most satellites answer within the first
_BLOCK_SATELLITE_STEPS = 400_000  # satellites times steps propagated at once: about 100 MB
_GOLDEN_STEPS = 40  # 10 min * 0.618^40: 3 us
_BISECTIONS = 30
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)  # of a mean over a window


@dataclass(frozen=True, eq=False)
class ContactWindows:
    """Passes over one ground station, W of them, sorted by rise time and then satellite. Times: seconds after
    the constellation's epoch.

    satellite: int64 [W], index in the constellation. rise_s, set_s: float64 [W], clipped to [begin_s, end_s],
    the span searched. culmination_s, max_elevation_deg: float64 [W], of the highest point inside the window.
    mean_rate_bps: float64 [W], of the downlink over the window."""

    satellite: np.ndarray
    rise_s: np.ndarray
    set_s: np.ndarray
    culmination_s: np.ndarray
    max_elevation_deg: np.ndarray
    mean_rate_bps: np.ndarray
    begin_s: float
    end_s: float
    ground: str

    def __len__(self) -> int:
        return len(self.satellite)

    @property
    def duration_s(self) -> np.ndarray:
        return self.set_s - self.rise_s

    @property
    def capacity_bytes(self) -> np.ndarray:
        """float64 [W]: what the downlink can carry in each window."""
        return self.mean_rate_bps * self.duration_s / 8

    def of(self, satellite: int) -> ContactWindows:
        """The windows of one satellite."""
        mine = self.satellite == satellite
        return replace(self, **{name: getattr(self, name)[mine] for name in _COLUMNS})


_COLUMNS = ("satellite", "rise_s", "set_s", "culmination_s", "max_elevation_deg", "mean_rate_bps")


@dataclass(frozen=True, eq=False)
class NextContact:
    """Of each of N satellites: wait_s float64 [N] until the next contact (0 inside one, inf: none within the
    horizon), mean_rate_bps and duration_s float64 [N] of what is left of it (0 where there is none)."""

    wait_s: np.ndarray
    mean_rate_bps: np.ndarray
    duration_s: np.ndarray
    horizon_s: float


class _Tracks:
    """Earth-fixed positions of S satellites seen from a station: samples [T, S, 3], cubic (four-point
    Lagrange) between them."""

    def __init__(
        self, constellation: Constellation, begin_s: float, end_s: float, ground: GroundKnobs
    ) -> None:
        steps = max(1, int(np.ceil((end_s - begin_s) / STEP_S - 1e-9)))
        self.times_s = begin_s + STEP_S * np.arange(-1, steps + 2)  # one more at either end, for the cubic
        station_km = itrs_of_ground_point_km(ground.latitude_deg, ground.longitude_deg, ground.elevation_m)
        self.relative_km = constellation.positions_itrs_km(self.times_s) - station_km
        self.up = _geodetic_up(ground)

    def sine_elevation(self, satellite: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Broadcasts over satellite and time."""
        relative = self.at(satellite, time_s)
        return relative @ self.up / np.linalg.norm(relative, axis=-1)

    def distance_km(self, satellite: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        return np.linalg.norm(self.at(satellite, time_s), axis=-1)

    def at(self, satellite: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Vectors from the station, km: [..., 3]."""
        place = (time_s - self.times_s[0]) / STEP_S
        first = np.clip(np.floor(place).astype(np.int64), 1, len(self.times_s) - 3)
        u = (place - first)[..., None]
        before, here, after, beyond = (self.relative_km[first + shift, satellite] for shift in (-1, 0, 1, 2))
        return (
            -u * (u - 1) * (u - 2) / 6 * before
            + (u + 1) * (u - 1) * (u - 2) / 2 * here
            - (u + 1) * u * (u - 2) / 2 * after
            + (u + 1) * u * (u - 1) / 6 * beyond
        )


def contact_windows(
    constellation: Constellation,
    ground: GroundKnobs,
    begin_s: float,
    end_s: float,
    satellites: Sequence[int] | None = None,
) -> ContactWindows:
    """All passes above `ground.min_elevation_deg` between two times, of all satellites or of those given.

    Raises `UserError` for a span that is empty, or where the orbits cannot be propagated.
    """
    if not (np.isfinite([begin_s, end_s]).all() and end_s > begin_s):
        raise UserError(
            f"contact windows: span {begin_s:g} to {end_s:g} s, expected an end after its beginning"
        )
    chosen = (
        np.arange(len(constellation))
        if satellites is None
        else np.asarray(satellites, dtype=np.int64).reshape(-1)
    )
    per_block = max(1, int(_BLOCK_SATELLITE_STEPS / ((end_s - begin_s) / STEP_S + 3)))
    blocks = [chosen[i : i + per_block] for i in range(0, len(chosen), per_block)]
    parts = [_windows_of(constellation, block, ground, begin_s, end_s) for block in blocks]
    columns = [
        np.concatenate([part[i] for part in parts]) if parts else np.zeros(0) for i in range(len(_COLUMNS))
    ]
    order = np.lexsort((columns[0], columns[1]))
    columns = [column[order] for column in columns]
    return ContactWindows(
        columns[0].astype(np.int64), *columns[1:], float(begin_s), float(end_s), ground.name
    )


def next_contact(
    constellation: Constellation,
    members: Sequence[int],
    time_s: float,
    ground: GroundKnobs,
    horizons_s: Sequence[float] = METRIC_HORIZONS_S,
) -> NextContact:
    """Time to, and mean rate of, each member's next contact after `time_s`; looks further only for those that
    have none nearby."""
    members = np.asarray(members, dtype=np.int64)
    wait_s, rate, duration_s = np.full(len(members), np.inf), np.zeros(len(members)), np.zeros(len(members))
    for horizon_s in horizons_s:
        missing = np.flatnonzero(np.isinf(wait_s))
        if not len(missing):
            break
        found = contact_windows(constellation, ground, time_s, time_s + horizon_s, members[missing])
        for i in missing:
            first = np.flatnonzero(found.satellite == members[i])[:1]
            if len(first):
                window = int(first[0])
                wait_s[i], rate[i], duration_s[i] = (
                    found.rise_s[window] - time_s,
                    found.mean_rate_bps[window],
                    found.duration_s[window],
                )
    return NextContact(wait_s, rate, duration_s, float(horizons_s[-1]))


def link_metric(
    constellation: Constellation, members: Sequence[int], time_s: float, ground: GroundKnobs
) -> np.ndarray:
    """Priority metric of `priority.rule=link`: float64 [N], larger keeps more.

    Minus the seconds until the next contact; waits within 0.1 ms of each other, above all those of satellites
    that are in contact now, are ranked by the contact's mean rate. A satellite without contact within a day
    gets minus that day."""
    contact = next_contact(constellation, members, time_s, ground)
    return -np.minimum(contact.wait_s, contact.horizon_s) + 1e-13 * contact.mean_rate_bps


def downlink_rate_bps(
    constellation: Constellation, satellite: int, times_s: np.ndarray, ground: GroundKnobs
) -> np.ndarray:
    """Rate of one satellite's downlink along time: float64 [T] -> float64 [T], 0 below the elevation mask."""
    times_s = np.asarray(times_s, dtype=np.float64).reshape(-1)
    if not len(times_s):
        return np.zeros(0)
    tracks = _Tracks(
        subset(constellation, [satellite]), float(times_s.min()), float(times_s.max()) + STEP_S, ground
    )
    here = np.zeros(len(times_s), dtype=np.int64)
    visible = tracks.sine_elevation(here, times_s) >= np.sin(np.radians(ground.min_elevation_deg))
    return np.where(visible, rate_bps(tracks.distance_km(here, times_s), ground.downlink), 0.0)


def _windows_of(
    constellation: Constellation, block: np.ndarray, ground: GroundKnobs, begin_s: float, end_s: float
) -> list[np.ndarray]:
    """The columns of `ContactWindows` for one block of satellites, sorted by satellite."""
    tracks = _Tracks(subset(constellation, block.tolist()), begin_s, end_s, ground)
    mask = np.sin(np.radians(ground.min_elevation_deg))
    excess = tracks.relative_km @ tracks.up / np.linalg.norm(tracks.relative_km, axis=2) - mask  # [T, S]
    satellite, time_s, rises = _crossings(tracks, excess, mask)
    inside = (time_s > begin_s) & (time_s < end_s)
    satellite, rise_s, set_s = _paired(
        satellite[inside], time_s[inside], rises[inside], excess, begin_s, end_s
    )
    peak_s = _highest(tracks, satellite, rise_s, set_s)
    elevation_deg = np.degrees(np.arcsin(tracks.sine_elevation(satellite, peak_s)))
    return [
        block[satellite],
        rise_s,
        set_s,
        peak_s,
        elevation_deg,
        _mean_rate(tracks, ground, satellite, rise_s, set_s),
    ]


def _crossings(tracks: _Tracks, excess: np.ndarray, mask: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every passage through the mask: satellite int64 [E], time_s float64 [E], rises bool [E]; E in no order.

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
    peak_s = _highest(tracks, hidden, near_s - STEP_S, near_s + STEP_S)
    up = tracks.sine_elevation(hidden, peak_s) > mask
    hidden, near_s, peak_s = hidden[up], near_s[up], peak_s[up]

    satellite = np.concatenate([satellite, hidden, hidden])
    below_s = np.concatenate([below_s, near_s - STEP_S, near_s + STEP_S])
    above_s = np.concatenate([above_s, peak_s, peak_s])
    rises = np.concatenate([rises, np.ones(len(hidden), bool), np.zeros(len(hidden), bool)])
    for _ in range(_BISECTIONS):
        middle_s = (below_s + above_s) / 2
        up = tracks.sine_elevation(satellite, middle_s) > mask
        above_s, below_s = np.where(up, middle_s, above_s), np.where(up, below_s, middle_s)
    return satellite, (below_s + above_s) / 2, rises


def _paired(
    satellite: np.ndarray,
    time_s: np.ndarray,
    rises: np.ndarray,
    excess: np.ndarray,
    begin_s: float,
    end_s: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rises with their sets, by satellite; who is up at the beginning rises then, who is up at the end sets
    then."""
    count = excess.shape[1]
    order = np.lexsort((time_s, satellite))
    satellite, time_s, rises = satellite[order], time_s[order], rises[order]
    first, last = (np.searchsorted(satellite, np.arange(count), side) for side in ("left", "right"))
    quiet = first == last
    always = quiet & (excess[1] > 0)
    at = np.zeros(count, dtype=np.int64) if not len(rises) else np.minimum(first, len(rises) - 1)
    sets_first = always if not len(rises) else np.where(quiet, always, ~rises[at])
    rises_last = always if not len(rises) else np.where(quiet, always, rises[np.maximum(last, 1) - 1])
    early, late = np.flatnonzero(sets_first), np.flatnonzero(rises_last)
    satellite = np.concatenate([satellite, early, late])
    time_s = np.concatenate([time_s, np.full(len(early), begin_s), np.full(len(late), end_s)])
    order = np.lexsort((time_s, satellite))
    return satellite[order][::2], time_s[order][::2], time_s[order][1::2]


def _highest(tracks: _Tracks, satellite: np.ndarray, low_s: np.ndarray, high_s: np.ndarray) -> np.ndarray:
    """Times of highest elevation between two times, by golden sections (one maximum between them, as in any
    pass of a low orbit)."""
    shrink = (np.sqrt(5) - 1) / 2
    for _ in range(_GOLDEN_STEPS):
        left, right = high_s - shrink * (high_s - low_s), low_s + shrink * (high_s - low_s)
        falling = tracks.sine_elevation(satellite, left) > tracks.sine_elevation(satellite, right)
        low_s, high_s = np.where(falling, low_s, left), np.where(falling, right, high_s)
    return (low_s + high_s) / 2


def _mean_rate(
    tracks: _Tracks, ground: GroundKnobs, satellite: np.ndarray, rise_s: np.ndarray, set_s: np.ndarray
) -> np.ndarray:
    """Mean of the rate over each window, by Gauss-Legendre quadrature (16 nodes: 1e-9 relative): float64
    [W]."""
    times_s = rise_s[:, None] + (set_s - rise_s)[:, None] * (_NODES + 1) / 2
    distance_km = tracks.distance_km(satellite[:, None], times_s)
    return rate_bps(distance_km, ground.downlink) @ _WEIGHTS / 2


def _geodetic_up(ground: GroundKnobs) -> np.ndarray:
    latitude, longitude = np.radians([ground.latitude_deg, ground.longitude_deg])
    return np.array(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
