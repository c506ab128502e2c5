"""Exact copies among decoded vectors, and the map that says them."""

import numpy as np

from codec.maps.assignment import KEPT, REMOTE
from nodes.streams.copies import matches, worth_a_map

GROUND = np.random.default_rng(1).integers(-9, 10, size=(4, 24, 24)).astype(np.int32)


def grid(row, col):
    return GROUND[:, row : row + 8, col : col + 8].copy()


def test_what_is_alike_is_found_at_one_displacement_and_checked_number_by_number():
    own, other = grid(5, 5), grid(3, 6)
    other[:, 7, 0] += 1
    (found,) = matches(own, {4: other})
    assert found.owner == 4 and found.shift == (2, -1)
    expected = np.zeros((8, 8), bool)
    expected[:6, 1:] = True
    expected[5, 1] = False
    assert np.array_equal(found.same, expected)


def test_equal_vectors_at_no_common_displacement_are_no_match():
    flat = np.zeros((4, 8, 8), np.int32)
    own, other = flat.copy(), flat.copy()
    own[:, 2, 2], other[:, 5, 1] = 3, 3
    assert matches(own, {4: other}) == [] and matches(own, {4: grid(0, 0)}) == []


def test_a_map_is_made_where_it_saves_more_than_it_takes():
    found = matches(grid(5, 5), {1: grid(3, 6), 2: grid(8, 8)})
    dear = worth_a_map(found, np.full((8, 8), 40.0), 9, "successor")
    assert (dear.fate == REMOTE).sum() == (found[0].same | found[1].same).sum()
    assert set(np.unique(dear.owner[dear.fate == REMOTE])) == {1, 2} and dear.exact[dear.fate == REMOTE].all()
    rows, cols = np.nonzero(dear.owner == 1)
    assert np.array_equal(dear.source[rows, cols], (rows + 2) * 8 + cols - 1)
    cheap = worth_a_map(found, np.full((8, 8), 0.5), 9, "successor")
    assert (cheap.fate == KEPT).all()
