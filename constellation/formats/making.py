"""The contact plan of a constellation, from its links and passes."""

from __future__ import annotations

import numpy as np

from constellation.common.errors import UserError
from constellation.formats.plan import Plan, both_ways, sorted_plan
from constellation.links.budget import rate_bps
from constellation.links.topology import select_region, topology_at
from constellation.orbit.orbits import Constellation, load_constellation
from constellation.passes.contacts import station_windows
from constellation.passes.delivery.contacts import LIGHT_KM_S
from constellation.passes.tracks import Tracks
from constellation.scenario.network import GroundKnobs
from constellation.show.data import MAX_LINKS, link_intervals
from constellation.sync.series import Setting

_BLOCK_SATELLITE_STEPS = 400_000


def plan_of(setting: Setting, ground: GroundKnobs, duration_s: float, links: str) -> Plan:
    """Links and passes within so many seconds of the epoch. links: participants, all, none. Raises
    `UserError` where there is too much."""
    satellites = load_constellation(setting.orbit)
    windows = station_windows(satellites, ground, 0.0, duration_s)
    names = [*satellites.names, *(station.name for station in ground.each)]
    contacts = []
    for number, (station, found) in enumerate(zip(ground.each, windows, strict=True)):
        node = len(satellites) + number + 1
        middle_s = (found.rise_s + found.set_s) / 2
        delay_s = _delays_s(satellites, station, found.satellite, middle_s)
        for i in range(len(found)):
            ends = (int(found.satellite[i]) + 1, node)
            span_s = (float(found.rise_s[i]), float(found.set_s[i]))
            contacts += both_ways(ends, span_s, float(found.mean_rate_bps[i]), float(delay_s[i]))
    if links != "none":
        contacts += _link_contacts(setting, satellites, duration_s, links)
    return sorted_plan(names, contacts, satellites.epoch, len(satellites))


def _delays_s(
    satellites: Constellation, station: GroundKnobs, who: np.ndarray, times_s: np.ndarray
) -> np.ndarray:
    """Light time between satellite and station, float64 [W]."""
    from constellation.orbit.orbits import subset

    found = np.zeros(len(who))
    for satellite in np.unique(who).tolist():
        mine = np.flatnonzero(who == satellite)
        span_s = float(times_s[mine].min()), float(times_s[mine].max()) + 60.0
        tracks = Tracks(subset(satellites, [satellite]), *span_s, station)
        found[mine] = tracks.distance_km(np.zeros(len(mine), dtype=np.int64), times_s[mine]) / LIGHT_KM_S
    return found


def _link_contacts(setting: Setting, satellites: Constellation, duration_s: float, links: str) -> list:
    """Links as contacts: each holds from the instant at which it is seen until the one at which it is not; at
    the rate and distance of its beginning."""
    times_s = np.arange(0.0, duration_s + 1e-6, setting.orbit.step_s)
    edges, first, total = [], {}, 0
    block = max(1, _BLOCK_SATELLITE_STEPS // len(satellites))
    for start in range(0, len(times_s), block):
        positions_km = satellites.positions_itrs_km(times_s[start : start + block])
        for step, instant_km in enumerate(positions_km, start=start):
            here = topology_at(instant_km, setting.topology, setting.link, satellites)
            pairs, distance_km = here.edges, here.distance_km
            if links == "participants":
                members = select_region(instant_km, setting.region, setting.satellites)
                among = np.isin(pairs, members).all(axis=1)
                pairs, distance_km = pairs[among], distance_km[among]
            total += len(pairs)
            if total > MAX_LINKS:
                raise UserError(
                    f"export: more than {MAX_LINKS} links; give links=participants or smaller hours="
                )
            edges.append(pairs)
            first[step] = dict(zip(map(tuple, pairs.tolist()), distance_km.tolist(), strict=True))
    found = link_intervals(edges, times_s, len(satellites))
    step_of = {float(time_s): step for step, time_s in enumerate(times_s)}
    contacts = []
    for (a, b), begin_s, end_s in zip(
        found.ends.tolist(), found.begin_s.tolist(), found.end_s.tolist(), strict=True
    ):
        if end_s > begin_s:
            distance = first[step_of[begin_s]][a, b]
            rate = float(rate_bps(np.array(distance), setting.link))
            contacts += both_ways((a + 1, b + 1), (begin_s, end_s), rate, distance / LIGHT_KM_S)
    return contacts
