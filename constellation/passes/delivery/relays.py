"""Data of satellites that see no station goes over inter-satellite links to those that do (the paper's
section 2.1): the way of the least delay, at the rate of its slowest link."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from constellation.links.pruning import LinkRules
from constellation.links.routing import Paths, minimum_delay_paths
from constellation.links.topology import Topology, topology_at
from constellation.orbit.orbits import Constellation
from constellation.passes.delivery.antennas import Relays
from constellation.passes.delivery.contacts import LIGHT_KM_S
from constellation.passes.delivery.link import Contact

_PAYLOAD_BYTES = 1e6  # that ways are chosen for


def relays_over(constellation: Constellation, rules: LinkRules, relay_s: float) -> Relays:
    """Ways at a time, each good for `relay_s`."""

    def ways(time_s: float, wanting: Sequence[int], free: Sequence[Contact]) -> dict[int, Contact]:
        positions_km = constellation.positions_teme_km(np.array([time_s]))[0]
        topology = topology_at(positions_km, rules.topology, rules.link, constellation)
        paths = minimum_delay_paths(topology, wanting, _PAYLOAD_BYTES, rules.sync)
        found: dict[int, Contact] = {}
        taken: set[int] = set()
        for row, satellite in enumerate(wanting):
            left = [one for one in free if one.satellite not in taken and paths.hops[row, one.satellite] > 0]
            best = min(left, key=lambda one: float(paths.flow_s[row, one.satellite]), default=None)
            if best is not None:
                taken.add(best.satellite)
                rest = best.from_time(time_s)
                if rest is not None:
                    found[satellite] = _over(paths, row, topology, rest, (time_s + relay_s, rules))
        return found

    return ways


def _over(paths: Paths, row: int, topology: Topology, last: Contact, how: tuple[float, LinkRules]) -> Contact:
    """The contact that a way gives. last: the pass that it ends in; how: until when, under which rules."""
    until_s, rules = how
    path = paths.path(row, last.satellite)
    pairs = np.sort(np.array(list(itertools.pairwise(path))), axis=1)
    edges = topology.edges.astype(np.int64)
    key = pairs[:, 0] * topology.satellites + pairs[:, 1]
    place = np.searchsorted(edges[:, 0] * topology.satellites + edges[:, 1], key)
    slowest_bps = float(topology.rate_bps[place].min())
    hops = len(pairs)
    delay_s = float(topology.distance_km[place].sum()) / LIGHT_KM_S + hops * rules.sync.relay_s
    edges_s = np.append(last.edges_s[last.edges_s < until_s], min(until_s, last.end_s))
    pieces = len(edges_s) - 1
    return Contact(
        path[0],
        last.station,
        last.satellite,
        edges_s,
        np.minimum(last.rate_bps[:pieces], slowest_bps),
        last.loss[:pieces],
        last.delay_s + delay_s,
        last.up_loss,
        hops,
    )
