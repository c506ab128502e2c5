"""The composed picture: exact, seamless, and what a guide says."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from codec.prediction.search import motion
from codec.prediction.search.registration import follow, predicted_whole, radiometry, whole_guide
from codec.prediction.values import Guide, all_sent
from codec.prediction.warp import COUNT, WHITE, compose, filled, placed

PX = 64


def scene(side: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture, uint8 [side, side, 3]."""
    random = np.random.default_rng(seed)
    nodes = torch.from_numpy(random.random((1, 3, side // 4, side // 4)).astype(np.float32))
    fine = F.interpolate(nodes, size=(side, side), mode="bicubic").clamp(0, 1)
    return (fine[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def still(source: int = 3, placement=None) -> Guide:
    cells = PX // 8
    placement = np.zeros(8, np.int32) if placement is None else placement
    fields = np.zeros((cells, cells, 2), np.int16), np.zeros((cells, cells), np.uint8)
    return whole_guide(source, placement, *fields)


def test_without_motion_the_picture_is_the_reference():
    reference = scene(PX)
    picture, planes = compose(still(), {3: reference})
    assert np.array_equal(picture, reference.astype(np.int16) * COUNT)
    assert np.array_equal(planes, np.tile([1.0, 0.0, 0.0], ((PX // 16) ** 2, 1)))


def test_whole_px_of_motion_and_of_placement_are_the_same_and_exact():
    large = scene(PX + 32)
    by_motion = still()
    vectors = np.tile(np.array([8 * 16, 8 * 16], np.int16), (PX // 8, PX // 8, 1))
    by_motion = whole_guide(3, np.zeros(8), vectors, by_motion.depth)
    by_placement = still(placement=np.full(8, 16 * 16, np.int32))
    wanted = large[16 : 16 + PX, 16 : 16 + PX].astype(np.int16) * COUNT
    for guide in (by_motion, by_placement):
        assert np.array_equal(compose(guide, {3: large})[0], wanted)


def test_parts_of_a_px_are_bicubic_as_torch_has_it():
    large = scene(PX + 32)
    picture, _ = compose(still(placement=np.tile([16 * 16 + 5, 16 * 16 + 11], 4)), {3: large})
    at = torch.arange(PX).float() + 16
    y, x = torch.meshgrid(at + 5 / 16, at + 11 / 16, indexing="ij")
    grid = torch.stack((x + 0.5, y + 0.5), -1)[None] / (PX + 32) * 2 - 1
    source = torch.from_numpy(large.transpose(2, 0, 1)).float()[None]
    torchs = F.grid_sample(source, grid, mode="bicubic", padding_mode="border", align_corners=False)
    near = np.clip(torchs[0].permute(1, 2, 0).numpy() * COUNT, 0, WHITE)
    assert np.abs(picture - near).max() < 16  # a quarter of a count, of weights in 1/2048


def trusted(roots):
    """(levels, hyper) of a patch that trusts every root and sends all hyper-latents."""
    levels = np.ones(np.array(roots.shape) * 2, np.uint8)
    return levels, all_sent(levels)


def test_gain_offset_and_the_average_of_two_references_mean_what_they_say():
    a, b = scene(PX, 1), scene(PX, 2)
    roots = np.full((2, 2), 3, np.uint8)  # the pair of both
    fields = np.zeros((8, 8, 2), np.int16), np.zeros((8, 8), np.uint8)
    gains, offsets = np.array([[256] * 3, [128] * 3], np.int32), np.array([[0] * 3, [640] * 3], np.int32)
    guide = Guide((1, 2), np.zeros((2, 8), np.int32), gains, offsets, roots, *trusted(roots), *fields)
    picture, _ = compose(guide, {1: a, 2: b})
    wanted = (a * 64.0 + (b * 32.0 + 640)) / 2
    assert np.abs(picture - wanted).max() <= 1


def test_ground_that_the_reference_did_not_see_is_marked():
    _, planes = compose(still(placement=np.tile([0, 16 * PX // 2], 4)), {3: scene(PX)})
    covered = planes[:, 0].reshape(PX // 16, PX // 16)
    assert np.array_equal(covered, np.tile([1.0, 1.0, 0.0, 0.0], (4, 1)))


def test_roots_without_a_reference_go_on_as_their_neighbours():
    roots = np.array([[0, 1], [2, 0]], np.uint8)
    vectors = np.zeros((8, 8, 2), np.int16)
    vectors[0:4, 4:8], vectors[4:8, 0:4] = (1, 1), (2, 2)
    full, moved = filled(roots, vectors)
    assert full.tolist() == [[1, 1], [2, 2]]
    assert moved[0, 0].tolist() == [1, 1]  # the first that has any
    assert moved[7, 7].tolist() == [2, 2]


def test_a_shift_and_a_gain_are_found_and_undone():
    reference = scene(2 * PX, 4)
    current = np.clip(reference[35 : 35 + PX, 37 : 37 + PX] * 0.9 + 10, 0, 255).astype(np.uint8)
    placement = np.full(8, 16 * 32)
    field, _, _ = follow(current, reference, placement, 500.0)
    assert np.array_equal(np.median(field.reshape(-1, 2), axis=0), [24, 40])
    picture, _ = predicted_whole(current, reference, placement, 500.0)
    assert np.abs(picture / COUNT - current).mean() < 1.0
    gains, offsets = radiometry(current, picture, np.ones((2, 2), bool))
    assert np.abs(gains - 256).max() < 8 and np.abs(offsets).max() < 256


def test_the_placed_reference_goes_on_past_the_patch():
    large = scene(PX + 64).sum(axis=2, dtype=np.int16)
    out = placed(large, np.full(8, 16 * 32), PX, motion.MARGIN)
    near = slice(32 - motion.MARGIN, 32 + PX + motion.MARGIN)
    assert np.array_equal(out, large[near, near])


@pytest.mark.parametrize("seed", range(3))
def test_hostile_numbers_compose_too(seed):
    random = np.random.default_rng(seed)
    guide = Guide(
        (1, 2),
        random.integers(-(1 << 20), 1 << 20, (2, 8)).astype(np.int32),
        random.integers(0, 512, (2, 3)).astype(np.int32),
        random.integers(-16320, 16320, (2, 3)).astype(np.int32),
        random.integers(0, 4, (2, 2)).astype(np.uint8),
        random.integers(0, 4, (4, 4)).astype(np.uint8),
        np.ones((1, 1), bool),
        random.integers(-32768, 32768, (8, 8, 2)).astype(np.int16),
        random.integers(0, 3, (8, 8)).astype(np.uint8),
    )
    picture, planes = compose(guide, {1: scene(PX), 2: scene(PX - 32)})
    assert picture.min() >= 0 and picture.max() <= WHITE
    assert planes.min() >= 0 and planes.max() <= 1
