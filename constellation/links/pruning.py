"""The part of a constellation that a round can possibly use, found without building the rest; exact, under
the distance rule.

No hop moves a payload faster per kilometre than m = 1/c + 8 S / max(d B(d)), so a path from s over n to d
takes at least m (|sn| + |nd|). With any upper bound U_sd on the delay, a satellite n with m (|sn| + |nd|) >
U_sd for every pair is on no minimum-delay path. The bounds U come from all shortest paths among the
participants and their nearest neighbours (all steps at once, in numpy); the few satellites inside the
ellipses that remain go to Dijkstra. The tests compare with routes over the whole constellation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from constellation.links.budget import fastest_stride_km_bps, rate_bps
from constellation.links.routing import hop_delay_s
from constellation.links.topology import (
    Topology,
    line_of_sight,
    pairs_within_reach,
    sight_can_be_blocked,
    topology_of_pairs,
)
from constellation.scenario.network import LinkKnobs, SyncKnobs, TopologyKnobs

_MAX_HELPERS = 24  # satellites beside the participants that the upper bounds may use
_FEW = 128  # nodes of which all pairs are tried
_SLACK = 1 + 1e-9  # rounding never prunes a satellite that counts


@dataclass(frozen=True)
class LinkRules:
    """Which links there are, how fast they are, and how messages go over them."""

    topology: TopologyKnobs
    link: LinkKnobs
    sync: SyncKnobs


def useful_satellites(
    positions_km: np.ndarray,  # [T, S, 3]
    participants: np.ndarray,  # int64 [T, K]
    payload_bytes: Sequence[float] | np.ndarray,
    rules: LinkRules,
) -> list[np.ndarray]:
    """Per step the satellites that may lie on a minimum-delay path of any of the payloads: participants
    first, in their order.

    All satellites where some pair of participants is not joined by the near neighbourhood.
    """
    steps, count = positions_km.shape[:2]
    members = participants.shape[1]
    own_km = np.take_along_axis(positions_km, participants[..., None], axis=1)
    reach_km = np.stack([_distances(positions_km, own_km[:, i]) for i in range(members)], axis=1)  # [T, K, S]
    helpers = _nearest_others(reach_km, participants, min(count, members + min(3 * members, _MAX_HELPERS)))
    near_km = np.take_along_axis(positions_km, helpers[..., None], axis=1)
    ellipse_km = _longest_detours_km(near_km, members, payload_bytes, rules) * _SLACK
    useful = np.zeros((steps, count), dtype=bool)
    for i in range(members):
        for j in range(i + 1, members):
            useful |= reach_km[:, i] + reach_km[:, j] <= ellipse_km[:, i, j, None]
    useful[np.arange(steps)[:, None], participants] = False
    return [np.concatenate([participants[t], np.flatnonzero(useful[t])]) for t in range(steps)]


def local_topology(
    positions_km: np.ndarray, nodes: np.ndarray, knobs: TopologyKnobs, link: LinkKnobs
) -> Topology:
    """The distance rule among `nodes` alone, renumbered 0 .. len(nodes) - 1: positions [S, 3], int64 [n] ->
    Topology of n satellites."""
    if len(nodes) > _FEW:  # the whole constellation, where pruning found nothing to leave out
        pairs = pairs_within_reach(positions_km[nodes], knobs.max_distance_km)
    else:
        pairs = np.stack(np.triu_indices(len(nodes), 1), axis=1)
    return topology_of_pairs(positions_km[nodes], pairs, knobs, link)


def _distances(positions_km: np.ndarray, point_km: np.ndarray) -> np.ndarray:
    offset = positions_km - point_km[:, None]
    return np.sqrt(np.einsum("tsi,tsi->ts", offset, offset))


def _nearest_others(reach_km: np.ndarray, participants: np.ndarray, count: int) -> np.ndarray:
    """int64 [T, count]: the participants, then the satellites nearest to all of them."""
    total_km = reach_km.sum(axis=1)
    np.put_along_axis(total_km, participants, np.inf, axis=1)
    others = count - participants.shape[1]
    if not others:
        return participants
    return np.concatenate([participants, np.argpartition(total_km, others - 1, axis=1)[:, :others]], axis=1)


def _longest_detours_km(
    near_km: np.ndarray, members: int, payload_bytes: Sequence[float] | np.ndarray, rules: LinkRules
) -> np.ndarray:
    """Of the neighbourhood [T, n, 3] (participants first), the longest |sn| + |nd| by which a satellite n can
    still shorten a delay, over all payloads: float64 [T, K, K], inf where no path is known."""
    sync = rules.sync
    distance_km = np.sqrt(np.square(near_km[:, :, None] - near_km[:, None]).sum(axis=-1))
    linked = distance_km <= rules.topology.max_distance_km
    if rules.topology.line_of_sight and sight_can_be_blocked(near_km, rules.topology):
        linked &= line_of_sight(near_km[:, :, None], near_km[:, None], rules.topology.atmosphere_margin_km)
    rates_bps = rate_bps(distance_km, rules.link)
    relay_s = sync.relay_s if sync.relay_in_route else 0.0
    stride = fastest_stride_km_bps(rules.link, rules.topology.max_distance_km)
    longest_km = np.zeros((len(near_km), members, members))
    for size in payload_bytes:  # one at a time: a tree of 1024 satellites has thousands of message sizes
        hop_s = np.where(linked, hop_delay_s(distance_km, rates_bps, size, sync) + relay_s, np.inf)
        bound_s = _delays_within(hop_s, members)
        fastest_s_km = 1000.0 / sync.speed_of_light_m_s + size * 8.0 / stride
        np.maximum(longest_km, bound_s / fastest_s_km, out=longest_km)
    return longest_km


def _delays_within(hop_s: np.ndarray, members: int) -> np.ndarray:
    """Shortest delays of real paths inside the neighbourhood: hops [T, n, n] -> float64 [T, K, K]."""
    delay_s = hop_s[:, :members].copy()  # [T, K, n]
    while True:
        before = delay_s.copy()
        for via in range(hop_s.shape[1]):
            np.minimum(delay_s, delay_s[:, :, via, None] + hop_s[:, via, None, :], out=delay_s)
        if np.array_equal(before, delay_s):
            return delay_s[:, :, :members]
