"""The plan of a patch: what registration finds, and that prediction never costs more than it saves."""

import numpy as np
import pytest
import torch

from codec.entropy.coder import EntropyCoder
from codec.entropy.estimate import predicted_bits
from codec.models.checkpoint import load_checkpoint, shipped_weights
from codec.prediction.guides.coding import pack_guide
from codec.prediction.predictor import load_predictor
from codec.prediction.search.costs import Costs
from codec.prediction.search.motion import MARGIN, matched
from codec.prediction.search.plan import planned
from codec.prediction.search.registration import (
    by_correlation,
    by_features,
    covered,
    of_homography,
    translation,
)
from tests.codec.prediction.test_warp import scene

PX = 128


@pytest.fixture(scope="module")
def board():
    model, info = load_checkpoint(shipped_weights("bmshj", 0.013))
    return load_predictor(model, info), EntropyCoder(model)


def own_of(coder, image):
    x = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None] / 255
    with torch.no_grad():
        y = coder.model.analysis(x)
    return image, torch.round(y)[0].numpy().astype(np.int32), coder.hyper_symbols(y)


def test_a_shifted_view_is_predicted_and_counted_as_the_coder_counts(board):
    predictor, coder = board
    large = scene(PX + 32, 5)
    first, second = large[:PX, :PX], np.ascontiguousarray(large[5 : 5 + PX, 9 : 9 + PX])
    seen = predictor.transforms.picture(own_of(coder, np.ascontiguousarray(first))[1])
    own = own_of(coder, second)
    found = planned(predictor, coder, own, [(4, seen, (5.0, 9.0))])
    assert found is not None
    guide, prediction = found
    again = predictor.prediction(guide, {4: seen})
    assert np.array_equal(again.y, prediction.y) and np.array_equal(again.planes, prediction.planes)
    _, y_hat, z = own
    alone, fused = predicted_bits(coder, z, y_hat, None).sum(), predicted_bits(coder, z, y_hat, again).sum()
    costs = Costs(predictor.fusion, coder, own)
    assert costs.plain.sum() == pytest.approx(alone) and costs.predicted(again).sum() == pytest.approx(fused)
    assert fused + 8 * len(pack_guide(guide, [1, 4])) < 0.75 * alone


def test_other_ground_and_cells_that_are_not_coded_are_not_predicted(board):
    predictor, coder = board
    own, other = own_of(coder, scene(PX, 6)), scene(PX, 7)
    assert planned(predictor, coder, own, [(4, other, None)]) is None
    copied = np.zeros((PX // 16, PX // 16), bool)
    assert planned(predictor, coder, own, [(4, own[0], (0.0, 0.0))], copied) is None
    assert planned(predictor, coder, own, []) is None


def test_placements_are_found_by_correlation_and_by_features():
    large = scene(320, 8)
    reference, current = large[:256, :256], large[40:296, 24:280]
    assert np.array_equal(by_correlation(current, reference), translation((40, 24)))
    found = by_features(np.ascontiguousarray(current), np.ascontiguousarray(reference))
    assert found is not None and np.abs(found - translation((40, 24))).max() <= 8
    assert by_features(np.zeros((256, 256, 3), np.uint8), np.ascontiguousarray(reference)) is None


def test_a_homography_that_throws_corners_away_is_no_placement():
    assert np.array_equal(of_homography(np.eye(3), 256), np.zeros(8))
    assert of_homography(np.array([[1, 0, 0], [0, 1, 0], [0.01, 0, 0.2]]), 256) is None
    assert of_homography(np.diag([9.0, 9.0, 1.0]), 256) is None


def test_neither_what_a_reference_does_not_show_nor_a_cloud_says_anything_of_its_brightness():
    current = np.ascontiguousarray(scene(PX, 8)).sum(axis=2, dtype=np.int16)
    everything, half, clear = np.ones((PX // 8, PX // 8), bool), PX // 2, slice(MARGIN, -MARGIN)
    reference = np.pad(current, MARGIN, mode="edge") + np.int16(30)
    reference[:, : MARGIN + PX // 4] = 700  # a cloud
    found = matched(reference, current, everything)[clear, clear]
    assert np.abs(found - current)[:, half:].max() <= 2
    reference[:, : MARGIN + half] = 700  # more of it than anybody could tell apart
    assert np.abs(matched(reference, current, everything)[clear, clear] - current)[:, half:].mean() > 20
    seen = everything.copy()
    seen[:, : len(seen) // 2] = False
    found = matched(reference, current, seen)[clear, clear]
    assert np.abs(found - current)[:, half:].max() <= 2


def test_cells_are_covered_where_the_placement_leads_into_the_reference():
    assert covered(translation((0, 0)), (PX, PX), PX).all()
    moved = covered(translation((16, -24)), (PX, PX), PX)
    assert moved[: PX // 8 - 2, 3:].all() and moved.sum() == (PX // 8 - 2) * (PX // 8 - 3)
