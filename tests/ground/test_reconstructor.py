"""Reconstructor: references end at the vector that was coded, whoever heard whom."""

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap, all_kept
from ground.reconstructor import UNRESOLVED, reassemble, resolve


def grid(fate, owner, source, exact=None):
    fate = np.array(fate, dtype=np.uint8).reshape(1, -1)
    exact = fate == REMOTE if exact is None else np.array(exact, dtype=bool).reshape(1, -1)
    return AssignmentMap(
        fate, exact, np.array(owner, np.int16).reshape(1, -1), np.array(source, np.int32).reshape(1, -1)
    )


def test_a_chain_through_a_satellite_that_dropped_the_vector_ends_at_its_owner():
    """C (0) holds s; A (1) dropped it for C; B (2) heard A alone and refers to A (design.md, partial
    views)."""
    maps = {
        0: grid([KEPT, KEPT], [-1, -1], [-1, -1]),
        1: grid([KEPT, REMOTE], [-1, 0], [-1, 0]),
        2: grid([REMOTE, KEPT], [1, -1], [1, -1]),
    }
    origins = resolve(maps)
    assert (origins.satellite[2, 0], origins.position[2, 0]) == (0, 0)
    assert origins.resolved.all()


def test_list_indexes_skip_the_owners_local_copies():
    maps = {
        0: grid([KEPT, LOCAL, LOCAL, KEPT], [-1] * 4, [-1, 0, 0, -1]),
        1: grid([REMOTE, REMOTE, LOCAL, KEPT], [0, 0, -1, -1], [1, 0, 0, -1]),
    }
    origins = resolve(maps)
    assert origins.position[1].tolist() == [3, 0, 3, 3]
    assert origins.satellite[1].tolist() == [0, 0, 0, 1]


def test_references_to_a_missing_or_impossible_owner_stay_unresolved():
    maps = {
        1: grid([REMOTE, LOCAL, KEPT], [0, -1, -1], [0, 0, -1]),
        2: grid([REMOTE, KEPT, KEPT], [1, -1, -1], [7, -1, -1]),
    }
    origins = resolve(maps)
    assert origins.satellite[0].tolist() == [UNRESOLVED, UNRESOLVED, 0]
    assert origins.satellite[1].tolist() == [UNRESOLVED, 1, 1]


def test_a_circle_of_references_ends_and_is_not_resolved():
    maps = {0: grid([REMOTE, KEPT], [1, -1], [0, -1]), 1: grid([REMOTE, KEPT], [0, -1], [0, -1])}
    assert not resolve(maps).resolved[:, 0].any()


def test_reassembling_copies_vectors_and_leaves_zeros_where_nothing_is_known():
    maps = {0: all_kept(1, 3), 1: grid([REMOTE, KEPT, REMOTE], [0, -1, 5], [2, -1, 0])}
    coded = np.arange(2 * 2 * 3).reshape(2, 2, 3)
    out = reassemble(coded, resolve(maps))
    assert np.array_equal(out[0], coded[0])
    assert out[1, :, 0].tolist() == coded[0, :, 2].tolist()
    assert out[1, :, 1].tolist() == coded[1, :, 1].tolist()
    assert out[1, :, 2].tolist() == [0, 0]


def test_permuting_the_satellites_permutes_the_result():
    maps = {
        0: all_kept(1, 2),
        1: grid([REMOTE, KEPT], [0, -1], [1, -1]),
        2: grid([REMOTE, REMOTE], [1, 0], [1, 0]),
    }
    forward, backward = resolve(maps), resolve(dict(reversed(maps.items())))
    for satellite in maps:
        f, b = forward.satellites.index(satellite), backward.satellites.index(satellite)
        assert np.array_equal(forward.position[f], backward.position[b])
        assert [forward.satellites[s] for s in forward.satellite[f]] == [
            backward.satellites[s] for s in backward.satellite[b]
        ]
