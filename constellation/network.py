"""The space segment of a run: where the participating satellites are in a round, which links they have, and
what the exchange costs.

Every satellite computes the same from the scenario alone; no message is needed for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from constellation.common.errors import UserError
from constellation.links.budget import rate_bps
from constellation.orbit.orbits import EARTH_RADIUS_KM, Constellation, load_constellation
from constellation.scenario.scenario import Scenario
from constellation.sync.timing import SyncResult, sync_round
from constellation.links.topology import Topology, select_region, topology_at


@dataclass(frozen=True, eq=False)
class RoundInSpace:
    """One round's instant. members: int64 [N], constellation index of participant 0 .. N-1; topology: links
    of the whole constellation."""

    time_s: float
    members: np.ndarray
    topology: Topology


class SpaceSegment:
    """Positions, participants and links at each round's instant (round number times `orbit.step_s`)."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._last: tuple[int, RoundInSpace] | None = None
        self._last_exchange: tuple[object, SyncResult] | None = None
        self.constellation: Constellation = load_constellation(scenario.orbit)
        if scenario.satellites > len(self.constellation):
            raise UserError(
                f"satellites={scenario.satellites}: the constellation {scenario.orbit.pattern} has only {len(self.constellation)}"
            )

    def at(self, round_number: int) -> RoundInSpace:
        """Participants, links and rates of a round; the last round asked for is kept, as satellites of one
        process ask alike."""
        if self._last is None or self._last[0] != round_number:
            self._last = (round_number, self._instant(round_number))
        return self._last[1]

    def _instant(self, round_number: int) -> RoundInSpace:
        scenario = self.scenario
        time_s = round_number * scenario.orbit.step_s
        when = np.array([time_s])
        members = select_region(
            self.constellation.positions_itrs_km(when)[0], scenario.region, scenario.satellites
        )
        if len(members) < scenario.satellites:
            raise UserError(
                f"region.rule={scenario.region.rule}: {len(members)} satellites see the region at {time_s:g} s, the round needs "
                f"{scenario.satellites} (satellites); widen region.max_off_nadir_deg or use region.rule=nearest"
            )
        positions = self.constellation.positions_teme_km(when)[0]
        topology = topology_at(positions, scenario.topology, scenario.link, self.constellation)
        return RoundInSpace(time_s, members, topology)

    def exchange(self, instant: RoundInSpace, payload_bytes: Sequence[float]) -> SyncResult:
        """The signature round among the participants, timed (appendix A)."""
        key = (instant.time_s, tuple(payload_bytes))
        if self._last_exchange is None or self._last_exchange[0] != key:
            self._last_exchange = (
                key,
                sync_round(instant.topology, instant.members, list(payload_bytes), self.scenario.sync),
            )
        return self._last_exchange[1]

    def metric(self, instant: RoundInSpace, participant: int) -> float:
        """What one participant's header carries for `priority.rule`: the order's metric for `link` and
        `energy`, the mean rate of the next contact, bit/s, for `balanced`, else 0."""
        rule, members = self.scenario.priority.rule, instant.members[participant : participant + 1]
        if rule == "link":
            from constellation.passes.contacts import link_metric

            return float(link_metric(self.constellation, members, instant.time_s, self.scenario.ground)[0])
        if rule == "balanced":
            from constellation.passes.contacts import next_contact

            return float(
                next_contact(self.constellation, members, instant.time_s, self.scenario.ground).mean_rate_bps[
                    0
                ]
            )
        if rule == "energy":
            from constellation.passes.energy import energy_metric

            return float(energy_metric(self.constellation, members, instant.time_s, self.scenario.energy)[0])
        return 0.0

    def downlink_rate_bps(self, instant: RoundInSpace, participant: int) -> float:
        """Rate to the ground station at the edge of a pass (slant range at `ground.min_elevation_deg`), the
        least that a contact offers."""
        position = self.constellation.positions_teme_km(np.array([instant.time_s]))[
            0, instant.members[participant]
        ]
        radius_km = float(np.linalg.norm(position))
        elevation = math.radians(self.scenario.ground.min_elevation_deg)
        slant_km = math.sqrt(
            radius_km**2 - (EARTH_RADIUS_KM * math.cos(elevation)) ** 2
        ) - EARTH_RADIUS_KM * math.sin(elevation)
        return float(rate_bps(np.array([slant_km]), self.scenario.ground.downlink)[0])

    @staticmethod
    def participants(result: SyncResult) -> dict[int, frozenset[int]]:
        """For every participant number, the participant numbers it heard in the round, itself included."""
        heard = result.heard
        return {
            receiver: frozenset(np.flatnonzero(heard[receiver]).tolist()) | {receiver}
            for receiver in range(len(heard))
        }
