"""Rounds by hand, the laws of contention, schedules that reach everybody."""

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.common.errors import UserError
from constellation.links.routing import networkx_paths, topology_of_graph
from constellation.links.topology import Topology
from constellation.scenario.network import SyncKnobs
from constellation.sync.contention import max_min_rates
from constellation.sync.schedules import SCHEDULES
from constellation.sync.timing import sync_round

EVERY_WAY = [
    (schedule, contention)
    for schedule in ("unicast", "ring", "tree")
    for contention in ("parallel", "serial", "shared")
]


def line(rate_bps=1e6):
    """0 - 1 - 2, hops of 300 km (1 ms)."""
    return Topology(
        3,
        np.array([[0, 1], [1, 2]], dtype=np.int32),
        np.array([300.0, 300.0]),
        np.array([rate_bps, rate_bps]),
        "given",
        "given",
    )


def random_topology(seed, nodes, density):
    rng = np.random.default_rng(seed)
    graph = networkx.gnp_random_graph(nodes, density, seed=seed)
    for _, _, edge in graph.edges(data=True):
        edge["distance_km"], edge["rate_bps"] = float(rng.uniform(1, 3000)), float(rng.uniform(1e5, 1e8))
    return topology_of_graph(graph)


def test_a_round_of_three_satellites_in_a_line_as_computed_by_hand():
    result = sync_round(line(), [0, 1, 2], 1000, SyncKnobs())  # 8 ms per hop to send, 1 ms to travel
    assert np.allclose(result.arrival_s, [[0, 0.009, 0.0185], [0.009, 0, 0.009], [0.0185, 0.009, 0]])
    assert np.allclose(result.t_send_s, [0.0185, 0.009, 0.0185]) and np.allclose(
        result.t_recv_s, result.t_send_s
    )
    assert np.allclose(result.t_sync_s, [0.0485, 0.039, 0.0485]) and result.t_round_s == pytest.approx(0.0485)
    assert (
        result.hops.tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
        and result.heard.all()
        and result.noise == "given"
    )


def test_each_sender_has_its_own_payload():
    result = sync_round(line(), [2, 0], [1000, 0], SyncKnobs())
    assert np.allclose(result.arrival_s, [[0, 0.0185], [0.0025, 0]]) and result.payload_bytes.tolist() == [
        1000,
        0,
    ]


def test_one_transmitter_sends_one_message_at_a_time():
    result = sync_round(line(), [0, 1, 2], 1000, SyncKnobs(contention="serial"))
    # ms, sent and + 1 on the way: 0 to 1 at 8, then to 2 via 1 at 16; 1 to 2 at 8, to 0 at 16; 2 to 0 via 1
    # at 8, then to 1 at 16. At 1, what came from 2 is ready at 9.5 and sent at 24; what came from 0 is ready
    # at 17.5 and sent at 32.
    assert np.allclose(result.arrival_s * 1e3, [[0, 9, 33], [17, 0, 9], [25, 17, 0]])


def test_flows_that_share_a_link_share_its_rate():
    result = sync_round(line(), [0, 1, 2], 1000, SyncKnobs(contention="shared"))
    # 0->1 carries 0's block to 1 and to 2, half the rate each: 16 ms; 1->2 carries 0->2 and 1->2
    assert result.arrival_s[0, 1] == pytest.approx(0.017) and result.arrival_s[1, 2] == pytest.approx(0.017)
    assert result.arrival_s[0, 2] == pytest.approx(0.016 + 0.008 + 0.002 + 0.0005)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    nodes=st.integers(2, 10),
    density=st.floats(0.2, 1),
    schedule=st.sampled_from(sorted(SCHEDULES)),
)
def test_contention_never_makes_anything_arrive_earlier(seed, nodes, density, schedule):
    topology = random_topology(seed, nodes, density)
    sizes = np.random.default_rng(seed).integers(0, 10**5, nodes)
    members = np.random.default_rng(seed + 1).permutation(nodes)
    free, queued, shared = (
        sync_round(topology, members, sizes, SyncKnobs(contention=c, schedule=schedule))
        for c in ("parallel", "serial", "shared")
    )
    for slower in (queued, shared):
        assert (free.arrival_s <= slower.arrival_s * (1 + 1e-9)).all()
        assert free.t_round_s <= slower.t_round_s * (1 + 1e-9)
        assert (slower.heard == free.heard).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    nodes=st.integers(1, 10),
    density=st.floats(0.1, 1),
    way=st.sampled_from(EVERY_WAY),
)
def test_bytes_are_conserved_at_every_satellite(seed, nodes, density, way):
    schedule, contention = way
    topology = random_topology(seed, nodes, density)
    sizes = np.random.default_rng(seed).integers(0, 1000, nodes).astype(float)
    result = sync_round(topology, range(nodes), sizes, SyncKnobs(schedule=schedule, contention=contention))
    came, went = np.zeros(nodes), np.zeros(nodes)
    np.add.at(came, result.link_ends[:, 1], result.link_bytes)
    np.add.at(went, result.link_ends[:, 0], result.link_bytes)
    plan = delivered_and_originated(result, schedule, sizes)
    assert np.allclose(came - went, plan)  # what came in and did not go on was delivered there


def delivered_and_originated(result, schedule, sizes):
    """Per satellite: bytes of the transfers that end there minus bytes of those that begin there."""
    net = np.zeros(len(sizes))
    groups = {tuple(np.flatnonzero(row)) for row in (result.hops >= 0)}
    for group in groups:
        for transfer in SCHEDULES[schedule](group):
            size = sizes[list(transfer.blocks)].sum()
            net[transfer.receiver] += size
            net[transfer.sender] -= size
    return net


@pytest.mark.parametrize("schedule,contention", EVERY_WAY)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_every_schedule_brings_every_block_to_everybody(schedule, contention, count):
    topology = random_topology(7, 12, 1.0)
    result = sync_round(topology, range(count), 500, SyncKnobs(schedule=schedule, contention=contention))
    assert result.heard.all() and result.unheard_pairs == [] and result.t_round_s >= 0.03


def test_every_block_arrives_once_in_ring_and_unicast_and_only_after_it_came():
    for count in (2, 5, 8):
        for name in ("unicast", "ring"):
            plan = SCHEDULES[name](range(count))
            assert sorted((b, t.receiver) for t in plan for b in t.blocks) == [
                (b, r) for b in range(count) for r in range(count) if b != r
            ]
        for name, schedule in SCHEDULES.items():
            plan = schedule(range(count))
            for index, transfer in enumerate(plan):
                before = {transfer.sender} | {b for i in transfer.after for b in plan[i].blocks}
                assert all(i < index and plan[i].receiver == transfer.sender for i in transfer.after), name
                assert set(transfer.blocks) <= before or name == "tree"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), nodes=st.integers(1, 9))
def test_renaming_participants_permutes_the_result(seed, nodes):
    topology = random_topology(seed, nodes, 0.6)
    order = np.random.default_rng(seed).permutation(nodes)
    plain, permuted = (
        sync_round(topology, members, 700, SyncKnobs()) for members in (np.arange(nodes), order)
    )
    assert (
        np.allclose(permuted.t_sync_s, plain.t_sync_s[order])
        and (permuted.heard == plain.heard[np.ix_(order, order)]).all()
    )


@pytest.mark.parametrize("schedule,contention", EVERY_WAY)
def test_a_cut_off_satellite_is_unheard_and_the_round_goes_on(schedule, contention):
    topology = Topology(
        5,
        np.array([[0, 1], [1, 2]], dtype=np.int32),
        np.array([300.0, 300.0]),
        np.array([1e6, 1e6]),
        "given",
        "given",
    )
    result = sync_round(topology, [0, 4, 2], 1000, SyncKnobs(schedule=schedule, contention=contention))
    assert (
        result.unheard == [0, 2, 4] and (4, 0) in result.unheard_pairs and (0, 2) not in result.unheard_pairs
    )
    assert result.heard.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    assert (
        result.t_sync_s[1] == pytest.approx(0.03)
        and np.isfinite(result.t_round_s)
        and result.t_round_s > 0.04
    )


def test_max_min_rates_fill_up_progressively():
    usage = np.array([[1, 0], [1, 1], [0, 1], [0, 1]], dtype=bool)  # textbook: link 0 of 10, link 1 of 6
    assert np.allclose(max_min_rates(usage, np.array([10.0, 6.0])), [8, 2, 2, 2])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), flows=st.integers(1, 12), links=st.integers(1, 8))
def test_max_min_rates_fit_the_links_and_every_flow_has_a_full_one(seed, flows, links):
    rng = np.random.default_rng(seed)
    usage = rng.random((flows, links)) < 0.4
    usage[np.arange(flows), rng.integers(0, links, flows)] = True
    capacity = rng.uniform(1, 100, links)
    rates = max_min_rates(usage, capacity)
    load = rates @ usage
    assert (load <= capacity * (1 + 1e-9)).all()
    for flow in range(flows):  # a bottleneck: a full link on which nobody has more
        assert any(
            load[link] >= capacity[link] * (1 - 1e-9)
            and rates[flow] >= rates[usage[:, link]].max() * (1 - 1e-9)
            for link in np.flatnonzero(usage[flow])
        )


def test_networkx_can_route_a_round():
    fast, slow = (
        sync_round(random_topology(3, 9, 0.5), range(9), 900, SyncKnobs(), *router)
        for router in ((), (networkx_paths,))
    )
    assert np.allclose(fast.arrival_s, slow.arrival_s, rtol=1e-12)


@pytest.mark.parametrize(
    "members,payload,expected",
    [
        ([0, 0], 1, "every satellite once"),
        ([0, 9], 1, "satellites 0 to 2"),
        ([0, 1], [1, 2, 3], "3 values for 2"),
        ([0, 1], -1, "at least 0 bytes"),
        ([0, 1], float("nan"), "at least 0 bytes"),
    ],
)
def test_bad_rounds_are_refused(members, payload, expected):
    with pytest.raises(UserError, match=expected):
        sync_round(line(), members, payload, SyncKnobs())
