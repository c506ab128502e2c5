"""A day that goes by instant by instant is the day at once."""

import csv

import numpy as np
import pytest

from benchmarks.scale import day
from constellation.common.cli import read
from constellation.common.errors import UserError
from constellation.links.moments import BLOCK_STATES, moments
from constellation.links.pruning import LinkRules
from constellation.links.routing import minimum_delay_paths
from constellation.links.topology import topology_at, topology_events
from constellation.orbit import orbits
from constellation.orbit.orbits import load_constellation, sample_times_s
from constellation.passes.contacts import contact_windows

WORDS = (
    "orbit.pattern=53:200/10/1", "orbit.duration_s=7200", "orbit.step_s=300",
    "topology.rule=nearest", "topology.max_distance_km=6000",
)  # fmt: skip
COLUMNS = ("satellite", "rise_s", "set_s", "culmination_s", "max_elevation_deg", "mean_rate_bps")


def at_once(network):
    """Topologies, routes from satellites 0 and 3, and passes, with everything held together."""
    satellites, times_s = load_constellation(network.orbit), sample_times_s(network.orbit)
    positions_km = satellites.positions_teme_km(times_s)
    links = [topology_at(here, network.topology, network.link, satellites) for here in positions_km]
    paths = [minimum_delay_paths(one, [0, 3], 2048.0, network.sync) for one in links]
    return links, paths, contact_windows(satellites, network.ground, 0.0, network.orbit.duration_s)


def test_a_streamed_day_of_200_satellites_is_the_day_computed_at_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("constellation.links.moments.BLOCK_STATES", 3 * 200)
    given = read(day.COMMAND, [*WORDS, "pairs=0-100,3-77", f"to={tmp_path / 'day.csv'}"])
    network = given.subject
    links, paths, passes = at_once(network)
    rules = LinkRules(network.topology, network.link, network.sync)
    streamed = list(moments(load_constellation(network.orbit), rules, sample_times_s(network.orbit)))
    for one, whole in zip(streamed, links, strict=True):
        assert np.array_equal(one.topology.edges, whole.edges)
        assert np.array_equal(one.topology.rate_bps, whole.rate_bps)
    assert streamed[0].events is None
    assert streamed[5].events == topology_events(links[4], links[5], network.topology, network.link)

    day.bench(given)
    with (tmp_path / "day.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["links"]) for row in rows] == [len(one.edges) for one in links]
    assert sum(int(row["setups"]) for row in rows) > 0
    for row, one in zip(rows, paths, strict=True):
        assert float(row["delay_s_0_100"]) == one.flow_s[0, 100] and int(row["hops_3_77"]) == one.hops[1, 77]
    said = capsys.readouterr().out
    assert f"{len(passes)} passes of {len(set(passes.satellite.tolist()))} satellites over 1 station" in said


def test_passes_found_some_satellites_at_a_time_are_those_found_together(monkeypatch):
    network = read(day.COMMAND, WORDS).subject
    satellites = load_constellation(network.orbit)
    monkeypatch.setattr(day, "SATELLITES_AT_ONCE", 37)
    parts = list(day.windows(satellites, network.ground, network.orbit.duration_s))
    whole = contact_windows(satellites, network.ground, 0.0, network.orbit.duration_s)
    assert len(parts) == 6
    order = np.lexsort([np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS[:2]])
    for name in COLUMNS:
        found = np.concatenate([getattr(part, name) for part in parts])[order]
        if name == "mean_rate_bps":  # sums of 16 terms, whose last bit follows the number of rows
            assert np.allclose(found, getattr(whole, name), rtol=1e-13)
        else:
            assert np.array_equal(found, getattr(whole, name)), name


def test_positions_made_a_part_of_the_satellites_at_a_time_are_the_same(monkeypatch):
    knobs = read(day.COMMAND, WORDS).subject.orbit
    together = load_constellation(knobs).states_teme_km(np.array([0.0, 60.0]))
    monkeypatch.setattr(orbits, "MOST_HELD", 100)
    monkeypatch.setattr(orbits, "COPIED_AT_ONCE", 37)
    assert np.array_equal(load_constellation(knobs).states_teme_km(np.array([0.0, 60.0])), together)
    assert BLOCK_STATES >= 50_000  # an instant of a large constellation at a time


@pytest.mark.parametrize("pair", ["0-200", "7-7"])
def test_a_pair_that_is_none_is_refused(pair):
    with pytest.raises(UserError, match=f"pairs={pair}: expected two of the satellites 0 to 199"):
        day.bench(read(day.COMMAND, [*WORDS, f"pairs={pair}", "passes=false"]))
