"""Minimum-delay paths (appendix A): hop cost t_hop = d / c + S / B(d); t_flow adds the relay time of every
intermediate satellite.

As printed, the path minimises the sum of t_hop alone and the relays' 0.5 ms are added afterwards;
`sync.relay_in_route=true` counts them while routing. The bulk path is scipy's Dijkstra in C. networkx is the
reference and the user's own entry: `networkx_graph` hands out any instant as a graph, `topology_of_graph`
takes any graph in, and `networkx_paths` routes with any of its single-source algorithms."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from constellation.common.errors import UserError
from constellation.links.topology import Topology
from constellation.scenario.network import SyncKnobs

if TYPE_CHECKING:
    import networkx

NO_PREDECESSOR = -9999  # scipy's mark


@dataclass(frozen=True, eq=False)
class Paths:
    """Minimum-delay paths from K sources to all S satellites for one payload.

    sources: int64 [K]. path_s: float64 [K, S], t_path, the sum of t_hop (inf where unreachable). flow_s:
    float64 [K, S], t_flow = t_path + (hops - 1) t_relay (0 at the source itself). hops: int64 [K, S] (-1
    unreachable). predecessors: int64 [K, S] (-9999 none)."""

    sources: np.ndarray
    path_s: np.ndarray
    flow_s: np.ndarray
    hops: np.ndarray
    predecessors: np.ndarray

    def path(self, source_index: int, target: int) -> list[int]:
        """Satellites from the source to the target, both included; empty where unreachable."""
        if self.hops[source_index, target] < 0:
            return []
        path = [int(target)]
        while path[-1] != self.sources[source_index]:
            path.append(int(self.predecessors[source_index, path[-1]]))
        return path[::-1]


def hop_delay_s(
    distance_km: np.ndarray, rate_bps: np.ndarray, payload_bytes: float, sync: SyncKnobs
) -> np.ndarray:
    """t_hop = d / c + S / B, seconds. Broadcasts."""
    return distance_km * (1000.0 / sync.speed_of_light_m_s) + payload_bytes * 8.0 / rate_bps


def minimum_delay_paths(
    topology: Topology, sources: Sequence[int] | np.ndarray, payload_bytes: float, sync: SyncKnobs
) -> Paths:
    """Minimum-delay paths from the sources to every satellite. Raises `UserError` for a source that is no
    satellite."""
    begins = _checked_sources(topology, sources)
    cost_s = hop_delay_s(topology.distance_km, topology.rate_bps, payload_bytes, sync)
    if sync.relay_in_route:
        cost_s = cost_s + sync.relay_s
    path_s, predecessors = dijkstra(
        _symmetric(topology, cost_s), directed=True, indices=begins, return_predecessors=True
    )
    hops = _count_hops(path_s, predecessors)
    if sync.relay_in_route:
        path_s = path_s - np.maximum(hops, 0) * sync.relay_s
    return Paths(begins, path_s, flow_delay_s(path_s, hops, sync), hops, predecessors.astype(np.int64))


def flow_delay_s(path_s: np.ndarray, hops: np.ndarray, sync: SyncKnobs) -> np.ndarray:
    """t_flow = t_path + (H - 1) t_relay, seconds; inf stays inf."""
    return path_s + np.maximum(hops - 1, 0) * sync.relay_s


def networkx_graph(topology: Topology, payload_bytes: float, sync: SyncKnobs) -> networkx.Graph:
    """The instant as a `networkx.Graph`: edges carry delay_s (t_hop), distance_km and rate_bps."""
    import networkx

    graph = networkx.Graph(noise=topology.noise, rule=topology.rule, payload_bytes=payload_bytes)
    graph.add_nodes_from(range(topology.satellites))
    delay_s = hop_delay_s(topology.distance_km, topology.rate_bps, payload_bytes, sync)
    columns = zip(
        topology.edges.tolist(), delay_s.tolist(), topology.distance_km.tolist(), topology.rate_bps.tolist()
    )
    graph.add_edges_from(
        (a, b, {"delay_s": s, "distance_km": d, "rate_bps": r}) for (a, b), s, d, r in columns
    )
    return graph


def topology_of_graph(graph: networkx.Graph) -> Topology:
    """Any undirected networkx graph with nodes 0 .. S-1 and edges of distance_km and rate_bps as a
    `Topology`. Raises `UserError`."""
    count = graph.number_of_nodes()
    if graph.is_directed() or graph.is_multigraph() or set(graph.nodes) != set(range(count)):
        raise UserError(f"graph: expected a simple undirected graph whose nodes are 0 to {count - 1}")
    rows = []
    for a, b, data in graph.edges(data=True):
        distance, rate = data.get("distance_km"), data.get("rate_bps")
        if a == b or distance is None or rate is None or not (0 <= distance < np.inf and 0 < rate < np.inf):
            raise UserError(
                f"graph edge {a}-{b}: found distance_km={distance}, rate_bps={rate}, expected two "
                f"satellites, a distance >= 0, a rate > 0"
            )
        rows.append((min(a, b), max(a, b), float(distance), float(rate)))
    rows.sort()
    return Topology(
        count,
        np.array([row[:2] for row in rows], dtype=np.int32).reshape(-1, 2),
        np.array([row[2] for row in rows]),
        np.array([row[3] for row in rows]),
        "given",
        "given",
    )


def networkx_paths(
    topology: Topology,
    sources: Sequence[int] | np.ndarray,
    payload_bytes: float,
    sync: SyncKnobs,
    algorithm: Callable[..., tuple[dict, dict]] | None = None,
) -> Paths:
    """As `minimum_delay_paths`, by networkx: any `algorithm(graph, source, weight=...)` -> (distances, paths)
    of the networkx family.

    The default is `networkx.single_source_dijkstra`. The relays' time enters the weight where
    `sync.relay_in_route` says so."""
    import networkx

    search: Any = algorithm or networkx.single_source_dijkstra
    begins = _checked_sources(topology, sources)
    graph = networkx_graph(topology, payload_bytes, sync)
    extra = sync.relay_s if sync.relay_in_route else 0.0
    shape = (len(begins), topology.satellites)
    path_s, hops = np.full(shape, np.inf), np.full(shape, -1)
    predecessors = np.full(shape, NO_PREDECESSOR)

    def weight(_a: Any, _b: Any, edge: dict) -> float:
        return edge["delay_s"] + extra

    for row, source in enumerate(begins.tolist()):
        _, found = search(graph, source, weight=weight)
        for target, path in found.items():
            path_s[row, target] = sum(graph.edges[a, b]["delay_s"] for a, b in itertools.pairwise(path))
            hops[row, target] = len(path) - 1
            if len(path) > 1:
                predecessors[row, target] = path[-2]
    return Paths(begins, path_s, flow_delay_s(path_s, hops, sync), hops, predecessors)


def _checked_sources(topology: Topology, sources: Sequence[int] | np.ndarray) -> np.ndarray:
    found = np.asarray(sources, dtype=np.int64).reshape(-1)
    if len(found) and not (found.min() >= 0 and found.max() < topology.satellites):
        raise UserError(
            f"sources: found {found.min()} to {found.max()}, expected satellites 0 to "
            f"{topology.satellites - 1}"
        )
    return found


def _symmetric(topology: Topology, cost_s: np.ndarray) -> csr_matrix:
    indices, starts, edge = _neighbours(topology)
    return csr_matrix((cost_s[edge], indices, starts), shape=(topology.satellites,) * 2)


@lru_cache(maxsize=2)
def _neighbours(topology: Topology) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the matrix of both directions of every link, which only its values tell from that of another
    payload: columns, row starts, and the link behind each value."""
    a, b = topology.edges[:, 0], topology.edges[:, 1]
    number = np.arange(len(a), dtype=np.float64)
    both = (np.concatenate([a, b]), np.concatenate([b, a]))
    matrix = csr_matrix((np.concatenate([number, number]), both), shape=(topology.satellites,) * 2)
    matrix.sort_indices()
    return matrix.indices, matrix.indptr, matrix.data.astype(np.int64)


def _count_hops(path_s: np.ndarray, predecessors: np.ndarray) -> np.ndarray:
    """Hops of every path, int64 [K, S], -1 unreachable: all predecessor chains at once, in strides that
    double."""
    has_one = predecessors >= 0
    ancestor = np.where(has_one, predecessors, np.arange(path_s.shape[1]))
    hops = has_one.astype(np.int64)
    while True:
        further = np.take_along_axis(hops, ancestor, axis=1)
        if not further.any():
            return np.where(np.isfinite(path_s), hops, -1)
        hops += further
        ancestor = np.take_along_axis(ancestor, ancestor, axis=1)
