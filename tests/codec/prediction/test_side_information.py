"""A guide as bytes: there and back, small, and safe against anything."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.prediction.guides.coding import pack_guide, unpack_guide
from codec.prediction.values import Guide, all_sent
from constellation.common.errors import BitstreamError

PARTICIPANTS = [3, 7, 9, 12]


def a_guide(seed: int, references: int = 2, rows: int = 8) -> Guide:
    """A random guide in its own spelling: blocks are whole, roots without a level say nothing."""
    random = np.random.default_rng(seed)
    parted = random.integers(0, 4, (2 * rows, 2 * rows))
    whole = parted[::2, ::2].repeat(2, 0).repeat(2, 1)
    levels = np.where(random.random((rows, rows)).repeat(2, 0).repeat(2, 1) < 0.3, parted, whole).astype(
        np.uint8
    )
    used = levels.reshape(rows, 2, rows, 2).max(axis=(1, 3)) > 0
    choices = references + references * (references - 1) // 2
    roots = np.where(used, random.integers(1, choices + 1, used.shape), 0).astype(np.uint8)
    hyper = random.random((rows // 2, rows // 2)) < random.choice((0.0, 0.5, 1.0))
    motion, depth = np.zeros((4 * rows, 4 * rows, 2), np.int16), np.zeros((4 * rows, 4 * rows), np.uint8)
    for y, x in np.argwhere(used) * 4:
        deep = int(random.integers(0, 3))
        side = 4 >> deep
        for a, b in np.ndindex(1 << deep, 1 << deep):
            at = slice(y + a * side, y + (a + 1) * side), slice(x + b * side, x + (b + 1) * side)
            motion[at], depth[at] = random.integers(-100, 100, 2), deep
    affine = random.integers(-400, 400, 6)
    fourth = affine[2:4] + affine[4:6] - affine[:2]
    kinds = [np.zeros(8), np.full(8, 48), np.concatenate((affine, fourth)), random.integers(-999, 999, 8)]
    placements = np.array([kinds[int(random.integers(0, 4))] for _ in range(references)]).astype(np.int32)
    gains = random.integers(200, 300, (references, 3)).astype(np.int32)
    offsets = (random.integers(-20, 20, (references, 3)) * 32).astype(np.int32)
    sources = tuple(int(v) for v in random.permutation(PARTICIPANTS)[:references])
    return Guide(sources, placements, gains, offsets, roots, levels, hyper, motion, depth)


def as_coded(guide: Guide) -> Guide:
    return unpack_guide(pack_guide(guide, PARTICIPANTS), (8 * 32, 8 * 32), PARTICIPANTS)


@pytest.mark.parametrize("seed", range(20))
def test_a_guide_comes_back_as_it_was(seed):
    guide = a_guide(seed, references=1 + seed % 3)
    back = as_coded(guide)
    assert back.sources == guide.sources
    for name in ("placements", "gains", "offsets", "roots", "levels", "hyper"):
        assert np.array_equal(getattr(back, name), getattr(guide, name)), name
    used = guide.roots.repeat(4, 0).repeat(4, 1) > 0
    assert np.array_equal(back.motion[used], guide.motion[used])
    assert np.array_equal(back.depth[used], guide.depth[used])
    again = as_coded(back)
    assert np.array_equal(again.motion, back.motion) and np.array_equal(again.depth, back.depth)


def test_a_whole_patch_under_one_vector_takes_a_few_bytes():
    roots = np.ones((8, 8), np.uint8)
    motion, depth = np.full((32, 32, 2), 9, np.int16), np.zeros((32, 32), np.uint8)
    gains, offsets = np.full((1, 3), 256, np.int32), np.zeros((1, 3), np.int32)
    levels = np.ones((16, 16), np.uint8)
    hyper = all_sent(levels)
    guide = Guide((7,), np.zeros((1, 8), np.int32), gains, offsets, roots, levels, hyper, motion, depth)
    assert len(pack_guide(guide, PARTICIPANTS)) < 16


def test_a_source_that_takes_no_part_cannot_be_written():
    with pytest.raises(ValueError):
        pack_guide(a_guide(1), [1, 2])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_guide_or_one_clear_error(data):
    try:
        guide = unpack_guide(data, (256, 256), PARTICIPANTS)
    except BitstreamError:
        return
    assert pack_guide(guide, PARTICIPANTS) == data


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 50), st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_guide_is_another_one_or_refused(seed, place, byte):
    data = bytearray(pack_guide(a_guide(seed), PARTICIPANTS))
    data[place % len(data)] = byte
    with contextlib.suppress(BitstreamError):
        unpack_guide(bytes(data), (256, 256), PARTICIPANTS)
