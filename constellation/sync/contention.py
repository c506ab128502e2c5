"""When the transfers of a round arrive, under three views of what they compete for.

`parallel` (the paper): nothing; every hop has the whole link, t_flow = sum of t_hop + (hops - 1) t_relay.
`serial`: a satellite has one transmitter, own and relayed messages queue on it first come first served (ties:
plan order), store-and-forward. `shared`: flow level, as in SimGrid (Casanova et al. 2014): all flows under
way share each link direction's rate max-min fairly along their whole paths; a flow ends when its bits have
passed its slowest stretch, plus the propagation, the relays, and the store-and-forward time of its other
links. An uncontended flow takes exactly the paper's time in all three, so neither of the latter is ever
faster than `parallel`."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from constellation.sync.schedules import Transfer


@dataclass(frozen=True, eq=False)
class Route:
    """The way of one transfer. nodes: satellites, both ends included. distance_s: propagation per hop,
    rate_bps: per hop, [H]."""

    nodes: tuple[int, ...]
    distance_s: np.ndarray
    rate_bps: np.ndarray

    @property
    def links(self) -> list[tuple[int, int]]:
        return list(zip(self.nodes, self.nodes[1:]))


def parallel(
    plan: Sequence[Transfer], routes: Sequence[Route], sizes_bits: np.ndarray, relay_s: float
) -> np.ndarray:
    """Arrival of every transfer, seconds after the round began: float64 [M]."""
    arrival_s = np.zeros(len(plan))
    for index, (transfer, route) in enumerate(zip(plan, routes)):
        start_s = max((arrival_s[i] for i in transfer.after), default=0.0)
        path_s = float((route.distance_s + sizes_bits[index] / route.rate_bps).sum())
        arrival_s[index] = start_s + path_s + (len(route.rate_bps) - 1) * relay_s
    return arrival_s


def serial(
    plan: Sequence[Transfer], routes: Sequence[Route], sizes_bits: np.ndarray, relay_s: float
) -> np.ndarray:
    """As `parallel`, with one transmitter per satellite, first come first served."""
    arrival_s = np.zeros(len(plan))
    waiting, freed = _dependencies(plan)
    free_at: dict[int, float] = {}
    ready = [
        (0.0, index, 0) for index in range(len(plan)) if not waiting[index]
    ]  # (time, transfer, hop): heap order
    while ready:
        now_s, index, hop = heapq.heappop(ready)
        route = routes[index]
        start_s = max(now_s, free_at.get(route.nodes[hop], 0.0))
        sent_s = start_s + sizes_bits[index] / route.rate_bps[hop]
        free_at[route.nodes[hop]] = sent_s
        there_s = sent_s + route.distance_s[hop]
        if hop + 1 < len(route.rate_bps):
            heapq.heappush(ready, (there_s + relay_s, index, hop + 1))
            continue
        arrival_s[index] = there_s
        for other in freed[index]:
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(ready, (max(arrival_s[i] for i in plan[other].after), other, 0))
    return arrival_s


def shared(
    plan: Sequence[Transfer], routes: Sequence[Route], sizes_bits: np.ndarray, relay_s: float
) -> np.ndarray:
    """As `parallel`, with max-min fair sharing of each link direction among the flows under way (see the
    module's head)."""
    count = len(plan)
    usage, capacity_bps = _link_usage(routes)
    if not (usage.sum(axis=0) > 1).any():  # no two flows ever meet
        return parallel(plan, routes, sizes_bits, relay_s)
    alone_s = np.array([sizes_bits[i] / routes[i].rate_bps.min() for i in range(count)])
    rest_s = (
        np.array(
            [
                routes[i].distance_s.sum()
                + (len(routes[i].rate_bps) - 1) * relay_s
                + (sizes_bits[i] / routes[i].rate_bps).sum()
                for i in range(count)
            ]
        )
        - alone_s
    )
    arrival_s = np.zeros(count)
    waiting, freed = _dependencies(plan)
    starts: list[tuple[float, int]] = [(0.0, index) for index in range(count) if not waiting[index]]
    left_bits, flowing, now_s = np.array(sizes_bits, dtype=np.float64), np.zeros(count, dtype=bool), 0.0
    heapq.heapify(starts)
    while starts or flowing.any():
        rates_bps = max_min_rates(usage[flowing], capacity_bps) if flowing.any() else np.zeros(0)
        ends_s = now_s + left_bits[flowing] / rates_bps if flowing.any() else np.zeros(0)
        until_s = min(ends_s.min(initial=np.inf), starts[0][0] if starts else np.inf)
        active = np.flatnonzero(flowing)
        left_bits[active] = np.maximum(left_bits[active] - rates_bps * (until_s - now_s), 0.0)
        now_s = until_s
        done = active[ends_s <= until_s * (1 + 1e-15)]
        flowing[done] = False
        for index in done.tolist():
            arrival_s[index] = now_s + rest_s[index]
            for other in freed[index]:
                waiting[other] -= 1
                if not waiting[other]:
                    heapq.heappush(starts, (max(float(arrival_s[i]) for i in plan[other].after), other))
        while starts and starts[0][0] <= now_s:
            flowing[heapq.heappop(starts)[1]] = True
    return arrival_s


def max_min_rates(usage: np.ndarray, capacity_bps: np.ndarray) -> np.ndarray:
    """Max-min fair rates by progressive filling (Bertsekas & Gallager 1992, section 6.5): bool [F, L],
    float64 [L] -> float64 [F].

    All rates rise together; where a link is full, its flows stop rising, and the others go on.
    """
    rates_bps = np.zeros(len(usage))
    rising = np.ones(len(usage), dtype=bool)
    spare_bps = capacity_bps.astype(np.float64).copy()
    while rising.any():
        flows_on = usage[rising].sum(axis=0)
        share_bps = np.divide(spare_bps, flows_on, out=np.full(len(spare_bps), np.inf), where=flows_on > 0)
        rise_bps = share_bps.min()
        rates_bps[rising] += rise_bps
        spare_bps = np.maximum(spare_bps - rise_bps * flows_on, 0.0)
        full = share_bps <= rise_bps * (1 + 1e-12)
        rising &= ~usage[:, full].any(axis=1)
    return rates_bps


def _link_usage(routes: Sequence[Route]) -> tuple[np.ndarray, np.ndarray]:
    column: dict[tuple[int, int], int] = {}
    capacity: list[float] = []
    for route in routes:
        for link, rate in zip(route.links, route.rate_bps):
            if link not in column:
                column[link] = len(capacity)
                capacity.append(float(rate))
    usage = np.zeros((len(routes), len(capacity)), dtype=bool)
    for row, route in enumerate(routes):
        usage[row, [column[link] for link in route.links]] = True
    return usage, np.array(capacity)


def _dependencies(plan: Sequence[Transfer]) -> tuple[list[int], list[list[int]]]:
    freed: list[list[int]] = [[] for _ in plan]
    for index, transfer in enumerate(plan):
        for needed in transfer.after:
            freed[needed].append(index)
    return [len(transfer.after) for transfer in plan], freed


CONTENTIONS = {"parallel": parallel, "serial": serial, "shared": shared}
