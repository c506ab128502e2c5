"""The space segment of a run: where the participating satellites are in a round, which links they have, and
what the exchange costs.

Every satellite computes the same from the knobs alone; no message is needed for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.links.budget import rate_bps
from constellation.links.topology import Topology, select_region, topology_at
from constellation.orbit.frames import EARTH_RADIUS_KM
from constellation.orbit.orbits import Constellation, load_constellation, subset
from constellation.scenario.scenario import NetworkScenario
from constellation.sight.camera import earth_fixed_states
from constellation.sight.looks import Sighting, Window, rounds_of, windows_of
from constellation.sight.targets import targets_of
from constellation.sync.scope import Audience, wanted_pairs
from constellation.sync.series import constellation_label
from constellation.sync.timing import SyncResult, sync_round, sync_within


@value
class Sync:
    """What one exchange reached and cost, by number of the participant. Simulated seconds after it began.

    hearers: sender -> receivers whom its message reaches over the links, itself included. t_sync_s: until one
    has sent and heard everything. t_round_s: until all have.
    """

    hearers: Mapping[int, frozenset[int]]
    t_sync_s: Mapping[int, float]
    t_round_s: float

    def later(self, seconds: float) -> Sync:
        """The same, done so much later."""
        t_sync_s = {satellite: time_s + seconds for satellite, time_s in self.t_sync_s.items()}
        return Sync(self.hearers, t_sync_s, self.t_round_s + seconds)


NO_SYNC = Sync({}, {}, 0.0)  # of a round in which nobody exchanges anything


class Instant:
    """One round's instant: participant 0 .. N-1 is satellite `members[number]`, int64 [N], of the
    constellation, whose links are `topology`. time_s: simulated, of the run. sightings: where orbits decide
    who sees what, the looks of those participants that have one."""

    def __init__(
        self, knobs: NetworkScenario, constellation: Constellation, number: int, window: Window | None = None
    ) -> None:
        self._knobs, self._constellation = knobs, constellation
        self.number = number
        self.time_s = number * knobs.orbit.step_s if window is None else window.end_s
        when = np.array([self.time_s])
        self.sightings: Mapping[int, Sighting] = {}
        if window is None:
            positions_km = constellation.positions_itrs_km(when)[0]
            self.members = select_region(positions_km, knobs.region, knobs.satellites)
        else:
            self.members, self.sightings = _lookers(window, knobs.satellites, len(constellation))
        if len(self.members) < knobs.satellites:
            raise UserError(
                f"region.rule={knobs.region.rule}: {len(self.members)} satellites see the region at "
                f"{self.time_s:g} s, the round needs {knobs.satellites} (satellites); widen "
                "region.max_off_nadir_deg or use region.rule=nearest"
            )
        self._positions_km = constellation.positions_teme_km(when)[0]
        self.topology: Topology = topology_at(self._positions_km, knobs.topology, knobs.link, constellation)
        self._exchanges: dict[Any, Sync] = {}
        self._metrics: dict[tuple[int, str], float] = {}

    def exchange(self, payload_bytes: Mapping[int, float], audience: Audience | None = None) -> Sync:
        """The exchange among those who have something to send, timed (appendix A). audience: whom each
        message is meant for; None: for everybody. Satellites of one process ask alike, so answers are
        kept. A payload of 0 bytes: of who listens and sends nothing."""
        payloads = tuple(sorted(payload_bytes.items()))
        key = payloads, None if audience is None else frozenset(audience.items())
        if key not in self._exchanges:
            self._exchanges[key] = self._exchange(payloads, audience)
        return self._exchanges[key]

    def _exchange(self, payloads: tuple[tuple[int, float], ...], audience: Audience | None) -> Sync:
        if not payloads:
            return NO_SYNC
        numbers, sizes = zip(*payloads, strict=True)
        result = self.timed(numbers, sizes, audience)
        heard = result.heard
        hearers = {
            sender: frozenset(numbers[r] for r in np.flatnonzero(heard[:, place]).tolist()) | {sender}
            for place, sender in enumerate(numbers)
        }
        t_sync_s = dict(zip(numbers, map(float, result.t_sync_s), strict=True))
        return Sync(hearers, t_sync_s, float(result.t_round_s))

    def timed(
        self, numbers: Sequence[int], payload_bytes: Sequence[float], audience: Audience | None = None
    ) -> SyncResult:
        """One exchange among participants, message by message; audience and empty payloads as of
        `exchange`."""
        members, knobs = self.members[list(numbers)], self._knobs.sync
        if audience is None and knobs.schedule == "unicast" and 0 in payload_bytes:
            # nobody waits for who has nothing to say; in a collective they hand on what they hear
            says = np.asarray(payload_bytes) > 0
            wanted = np.repeat(says[:, None], len(says), axis=1)
            return sync_within(self.topology, members, payload_bytes, knobs, wanted)
        if audience is None:
            return sync_round(self.topology, members, payload_bytes, knobs)
        return sync_within(self.topology, members, payload_bytes, knobs, wanted_pairs(numbers, audience))

    def metric(self, number: int, rule: str) -> float:
        """What one participant's header carries for a rule of `priority`: the order's metric for `link` and
        `energy`, the mean rate of the next contact, bit/s, for `balanced`, else 0. Answers are kept."""
        key = number, rule
        if key not in self._metrics:
            self._metrics[key] = self._metric(number, rule)
        return self._metrics[key]

    def _metric(self, number: int, rule: str) -> float:
        knobs, members = self._knobs, self.members[number : number + 1]
        if rule == "link":
            from constellation.passes.contacts import link_metric

            return float(link_metric(self._constellation, members, self.time_s, knobs.ground)[0])
        if rule == "balanced":
            from constellation.passes.contacts import next_contact

            contact = next_contact(self._constellation, members, self.time_s, knobs.ground)
            return float(contact.mean_rate_bps[0])
        if rule == "energy":
            from constellation.passes.energy import energy_metric

            return float(energy_metric(self._constellation, members, self.time_s, knobs.energy)[0])
        return 0.0

    def downlink_rate_bps(self, number: int) -> float:
        """Rate to the ground station at the edge of a pass (slant range at `ground.min_elevation_deg`), the
        least that a contact offers; of several stations the one that looks lowest."""
        ground = self._knobs.ground
        radius_km = float(np.linalg.norm(self._positions_km[self.members[number]]))
        elevation = math.radians(min(station.min_elevation_deg for station in ground.each))
        to_horizon_km = math.sqrt(radius_km**2 - (EARTH_RADIUS_KM * math.cos(elevation)) ** 2)
        slant_km = to_horizon_km - EARTH_RADIUS_KM * math.sin(elevation)
        return float(rate_bps(np.array([slant_km]), ground.downlink)[0])


def _lookers(window: Window, count: int, total: int) -> tuple[np.ndarray, dict[int, Sighting]]:
    """Participants of a window: those who look, of too many the ones that look most steeply, and others to
    make up the number; ascending, so that with as many participants as satellites each has its own number."""
    looks = sorted(window.sightings, key=lambda one: (one.off_nadir_deg, one.satellite))[:count]
    looking = {one.satellite: one for one in looks}
    others = [s for s in range(total) if s not in looking][: count - len(looking)]
    members = np.array(sorted([*looking, *others]), dtype=np.int64)
    return members, {n: looking[s] for n, s in enumerate(members.tolist()) if s in looking}


class SpaceSegment:
    """Positions, participants and links at each round's instant: round number times `orbit.step_s`, or, where
    orbits decide, the last look of a window."""

    def __init__(self, knobs: NetworkScenario) -> None:
        self._knobs = knobs
        self._last: Instant | None = None
        self.constellation: Constellation = load_constellation(knobs.orbit)
        if knobs.satellites > len(self.constellation):
            raise UserError(
                f"satellites={knobs.satellites}: the constellation {constellation_label(knobs.orbit)} "
                f"has only {len(self.constellation)}"
            )
        self._windows: list[Window] | None = None

    def at(self, number: int) -> Instant:
        """Participants, links and rates of a round; the last one asked for is kept, as crews of one process
        ask alike."""
        if self._last is None or self._last.number != number:
            window = self.windows[number] if self._knobs.orbital else None
            self._last = Instant(self._knobs, self.constellation, number, window)
        return self._last

    @property
    def windows(self) -> list[Window]:
        """The rounds of a run whose orbits decide who looks when; found once. Raises `UserError` where
        `orbit.duration_s` has fewer than asked for."""
        if self._windows is None:
            knobs = self._knobs
            until_s, targets = knobs.orbit.duration_s, targets_of(knobs.sight.targets, knobs.region)
            found = windows_of(self.constellation, targets, knobs.region, knobs.sight, until_s)
            self._windows = rounds_of(found, knobs.rounds, knobs.region, until_s)
        return self._windows

    def state_km(self, satellite: int, time_s: float) -> np.ndarray:
        """Earth-fixed position and velocity of a satellite of the constellation, km and km/s, float64 [6]."""
        when, alone = np.array([time_s]), subset(self.constellation, [satellite])
        return earth_fixed_states(alone.states_teme_km(when), alone.teme_to_itrs(when))[0, 0]
