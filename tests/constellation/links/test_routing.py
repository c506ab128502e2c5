"""Routes by hand, against networkx, and after pruning."""

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.common.errors import UserError
from constellation.links.pruning import LinkRules, local_topology, useful_satellites
from constellation.links.routing import minimum_delay_paths, networkx_graph, networkx_paths, topology_of_graph
from constellation.links.topology import Topology, select_region, topology_at
from constellation.orbit.orbits import load_constellation
from constellation.scenario.network import LinkKnobs, OrbitKnobs, RegionKnobs, SyncKnobs, TopologyKnobs

SYNC = SyncKnobs()


def triangle(direct_rate_bps):
    """0 - 1 - 2 with 300 km hops at 1 Mbit/s, and a direct 0 - 2 of 600 km."""
    return Topology(
        3,
        np.array([[0, 1], [0, 2], [1, 2]], dtype=np.int32),
        np.array([300.0, 600.0, 300.0]),
        np.array([1e6, direct_rate_bps, 1e6]),
        "given",
        "given",
    )


def test_a_slow_direct_link_loses_to_two_hops_as_computed_by_hand():
    paths = minimum_delay_paths(triangle(direct_rate_bps=1e5), [0], 1000, SYNC)
    assert paths.path_s[0, 2] == pytest.approx(
        2 * (0.001 + 0.008), rel=1e-12
    )  # 300 km / c + 8000 bit / 1 Mbit/s, twice
    assert paths.flow_s[0, 2] == pytest.approx(0.018 + 0.0005, rel=1e-12)  # and one relay
    assert paths.hops[0].tolist() == [0, 1, 2] and paths.path(0, 2) == [0, 1, 2]


def test_a_fast_direct_link_wins_as_computed_by_hand():
    paths = minimum_delay_paths(triangle(direct_rate_bps=1e6), [0], 1000, SYNC)
    assert paths.flow_s[0, 2] == pytest.approx(0.002 + 0.008, rel=1e-12) and paths.path(0, 2) == [0, 2]


def test_the_relay_decides_a_close_race_only_where_the_knob_counts_it():
    topology = triangle(
        direct_rate_bps=8000 / 0.0162
    )  # direct 18.2 ms, two hops 18.0 ms and a relay of 0.5 ms
    assert minimum_delay_paths(topology, [0], 1000, SYNC).flow_s[0, 2] == pytest.approx(0.0185)
    with_relay = minimum_delay_paths(topology, [0], 1000, SyncKnobs(relay_in_route=True))
    assert with_relay.flow_s[0, 2] == with_relay.path_s[0, 2] == pytest.approx(0.0182) and with_relay.path(
        0, 2
    ) == [0, 2]


def test_the_unreachable_are_marked():
    topology = Topology(
        4, np.array([[0, 1]], dtype=np.int32), np.array([100.0]), np.array([1e6]), "given", "given"
    )
    paths = minimum_delay_paths(topology, [0, 3], 10, SYNC)
    assert (
        paths.hops.tolist() == [[0, 1, -1, -1], [-1, -1, -1, 0]]
        and paths.path(0, 2) == []
        and np.isinf(paths.flow_s[0, 3])
    )


@pytest.mark.parametrize("rule", ["distance", "grid", "nearest"])
@pytest.mark.parametrize("noise", ["ktb", "paper"])
@pytest.mark.parametrize("relay_in_route", [False, True])
def test_the_fast_solver_agrees_with_networkx_on_every_pair(rule, noise, relay_in_route):
    constellation = load_constellation(OrbitKnobs(pattern="53:150/10/1"))
    sync = SyncKnobs(relay_in_route=relay_in_route)
    for position in constellation.positions_itrs_km(np.array([0.0, 1800.0])):
        topology = topology_at(position, TopologyKnobs(rule=rule), LinkKnobs(noise=noise), constellation)
        for payload in (2048, 131072):
            fast, reference = (
                route(topology, range(0, 150, 12), payload, sync)
                for route in (minimum_delay_paths, networkx_paths)
            )
            assert (np.isfinite(fast.path_s) == np.isfinite(reference.path_s)).all()
            reached = np.isfinite(fast.path_s)
            assert np.allclose(fast.path_s[reached], reference.path_s[reached], rtol=1e-12, atol=0)
            assert np.allclose(fast.flow_s[reached], reference.flow_s[reached], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "orbit,noise,margin",
    [
        ({"pattern": "53:400/20/1"}, "ktb", 80.0),
        ({"pattern": "53:400/20/1"}, "paper", 80.0),
        ({"pattern": "86:66/6/1", "kind": "star"}, "paper", 80.0),
        ({"pattern": "53:40/5/1"}, "ktb", 80.0),
        ({"pattern": "53:400/20/1"}, "paper", 400.0),
    ],
)
@pytest.mark.parametrize("relay_in_route", [False, True])
def test_pruning_keeps_every_minimum_delay_path(orbit, noise, margin, relay_in_route):
    positions_km = load_constellation(OrbitKnobs(**orbit)).positions_itrs_km(np.arange(6) * 977.0)
    knobs, link, sync = (
        TopologyKnobs(atmosphere_margin_km=margin),
        LinkKnobs(noise=noise),
        SyncKnobs(relay_in_route=relay_in_route),
    )
    participants = select_region(positions_km, RegionKnobs(), 6)
    payloads = (64, 2048, 131072, 10**7)
    useful = useful_satellites(positions_km, participants, payloads, LinkRules(knobs, link, sync))
    for t, nodes in enumerate(useful):
        assert nodes[:6].tolist() == participants[t].tolist() and len(np.unique(nodes)) == len(nodes)
        small, full = (
            local_topology(positions_km[t], nodes, knobs, link),
            topology_at(positions_km[t], knobs, link),
        )
        for payload in payloads:
            pruned = minimum_delay_paths(small, range(6), payload, sync).path_s[:, :6]
            whole = minimum_delay_paths(full, participants[t], payload, sync).path_s[:, participants[t]]
            assert np.allclose(pruned, whole, rtol=1e-12, atol=0)


def test_pruning_leaves_little_of_a_large_constellation():
    positions_km = load_constellation(OrbitKnobs()).positions_itrs_km(np.array([0.0]))
    participants = select_region(positions_km, RegionKnobs(), 8)
    useful = useful_satellites(
        positions_km, participants, [2048, 131072], LinkRules(TopologyKnobs(), LinkKnobs(noise="paper"), SYNC)
    )
    assert len(useful[0]) < 60


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), nodes=st.integers(2, 12), density=st.floats(0.1, 1), payload=st.floats(0, 1e6)
)
def test_any_networkx_graph_and_algorithm_can_be_used(seed, nodes, density, payload):
    rng = np.random.default_rng(seed)
    graph = networkx.gnp_random_graph(nodes, density, seed=seed)
    for _, _, edge in graph.edges(data=True):
        edge["distance_km"], edge["rate_bps"] = float(rng.uniform(1, 3000)), float(rng.uniform(1e5, 1e9))
    topology = topology_of_graph(graph)
    fast = minimum_delay_paths(topology, range(nodes), payload, SYNC)
    slow = networkx_paths(
        topology, range(nodes), payload, SYNC, algorithm=networkx.single_source_bellman_ford
    )
    assert np.allclose(fast.path_s, slow.path_s, rtol=1e-12, atol=0)
    assert np.allclose(fast.path_s, fast.path_s.T, rtol=1e-12, atol=0)
    assert networkx_graph(topology, payload, SYNC).number_of_edges() == graph.number_of_edges()


@pytest.mark.parametrize(
    "edge,expected",
    [
        ({}, "distance_km=None"),
        ({"distance_km": 1.0, "rate_bps": 0.0}, "a rate > 0"),
        ({"distance_km": float("nan"), "rate_bps": 1.0}, "distance_km=nan"),
    ],
)
def test_a_bad_graph_is_refused_with_its_edge(edge, expected):
    with pytest.raises(UserError, match=f"graph edge 0-1: .*{expected}"):
        topology_of_graph(networkx.Graph([(0, 1, edge)]))


def test_sources_that_are_no_satellites_are_refused():
    with pytest.raises(UserError, match="expected satellites 0 to 2"):
        minimum_delay_paths(triangle(1e6), [3], 10, SYNC)
