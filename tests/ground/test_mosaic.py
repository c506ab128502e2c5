"""Patches of a round laid together from their latents alone, and the ring that g_s is given."""

import numpy as np
import pytest

from codec.surroundings import RING, ring_index
from ground.mosaic import MIN_VOTES, displacements, mosaics


def ground(side=40, channels=6, seed=0):
    return np.random.default_rng(seed).integers(-50, 50, (channels, side, side)).astype(np.int32)


def patch(field, row, col, side=8):
    return field[:, row : row + side, col : col + side].copy()


def test_overlapping_patches_are_laid_where_they_were_cut():
    field, corners = ground(), {0: (10, 12), 1: (14, 7), 2: (16, 13)}
    (mosaic,) = mosaics({s: patch(field, *at) for s, at in corners.items()})
    assert {s: (r + 10, c + 12) for s, (r, c) in mosaic.corners.items()} == corners


def test_patches_are_joined_through_others():
    field = ground()
    (mosaic,) = mosaics({s: patch(field, 4, 4 + 5 * s) for s in range(5)})
    assert [mosaic.corners[s] for s in range(5)] == [(0, 5 * s) for s in range(5)]


def test_the_order_of_arrival_does_not_matter():
    field = ground()
    latents = {s: patch(field, 3 * s, 2 * s) for s in range(5)}
    one, other = mosaics(latents)[0], mosaics(dict(reversed(latents.items())))[0]
    assert one.corners == other.corners
    assert all(np.array_equal(one.surrounded(s), other.surrounded(s)) for s in latents)


def test_patches_without_common_ground_stay_apart():
    found = mosaics({0: patch(ground(), 0, 0), 1: patch(ground(seed=1), 0, 0)})
    assert sorted(tuple(m.corners) for m in found) == [(0,), (1,)]


def test_flat_ground_votes_for_nothing():
    flat = np.zeros((6, 8, 8), np.int32)
    assert displacements({0: flat, 1: flat.copy()}) == []


def test_a_few_chance_matches_do_not_place_a_patch():
    one, other = patch(ground(), 0, 0), patch(ground(seed=1), 0, 0)
    other[:, 5, : MIN_VOTES - 1] = one[:, 2, : MIN_VOTES - 1]
    assert displacements({0: one, 1: other}) == []


def test_scattered_matches_without_a_majority_do_not_place_a_patch():
    one, other = patch(ground(), 0, 0), patch(ground(seed=1), 0, 0)
    other[:, 4, :4], other[:, 6, 2:8] = one[:, 0, :4], one[:, 1, :6][:, ::-1]
    other[:, 7, :4] = one[:, 5, :4]
    assert displacements({0: one, 1: other}) == []


def test_what_shows_something_else_beside_a_patch_is_left_out_of_its_ring():
    first, second = ground(8, 24), ground(8, 24, seed=1)
    second[:, :, :4] = first[:, :, 4:]
    second[:, :4, :4] = ground(8, 24, seed=2)[:, :4, :4]  # a cloud over the upper half of one view
    (mosaic,) = mosaics({0: first, 1: second})
    around = mosaic.surrounded(0)[:, RING : RING + 8, RING + 8 :]
    assert np.array_equal(around[:, 5:], second[:, 5:, 4:])
    assert all(
        any(np.array_equal(cell, known) for known in first.reshape(24, -1).T)
        for cell in around[:, :2, :2].reshape(24, -1).T
    )


def test_what_nearly_agrees_is_part_of_the_ring():
    field = ground() * 4
    one, other = (
        patch(field, 10, 10),
        patch(field, 10, 14) + np.random.default_rng(2).integers(-9, 10, (6, 8, 8)),
    )
    other[:, 2:5, :2] = patch(field, 10, 14)[:, 2:5, :2]
    (mosaic,) = mosaics({0: one, 1: other.astype(np.int32)})
    assert np.array_equal(mosaic.surrounded(0)[:, RING : RING + 8, RING + 8 :], other[:, :, 4:])


def test_negative_zeros_are_zeros():
    one, other = (
        np.arange(2 * 64, dtype=np.float32).reshape(2, 8, 8),
        np.arange(2 * 64, dtype=np.float32).reshape(2, 8, 8),
    )
    one[0, 0, 0], other[0, 0, 0] = 0.0, -0.0
    assert displacements({0: one, 1: other}) == [(64, 0, 1, 0, 0)]


def test_other_latents_of_the_same_patches_can_tell_where_they_lie():
    field = ground()
    tell = {s: patch(field, 2 * s, 3 * s) for s in range(3)}
    noisy = {s: values + np.random.default_rng(s).normal(0, 0.1, values.shape) for s, values in tell.items()}
    assert len(mosaics(noisy)) == 3
    (mosaic,) = mosaics(noisy, tell)
    assert mosaic.corners == {s: (2 * s, 3 * s) for s in range(3)}
    assert np.array_equal(mosaic.surrounded(0)[:, RING : RING + 8, RING : RING + 8], noisy[0])


def test_no_latents_make_no_mosaic():
    assert mosaics({}) == []


def test_the_ring_holds_what_others_sent_and_else_the_nearest_vector():
    first, second = ground(8, 3), ground(8, 3, seed=1)
    second[:, :, :4] = first[:, :, 4:]
    (mosaic,) = mosaics({0: first, 1: second})
    around = mosaic.surrounded(0)
    inner = slice(RING, RING + 8)
    assert around.shape == (3, 8 + 2 * RING, 8 + 2 * RING)
    assert np.array_equal(around[:, inner, inner], first)
    assert np.array_equal(around[:, inner, RING + 8 :], second[:, :, 4:])  # sent by the other satellite
    assert np.array_equal(around[:, inner, :RING], np.repeat(first[:, :, :1], RING, axis=2))  # nobody sent it
    assert (around[:, :RING, :RING] == first[:, :1, :1]).all()


@pytest.mark.parametrize(("row", "col"), [(0, 0), (3, 5), (12, 12)])
def test_a_ring_within_known_ground_is_that_ground(row, col):
    index = ring_index(np.ones((20, 20), bool), row, col, 8, 8)
    rows, cols = np.divmod(index, 20)
    want_rows, want_cols = (np.clip(np.arange(at - RING, at + 8 + RING), 0, 19) for at in (row, col))
    inside_rows, inside_cols = (np.arange(at - RING, at + 8 + RING) for at in (row, col))
    there = ((inside_rows >= 0) & (inside_rows < 20))[:, None] & ((inside_cols >= 0) & (inside_cols < 20))[
        None
    ]
    assert np.array_equal(rows[there], np.broadcast_to(want_rows[:, None], there.shape)[there])
    assert np.array_equal(cols[there], np.broadcast_to(want_cols[None], there.shape)[there])
