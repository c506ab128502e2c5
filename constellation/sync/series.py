"""Sync rounds over a whole study window: positions, participants, links, routes and times at every sampling
instant (appendix A, Figure 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from constellation.common.errors import UserError
from constellation.links.budget import noise_label
from constellation.links.churn import distance_churn
from constellation.links.pruning import local_topology, useful_satellites
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
from constellation.scenario.scenario import Scenario
from constellation.sync.timing import sync_round, times_of_arrivals

_BLOCK_SATELLITE_STEPS = 200_000  # satellites times steps held at once, with 8 participants: about 100 MB


@dataclass(frozen=True, eq=False)
class SyncSeries:
    """Sync rounds at T instants for P payloads; K = participants asked for.

    times_s: float64 [T], after the scenario's epoch. payload_bytes: float64 [P]. participants: int64 [T, K],
    -1 where fewer see the region. t_sync_s: float64 [P, T, K], nan beside the -1. hops: int16 [P, T, K, K],
    sender by receiver, 0 on the diagonal, -1 unheard or absent. events: one per instant from the second on,
    over the whole constellation, [T - 1]. noise, rule: what it rests on."""

    times_s: np.ndarray
    payload_bytes: np.ndarray
    participants: np.ndarray
    t_sync_s: np.ndarray
    hops: np.ndarray
    events: tuple[TopologyEvents, ...]
    control_s: float
    noise: str
    rule: str
    schedule: str
    contention: str

    @property
    def t_round_s(self) -> np.ndarray:
        """float64 [P, T]: the worst T_sync, nan where nobody takes part."""
        return _ignoring_absent(np.nanmax, self.t_sync_s)

    @property
    def t_sync_mean_s(self) -> np.ndarray:
        """float64 [P, T]: T_sync averaged over the participants, nan where nobody takes part."""
        return _ignoring_absent(np.nanmean, self.t_sync_s)

    def hop_histogram(self, payload: int) -> np.ndarray:
        """int64 [H + 1]: ordered pairs of different participants by hops of their route, index 0 =
        unheard."""
        count = self.participants.shape[1]
        present = self.participants >= 0
        pairs = present[:, :, None] & present[:, None, :] & ~np.eye(count, dtype=bool)
        return np.bincount(np.maximum(self.hops[payload][pairs], 0).astype(np.int64), minlength=2)

    def direct_share(self, payload: int) -> float:
        """Share of ordered pairs that are one hop apart."""
        histogram = self.hop_histogram(payload)
        return float(histogram[1] / max(1, histogram.sum()))

    def control_share(self, payload: int) -> float:
        """Share of the fixed t_ctrl in the mean T_sync."""
        return float(self.control_s / np.nanmean(self.t_sync_s[payload]))


def simulate(
    scenario: Scenario, payload_bytes: Sequence[float], times_s: np.ndarray | None = None
) -> SyncSeries:
    """Simulate one sync round at every instant (default: the scenario's own window) for every payload size.

    Raises `UserError` for whatever is wrong with the orbits, the rule, or a region that no satellite ever
    sees."""
    times_s = (
        sample_times_s(scenario.orbit)
        if times_s is None
        else np.asarray(times_s, dtype=np.float64).reshape(-1)
    )
    sizes = np.asarray(payload_bytes, dtype=np.float64).reshape(-1)
    if not len(times_s) or not len(sizes) or not (np.isfinite(sizes).all() and (sizes >= 0).all()):
        raise UserError(
            f"payload_bytes: found {sizes.tolist()} at {len(times_s)} instants, expected sizes of at least 0 bytes, and one instant"
        )
    constellation = load_constellation(scenario.orbit)
    block = max(1, _BLOCK_SATELLITE_STEPS // len(constellation) // max(1, scenario.satellites // 8))
    participants, rounds, counting = [], [], []
    last_km = np.zeros((0, len(constellation), 3))
    with ThreadPoolExecutor(max_workers=1) as background:
        for start in range(0, len(times_s), block):
            positions_km = constellation.positions_itrs_km(times_s[start : start + block])
            counting.append(
                background.submit(
                    _count_events, np.concatenate([last_km, positions_km]), scenario, constellation
                )
            )
            chosen = select_region(positions_km, scenario.region, scenario.satellites)
            rounds += _rounds(positions_km, chosen, sizes, scenario, constellation)
            participants.append(chosen)
            last_km = positions_km[-1:]
        events = tuple(event for part in counting for event in part.result())
    chosen = np.concatenate(participants)
    if not (chosen >= 0).any():
        raise UserError(
            "region: no satellite sees it at any instant, expected a larger region.max_off_nadir_deg, another point, or rule=nearest"
        )
    return SyncSeries(
        times_s,
        sizes,
        chosen,
        np.stack([t for t, _ in rounds], axis=1),
        np.stack([h for _, h in rounds], axis=1),
        events,
        scenario.sync.control_s,
        noise_label(scenario.link),
        scenario.topology.rule,
        scenario.sync.schedule,
        scenario.sync.contention,
    )


def _rounds(
    positions_km: np.ndarray,
    chosen: np.ndarray,
    sizes: np.ndarray,
    scenario: Scenario,
    constellation: Constellation,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """T_sync [P, K] and hops [P, K, K] of every step of a block."""
    steps, wanted = chosen.shape
    out = [
        (np.full((len(sizes), wanted), np.nan), np.full((len(sizes), wanted, wanted), -1, dtype=np.int16))
        for _ in range(steps)
    ]
    for t, members, topology in _instants(positions_km, chosen, sizes, scenario, constellation):
        present = len(members)
        for p, size in enumerate(sizes.tolist()):
            t_sync_s, hops = _one_round(topology, members, size, scenario.sync)
            out[t][0][p, :present], out[t][1][p, :present, :present] = t_sync_s, hops
    return out


def _instants(
    positions_km: np.ndarray,
    chosen: np.ndarray,
    sizes: np.ndarray,
    scenario: Scenario,
    constellation: Constellation,
) -> Iterator[tuple[int, np.ndarray, Topology]]:
    """(step, participants as the topology numbers them, topology) of every step that has participants."""
    present = (chosen >= 0).sum(axis=1)
    if scenario.topology.rule != "distance":
        for t in np.flatnonzero(present).tolist():
            yield (
                t,
                chosen[t, : present[t]],
                topology_at(positions_km[t], scenario.topology, scenario.link, constellation),
            )
        return
    for count in np.unique(present[present > 0]).tolist():
        steps = np.flatnonzero(present == count)
        messages = (
            np.outer(np.arange(1, count + 1), sizes).ravel() if scenario.sync.schedule == "tree" else sizes
        )
        useful = useful_satellites(
            positions_km[steps],
            chosen[steps, :count],
            messages,
            scenario.topology,
            scenario.link,
            scenario.sync,
        )
        for t, nodes in zip(steps.tolist(), useful):
            yield (
                t,
                np.arange(count),
                local_topology(positions_km[t], nodes, scenario.topology, scenario.link),
            )


def _one_round(
    topology: Topology, members: np.ndarray, size_bytes: float, sync: SyncKnobs
) -> tuple[np.ndarray, np.ndarray]:
    if sync.schedule != "unicast" or sync.contention != "parallel":
        result = sync_round(topology, members, size_bytes, sync)
        return result.t_sync_s, result.hops
    paths = minimum_delay_paths(topology, members, size_bytes, sync)
    return times_of_arrivals(paths.flow_s[:, members], sync.control_s)[2], paths.hops[:, members]


def _count_events(
    positions_km: np.ndarray, scenario: Scenario, constellation: Constellation
) -> list[TopologyEvents]:
    """Omega_topo between successive positions [T, S, 3], over the whole constellation."""
    knobs, link = scenario.topology, scenario.link
    if knobs.rule == "distance" and not (knobs.line_of_sight and sight_can_be_blocked(positions_km, knobs)):
        counts = [
            distance_churn(before, after, knobs.max_distance_km) for before, after in pairwise(positions_km)
        ]
        return [events_cost(after - both, before - both, knobs, link) for before, after, both in counts]
    topologies = (topology_at(p, knobs, link, constellation) for p in positions_km)
    return [topology_events(before, after, knobs, link) for before, after in pairwise(topologies)]


def _ignoring_absent(reduce: Callable[..., np.ndarray], t_sync_s: np.ndarray) -> np.ndarray:
    out = np.full(t_sync_s.shape[:-1], np.nan)
    somebody = np.isfinite(t_sync_s).any(axis=-1)
    out[somebody] = reduce(t_sync_s[somebody], axis=-1)
    return out
