"""What both ends hold to predict: from a guide and decoded pictures to a prediction."""

import dataclasses

import numpy as np
import pytest

from codec.models.checkpoint import load_weights
from codec.models.model import Widths
from codec.prediction.checkpoint import save_fusion
from codec.prediction.fusion import Fusion
from codec.prediction.predictor import Predictor, load_predictor
from codec.prediction.values import Guide, all_sent
from constellation.common.errors import UserError
from tests.codec.entropy.entropy_cases import small_model

SIDE_PX = 64


def guide_of(roots, levels):
    cells = SIDE_PX // 8
    zeros = np.zeros((1, 3), np.int32)
    motion, depth = np.zeros((cells, cells, 2), np.int16), np.zeros((cells, cells), np.uint8)
    return Guide(
        (5,), np.zeros((1, 8), np.int32), zeros + 256, zeros, roots, levels, all_sent(levels), motion, depth
    )


def test_an_unmoved_reference_predicts_its_own_latents_with_the_guides_levels_and_hyper_latents():
    model = small_model("bmshj")
    predictor = Predictor(model, Fusion(model, hidden=16))
    picture = np.random.default_rng(1).integers(0, 256, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
    roots, levels = np.ones((2, 2), np.uint8), np.arange(16, dtype=np.uint8).reshape(4, 4) % 4
    prediction = predictor.prediction(guide_of(roots, levels), {5: picture})
    np.testing.assert_array_equal(prediction.y, predictor.transforms.latents(picture.astype(np.int16) * 64))
    assert prediction.levels.tolist() == levels.reshape(-1).tolist() and prediction.hyper.tolist() == [True]
    assert prediction.planes.shape == (16, 3)
    assert prediction.fusion is predictor.fusion
    assert dataclasses.replace(prediction, levels=prediction.levels * 0).fusion is predictor.fusion


def test_a_codec_without_a_fusion_says_how_to_make_one(tmp_path):
    model, info = load_weights("", "bmshj", 0.013)
    odd = dataclasses.replace(info, lambda_=0.5, widths=Widths(2, 2))
    with pytest.raises(UserError, match="dlrc train-prediction"):
        load_predictor(model, odd)
    save_fusion(tmp_path / "f.safetensors", Fusion(model, hidden=8), info.sha256, {})
    assert len(load_predictor(model, info, str(tmp_path / "f.safetensors")).digest) == 4
    save_fusion(tmp_path / "f.safetensors", Fusion(model, hidden=8), "0" * 64, {})
    with pytest.raises(UserError, match="was trained for the codec"):
        load_predictor(model, info, str(tmp_path / "f.safetensors"))
