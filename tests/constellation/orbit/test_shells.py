"""Several shells, nodes spread at will, links of one's own, and epochs of a file."""

import numpy as np
import pytest

from constellation.common.errors import UserError
from constellation.formats.elements import omm
from constellation.links.topology import grid_edges, listed_edges, topology_at
from constellation.orbit.orbits import load_constellation
from constellation.scenario.network import LinkKnobs, OrbitKnobs, TopologyKnobs

NOW = np.array([0.0])


def test_shells_are_their_patterns_after_each_other():
    both = load_constellation(OrbitKnobs(shells=("53:24/3/1@550", "97.6:8/2/1@700@180")))
    first = load_constellation(OrbitKnobs(pattern="53:24/3/1"))
    second = load_constellation(OrbitKnobs(pattern="97.6:8/2/1", altitude_km=700, kind="star"))
    together_km = both.positions_teme_km(NOW)[0]
    assert np.array_equal(together_km[:24], first.positions_teme_km(NOW)[0])
    assert np.array_equal(together_km[24:], second.positions_teme_km(NOW)[0])
    assert len(set(both.names)) == 32
    pairs = grid_edges(both)
    assert np.array_equal(pairs[: len(grid_edges(first))], grid_edges(first))
    assert np.array_equal(pairs[len(grid_edges(first)) :] - 24, grid_edges(second))


def test_nodes_are_spread_over_the_angle_asked_for():
    shell = load_constellation(OrbitKnobs(pattern="97.6:9/3/0", node_spread_deg=90.0))
    nodes_deg = np.degrees([record.nodeo for record in shell.satrecs])[::3]
    assert nodes_deg == pytest.approx([0.0, 30.0, 60.0])
    assert grid_edges(shell)[:, 1].max() == 8 and (0, 6) not in set(map(tuple, grid_edges(shell).tolist()))


@pytest.mark.parametrize("text", ["53:24/3/1", "53:24/3/1@x", "53:24/3/1@550@0", "53:24/3/1@-1", "a@550"])
def test_a_shell_that_is_none_is_one_line(text):
    with pytest.raises(UserError, match="orbit"):
        load_constellation(OrbitKnobs(shells=(text,)))


def test_links_of_ones_own_join_names_and_numbers(tmp_path):
    path = tmp_path / "links"
    path.write_text("# ours\n0 1\nP000S001, P000S002  # again below\n2 1\n\n")
    shell = load_constellation(OrbitKnobs(pattern="53:24/3/1"))
    assert listed_edges(str(path), shell).tolist() == [[0, 1], [1, 2]]
    knobs = TopologyKnobs(rule="list", path=str(path), max_distance_km=1e5, line_of_sight=False)
    found = topology_at(shell.positions_teme_km(NOW)[0], knobs, LinkKnobs(), shell)
    assert found.edges.tolist() == [[0, 1], [1, 2]] and found.rule == "list"
    path.write_text("0 24\n")
    with pytest.raises(UserError, match="line 1: found '0 24', expected two of the 24"):
        listed_edges(str(path), shell)


def test_the_epoch_may_be_the_files(tmp_path):
    path = tmp_path / "shell.json"
    path.write_text(
        omm(load_constellation(OrbitKnobs(pattern="53:4/2/0", epoch="2025-06-01T12:00:00Z")), "json")
    )
    found = load_constellation(OrbitKnobs(source="omm", path=str(path), epoch="file"))
    assert found.epoch.isoformat() == "2025-06-01T12:00:00+00:00"
