"""The assignment map: what it may say, and section 3.4's dense numbers as one way to say it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.map_coding import Overlap, make_round
from codec.maps.assignment import (
    FILL,
    KEPT,
    KNOWN,
    LOCAL,
    REMOTE,
    AssignmentMap,
    all_kept,
    combined_digest,
    signature_positions,
    validate,
)
from codec.maps.numbering import dense_numbering, kept_entries, own_numbering
from codec.maps.references import follow
from constellation.common.errors import BitstreamError, UserError
from tests.codec.maps.map_cases import arbitrary_map, ranks


def one_map() -> AssignmentMap:
    """Satellite 5 of a round, with positions of all fates."""
    one = make_round(np.random.default_rng(3), Overlap(16, 32, 1, 0.02, 0.05))[5]
    assert set(np.unique(one.fate)) == {KEPT, LOCAL, REMOTE}
    return one


def changed(one: AssignmentMap, name: str, at, value) -> AssignmentMap:
    array = getattr(one, name).copy()
    array[at] = value
    return replace(one, **{name: array})


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), order=st.sampled_from(("raster", "checkerboard")))
def test_arbitrary_maps_are_valid_and_lists_hold_what_is_no_local_copy(seed, order):
    one = arbitrary_map(np.random.default_rng(seed), ranks(8, 12, order), 4, (1, 4, 6))
    validate(one, 4, (1, 4, 6), ranks(8, 12, order))
    assert len(signature_positions(one)) == np.count_nonzero(one.fate != LOCAL)
    assert np.count_nonzero(kept_entries(one)) == np.count_nonzero(one.fate == KEPT)


def test_what_a_decoder_knows_follows_from_fates_and_exactness():
    one = AssignmentMap(
        np.array([[KEPT, LOCAL, REMOTE, REMOTE]], dtype=np.uint8),
        np.array([[False, False, True, False]]),
        np.array([[-1, -1, 3, 3]], dtype=np.int16),
        np.array([[-1, 0, 5, 6]], dtype=np.int32),
    )
    assert one.known().tolist() == one.known("open").tolist() == [[0, 0, KNOWN, FILL]]
    assert one.known("independent").tolist() == [[0, 0, FILL, FILL]]


def test_nobody_can_write_into_a_map():
    with pytest.raises(ValueError, match="read-only"):
        all_kept(2, 2).fate[0, 0] = LOCAL


def test_shapes_and_dtypes_are_checked_when_a_map_is_made():
    one = all_kept(4, 4)
    with pytest.raises(UserError, match="owner is int64"):
        replace(one, owner=one.owner.astype(np.int64))
    with pytest.raises(UserError, match="source is"):
        replace(one, source=one.source[:2])
    with pytest.raises(UserError, match="no positions"):
        all_kept(0, 4)


def _at(one: AssignmentMap, fate: int) -> tuple:
    return tuple(np.argwhere(one.fate == fate)[-1])


@pytest.mark.parametrize(
    ("name", "fate", "value", "says"),
    [
        ("fate", KEPT, 3, "fate 3"),
        ("exact", KEPT, True, "where the fate has none"),
        ("owner", LOCAL, 1, "where the fate has none"),
        ("source", KEPT, 7, "where the fate has none"),
        ("owner", REMOTE, 5, "did not hear"),
        ("owner", REMOTE, 99, "did not hear"),
        ("source", REMOTE, 256, "outside 0..255"),
        ("source", LOCAL, -1, "outside 0..255"),
    ],
)
def test_a_meaningless_map_is_refused_in_one_line(name, fate, value, says):
    one = one_map()
    with pytest.raises(BitstreamError, match=says):
        validate(changed(one, name, _at(one, fate), value), 5, range(8), ranks(16, 16), BitstreamError)


def test_local_copies_name_earlier_representatives_only():
    one = one_map()
    at = _at(one, LOCAL)
    flat = at[0] * 16 + at[1]
    with pytest.raises(UserError, match="local copy of a local copy"):
        validate(changed(one, "source", at, flat), 5, range(8), ranks(16, 16))
    later = next(position for position in range(flat + 1, 256) if one.fate.reshape(-1)[position] != LOCAL)
    with pytest.raises(UserError, match="not coded before it"):
        validate(changed(one, "source", at, later), 5, range(8), ranks(16, 16))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), misses=st.sampled_from((0.0, 0.1)))
def test_dense_numbers_count_kept_vectors_and_copies_have_their_owners_number(seed, misses):
    maps = make_round(np.random.default_rng(seed), Overlap(8, 16, 1, misses, 0.05))
    numbers, references = np.stack(dense_numbering(maps)).reshape(-1), follow(maps)
    kept = np.concatenate([one.fate.reshape(-1) == KEPT for one in maps.values()])
    assert numbers[kept].tolist() == list(range(int(kept.sum())))
    assert np.array_equal(numbers, numbers[references.cell])


def test_dense_numbers_refuse_references_that_end_at_no_kept_vector():
    maps = make_round(np.random.default_rng(3), Overlap(8, 16, 0))
    kept_of = {satellite: kept_entries(one) for satellite, one in maps.items()}
    kept_of[0] = np.zeros_like(kept_of[0])
    with pytest.raises(UserError, match="copies a vector that satellite 0 does not keep"):
        own_numbering(maps[1], 1, kept_of)


def test_the_digest_tells_references_apart_where_values_are_equal():
    one = one_map()
    at = _at(one, REMOTE)
    assert combined_digest(7, one) == combined_digest(7, replace(one))
    assert combined_digest(7, one) != combined_digest(8, one)
    assert combined_digest(7, one) != combined_digest(
        7, changed(one, "source", at, (one.source[at] + 1) % 256)
    )
