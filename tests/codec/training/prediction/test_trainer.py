"""Training a fusion: pairs, exact resume, and what refuses to fit."""

import numpy as np
import pytest
import torch
from PIL import Image

from codec.models import registry
from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.model import Widths
from codec.prediction.checkpoint import load_fusion, save_fusion, shipped_fusion
from codec.prediction.fusion import Fusion, log_of_scale, scale_of_log
from codec.training.data import open_pictures
from codec.training.prediction.knobs import PredictionKnobs
from codec.training.prediction.pairs import PairSampler
from codec.training.prediction.trainer import Trainer
from constellation.common.errors import UserError
from tests.codec.prediction.test_warp import scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    for k in range(2):
        Image.fromarray(scene(416, k)).save(path / f"{k}.png")
    torch.manual_seed(0)
    for name in ("bmshj", "elic"):
        groups = (4, 4) if name == "elic" else ()
        model = registry.build(name, Widths(4, 8, (4, 4, 4), groups))
        save_checkpoint(path / f"{name}.safetensors", model, 0.013, 1)
    return path


def knobs(folder, out, codec="bmshj", **more) -> PredictionKnobs:
    given = {"codec": str(folder / f"{codec}.safetensors"), "data": str(folder), "out": str(out)}
    return PredictionKnobs(**given, hidden=8, fresh=1, replayed=2, steps=3, **more)


@pytest.mark.parametrize("codec", ["bmshj", "elic"])
def test_a_run_that_was_cut_goes_on_to_the_bit(folder, tmp_path, codec):
    whole = Trainer(knobs(folder, tmp_path / "whole.safetensors", codec))
    whole.run()
    cut = Trainer(knobs(folder, tmp_path / "cut.safetensors", codec))
    cut.started = 0.0
    cut._train_step(0.0)
    cut.save()
    resumed = Trainer(knobs(folder, tmp_path / "cut.safetensors", codec, resume=True))
    assert resumed.step == 1
    resumed.run()
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "cut.safetensors").read_bytes()


def test_a_fusion_serves_the_codec_it_was_trained_for_alone(folder, tmp_path):
    model, info = load_checkpoint(folder / "bmshj.safetensors")
    save_fusion(tmp_path / "f.safetensors", Fusion(model, 8), info.sha256, {})
    fusion, digest = load_fusion(tmp_path / "f.safetensors", model, info.sha256)
    assert fusion.hidden == 8 and len(digest) == 4
    with pytest.raises(UserError, match="was trained for the codec"):
        load_fusion(tmp_path / "f.safetensors", model, "0" * 64)
    with pytest.raises(UserError, match="does not fit"):
        load_fusion(tmp_path / "f.safetensors", load_checkpoint(folder / "elic.safetensors")[0], None)
    (tmp_path / "g.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a readable"):
        load_fusion(tmp_path / "g.safetensors", model, None)


@pytest.mark.parametrize("words", [{"resume": True}, {"codec": ""}, {"data": "nowhere"}])
def test_what_does_not_fit_is_one_clear_line(folder, tmp_path, words):
    given = {
        "codec": str(folder / "bmshj.safetensors"),
        "data": str(folder),
        "out": str(tmp_path / "x.safetensors"),
    }
    with pytest.raises(UserError):
        Trainer(PredictionKnobs(**{**given, **words}))


def test_pairs_follow_from_their_number_and_some_are_the_same_view(folder):
    pairs = PairSampler(open_pictures(folder), 3)
    same = 0
    for number in range(40):
        one = pairs.pair(number)
        same += np.array_equal(one.current, one.reference)
        assert one.current.shape == one.reference.shape == (256, 256, 3)
    assert 1 <= same <= 10
    again = PairSampler(open_pictures(folder), 3).pair(7)
    assert np.array_equal(again.current, pairs.pair(7).current)


def test_a_scale_goes_there_and_back():
    scales = torch.tensor([0.11, 0.2, 0.5, 1.0, 3.0, 200.0])
    logs = log_of_scale(scales)
    assert logs[3] == 0 and torch.allclose(scale_of_log(logs), scales, rtol=1e-6)
    assert torch.allclose(logs, torch.log2(scales), atol=0.09)


def test_every_family_that_ships_at_0_013_has_a_fusion_of_its_own():
    from codec.models.checkpoint import shipped_weights

    for name in registry.whole():
        model, info = load_checkpoint(shipped_weights(name, 0.013))
        path = shipped_fusion(info)
        assert path is not None
        load_fusion(path, model, info.sha256)
