"""One signature round (appendix A): every participant's payload to every other, timed.

T_send(s) = when the last other satellite has s's payload, T_recv(s) = when s has everybody's, T_sync(s) = max
of the two + t_ctrl, T_round = max over s. `sync.schedule` and `sync.contention` replace the paper's parallel
unicasts by what a real collective would meet (`collective`, `contention`). Whoever cannot be reached is
reported as unheard and the round goes on without it; it costs no time here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from constellation.common.errors import UserError
from constellation.links.routing import Paths, minimum_delay_paths
from constellation.links.topology import Topology
from constellation.scenario.network import SyncKnobs
from constellation.sync.contention import CONTENTIONS, Route
from constellation.sync.parts import Parts, parts_of
from constellation.sync.schedules import SCHEDULES, Transfer

Router = Callable[[Topology, Sequence[int] | np.ndarray, float, SyncKnobs], Paths]


@dataclass(frozen=True, eq=False)
class SyncResult:
    """The times of one round; K participants in the caller's order, seconds after the round began.

    participants: int64 [K], satellite ids. payload_bytes: float64 [K]. arrival_s: float64 [K, K], when
    receiver (column) has the sender's (row) payload; 0 on the diagonal, inf where unheard. hops: int64 [K,
    K], hops of the sender's route to the receiver (0 diagonal, -1 none). t_send_s, t_recv_s, t_sync_s:
    float64 [K]. t_round_s: worst t_sync_s. link_ends: int64 [L, 2] and link_bytes: float64 [L], the directed
    links used and what they carried. parts: where t_round_s goes. noise, schedule, contention: what the times
    rest on."""

    participants: np.ndarray
    payload_bytes: np.ndarray
    arrival_s: np.ndarray
    hops: np.ndarray
    t_send_s: np.ndarray
    t_recv_s: np.ndarray
    t_sync_s: np.ndarray
    t_round_s: float
    link_ends: np.ndarray
    link_bytes: np.ndarray
    parts: Parts
    noise: str
    schedule: str
    contention: str

    @property
    def heard(self) -> np.ndarray:
        """bool [K, K]: heard[r, s] = participant r has the payload of participant s in this round (its own
        included)."""
        return np.isfinite(self.arrival_s.T)

    @property
    def anybody_heard(self) -> bool:
        """Whether anybody heard another; where nobody did, no time of this round means anything."""
        return int(np.isfinite(self.arrival_s).sum()) > len(self.participants)

    @property
    def unheard_pairs(self) -> list[tuple[int, int]]:
        """(receiver, sender) satellite ids that did not reach each other."""
        return [(int(self.participants[r]), int(self.participants[s])) for r, s in np.argwhere(~self.heard)]

    @property
    def unheard(self) -> list[int]:
        """Satellite ids that at least one other participant did not hear, sorted."""
        return sorted({sender for _, sender in self.unheard_pairs})


def sync_round(
    topology: Topology,
    participants: Sequence[int] | np.ndarray,
    payload_bytes: float | Sequence[float],  # one size, or one per participant
    knobs: SyncKnobs,
    router: Router = minimum_delay_paths,  # or `routing.networkx_paths`, or the user's own
) -> SyncResult:
    """Time one all_gather among `participants` over the links of `topology`.

    Raises `UserError` for repeated or unknown participants and for payloads that are negative or of another
    number than the participants."""
    members, sizes = _checked(topology, participants, payload_bytes)
    return _timed(_RouteTable(topology, members, knobs, router), sizes, None)


def sync_within(
    topology: Topology,
    participants: Sequence[int] | np.ndarray,
    payload_bytes: float | Sequence[float],
    knobs: SyncKnobs,
    wanted: np.ndarray,
) -> SyncResult:
    """As `sync_round`, where a payload goes only to whom it is meant for. wanted: bool [K, K], symmetric, of
    sender (row) and receiver; under another schedule than unicast, of groups in which all want all."""
    members, sizes = _checked(topology, participants, payload_bytes)
    return _timed(_RouteTable(topology, members, knobs, minimum_delay_paths), sizes, wanted)


def _timed(routes_of: _RouteTable, sizes: np.ndarray, wanted: np.ndarray | None) -> SyncResult:
    topology, members, knobs = routes_of.topology, routes_of.members, routes_of.knobs
    hops = _hops(routes_of, sizes)
    plan = _plan(hops >= 0 if wanted is None else (hops >= 0) & wanted, knobs.schedule)
    carried = np.array([sizes[list(t.blocks)].sum() for t in plan])
    routes = routes_of.routes(plan, carried)
    finish_s = CONTENTIONS[knobs.contention](plan, routes, carried * 8.0, knobs.relay_s)
    arrival_s = _block_arrivals(plan, finish_s, len(members))
    ends, loads = _link_loads(routes, carried)
    t_send_s, t_recv_s, t_sync_s, t_round_s = times_of_arrivals(arrival_s, knobs.control_s)
    return SyncResult(
        participants=members,
        payload_bytes=sizes,
        arrival_s=arrival_s,
        hops=hops,
        t_send_s=t_send_s,
        t_recv_s=t_recv_s,
        t_sync_s=t_sync_s,
        t_round_s=float(t_round_s),
        link_ends=ends,
        link_bytes=loads,
        parts=parts_of(plan, routes, carried * 8.0, finish_s, knobs),
        noise=topology.noise,
        schedule=knobs.schedule,
        contention=knobs.contention,
    )


def times_of_arrivals(
    arrival_s: np.ndarray, control_s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """T_send, T_recv, T_sync (float64 [..., K]) and T_round ([...]) of arrivals [..., K, K] (inf = unheard,
    does not count)."""
    heard_s = np.where(np.isfinite(arrival_s), arrival_s, 0.0)
    t_send_s, t_recv_s = heard_s.max(axis=-1, initial=0.0), heard_s.max(axis=-2, initial=0.0)
    t_sync_s = np.maximum(t_send_s, t_recv_s) + control_s
    return t_send_s, t_recv_s, t_sync_s, t_sync_s.max(axis=-1, initial=0.0)


class _RouteTable:
    """Routes between participants: one Dijkstra per sender and size of its messages."""

    def __init__(self, topology: Topology, members: np.ndarray, knobs: SyncKnobs, router: Router) -> None:
        self.topology, self.members, self.knobs, self._router = topology, members, knobs, router
        self._paths: dict[tuple[float, int], tuple[Paths, int]] = {}  # and the row in them
        self._keys = topology.edges[:, 0].astype(np.int64) * topology.satellites + topology.edges[:, 1]
        self._order = np.argsort(self._keys)

    def hops(self, senders: np.ndarray, size_bytes: float) -> np.ndarray:
        """int64 [senders, K]."""
        self._ask(senders.tolist(), size_bytes)
        found = [self._paths[size_bytes, sender] for sender in senders.tolist()]
        return np.array([paths.hops[row, self.members] for paths, row in found])

    def routes(self, plan: Sequence[Transfer], carried: np.ndarray) -> list[Route]:
        """The way of every transfer, of so many bytes."""
        senders = np.array([transfer.sender for transfer in plan], dtype=np.int64)
        for size in np.unique(carried):
            self._ask(np.unique(senders[carried == size]).tolist(), float(size))
        return self._ways([(t.sender, t.receiver, float(size)) for t, size in zip(plan, carried)])

    def _ask(self, senders: Sequence[int], size_bytes: float) -> None:
        new = [sender for sender in senders if (size_bytes, sender) not in self._paths]
        if new:
            paths = self._router(self.topology, self.members[new], size_bytes, self.knobs)
            self._paths |= {(size_bytes, sender): (paths, row) for row, sender in enumerate(new)}

    def _ways(self, asked: Sequence[tuple[int, int, float]]) -> list[Route]:
        """Routes of (sender, receiver, bytes); the links of all are looked up at once."""
        members, before = self.members.tolist(), {}
        ways = []
        for sender, receiver, size_bytes in asked:
            key = size_bytes, sender
            if key not in before:
                paths, row = self._paths[key]
                before[key] = paths.predecessors[row].tolist()
            way, begin = [members[receiver]], members[sender]
            while way[-1] != begin:
                way.append(before[key][way[-1]])
            ways.append(tuple(way[::-1]))
        edges = self._links_of([link for way in ways for link in pairwise(way)])
        propagation_s = self.topology.distance_km[edges] * (1000.0 / self.knobs.speed_of_light_m_s)
        rate_bps = self.topology.rate_bps[edges]
        ends = np.cumsum([len(way) - 1 for way in ways]).tolist()
        begins = [0, *ends[:-1]]
        return [
            Route(way, propagation_s[begin:end], rate_bps[begin:end])
            for way, begin, end in zip(ways, begins, ends)
        ]

    def _links_of(self, hops: Sequence[tuple[int, int]]) -> np.ndarray:
        nodes = np.array(hops, dtype=np.int64).reshape(-1, 2)
        keys = nodes.min(axis=1) * self.topology.satellites + nodes.max(axis=1)
        return self._order[np.searchsorted(self._keys, keys, sorter=self._order)]


def _checked(
    topology: Topology, participants: Sequence[int] | np.ndarray, payload_bytes: float | Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    members = np.asarray(participants, dtype=np.int64).reshape(-1)
    if len(np.unique(members)) != len(members):
        raise UserError(f"participants: {members.tolist()}, expected every satellite once")
    if len(members) and not (members.min() >= 0 and members.max() < topology.satellites):
        raise UserError(
            f"participants: {members.tolist()}, expected satellites 0 to {topology.satellites - 1}"
        )
    sizes = np.asarray(payload_bytes, dtype=np.float64)
    if sizes.ndim and sizes.shape != members.shape:
        raise UserError(
            f"payload_bytes: {sizes.size} values for {len(members)} participants, expected one each"
        )
    if not (np.isfinite(sizes).all() and (sizes >= 0).all()):
        raise UserError("payload_bytes: expected finite sizes of at least 0 bytes")
    return members, np.broadcast_to(sizes, members.shape).copy()


def _hops(routes_of: _RouteTable, sizes: np.ndarray) -> np.ndarray:
    count = len(sizes)
    hops = np.zeros((count, count), dtype=np.int64)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        hops[rows] = routes_of.hops(rows, float(size))
    return hops


def _plan(meant: np.ndarray, schedule: str) -> list[Transfer]:
    """Who sends what to whom, where it is meant and can go: bool [K, K]."""
    plan: list[Transfer] = []
    if schedule == "unicast":  # by pairs: whom one sender reaches and wants need not be a group
        for sender, receivers in enumerate(meant):
            there = np.flatnonzero(receivers)
            there = np.roll(there, -int(np.searchsorted(there, sender, side="right")))  # its successor first
            plan += [Transfer(sender, r, (sender,)) for r in there.tolist() if r != sender]
        return plan
    for group in _components(meant):
        shift = len(plan)
        plan += [
            Transfer(t.sender, t.receiver, t.blocks, tuple(i + shift for i in t.after))
            for t in SCHEDULES[schedule](group)
        ]
    return plan


def _components(reachable: np.ndarray) -> list[list[int]]:
    """Participants that reach each other, as groups in the given order: a schedule is drawn up for each
    group."""
    groups: list[list[int]] = []
    for i in range(len(reachable)):
        home = next((group for group in groups if reachable[group[0], i]), None)
        if home is None:
            groups.append([i])
        else:
            home.append(i)
    return groups


def _block_arrivals(plan: Sequence[Transfer], finish_s: np.ndarray, count: int) -> np.ndarray:
    arrival_s = np.full((count, count), np.inf)
    np.fill_diagonal(arrival_s, 0.0)
    for transfer, finish in zip(plan, finish_s):
        for block in transfer.blocks:
            arrival_s[block, transfer.receiver] = min(arrival_s[block, transfer.receiver], finish)
    return arrival_s


def _link_loads(routes: Sequence[Route], carried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hops = np.array([link for route in routes for link in route.links], dtype=np.int64).reshape(-1, 2)
    each = np.repeat(carried, [len(route.nodes) - 1 for route in routes])
    ends, which = np.unique(hops, axis=0, return_inverse=True)
    return ends, np.bincount(which.reshape(-1), weights=each, minlength=len(ends))
