"""Who gathers with whom, by where each looks, and what such an exchange costs."""

import numpy as np
import pytest

from constellation.common.errors import UserError
from constellation.scenario.load import load_scenario
from constellation.scenario.network import SyncKnobs
from constellation.sync.scope import audience_of, wanted_pairs
from constellation.sync.timing import sync_round, sync_within
from tests.constellation.sync.test_timing import EVERY_WAY, random_topology

PATCH = 64


def corners(count, window, seed=0):
    places = np.random.default_rng(seed).integers(0, window, (count, 2))
    return {7 * n: tuple(place) for n, place in enumerate(places.tolist())}


def share_ground(one, other):
    return all(abs(a - b) < PATCH for a, b in zip(one, other, strict=True))


def test_everybody_is_no_audience():
    assert audience_of("all", corners(5, 100), PATCH) is None and audience_of("overlap", {}, PATCH) is None


def test_an_audience_is_who_shares_a_pixel_and_oneself():
    places = corners(60, 500)
    places |= {1: (1000, 0), 2: (1000 + PATCH, 0), 3: (1000, PATCH - 1)}  # side by side; one column in common
    expected = {s: frozenset(o for o in places if share_ground(places[s], places[o])) for s in places}
    assert audience_of("overlap", places, PATCH) == expected
    assert expected[1] == {1, 3}


def test_a_region_is_who_is_joined_by_common_ground_through_others():
    places = {0: (0, 0), 1: (0, 50), 2: (0, 100), 3: (0, 500)}
    assert audience_of("overlap", places, PATCH)[0] == {0, 1}
    joined = frozenset({0, 1, 2})
    assert audience_of("region", places, PATCH) == {0: joined, 1: joined, 2: joined, 3: frozenset({3})}


@pytest.mark.parametrize(("schedule", "contention"), EVERY_WAY)
def test_an_exchange_that_all_want_is_the_whole_exchange(schedule, contention):
    topology, knobs = random_topology(3, 9, 0.4), SyncKnobs(schedule=schedule, contention=contention)
    sizes = [100 * (n + 1) for n in range(9)]
    whole = sync_round(topology, range(9), sizes, knobs)
    within = sync_within(topology, range(9), sizes, knobs, np.ones((9, 9), dtype=bool))
    assert np.array_equal(whole.arrival_s, within.arrival_s) and whole.t_round_s == within.t_round_s


def test_what_links_carry_grows_with_neighbours_and_not_with_satellites():
    def carried(count):
        audience = audience_of("overlap", corners(count, int(PATCH * count**0.5)), PATCH)
        wanted = wanted_pairs(sorted(audience), audience)
        result = sync_within(random_topology(1, count, 0.3), range(count), 1000, SyncKnobs(), wanted)
        assert result.heard.T[~wanted].sum() == 0
        return result.link_bytes.sum() / wanted.sum()  # about the length of a route, for any number

    assert carried(64) < 1.5 * carried(16)


def test_a_ring_needs_groups():
    with pytest.raises(UserError, match=r"sync\.schedule=ring: needs groups in which all hear all"):
        load_scenario("dense", ["sync.scope=overlap", "sync.schedule=ring"])
    assert load_scenario("dense", ["sync.scope=region", "sync.schedule=ring"]).sync.scope == "region"
    assert load_scenario("dense", ["sync.scope=all"]).digest == load_scenario("dense").digest
