import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic_maps import RoundKind, synthetic_round
from codec.assignment import (KEPT, LOCAL, REMOTE, AssignmentMap, all_kept, coding_rank, combined_digest, dense_numbering, from_dense_numbering,
                              kept_entries, own_numbering, shares, signature_positions, validate)
from constellation.errors import BitstreamError, UserError

ROUNDS = st.builds(RoundKind, cells=st.integers(2, 10), window=st.sampled_from((1.0, 1.5, 2.0, 4.0)), margin=st.integers(0, 1),
                   misses=st.sampled_from((0.0, 0.1)), flat=st.booleans(), duplicates=st.sampled_from((0.0, 0.1)), satellites=st.integers(1, 6))
ORDERS = st.sampled_from(("raster", "checkerboard"))


def small_map(**changes):
    """Satellite 1: kept, local copy of it, remote copy of entry 3 of satellite 0; kept, remote of satellite 2, local copy of that."""
    fields = {"fate": [[KEPT, LOCAL, REMOTE], [KEPT, REMOTE, LOCAL]], "exact": [[0, 0, 1], [0, 0, 0]],
              "owner": [[-1, -1, 0], [-1, 2, -1]], "source": [[-1, 0, 3], [-1, 5, 4]], **changes}
    types = {"fate": np.uint8, "exact": np.bool_, "owner": np.int16, "source": np.int32}
    return AssignmentMap(**{name: np.array(fields[name], types[name]) for name in types})


def test_signature_list_is_the_non_local_positions_in_raster_order():
    assert signature_positions(small_map()).tolist() == [0, 2, 3, 4]
    assert kept_entries(small_map()).tolist() == [True, False, True, False]


def test_shares_add_up_to_one():
    found = shares(small_map())
    assert (found.kept, found.local, found.remote) == (2 / 6, 2 / 6, 2 / 6)


def test_checkerboard_order_puts_cells_of_even_parity_first():
    assert coding_rank(2, 3, "checkerboard").tolist() == [0, 3, 1, 4, 2, 5]
    with pytest.raises(UserError, match="raster, checkerboard"):
        coding_rank(2, 3, "spiral")


@pytest.mark.parametrize(("changes", "said"), [
    ({"fate": [[KEPT, LOCAL, 3], [KEPT, REMOTE, LOCAL]]}, "fate 3"),
    ({"exact": [[1, 0, 1], [0, 0, 0]]}, "where the fate has none"),
    ({"owner": [[-1, 2, 0], [-1, 2, -1]]}, "where the fate has none"),
    ({"source": [[7, 0, 3], [-1, 5, 4]]}, "where the fate has none"),
    ({"owner": [[-1, -1, 1], [-1, 2, -1]]}, "did not hear"),
    ({"owner": [[-1, -1, 7], [-1, 2, -1]]}, "satellite 7, which it did not hear"),
    ({"owner": [[-1, -1, -1], [-1, 2, -1]]}, "did not hear"),
    ({"source": [[-1, 0, 6], [-1, 5, 4]]}, "outside 0..5"),
    ({"source": [[-1, -2, 3], [-1, 5, 4]]}, "outside 0..5"),
    ({"source": [[-1, 0, 3], [-1, 5, 1]]}, "local copy of a local copy"),
    ({"source": [[-1, 2, 3], [-1, 5, 4]]}, "not coded before"),
])
def test_a_map_that_means_nothing_is_refused_with_one_line(changes, said):
    validate(small_map(), 1, (0, 1, 2))
    for error in (UserError, BitstreamError):
        with pytest.raises(error, match=said):
            validate(small_map(**changes), 1, (0, 1, 2), "raster", error)


def test_a_local_copy_of_a_later_anchor_is_valid_in_checkerboard_order_alone():
    forward = small_map(fate=[[KEPT, LOCAL, REMOTE], [KEPT, KEPT, KEPT]], source=[[-1, 4, 3], [-1, -1, -1]], owner=[[-1, -1, 0], [-1] * 3])
    validate(forward, 1, (0, 1), "checkerboard")
    with pytest.raises(UserError, match="not coded before"):
        validate(forward, 1, (0, 1), "raster")


def test_wrong_shapes_and_dtypes_are_refused():
    good = small_map()
    with pytest.raises(UserError, match=r"owner is int64 \[2, 3\], expected int16"):
        dataclasses.replace(good, owner=good.owner.astype(np.int64))
    with pytest.raises(UserError, match="source"):
        dataclasses.replace(good, source=good.source[:1])
    with pytest.raises(UserError, match="exact is list"):
        dataclasses.replace(good, exact=[[False] * 3] * 2)
    with pytest.raises(UserError, match="no positions"):
        all_kept(0, 3)


def test_digest_tells_any_change_of_the_references():
    digests = {combined_digest(crc, small_map(**changes)) for crc in (0, 1)
               for changes in ({}, {"source": [[-1, 0, 2], [-1, 5, 4]]}, {"owner": [[-1, -1, 0], [-1, 0, -1]]}, {"exact": [[0] * 3] * 2})}
    assert len(digests) == 8


def test_dense_numbers_of_two_satellites_by_hand():
    first = AssignmentMap(np.array([[KEPT, LOCAL, KEPT]], np.uint8), np.zeros((1, 3), bool), np.full((1, 3), -1, np.int16),
                          np.array([[-1, 0, -1]], np.int32))
    second = AssignmentMap(np.array([[REMOTE, KEPT, LOCAL]], np.uint8), np.array([[True, False, False]]), np.array([[4, -1, -1]], np.int16),
                           np.array([[1, -1, 0]], np.int32))
    assert [array.tolist() for array in dense_numbering({4: first, 2: second})] == [[[0, 0, 1]], [[1, 2, 1]]]


@settings(max_examples=60, deadline=None)
@given(ROUNDS, st.integers(0, 10**6), ORDERS)
def test_dense_numbering_and_its_inverse_are_exact(kind, seed, order):
    maps = synthetic_round(kind, seed, order)
    for satellite, assignment in maps.items():
        validate(assignment, satellite, maps, order)
    numbers = dict(zip(maps, dense_numbering(maps)))
    kept = {satellite: int(kept_entries(assignment).sum()) for satellite, assignment in maps.items()}
    exact = {satellite: assignment.exact for satellite, assignment in maps.items()}
    back = from_dense_numbering(numbers, kept, order, exact)
    assert all(back[satellite] == maps[satellite] for satellite in maps)
    used = np.unique(np.concatenate([array.reshape(-1) for array in numbers.values()]))
    assert np.array_equal(used, np.arange(sum(kept.values()))), "dense: every number up to the count of kept vectors is used"


def test_dense_numbering_refuses_partial_views():
    maps = synthetic_round(RoundKind(cells=6, satellites=3, margin=0), 1)
    kept = {satellite: kept_entries(assignment) for satellite, assignment in maps.items()}
    del kept[0]
    with pytest.raises(UserError, match="does not keep; use dlrc.map_coding=successor"):
        own_numbering(maps[2], 2, kept)


@settings(max_examples=60, deadline=None)
@given(ROUNDS, st.integers(0, 10**6), st.data())
def test_damaged_dense_numbers_give_a_valid_map_or_one_line(kind, seed, data):
    maps = synthetic_round(kind, seed)
    numbers = dict(zip(maps, dense_numbering(maps)))
    kept = {satellite: int(kept_entries(assignment).sum()) for satellite, assignment in maps.items()}
    victim = data.draw(st.sampled_from(sorted(maps)))
    position = data.draw(st.integers(0, numbers[victim].size - 1))
    numbers[victim].reshape(-1)[position] = data.draw(st.integers(-1, sum(kept.values()) + 3))
    try:
        back = from_dense_numbering(numbers, kept)
    except BitstreamError:
        return
    for satellite, assignment in back.items():
        validate(assignment, satellite, maps)
