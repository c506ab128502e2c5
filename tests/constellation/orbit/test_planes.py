"""+grid of satellites from a file: the planes found in the elements are those that they were made of."""

import numpy as np
import pytest

from constellation.formats.elements import omm
from constellation.links.topology import grid_edges
from constellation.orbit.orbits import load_constellation, subset
from constellation.orbit.planes import mean_elements, planes_of, shells_of
from constellation.scenario.network import OrbitKnobs

WHEN = "2026-01-01T00:00:00Z"


def from_file(shell, tmp_path):
    (tmp_path / "shell.omm").write_text(omm(shell, "csv"))
    return load_constellation(OrbitKnobs(source="omm", path=str(tmp_path / "shell.omm"), epoch=WHEN))


@pytest.mark.parametrize(
    "words",
    [
        {"pattern": "53:72/6/1"}, {"pattern": "53:40/2/0"}, {"pattern": "30:9/9/2"}, {"pattern": "70:11/1/0"},
        {"pattern": "86.4:66/6/2", "kind": "star", "altitude_km": 780.0},
        {"pattern": "53:360/72/10", "altitude_km": 540.0},
        {"shells": ("53:72/6/1@550", "53.2:72/6/1@540", "53:24/3/1@600", "97.6:12/2/0@560@20")},
    ],
)  # fmt: skip
def test_the_grid_of_a_patterns_elements_is_the_patterns_grid(words, tmp_path):
    shell = load_constellation(OrbitKnobs(epoch=WHEN, **words))
    assert np.array_equal(grid_edges(from_file(shell, tmp_path)), grid_edges(shell))


def test_planes_hold_after_weeks_of_drift_and_across_zero_degrees(tmp_path):
    shell = load_constellation(OrbitKnobs(epoch=WHEN, pattern="53:72/6/1"))
    (tmp_path / "shell.omm").write_text(omm(shell, "csv"))
    for epoch in ("2026-01-14T03:00:00Z", "2026-01-27T12:34:56Z"):
        later = load_constellation(OrbitKnobs(source="omm", path=str(tmp_path / "shell.omm"), epoch=epoch))
        assert np.array_equal(grid_edges(later), grid_edges(shell))


def test_with_satellites_missing_everybody_keeps_at_most_one_link_a_direction(tmp_path):
    shell = load_constellation(OrbitKnobs(epoch=WHEN, pattern="53:72/6/1"))
    kept = [one for one in range(72) if one not in (0, 13, 14, 40, 41, 42, 43)]
    rest = from_file(subset(shell, kept), tmp_path)
    inclination, node, _, axis_km = mean_elements(rest)
    (all_of_them,) = shells_of(inclination, axis_km)
    planes = planes_of(node, all_of_them)
    assert [len(plane) for plane in planes] == [11, 10, 12, 8, 12, 12]
    degree = np.bincount(grid_edges(rest).ravel(), minlength=len(kept))
    assert degree.max() <= 4 and degree.min() >= 2
    plane_of = {one: number for number, plane in enumerate(planes) for one in plane}
    for a, b in grid_edges(rest).tolist():
        assert (plane_of[a] - plane_of[b]) % 6 in (0, 1, 5)
