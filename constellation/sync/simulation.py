"""Sync rounds over a whole study window: positions, participants, links, routes and times at every sampling
instant, a block of instants at a time.

What comes and goes over the whole constellation is counted in a thread beside the rounds. At most two blocks
of positions wait for it, so memory does not grow with the window, and Ctrl-C drops what waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from threading import Event

import numpy as np

from constellation.common.errors import UserError
from constellation.links.budget import noise_label
from constellation.links.churn import distance_churn
from constellation.links.pruning import LinkRules, local_topology, useful_satellites
from constellation.links.routing import minimum_delay_paths
from constellation.links.topology import (
    Topology,
    TopologyEvents,
    events_cost,
    select_region,
    sight_can_be_blocked,
    topology_at,
    topology_events,
)
from constellation.orbit.orbits import Constellation, load_constellation, sample_times_s
from constellation.scenario.network import SyncKnobs
from constellation.sync.series import Setting, SyncSeries
from constellation.sync.timing import SyncResult, sync_round, times_of_arrivals

_BLOCK_SATELLITE_STEPS = 200_000  # satellites times steps held at once, with 8 participants: about 100 MB
_WAITING_BLOCKS = 2  # of positions, for the counting thread
MAX_PAIRS = 250_000_000  # payloads x instants x participants^2, of which the hops are kept: 500 MB


def simulate(
    setting: Setting, payload_bytes: Sequence[float], times_s: np.ndarray | None = None
) -> SyncSeries:
    """Simulate one sync round at every instant (default: the setting's own window) for every payload size.

    Raises `UserError` for whatever is wrong with the orbits, the rule, or a region that no satellite ever
    sees."""
    times_s = sample_times_s(setting.orbit) if times_s is None else np.asarray(times_s, np.float64)
    sizes = np.asarray(payload_bytes, dtype=np.float64).reshape(-1)
    _check(setting, sizes, times_s)
    constellation = load_constellation(setting.orbit)
    participants, rounds = [], []
    with _EventCounter(setting, constellation) as counter:
        for positions_km in _blocks(setting, constellation, times_s):
            counter.add(positions_km)
            chosen = select_region(positions_km, setting.region, setting.satellites)
            rounds += _rounds(positions_km, chosen, sizes, setting, constellation)
            participants.append(chosen)
        events = counter.finish()
    chosen = np.concatenate(participants)
    if not (chosen >= 0).any():
        raise UserError(
            "region: no satellite sees it at any instant, expected a larger region.max_off_nadir_deg, "
            "another point, or rule=nearest"
        )
    return SyncSeries(
        times_s=times_s,
        payload_bytes=sizes,
        participants=chosen,
        t_sync_s=np.stack([t for t, _ in rounds], axis=1),
        hops=np.stack([h for _, h in rounds], axis=1),
        events=events,
        control_s=setting.sync.control_s,
        noise=noise_label(setting.link),
        rule=setting.topology.rule,
        schedule=setting.sync.schedule,
        contention=setting.sync.contention,
        constellation=setting.label,
        satellites=len(constellation),
        notes=tuple(constellation.notes),
    )


def each_round(
    setting: Setting, payload_bytes: Sequence[float], times_s: np.ndarray
) -> Iterator[tuple[int, np.ndarray, list[SyncResult | None]]]:
    """One round at every instant for every payload, whole: (index into `times_s`, satellite ids of the
    participants int64 [K], the results by payload); not in order of time.

    A result is None where it is undefined: fewer than two satellites see the region, or nobody of them hears
    anybody. Raises `UserError` as `simulate` does."""
    sizes = np.asarray(payload_bytes, dtype=np.float64).reshape(-1)
    _check(setting, sizes, times_s)
    constellation = load_constellation(setting.orbit)
    first = 0
    for positions_km in _blocks(setting, constellation, times_s):
        chosen = select_region(positions_km, setting.region, setting.satellites)
        for t, members, topology in _instants(positions_km, chosen, sizes, setting, constellation):
            results = [sync_round(topology, members, size, setting.sync) for size in sizes.tolist()]
            yield first + t, chosen[t, : len(members)], [r if r.anybody_heard else None for r in results]
        first += len(positions_km)


def _check(setting: Setting, sizes: np.ndarray, times_s: np.ndarray) -> None:
    if not len(times_s) or not len(sizes) or not (np.isfinite(sizes).all() and (sizes >= 0).all()):
        raise UserError(
            f"payload_bytes: found {sizes.tolist()} at {len(times_s)} instants, expected sizes of at least 0 "
            "bytes, and one instant"
        )
    pairs = len(sizes) * len(times_s) * setting.satellites**2
    if pairs > MAX_PAIRS:
        raise UserError(
            f"satellites={setting.satellites}: {pairs} pairs in {len(sizes)} payloads and {len(times_s)} "
            f"instants, expected at most {MAX_PAIRS}; give fewer satellites or a larger orbit.step_s"
        )


def _blocks(setting: Setting, constellation: Constellation, times_s: np.ndarray) -> Iterator[np.ndarray]:
    """Earth-fixed positions, [T, S, 3] of some instants at a time."""
    block = max(1, _BLOCK_SATELLITE_STEPS // len(constellation) // max(1, setting.satellites // 8))
    for start in range(0, len(times_s), block):
        yield constellation.positions_itrs_km(times_s[start : start + block])


class _EventCounter:
    """Counts links that come and go, in a thread of its own, over blocks of positions in order of time."""

    def __init__(self, setting: Setting, constellation: Constellation) -> None:
        self._setting, self._constellation = setting, constellation
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[list[TopologyEvents]]] = deque()
        self._stop = Event()
        self._last_km = np.zeros((0, len(constellation), 3))  # the instant before a block's first
        self._events: list[TopologyEvents] = []

    def __enter__(self) -> _EventCounter:
        return self

    def __exit__(self, *_: object) -> None:
        # After an error or Ctrl-C nobody wants the rest: the step under way ends, no other begins
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, positions_km: np.ndarray) -> None:
        """Hand a block over; waits where two are waiting already."""
        while len(self._waiting) >= _WAITING_BLOCKS:
            self._events += self._waiting.popleft().result()
        block_km = np.concatenate([self._last_km, positions_km])
        self._waiting.append(self._pool.submit(self._count, block_km))
        self._last_km = positions_km[-1:]

    def finish(self) -> tuple[TopologyEvents, ...]:
        """All events, [T - 1]."""
        while self._waiting:
            self._events += self._waiting.popleft().result()
        return tuple(self._events)

    def _count(self, positions_km: np.ndarray) -> list[TopologyEvents]:
        """Omega_topo between successive positions [T, S, 3], over the whole constellation."""
        knobs, link = self._setting.topology, self._setting.link
        blocked = knobs.line_of_sight and sight_can_be_blocked(positions_km, knobs)
        events: list[TopologyEvents] = []
        last: Topology | None = None
        for before_km, after_km in pairwise(positions_km):
            if self._stop.is_set():
                return events
            if knobs.rule == "distance" and not blocked:
                events.append(
                    events_cost(distance_churn(before_km, after_km, knobs.max_distance_km), knobs, link)
                )
                continue
            last = last or topology_at(before_km, knobs, link, self._constellation)
            following = topology_at(after_km, knobs, link, self._constellation)
            events.append(topology_events(last, following, knobs, link))
            last = following
        return events


def _rounds(
    positions_km: np.ndarray,
    chosen: np.ndarray,
    sizes: np.ndarray,
    setting: Setting,
    constellation: Constellation,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """T_sync [P, K] and hops [P, K, K] of every step of a block."""
    steps, wanted = chosen.shape
    out = [
        (np.full((len(sizes), wanted), np.nan), np.full((len(sizes), wanted, wanted), -1, dtype=np.int16))
        for _ in range(steps)
    ]
    for t, members, topology in _instants(positions_km, chosen, sizes, setting, constellation):
        present = len(members)
        for p, size in enumerate(sizes.tolist()):
            t_sync_s, hops = _one_round(topology, members, size, setting.sync)
            # Who hears nobody, and is heard by nobody, has no sync to time; alone over the region, it has
            together = (hops >= 0).sum(axis=0) + (hops >= 0).sum(axis=1) > 2
            out[t][0][p, :present] = np.where(together | (present == 1), t_sync_s, np.nan)
            out[t][1][p, :present, :present] = hops
    return out


def _instants(
    positions_km: np.ndarray,
    chosen: np.ndarray,
    sizes: np.ndarray,
    setting: Setting,
    constellation: Constellation,
) -> Iterator[tuple[int, np.ndarray, Topology]]:
    """(step, participants as the topology numbers them, topology) of every step that has participants."""
    present = (chosen >= 0).sum(axis=1)
    if setting.topology.rule != "distance":
        for t in np.flatnonzero(present).tolist():
            topology = topology_at(positions_km[t], setting.topology, setting.link, constellation)
            yield t, chosen[t, : present[t]], topology
        return
    rules = LinkRules(setting.topology, setting.link, setting.sync)
    for count in np.unique(present[present > 0]).tolist():
        steps = np.flatnonzero(present == count)
        messages = sizes
        if setting.sync.schedule == "tree":  # whose messages carry one block to all of them
            messages = np.outer(np.arange(1, count + 1), sizes).ravel()
        useful = useful_satellites(positions_km[steps], chosen[steps, :count], messages, rules)
        for t, nodes in zip(steps.tolist(), useful, strict=True):
            yield t, np.arange(count), local_topology(positions_km[t], nodes, setting.topology, setting.link)


def _one_round(
    topology: Topology, members: np.ndarray, size_bytes: float, sync: SyncKnobs
) -> tuple[np.ndarray, np.ndarray]:
    """T_sync [K] and hops [K, K] of one round."""
    if sync.schedule != "unicast" or sync.contention != "parallel":
        result = sync_round(topology, members, size_bytes, sync)
        return result.t_sync_s, result.hops
    paths = minimum_delay_paths(topology, members, size_bytes, sync)
    return times_of_arrivals(paths.flow_s[:, members], sync.control_s)[2], paths.hops[:, members]
