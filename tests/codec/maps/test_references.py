"""References between maps: they end at the vector that was coded, whoever heard whom, and say where they do
not."""

import time

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap, all_kept
from codec.maps.references import CIRCLE, NOWHERE, follow


def grid(fate, owner, source, exact=None):
    fate = np.array(fate, dtype=np.uint8).reshape(1, -1)
    exact = fate == REMOTE if exact is None else np.array(exact, dtype=bool).reshape(1, -1)
    return AssignmentMap(
        fate, exact, np.array(owner, np.int16).reshape(1, -1), np.array(source, np.int32).reshape(1, -1)
    )


def ends(maps, satellite):
    """(satellite, position) that codes each position of a satellite; a number below 0 where nobody does."""
    references = follow(maps)
    cells = references.of(references.satellites.index(satellite)).tolist()
    places = references.place(np.maximum(cells, 0))
    return [
        (references.satellites[place], cell - int(references.first[place])) if cell >= 0 else cell
        for cell, place in zip(cells, places, strict=True)
    ]


def test_a_chain_through_a_satellite_that_dropped_the_vector_ends_at_its_owner():
    """C (0) holds s; A (1) dropped it for C; B (2) heard A alone and refers to A."""
    maps = {
        0: grid([KEPT, KEPT], [-1, -1], [-1, -1]),
        1: grid([KEPT, REMOTE], [-1, 0], [-1, 0]),
        2: grid([REMOTE, KEPT], [1, -1], [1, -1]),
    }
    assert ends(maps, 2) == [(0, 0), (2, 1)] and not follow(maps).circles


def test_list_indexes_skip_the_owners_local_copies():
    maps = {
        0: grid([KEPT, LOCAL, LOCAL, KEPT], [-1] * 4, [-1, 0, 0, -1]),
        1: grid([REMOTE, REMOTE, LOCAL, KEPT], [0, 0, -1, -1], [1, 0, 0, -1]),
    }
    assert ends(maps, 1) == [(0, 3), (0, 0), (0, 3), (1, 3)]


def test_references_to_a_missing_or_impossible_owner_lead_nowhere():
    maps = {
        1: grid([REMOTE, LOCAL, KEPT], [0, -1, -1], [0, 0, -1]),
        2: grid([REMOTE, KEPT, KEPT], [1, -1, -1], [7, -1, -1]),
    }
    assert ends(maps, 1) == [NOWHERE, NOWHERE, (1, 2)]
    assert ends(maps, 2) == [NOWHERE, (2, 1), (2, 2)]


def test_circles_of_any_length_and_what_leads_into_them_are_named():
    for length in (2, 3, 4, 5, 7, 8):
        maps = {s: grid([REMOTE, KEPT], [(s + 1) % length, -1], [0, -1]) for s in range(length)}
        maps[50] = grid([REMOTE, KEPT], [0, -1], [0, -1])
        maps[51] = all_kept(1, 2)
        assert follow(maps).circles == (*range(length), 50)
        assert ends(maps, 50) == [CIRCLE, (50, 1)]


def test_a_circle_through_five_hundred_satellites_is_found_at_once():
    maps = {s: grid([REMOTE] * 256, [(s + 1) % 512] * 256, list(range(256))) for s in range(512)}
    started = time.perf_counter()
    assert len(follow(maps).circles) == 512
    assert time.perf_counter() - started < 5


def test_maps_of_different_shapes_refer_to_each_other():
    maps = {0: all_kept(2, 8), 1: grid([REMOTE, KEPT], [0, -1], [13, -1])}
    assert ends(maps, 1) == [(0, 13), (1, 1)]


def test_vectors_are_copied_from_where_they_are_coded_and_zero_where_nobody_codes_them():
    maps = {0: all_kept(1, 3), 1: grid([REMOTE, KEPT, REMOTE], [0, -1, 5], [2, -1, 0])}
    coded = list(np.arange(2 * 2 * 3).reshape(2, 2, 1, 3))
    first, second = follow(maps).copied(coded)
    assert np.array_equal(first, coded[0]) and first.dtype == coded[0].dtype
    assert second[:, 0, 0].tolist() == coded[0][:, 0, 2].tolist()
    assert second[:, 0, 1].tolist() == coded[1][:, 0, 1].tolist()
    assert second[:, 0, 2].tolist() == [0, 0]
    assert follow({}).copied([]) == []


def test_permuting_the_satellites_permutes_the_result():
    maps = {
        0: all_kept(1, 2),
        1: grid([REMOTE, KEPT], [0, -1], [1, -1]),
        2: grid([REMOTE, REMOTE], [1, 0], [1, 0]),
    }
    for satellite in maps:
        assert ends(maps, satellite) == ends(dict(reversed(maps.items())), satellite)
