"""The part of a constellation that a round can possibly use, found without building the rest; exact, under
the distance rule.

No hop moves a payload faster per kilometre than m = 1/c + 8 S / max(d B(d)), so a path from s over n to d
takes at least m (|sn| + |nd|). With any upper bound U_sd on the delay, a satellite n with m (|sn| + |nd|) >
U_sd for every pair is on no minimum-delay path. The bounds U come from all shortest paths among the
participants and their nearest neighbours (all steps at once, in numpy); the few satellites inside the
ellipses that remain go to Dijkstra. The tests compare with routes over the whole constellation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constellation.links.budget import fastest_stride_km_bps, rate_bps
from constellation.links.routing import hop_delay_s
from constellation.links.topology import Topology, line_of_sight, sight_can_be_blocked, topology_of_pairs
from constellation.scenario.network import LinkKnobs, SyncKnobs, TopologyKnobs

_MAX_HELPERS = 24  # satellites beside the participants that the upper bounds may use
_SLACK = 1 + 1e-9  # rounding never prunes a satellite that counts


def useful_satellites(
    positions_km: np.ndarray,  # [T, S, 3]
    participants: np.ndarray,  # int64 [T, K]
    payload_bytes: Sequence[float],
    knobs: TopologyKnobs,
    link: LinkKnobs,
    sync: SyncKnobs,
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
    bound_s = _upper_bounds(
        np.take_along_axis(positions_km, helpers[..., None], axis=1),
        members,
        payload_bytes,
        knobs,
        link,
        sync,
    )
    stride = fastest_stride_km_bps(link, knobs.max_distance_km)
    fastest_s_km = np.array(
        [1000.0 / sync.speed_of_light_m_s + size * 8.0 / stride for size in payload_bytes]
    )
    ellipse_km = (bound_s / fastest_s_km[:, None, None, None]).max(
        axis=0
    ) * _SLACK  # [T, K, K], longest |sn| + |nd| that can help
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


def _upper_bounds(
    near_km: np.ndarray,
    members: int,
    payload_bytes: Sequence[float],
    knobs: TopologyKnobs,
    link: LinkKnobs,
    sync: SyncKnobs,
) -> np.ndarray:
    """Delays of real paths inside the neighbourhood [T, n, 3] (participants first): float64 [P, T, K, K], inf
    where there is none."""
    distance_km = np.sqrt(np.square(near_km[:, :, None] - near_km[:, None]).sum(axis=-1))
    linked = distance_km <= knobs.max_distance_km
    if knobs.line_of_sight and sight_can_be_blocked(near_km, knobs):
        linked &= line_of_sight(near_km[:, :, None], near_km[:, None], knobs.atmosphere_margin_km)
    rates_bps = rate_bps(distance_km, link)
    relay_s = sync.relay_s if sync.relay_in_route else 0.0
    bounds = []
    for size in payload_bytes:
        hop_s = np.where(linked, hop_delay_s(distance_km, rates_bps, size, sync) + relay_s, np.inf)
        delay_s = hop_s[:, :members].copy()  # [T, K, n]
        while True:
            before = delay_s.copy()
            for via in range(hop_s.shape[1]):
                np.minimum(delay_s, delay_s[:, :, via, None] + hop_s[:, via, None, :], out=delay_s)
            if np.array_equal(before, delay_s):
                break
        bounds.append(delay_s[:, :, :members])
    return np.stack(bounds)
