"""constellation.network: an instant answers by the participants' numbers, whoever of them takes part."""

import numpy as np
import pytest

from constellation.common.errors import UserError
from constellation.network import NO_SYNC, SpaceSegment
from constellation.scenario.load import load_scenario
from constellation.sync.timing import sync_round


def segment(*words):
    return SpaceSegment(load_scenario("dense", ["satellites=6", *words]))


def test_an_exchange_of_some_is_timed_as_if_nobody_else_were_there():
    instant, scenario = segment().at(2), load_scenario("dense", ["satellites=6"])
    sync = instant.exchange({5: 4000, 1: 900, 4: 2000})
    alone = sync_round(instant.topology, instant.members[[1, 4, 5]], [900, 2000, 4000], scenario.sync)
    assert sync.t_sync_s == dict(zip((1, 4, 5), alone.t_sync_s.tolist(), strict=True))
    assert sync.t_round_s == alone.t_round_s
    assert sync.hearers == {s: frozenset({1, 4, 5}) for s in (1, 4, 5)}


def test_who_is_out_of_reach_is_nobodys_hearer_but_its_own():
    sync = segment("topology.max_distance_km=750").at(0).exchange(dict.fromkeys(range(6), 100))
    assert sync.hearers[1] == {1} and all(1 not in hearers for s, hearers in sync.hearers.items() if s != 1)


def test_an_exchange_among_neighbours_costs_what_their_messages_cost_and_reaches_nobody_else():
    instant, sizes = segment().at(2), {0: 4000, 1: 900, 2: 2000, 3: 100}
    pairs = {0: frozenset({0, 1}), 1: frozenset({0, 1}), 2: frozenset({2, 3}), 3: frozenset({2, 3})}
    sync = instant.exchange(sizes, pairs)
    assert sync.hearers == pairs
    for pair in ((0, 1), (2, 3)):
        alone = instant.exchange({s: sizes[s] for s in pair})
        assert {s: sync.t_sync_s[s] for s in pair} == alone.t_sync_s
    everybody = instant.exchange(sizes, dict.fromkeys(sizes, frozenset(sizes)))
    plain = instant.exchange(sizes)
    assert everybody.hearers == plain.hearers and everybody.t_sync_s == plain.t_sync_s


def test_an_exchange_of_nobody_costs_nothing():
    assert segment().at(0).exchange({}) is NO_SYNC


@pytest.mark.parametrize("rule", ("link", "energy", "balanced"))
def test_a_metric_belongs_to_one_participant(rule):
    instant = segment().at(3)
    metrics = [instant.metric(number, rule) for number in range(6)]
    assert np.isfinite(metrics).all() and len(set(metrics)) > 1


def test_rules_without_a_metric_send_zero_and_a_region_that_too_few_see_is_refused():
    assert segment().at(0).metric(2, "id") == 0.0
    with pytest.raises(UserError, match="the round needs 6"):
        segment("region.rule=footprint", "region.max_off_nadir_deg=1").at(0)


def test_a_shell_nearer_to_the_ground_has_the_faster_downlink():
    low, high = (segment(f"orbit.altitude_km={km}.0").at(0).downlink_rate_bps(0) for km in (400, 1200))
    assert low > high > 0
