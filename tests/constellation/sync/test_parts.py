"""Where the time of an exchange goes: the parts are the whole, and what is undefined has none."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.links.topology import Topology
from constellation.scenario.network import SyncKnobs
from constellation.sync.contention import CONTENTIONS
from constellation.sync.parts import UNDEFINED
from constellation.sync.schedules import SCHEDULES
from constellation.sync.timing import sync_round


def network(count, pairs, seed):
    """Satellites joined by these pairs, with distances and rates of a seed."""
    draw = np.random.default_rng(seed)
    edges = np.array(sorted(pairs), dtype=np.int32).reshape(-1, 2)
    return Topology(
        count,
        edges,
        draw.uniform(100, 3000, len(edges)),
        draw.uniform(1e6, 1e9, len(edges)),
        "given",
        "given",
    )


NETWORKS = st.integers(2, 6).flatmap(
    lambda count: st.tuples(
        st.just(count), st.sets(st.sampled_from(list(itertools.combinations(range(count), 2))))
    )
)


@pytest.mark.parametrize("contention", CONTENTIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@given(NETWORKS, st.integers(0, 1000), st.sampled_from([0.0, 2048.0, 131072.0]))
def test_the_parts_add_up_to_the_round_and_nothing_waits_where_links_are_free(
    schedule, contention, network_of, seed, size
):
    count, pairs = network_of
    knobs = SyncKnobs(schedule=schedule, contention=contention)
    result = sync_round(network(count, pairs, seed), range(count), size, knobs)
    if not result.anybody_heard:
        assert all(map(math.isnan, result.parts.seconds()))
        return
    assert sum(result.parts.seconds()) == pytest.approx(result.t_round_s, rel=1e-9)
    assert min(result.parts.seconds()) >= 0
    if contention == "parallel":
        assert result.parts.waiting_s < 1e-12


def test_a_direct_link_has_no_relay_and_a_chain_has_one_for_each_satellite_between():
    chain = network(4, {(0, 1), (1, 2), (2, 3)}, 0)
    result = sync_round(chain, [0, 3], 2048, SyncKnobs())
    assert result.parts.relay_s == pytest.approx(2 * SyncKnobs().relay_s)
    assert result.parts.propagation_s == pytest.approx(chain.distance_km.sum() * 1000 / 3e8)
    assert sync_round(chain, [0, 1], 2048, SyncKnobs()).parts.relay_s == 0


def test_nobody_who_hears_anybody_is_undefined_and_not_the_control_time():
    alone = sync_round(network(2, set(), 0), [0, 1], 2048, SyncKnobs())
    assert alone.parts is UNDEFINED and not alone.anybody_heard
