"""Links by rule, line of sight, what comes and goes, and who sees the region."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.common.errors import UserError
from constellation.links.churn import distance_churn
from constellation.links.topology import line_of_sight, select_region, topology_at, topology_events
from constellation.orbit.frames import EARTH_RADIUS_KM, itrs_of_ground_point_km
from constellation.orbit.orbits import load_constellation
from constellation.scenario.load import load_scenario
from constellation.scenario.network import LinkKnobs, OrbitKnobs, RegionKnobs, TopologyKnobs

LINK = LinkKnobs()


def constellation_at(pattern, time_s=0.0, **knobs):
    constellation = load_constellation(OrbitKnobs(pattern=pattern, **knobs))
    return constellation, constellation.positions_itrs_km(np.array([time_s]))[0]


def edge_set(topology):
    return {tuple(edge) for edge in topology.edges.tolist()}


def test_the_distance_rule_links_exactly_the_pairs_within_reach():
    _, position = constellation_at("53:200/10/1")
    distance = np.linalg.norm(position[:, None] - position[None], axis=-1)
    expected = {(i, j) for i, j in np.argwhere(distance <= 3000).tolist() if i < j}
    topology = topology_at(position, TopologyKnobs(), LINK)
    assert edge_set(topology) == expected
    assert np.allclose(topology.distance_km, [distance[i, j] for i, j in topology.edges])
    assert topology.noise == "ktb" and (topology.edges[:, 0] < topology.edges[:, 1]).all()


@settings(max_examples=30, deadline=None)
@given(margin=st.floats(0, 300), seed=st.integers(0, 1000))
def test_line_of_sight_is_symmetric_and_agrees_with_points_along_the_segment(margin, seed):
    first, second = np.random.default_rng(seed).normal(size=(2, 20, 3))
    first, second = (7000 * p / np.linalg.norm(p, axis=-1, keepdims=True) for p in (first, second))
    clear = line_of_sight(first, second, margin)
    assert (clear == line_of_sight(second, first, margin)).all()
    along = np.linspace(0, 1, 2001)[:, None, None]
    lowest = np.linalg.norm(first * (1 - along) + second * along, axis=-1).min(axis=0)
    sure = np.abs(lowest - EARTH_RADIUS_KM - margin) > 1
    assert (clear == (lowest >= EARTH_RADIUS_KM + margin))[sure].all()


def test_the_atmosphere_cuts_links_that_the_distance_allows():
    _, position = constellation_at("53:24/3/1")
    far = TopologyKnobs(max_distance_km=12000.0)
    with_earth, without = (
        topology_at(position, far, LINK),
        topology_at(position, far.model_copy(update={"line_of_sight": False}), LINK),
    )
    assert edge_set(with_earth) < edge_set(without)
    limit_km = 2 * np.sqrt((np.linalg.norm(position, axis=1).max()) ** 2 - (EARTH_RADIUS_KM + 80) ** 2)
    assert with_earth.distance_km.max() <= limit_km


def test_every_satellite_of_a_grid_has_four_links():
    constellation, position = constellation_at("53:60/6/1")
    topology = topology_at(
        position,
        TopologyKnobs(rule="grid", max_distance_km=20000.0, line_of_sight=False),
        LINK,
        constellation,
    )
    assert (np.bincount(topology.edges.ravel(), minlength=60) == 4).all()
    assert (0, 1) in edge_set(topology) and (0, 10) in edge_set(topology)
    assert (1, 50) in edge_set(topology)  # plane 5 meets plane 0 shifted by F = 1 slots


def test_the_grid_of_a_star_pattern_has_no_link_across_the_seam():
    constellation, position = constellation_at("86:60/6/1", kind="star")
    topology = topology_at(
        position,
        TopologyKnobs(rule="grid", max_distance_km=20000.0, line_of_sight=False),
        LINK,
        constellation,
    )
    degree = np.bincount(topology.edges.ravel(), minlength=60).reshape(6, 10)
    assert (degree[[0, 5]] == 3).all() and (degree[1:5] == 4).all()


@pytest.mark.parametrize("pattern", ["53:1/1/0", "53:2/1/0", "53:2/2/0", "53:4/2/1"])
def test_small_grids_have_no_loop_and_no_double_link(pattern):
    constellation, position = constellation_at(pattern)
    topology = topology_at(
        position, TopologyKnobs(rule="grid", max_distance_km=1e5, line_of_sight=False), LINK, constellation
    )
    assert (
        len(edge_set(topology)) == len(topology.edges) and (topology.edges[:, 0] < topology.edges[:, 1]).all()
    )


def test_a_grid_of_satellites_without_planes_is_refused():
    _, position = constellation_at("53:4/2/1")
    with pytest.raises(UserError, match=r"topology.rule=grid: the planes are unknown"):
        topology_at(position, TopologyKnobs(rule="grid"), LINK)


@pytest.mark.parametrize("terminals", [1, 2, 4])
def test_nearest_never_uses_more_terminals_than_there_are_and_only_leaves_out_the_full(terminals):
    _, position = constellation_at("53:120/8/1")
    topology = topology_at(position, TopologyKnobs(rule="nearest", terminals=terminals), LINK)
    degree = np.bincount(topology.edges.ravel(), minlength=120)
    assert degree.max() <= terminals
    nearest = np.linalg.norm(position[:, None] - position[None], axis=-1) + 1e9 * np.eye(120)
    closest = np.unravel_index(nearest.argmin(), nearest.shape)
    assert tuple(sorted(map(int, closest))) in edge_set(topology)


def greedy_by_hand(position, terminals, max_distance_km, sees):
    """All pairs, sorted, one after the other."""
    first, second = np.triu_indices(len(position), 1)
    distance = np.linalg.norm(position[first] - position[second], axis=1)
    free, chosen = np.full(len(position), terminals), set()
    for index in np.argsort(distance, kind="stable"):
        a, b = int(first[index]), int(second[index])
        if distance[index] <= max_distance_km and free[a] and free[b] and sees(position[a], position[b]):
            free[[a, b]] -= 1
            chosen.add((a, b))
    return chosen


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 60),
    terminals=st.integers(1, 70),
    max_distance_km=st.floats(100, 15000),
)
def test_nearest_is_the_greedy_matching_of_all_pairs(seed, count, terminals, max_distance_km):
    rng = np.random.default_rng(seed)
    position = rng.normal(size=(count, 3))
    position *= rng.uniform(6700, 9000, (count, 1)) / np.linalg.norm(position, axis=1, keepdims=True)
    knobs = TopologyKnobs(rule="nearest", terminals=terminals, max_distance_km=max_distance_km)
    topology = topology_at(position, knobs, LINK)

    def sees(a, b):
        return line_of_sight(a, b, knobs.atmosphere_margin_km)

    assert edge_set(topology) == greedy_by_hand(position, terminals, max_distance_km, sees)


def test_nearest_with_one_terminal_pairs_almost_everybody():
    _, position = constellation_at("53:1000/25/1")
    assert len(topology_at(position, TopologyKnobs(rule="nearest", terminals=1), LINK).edges) == 498


def test_more_links_than_memory_holds_are_refused_before_they_are_listed(monkeypatch):
    _, position = constellation_at("53:400/20/1")
    monkeypatch.setattr("constellation.links.topology.MAX_LINKS", 3000)
    with pytest.raises(UserError, match=r"topology.max_distance_km=9000: \d+ links among 400 satellites"):
        topology_at(position, TopologyKnobs(max_distance_km=9000.0), LINK)
    assert len(topology_at(position, TopologyKnobs(max_distance_km=1000.0), LINK).edges) < 3000


def test_events_are_the_set_differences_and_cost_what_the_knobs_say():
    constellation = load_constellation(OrbitKnobs(pattern="53:100/10/1"))
    before, after = (
        topology_at(p, TopologyKnobs(), LINK) for p in constellation.positions_itrs_km(np.array([0.0, 120.0]))
    )
    events = topology_events(before, after, TopologyKnobs(), LINK)
    assert events.setups == len(edge_set(after) - edge_set(before)) > 0
    assert events.teardowns == len(edge_set(before) - edge_set(after)) > 0
    assert events.omega_s == pytest.approx(0.005 * events.setups + 0.002 * events.teardowns)
    optical = topology_events(before, after, TopologyKnobs(), LinkKnobs(kind="optical"))
    assert optical.omega_s == pytest.approx(10.005 * events.setups + 0.002 * events.teardowns)


def test_the_counting_sweep_agrees_with_listing_the_links():
    constellation = load_constellation(OrbitKnobs(pattern="53:300/10/1"))
    first, second = constellation.positions_itrs_km(np.array([0.0, 60.0]))
    before, after = (edge_set(topology_at(p, TopologyKnobs(), LINK)) for p in (first, second))
    assert distance_churn(first, second, 3000.0) == (len(before), len(after), len(before & after))


def test_the_region_gets_the_nearest_satellites_nearest_first():
    _, position = constellation_at("53:200/10/1")
    region = RegionKnobs(latitude_deg=10.0, longitude_deg=20.0)
    slant = np.linalg.norm(position - itrs_of_ground_point_km(10.0, 20.0), axis=1)
    assert select_region(position, region, 8).tolist() == np.argsort(slant)[:8].tolist()
    assert select_region(position[None], region, 200).shape == (1, 200)


def test_a_footprint_holds_only_satellites_that_look_down_within_the_angle():
    _, position = constellation_at("53:1000/25/1")
    region = RegionKnobs(rule="footprint", max_off_nadir_deg=40.0)
    chosen = select_region(position, region, 50)
    point = itrs_of_ground_point_km(region.latitude_deg, region.longitude_deg)
    down, look = -position[chosen], point - position[chosen]
    cosine = np.einsum("si,si->s", down, look) / np.linalg.norm(down, axis=1) / np.linalg.norm(look, axis=1)
    assert (
        0 < len(chosen) < 50
        and (cosine >= np.cos(np.radians(40))).all()
        and np.linalg.norm(look, axis=1).max() < 1000
    )
    assert len(select_region(position, RegionKnobs(rule="footprint", latitude_deg=89.0), 5)) == 0


def test_asking_for_more_satellites_than_there_are_is_refused():
    _, position = constellation_at("53:4/2/1")
    with pytest.raises(UserError, match=r"satellites=5: the constellation has 4"):
        select_region(position, RegionKnobs(), 5)


def test_an_unknown_rule_is_refused_with_those_there_are():
    with pytest.raises(
        UserError, match=r"topology.rule: found 'mesh', expected one of distance, grid, nearest"
    ):
        load_scenario("edge_space_com", ["topology.rule=mesh"])
