"""A long span of a large constellation, instant by instant: the positions of a few instants and the links of
two are all that is held, however long the span is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from constellation.links.pruning import LinkRules
from constellation.links.topology import Topology, TopologyEvents, topology_at, topology_events
from constellation.orbit.orbits import Constellation

BLOCK_STATES = 100_000  # satellites times instants that SGP4 answers for at once: about 10 MB


@dataclass(frozen=True, eq=False)
class Moment:
    """One instant. time_s: after the constellation's epoch. events: what came and went since the instant
    before; None at the first."""

    time_s: float
    topology: Topology
    events: TopologyEvents | None


def moments(constellation: Constellation, rules: LinkRules, times_s: np.ndarray) -> Iterator[Moment]:
    """Links at float64 [T] ascending times, one instant after the other; the same as of `topology_at`.

    Raises `UserError` where the orbits cannot be propagated over the whole span, before anything is
    computed, or the rule does not fit the constellation."""
    before: Topology | None = None
    if len(times_s):
        constellation.positions_teme_km(times_s[[0, -1]])  # elements are followed once, not block by block
    block = max(1, BLOCK_STATES // max(1, len(constellation)))
    for start in range(0, len(times_s), block):
        some_s = times_s[start : start + block]
        for time_s, positions_km in zip(
            some_s.tolist(), constellation.positions_teme_km(some_s), strict=True
        ):
            here = topology_at(positions_km, rules.topology, rules.link, constellation)
            events = None if before is None else topology_events(before, here, rules.topology, rules.link)
            yield Moment(time_s, here, events)
            before = here
