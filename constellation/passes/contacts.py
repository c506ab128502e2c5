"""When satellites see a ground station, and how fast they can talk to it meanwhile.

Here a station has an antenna for every satellite in view; `passes.delivery` counts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from constellation.common.errors import UserError
from constellation.links.budget import rate_bps
from constellation.orbit.orbits import Constellation, subset
from constellation.passes.tracks import Tracks, crossings_of, culminations_s, paired, step_s_of
from constellation.scenario.network import GroundKnobs

DAY_S = 86400.0
MAX_SPAN_S = 366 * DAY_S  # of one search: a satellite's samples are 40 MB
METRIC_HORIZONS_S = (
    3 * 3600.0,
    DAY_S,
)  # how far `next_contact` looks: most satellites answer within the first
_BLOCK_SATELLITE_STEPS = 400_000  # satellites times steps propagated at once: about 100 MB
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
        """float64 [W]."""
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


def contact_windows(
    constellation: Constellation,
    ground: GroundKnobs,
    begin_s: float,
    end_s: float,
    satellites: Sequence[int] | np.ndarray | None = None,
) -> ContactWindows:
    """All passes over one station, above its mask and horizon, between two times, of all satellites or of
    those given.

    Raises `UserError` for a span that is empty or longer than a year, for several stations
    (`station_windows` takes them), or where the orbits cannot be propagated.
    """
    if ground.stations:
        raise UserError(
            "ground.stations: several stations, where one is looked at; give ground.latitude_deg="
        )
    if not (np.isfinite([begin_s, end_s]).all() and end_s > begin_s):
        raise UserError(
            f"contact windows: span {begin_s:g} to {end_s:g} s, expected an end after its beginning"
        )
    if end_s - begin_s > MAX_SPAN_S:
        raise UserError(
            f"contact windows: span of {end_s - begin_s:g} s, expected at most a year ({MAX_SPAN_S:g} s)"
        )
    chosen = (
        np.arange(len(constellation))
        if satellites is None
        else np.asarray(satellites, dtype=np.int64).reshape(-1)
    )
    per_block = max(1, int(_BLOCK_SATELLITE_STEPS / ((end_s - begin_s) / step_s_of(ground) + 3)))
    blocks = [chosen[i : i + per_block] for i in range(0, len(chosen), per_block)]
    parts = [_windows_of(constellation, block, ground, begin_s, end_s) for block in blocks]
    columns = [
        np.concatenate([part[i] for part in parts]) if parts else np.zeros(0) for i in range(len(_COLUMNS))
    ]
    order = np.lexsort((columns[0], columns[1]))
    columns = [column[order] for column in columns]
    named = dict(zip(_COLUMNS, columns, strict=True))
    named["satellite"] = named["satellite"].astype(np.int64)
    return ContactWindows(**named, begin_s=float(begin_s), end_s=float(end_s), ground=ground.name)


def contact_blocks(
    constellation: Constellation, ground: GroundKnobs, begin_s: float, end_s: float, at_once: int
) -> Iterator[ContactWindows]:
    """The passes over one station of so many satellites after the other, for those who cannot hold them all:
    each part as of `contact_windows`. Raises as it does."""
    for first in range(0, len(constellation), at_once):
        some = range(first, min(first + at_once, len(constellation)))
        yield contact_windows(constellation, ground, begin_s, end_s, some)


def station_windows(
    constellation: Constellation,
    ground: GroundKnobs,
    begin_s: float,
    end_s: float,
    satellites: Sequence[int] | np.ndarray | None = None,
) -> tuple[ContactWindows, ...]:
    """Passes over every station, in the order of `ground.each`. Raises `UserError`."""
    return tuple(
        contact_windows(constellation, station, begin_s, end_s, satellites) for station in ground.each
    )


def next_contact(
    constellation: Constellation,
    members: Sequence[int] | np.ndarray,
    time_s: float,
    ground: GroundKnobs,
    horizons_s: Sequence[float] = METRIC_HORIZONS_S,
) -> NextContact:
    """Time to, and mean rate of, each member's next contact after `time_s`, with whichever station comes
    first (of two at once, the faster one); looks further only for those that have none nearby."""
    found = [_next_with(constellation, members, time_s, station, horizons_s) for station in ground.each]
    wait_s, rate, duration_s = (
        np.stack([getattr(one, name) for one in found]) for name in ("wait_s", "mean_rate_bps", "duration_s")
    )
    best = np.lexsort((-rate, wait_s), axis=0)[:1]
    wait_s, rate, duration_s = (
        np.take_along_axis(column, best, axis=0)[0] for column in (wait_s, rate, duration_s)
    )
    return NextContact(wait_s, rate, duration_s, float(horizons_s[-1]))


def _next_with(
    constellation: Constellation,
    members: Sequence[int] | np.ndarray,
    time_s: float,
    ground: GroundKnobs,
    horizons_s: Sequence[float],
) -> NextContact:
    """The same with one station."""
    wanted = np.asarray(members, dtype=np.int64)
    wait_s, rate, duration_s = np.full(len(wanted), np.inf), np.zeros(len(wanted)), np.zeros(len(wanted))
    for horizon_s in horizons_s:
        missing = np.flatnonzero(np.isinf(wait_s))
        if not len(missing):
            break
        found = contact_windows(constellation, ground, time_s, time_s + horizon_s, wanted[missing])
        for i in missing:
            first = np.flatnonzero(found.satellite == wanted[i])[:1]
            if len(first):
                window = int(first[0])
                wait_s[i], rate[i], duration_s[i] = (
                    found.rise_s[window] - time_s,
                    found.mean_rate_bps[window],
                    found.duration_s[window],
                )
    return NextContact(wait_s, rate, duration_s, float(horizons_s[-1]))


def link_metric(
    constellation: Constellation, members: Sequence[int] | np.ndarray, time_s: float, ground: GroundKnobs
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
    tracks = Tracks(
        subset(constellation, [satellite]),
        float(times_s.min()),
        float(times_s.max()) + step_s_of(ground),
        ground,
    )
    here = np.zeros(len(times_s), dtype=np.int64)
    visible = tracks.excess(here, times_s) >= 0
    return np.where(visible, rate_bps(tracks.distance_km(here, times_s), ground.downlink), 0.0)


def _windows_of(
    constellation: Constellation, block: np.ndarray, ground: GroundKnobs, begin_s: float, end_s: float
) -> list[np.ndarray]:
    """The columns of `ContactWindows` for one block of satellites, sorted by satellite."""
    tracks = Tracks(subset(constellation, block.tolist()), begin_s, end_s, ground)
    excess = tracks.sampled_excess()
    crossings = crossings_of(tracks, excess).within(begin_s, end_s)
    satellite, rise_s, set_s = paired(crossings, excess[1], begin_s, end_s)
    peak_s = culminations_s(tracks, satellite, rise_s, set_s)
    elevation_deg = np.degrees(np.arcsin(tracks.sine_elevation(satellite, peak_s)))
    return [
        block[satellite],
        rise_s,
        set_s,
        peak_s,
        elevation_deg,
        _mean_rate(tracks, ground, satellite, rise_s, set_s),
    ]


def _mean_rate(
    tracks: Tracks, ground: GroundKnobs, satellite: np.ndarray, rise_s: np.ndarray, set_s: np.ndarray
) -> np.ndarray:
    """Mean of the rate over each window, by Gauss-Legendre quadrature (16 nodes: 1e-9 relative): float64
    [W]."""
    times_s = rise_s[:, None] + (set_s - rise_s)[:, None] * (_NODES + 1) / 2
    distance_km = tracks.distance_km(satellite[:, None], times_s)
    return rate_bps(distance_km, ground.downlink) @ _WEIGHTS / 2
