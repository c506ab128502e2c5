"""The space network at a round's instant, as a value that a report draws: who took part, over which links the
exchange went, and how each satellite's stream waits for its passes.

Made from the knobs and from what a round says of itself; nothing of a run depends on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ConfigDict

from constellation.network import Instant, SpaceSegment
from constellation.orbit.frames import EARTH_RADIUS_KM
from constellation.orbit.orbits import Constellation
from constellation.passes.contacts import ContactWindows, contact_windows
from constellation.passes.queue import DownlinkQueue, Service
from constellation.scenario.scenario import NetworkScenario
from constellation.sync.scope import Audience
from constellation.sync.timing import SyncResult

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
PASSES = 3  # of a satellite that are told, from a round on


@dataclass(frozen=True)
class Node:
    """A satellite. participant: its number in the round, or -1: it only relays. latitude_deg: geocentric."""

    __pydantic_config__ = _STRICT

    participant: int
    name: str
    latitude_deg: float
    longitude_deg: float
    altitude_km: float


@dataclass(frozen=True)
class Isl:
    """A link between two nodes, by their places in `Snapshot.nodes`; used in both directions. carried_bytes:
    in this round's exchange, both directions together; 0 for one that it did not take."""

    __pydantic_config__ = _STRICT

    first: int
    second: int
    distance_km: float
    propagation_s: float
    rate_bps: float
    carried_bytes: float


@dataclass(frozen=True)
class Pass:
    """When the station hears a satellite. Seconds of the run's simulated time; rate_bps: mean of the pass."""

    __pydantic_config__ = _STRICT

    rise_s: float
    set_s: float
    max_elevation_deg: float
    rate_bps: float


@dataclass(frozen=True)
class Waiting:
    """A participant's stream in the queue of its satellite, first in, first out, each pass at its mean rate,
    an antenna for every satellite, and nothing sent twice. finish_s: when its last byte is on the ground;
    None where the passes within `orbit.duration_s` do not suffice. passes: the first ones from the round
    on."""

    __pydantic_config__ = _STRICT

    participant: int
    size_bytes: float
    ready_s: float
    finish_s: float | None
    passes: tuple[Pass, ...] = ()


@dataclass(frozen=True)
class RuleTold:
    """What a rule of priority would do to a round, by footprints alone: equal ground counts as equal,
    everybody hears everybody. order: participants, highest priority first. kept_bytes: that each of them
    sends, by its number; fairness: Jain's index of these. first_s, last_s: until a picture is usable, and
    until every byte is on the ground; lost_bytes: sent anew where an owner is lost, mean over the owners.
    None: undefined."""

    __pydantic_config__ = _STRICT

    rule: str
    order: tuple[int, ...]
    kept_bytes: tuple[float, ...]
    fairness: float | None
    first_s: float | None
    last_s: float | None
    lost_bytes: float


@dataclass(frozen=True)
class Snapshot:
    """One instant. nodes: participants, then those that relayed for them. links_in_all: of the whole
    constellation. until_s: how far passes were looked for. rules: what each would do, where asked."""

    __pydantic_config__ = _STRICT

    time_s: float
    satellites: int
    links_in_all: int
    rule: str
    noise: str
    until_s: float
    nodes: tuple[Node, ...]
    links: tuple[Isl, ...]
    waiting: tuple[Waiting, ...]
    rules: tuple[RuleTold, ...] = ()


class Onlooker:
    """Looks at the network round after round; the queues on board are its own memory."""

    def __init__(self, knobs: NetworkScenario) -> None:
        self._knobs, self._space = knobs, SpaceSegment(knobs)
        self._queues: dict[int, DownlinkQueue] = {}  # by number in the constellation
        self._windows: dict[int, ContactWindows] = {}

    @property
    def constellation(self) -> Constellation:
        """That it looks at."""
        return self._space.constellation

    def at(
        self,
        number: int,
        payload_bytes: Mapping[int, float],
        ready: Mapping[int, tuple[float, float]],
        audience: Audience | None = None,
    ) -> Snapshot:
        """Round `number`. payload_bytes: by participant, of those that took part in the exchange. ready: when
        a participant's stream is ready, s, and its bytes; of those that send one. audience: whom each
        participant's message is meant for; None: for everybody."""
        knobs, instant = self._knobs, self._space.at(number)
        topology = instant.topology
        took_part = sorted(payload_bytes)
        sizes = [payload_bytes[one] for one in took_part]
        exchange = instant.timed(took_part, sizes, audience) if sizes else None
        carried = _carried(exchange)
        drawn = [
            *instant.members.tolist(),
            *sorted({s for ends in carried for s in ends} - set(instant.members)),
        ]
        return Snapshot(
            time_s=float(instant.time_s),
            satellites=len(self._space.constellation),
            links_in_all=len(topology.edges),
            rule=topology.rule,
            noise=topology.noise,
            until_s=self._until_s(instant),
            nodes=self._nodes(instant, drawn),
            links=_links(instant, drawn, carried, knobs.sync.speed_of_light_m_s),
            waiting=self._waiting(instant, ready),
        )

    def _nodes(self, instant: Instant, drawn: Sequence[int]) -> tuple[Node, ...]:
        place = self._space.constellation.positions_itrs_km(np.array([instant.time_s]))[0, drawn]
        radius = np.linalg.norm(place, axis=1)
        latitude, longitude = (
            np.degrees(np.arcsin(place[:, 2] / radius)),
            np.degrees(np.arctan2(*place.T[1::-1])),
        )
        names, members = self._space.constellation.names, len(instant.members)
        return tuple(
            Node(i if i < members else -1, names[s], *map(float, (latitude[i], longitude[i], height)))
            for i, (s, height) in enumerate(zip(drawn, radius - EARTH_RADIUS_KM, strict=True))
        )

    def _until_s(self, instant: Instant) -> float:
        return float(max(self._knobs.orbit.duration_s, instant.time_s + self._knobs.orbit.step_s))

    def _waiting(self, instant: Instant, ready: Mapping[int, tuple[float, float]]) -> tuple[Waiting, ...]:
        self._look_for_passes(instant, [int(instant.members[one]) for one in ready])
        found = []
        for participant, (ready_s, size) in sorted(ready.items()):
            satellite = int(instant.members[participant])
            queue, windows = self._queues[satellite], self._windows[satellite]
            before_s = queue.deliveries[-1].ready_s if queue.deliveries else ready_s
            finish_s = queue.push(max(ready_s, before_s), size).finish_s
            found.append(
                Waiting(
                    participant,
                    float(size),
                    float(ready_s),
                    finish_s if math.isfinite(finish_s) else None,
                    _passes(windows, instant.time_s),
                )
            )
        return tuple(found)

    def _look_for_passes(self, instant: Instant, satellites: Sequence[int]) -> None:
        new = sorted(set(satellites) - self._queues.keys())
        if not new:
            return
        first = self._knobs.ground.each[0]  # of several stations; `dlrc study delivery` goes through all
        windows = contact_windows(self._space.constellation, first, 0.0, self._until_s(instant), new)
        for satellite in new:
            mine = windows.of(satellite)
            service = Service(mine.rise_s, mine.set_s, mine.mean_rate_bps)
            self._windows[satellite], self._queues[satellite] = mine, DownlinkQueue(service)


def _carried(exchange: SyncResult | None) -> dict[tuple[int, int], float]:
    """Bytes by link, its two satellites ascending."""
    carried: dict[tuple[int, int], float] = {}
    if exchange is not None:
        for ends, size in zip(exchange.link_ends.tolist(), exchange.link_bytes.tolist(), strict=True):
            link = min(ends), max(ends)
            carried[link] = carried.get(link, 0.0) + size
    return carried


def _links(
    instant: Instant, drawn: Sequence[int], carried: Mapping[tuple[int, int], float], light_m_s: float
) -> tuple[Isl, ...]:
    """Those among the satellites drawn."""
    topology, place = instant.topology, np.full(instant.topology.satellites, -1)
    place[list(drawn)] = np.arange(len(drawn))
    among = np.flatnonzero((place[topology.edges] >= 0).all(axis=1))
    found = []
    for edge in among:
        first, second = map(int, topology.edges[edge])
        length_km = float(topology.distance_km[edge])
        travel_s, rate_bps = 1000.0 * length_km / light_m_s, float(topology.rate_bps[edge])
        sent = carried.get((first, second), 0.0)
        found.append(Isl(int(place[first]), int(place[second]), length_km, travel_s, rate_bps, sent))
    return tuple(found)


def _passes(windows: ContactWindows, from_s: float) -> tuple[Pass, ...]:
    ahead = np.flatnonzero(windows.set_s > from_s)[:PASSES]
    columns = (windows.rise_s, windows.set_s, windows.max_elevation_deg, windows.mean_rate_bps)
    return tuple(Pass(*(float(column[i]) for column in columns)) for i in ahead)
