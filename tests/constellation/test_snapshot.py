"""A snapshot tells where a round's satellites are, what their links carried, and when the ground hears
them."""

import numpy as np
import pytest

from constellation.network import SpaceSegment
from constellation.scenario.load import load_scenario
from constellation.snapshot import PASSES, Onlooker

KNOBS = load_scenario("dense", []).network


@pytest.fixture(scope="module")
def snapshots():
    onlooker = Onlooker(KNOBS)
    payload = dict.fromkeys(range(8), 4000.0)
    return [
        onlooker.at(number, payload, dict.fromkeys(range(8), (60.0 * number + 0.1, 3000.0)))
        for number in range(2)
    ]


def test_participants_come_first_and_stand_where_the_constellation_has_them(snapshots):
    instant = SpaceSegment(KNOBS).at(1)
    nodes = snapshots[1].nodes
    assert [node.participant for node in nodes[:8]] == list(range(8))
    for node, member in zip(nodes[:8], instant.members, strict=True):
        place = SpaceSegment(KNOBS).constellation.positions_itrs_km(np.array([60.0]))[0, member]
        latitude, longitude = np.radians([node.latitude_deg, node.longitude_deg])
        radius = node.altitude_km + 6378.137
        again = radius * np.array(
            [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
        )
        assert np.allclose(again, place, atol=1e-6)


def test_the_links_carry_every_payload_to_every_other_participant(snapshots):
    first = snapshots[0]
    carried = sum(link.carried_bytes for link in first.links)
    assert carried >= 8 * 7 * 4000.0  # each hop of each pair
    assert all(link.distance_km <= KNOBS.topology.max_distance_km for link in first.links)
    assert all(0 <= link.first != link.second < len(first.nodes) for link in first.links)


def test_a_stream_is_on_the_ground_in_a_pass_after_it_was_ready(snapshots):
    for snapshot in snapshots:
        for one in snapshot.waiting:
            assert one.finish_s is not None and one.finish_s > one.ready_s
            assert any(p.rise_s <= one.finish_s <= p.set_s for p in one.passes)
            assert len(one.passes) <= PASSES


def test_a_satellite_that_flies_twice_sends_the_first_round_before_the_second(snapshots):
    names = [{one.participant: s.nodes[one.participant].name for one in s.waiting} for s in snapshots]
    ends = [{names[i][one.participant]: one.finish_s for one in s.waiting} for i, s in enumerate(snapshots)]
    both = ends[0].keys() & ends[1].keys()
    assert both and all(ends[0][name] < ends[1][name] for name in both)


def test_without_an_exchange_the_links_carry_nothing():
    alone = Onlooker(KNOBS).at(0, {}, {})
    assert len(alone.nodes) == 8 and alone.links and not any(link.carried_bytes for link in alone.links)
    assert alone.waiting == ()
