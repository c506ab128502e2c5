"""What a picture of the constellation in motion needs: tracks, who observes, which links exist when, contact
windows.

`czml` and `html` only draw it. Tracks are sampled as finely as their interpolation needs (`track_step_s`),
however large the steps are at which participants and links are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from constellation.common.errors import UserError
from constellation.links.budget import noise_label
from constellation.links.topology import select_region, topology_at
from constellation.orbit.orbits import Constellation, load_constellation
from constellation.passes.contacts import ContactWindows, station_windows
from constellation.scenario.network import GroundKnobs
from constellation.sync.series import Setting

MAX_SAMPLES = 6_000_000  # satellites times instants: 12 h in minutes of 8,000 satellites, 36 MB of HTML
MAX_LINK_INTERVALS = 100_000
MAX_LINKS = 20_000_000  # over all instants: 500 MB while intervals are made of them
# Fifth-degree Lagrange between samples of step h is (omega h)^6 r / 200 off in the middle interval and five
# times that in the last; 0.13 rad keeps low circular orbits within 1 m: 120 s at 550 km
_RADIANS_PER_STEP = 0.13
_LONGEST_STEP_S = 120.0

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
    """T instants, S satellites, K participants, N samples of the tracks.

    title: the scenario's name; constellation: in words. track_s: float64 [N], seconds after the epoch, evenly
    apart; sparse_s: how far apart samples may be for fifth-degree interpolation. positions_km: float64 [N, S,
    3], Earth-fixed. times_s: float64 [T]. participants: int64 [T, K], -1 where fewer see the region. Links
    and windows lie between the first and the last instant. routing: all links, for routes between any two
    satellites; None where they follow from the positions (rule=distance), or are too many."""

    title: str
    constellation: str
    epoch: datetime
    names: tuple[str, ...]
    track_s: np.ndarray
    sparse_s: float
    positions_km: np.ndarray
    times_s: np.ndarray
    participants: np.ndarray
    links: LinkIntervals
    links_of: Links
    rule: str
    noise: str
    windows: ContactWindows
    ground: GroundKnobs
    setting: Setting
    routing: LinkIntervals | None = None
    notes: tuple[str, ...] = ()
    others: tuple[tuple[GroundKnobs, ContactWindows], ...] = ()

    def utc(self, time_s: float) -> str:
        """ISO 8601 with milliseconds."""
        moment = self.epoch + timedelta(seconds=round(float(time_s), 3))
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def view_data(
    setting: Setting, ground: GroundKnobs, title: str, duration_s: float, links: Links = "participants"
) -> ViewData:
    """The setting's first `duration_s` in steps of `orbit.step_s`, both ends included.

    links: those among the satellites that observe the region at the time, or all. Raises `UserError` where
    that is too much to draw."""
    satellites = load_constellation(setting.orbit)
    step_s = setting.orbit.step_s
    steps = max(1, math.ceil(duration_s / step_s - 1e-9))
    sparse_s = track_step_s(satellites)
    finer = math.ceil(step_s / sparse_s - 1e-9)  # samples of the tracks per step
    if (steps * finer + 1) * len(satellites) > MAX_SAMPLES:
        raise UserError(
            f"view of {len(satellites)} satellites at {steps * finer + 1} instants: expected at most "
            f"{MAX_SAMPLES} positions; give a smaller hours= or a larger orbit.step_s="
        )
    times_s = np.arange(steps + 1) * step_s
    track_s = np.arange(steps * finer + 1) * step_s / finer
    positions_km = satellites.positions_itrs_km(track_s)
    participants = select_region(positions_km[::finer], setting.region, setting.satellites)
    watched = participants if links == "participants" else None
    edges = _edges(setting, satellites, positions_km[::finer], watched)
    drawn = link_intervals(edges, times_s, len(satellites))
    windows = station_windows(satellites, ground, 0.0, float(times_s[-1]))
    return ViewData(
        title=title,
        constellation=setting.label,
        epoch=satellites.epoch,
        names=satellites.names,
        track_s=track_s,
        sparse_s=sparse_s,
        positions_km=positions_km,
        times_s=times_s,
        participants=participants,
        links=drawn,
        links_of=links,
        rule=setting.topology.rule,
        noise=noise_label(setting.link),
        windows=windows[0],
        ground=ground.each[0],
        setting=setting,
        routing=drawn if watched is None else _routing(setting, satellites, positions_km[::finer], times_s),
        notes=tuple(satellites.notes),
        others=tuple(zip(ground.each[1:], windows[1:], strict=True)),
    )


def _routing(
    setting: Setting, satellites: Constellation, positions_km: np.ndarray, times_s: np.ndarray
) -> LinkIntervals | None:
    """All links, where a page cannot make them from the positions; None too where they are too many."""
    if setting.topology.rule == "distance":
        return None
    try:
        return link_intervals(_edges(setting, satellites, positions_km, None), times_s, len(satellites))
    except UserError:
        return None


def track_step_s(satellites: Constellation) -> float:
    """How far apart samples of the tracks may be, from the fastest turn about the Earth, at a perigee."""
    known = np.concatenate(
        [np.zeros((1, 6)), *(arc.states for one in satellites.ephemerides for arc in one.arcs)]
    )
    speed, radius = (np.linalg.norm(part, axis=1) for part in (known[:, 3:], known[:, :3]))
    turns = [
        record.no_kozai / 60 * (1 + record.ecco) ** 2 / (1 - record.ecco**2) ** 1.5
        for record in satellites.satrecs
    ]
    fastest = max([float((speed / np.maximum(radius, 1.0)).max()), *turns])
    return min(_LONGEST_STEP_S, _RADIANS_PER_STEP / fastest)


def _edges(
    setting: Setting, satellites: Constellation, positions_km: np.ndarray, participants: np.ndarray | None
) -> list[np.ndarray]:
    """Links int [E, 2] at each instant: all, or those among the participants [T, K]."""
    edges: list[np.ndarray] = []
    total = 0
    for t, instant_km in enumerate(positions_km):
        here = topology_at(instant_km, setting.topology, setting.link, satellites).edges
        if participants is not None:
            here = _among(here, participants[t], len(satellites))
        total += len(here)
        if len(here) > MAX_LINK_INTERVALS or total > MAX_LINKS:
            raise _too_many(f"{total} links at {t + 1} instants")
        edges.append(here)
    return edges


def _too_many(found: str) -> UserError:
    return UserError(
        f"view: {found}, expected at most {MAX_LINK_INTERVALS} link intervals; give links=participants, a "
        "smaller hours=, or topology.rule=grid"
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
        raise _too_many(f"{len(starts)} link intervals")
    lasts = np.append(starts[1:], len(key)) - 1 if len(starts) else starts
    until = np.minimum(step[lasts] + 1, len(times_s) - 1)
    ends = np.stack(np.divmod(key[starts], satellites), axis=1).astype(np.int32)
    return LinkIntervals(ends, times_s[step[starts]], times_s[until])


def _among(edges: np.ndarray, members: np.ndarray, satellites: int) -> np.ndarray:
    chosen = np.zeros(satellites, dtype=bool)
    chosen[members[members >= 0]] = True
    return edges[chosen[edges].all(axis=1)]
