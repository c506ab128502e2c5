"""What a picture of the constellation in motion needs: positions, who observes, which links exist when,
contact windows.

`czml` and `html_view` only draw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from constellation.common.errors import UserError
from constellation.links.budget import noise_label
from constellation.links.topology import select_region, topology_at
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import ContactWindows, contact_windows
from constellation.scenario.scenario import Scenario

MAX_SAMPLES = 6_000_000  # satellites times instants: 12 h in minutes of 8,000 satellites, 36 MB of HTML
MAX_LINK_INTERVALS = 100_000

Links = Literal["participants", "all"]


@dataclass(frozen=True, eq=False)
class LinkIntervals:
    """When which link exists, L intervals: ends int32 [L, 2] satellite ids, first < second; begin_s, end_s
    float64 [L]."""

    ends: np.ndarray
    begin_s: np.ndarray
    end_s: np.ndarray


@dataclass(frozen=True, eq=False)
class ViewData:
    """T instants, S satellites, K participants. times_s: float64 [T] after the epoch. positions_km: float64
    [T, S, 3], Earth-fixed.

    participants: int64 [T, K], -1 where fewer see the region. Links and windows lie between the first and the
    last instant."""

    scenario: Scenario
    epoch: datetime
    names: tuple[str, ...]
    times_s: np.ndarray
    positions_km: np.ndarray
    participants: np.ndarray
    links: LinkIntervals
    links_of: Links
    windows: ContactWindows
    noise: str

    def utc(self, time_s: float) -> str:
        """ISO 8601 with milliseconds."""
        moment = self.epoch + timedelta(seconds=round(float(time_s), 3))
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def view_data(scenario: Scenario, duration_s: float, links: Links = "participants") -> ViewData:
    """The scenario's first `duration_s` in steps of `orbit.step_s`, both ends included.

    links: those among the satellites that observe the region at the time, or all. Raises `UserError` where
    that is too much to draw."""
    satellites = load_constellation(scenario.orbit)
    steps = max(1, int(np.ceil(duration_s / scenario.orbit.step_s - 1e-9)))
    if (steps + 1) * len(satellites) > MAX_SAMPLES:
        raise UserError(
            f"view of {len(satellites)} satellites at {steps + 1} instants: expected at most {MAX_SAMPLES} positions; "
            "give a smaller hours= or a larger orbit.step_s="
        )
    times_s = np.arange(steps + 1) * scenario.orbit.step_s
    positions_km = satellites.positions_itrs_km(times_s)
    participants = select_region(positions_km, scenario.region, scenario.satellites)
    edges = [
        topology_at(instant, scenario.topology, scenario.link, satellites).edges for instant in positions_km
    ]
    if links == "participants":
        edges = [_among(each, members, len(satellites)) for each, members in zip(edges, participants)]
    windows = contact_windows(satellites, scenario.ground, 0.0, float(times_s[-1]))
    return ViewData(
        scenario,
        satellites.epoch,
        satellites.names,
        times_s,
        positions_km,
        participants,
        link_intervals(edges, times_s, len(satellites)),
        links,
        windows,
        noise_label(scenario.link),
    )


def link_intervals(edges: list[np.ndarray], times_s: np.ndarray, satellites: int) -> LinkIntervals:
    """Edges int [E, 2] at each instant -> intervals; a link seen at an instant holds until the next one."""
    key = np.concatenate([each[:, 0].astype(np.int64) * satellites + each[:, 1] for each in edges])
    step = np.repeat(np.arange(len(edges)), [len(each) for each in edges])
    order = np.lexsort((step, key))
    key, step = key[order], step[order]
    fresh = np.append(True, (key[1:] != key[:-1]) | (step[1:] != step[:-1] + 1))[: len(key)]
    starts = np.flatnonzero(fresh)
    if len(starts) > MAX_LINK_INTERVALS:
        raise UserError(
            f"view: {len(starts)} link intervals, expected at most {MAX_LINK_INTERVALS}; give links=participants, a smaller hours=, "
            "or topology.rule=grid"
        )
    lasts = np.append(starts[1:], len(key)) - 1 if len(starts) else starts
    until = np.minimum(step[lasts] + 1, len(times_s) - 1)
    ends = np.stack(np.divmod(key[starts], satellites), axis=1).astype(np.int32)
    return LinkIntervals(ends, times_s[step[starts]], times_s[until])


def _among(edges: np.ndarray, members: np.ndarray, satellites: int) -> np.ndarray:
    chosen = np.zeros(satellites, dtype=bool)
    chosen[members[members >= 0]] = True
    return edges[chosen[edges].all(axis=1)]
