"""Where training starts: another codec's weights, a teacher, the pictures' own transform."""

import pytest
import torch

from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.registry import build_model
from codec.training.evaluate import judged
from codec.training.step import Teacher
from codec.training.trainer import Trainer
from codec.training.warmstart import rescale_latents, warm_start
from constellation.common.errors import UserError
from tests.codec.training.training_cases import knobs


@pytest.mark.parametrize("name", ["bmshj", "mbt"])
def test_rescaled_latents_give_the_same_picture_and_scaled_parameters(name):
    torch.manual_seed(0)
    model = build_model(name, 8, 12)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        y = model.analysis(x)
        before = model.synthesis(y), model.hyper_analysis(y), model.h_s(model.hyper_analysis(y))
        rescale_latents(model, 3.0)
        scaled = model.analysis(x)
        after = model.synthesis(scaled), model.hyper_analysis(scaled), model.h_s(model.hyper_analysis(scaled))
    assert torch.allclose(scaled, 3 * y, rtol=1e-4, atol=1e-5)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(before[:2], after[:2], strict=True))
    if name == "bmshj":
        assert torch.allclose(3 * before[2], after[2], rtol=1e-3, atol=1e-5)


def test_elic_warm_started_from_mbt_begins_as_a_working_codec(tmp_path):
    torch.manual_seed(0)
    source, target, cold = build_model("mbt", 8, 24), build_model("elic", 8, 24), build_model("elic", 8, 24)
    x = torch.rand(2, 3, 64, 64)
    copied = warm_start(target, source, x)
    assert copied > 20
    with torch.no_grad():
        theirs, ours, random = source.analysis(x), target.analysis(x), cold.analysis(x)

    def correlation(a, b):
        return float(torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1])

    assert correlation(ours, theirs) > 0.9 > 0.5 > abs(correlation(random, theirs))


def test_the_same_model_is_copied_whole_and_transforms_can_come_from_another(pictures, tmp_path):
    torch.manual_seed(0)
    mbt, bmshj = build_model("mbt", 8, 24), build_model("bmshj", 8, 24)
    save_checkpoint(tmp_path / "mbt.safetensors", mbt, 0.013, 1)
    save_checkpoint(tmp_path / "bmshj.safetensors", bmshj, 0.013, 1)
    trainer = Trainer(
        knobs(
            pictures,
            tmp_path / "run.safetensors",
            f"init={tmp_path}/mbt.safetensors",
            f"transforms={tmp_path}/bmshj.safetensors",
        )
    )
    assert torch.equal(trainer.model.h_a[0].weight, mbt.h_a[0].weight.half().float())
    found = trainer.model.g_a.state_dict()
    for key, value in bmshj.g_a.state_dict().items():
        assert torch.equal(found[key], value.half().float()), key


def test_a_teacher_gives_its_most_varying_channels_and_g_a_learns_to_imitate_them(pictures, tmp_path):
    torch.manual_seed(0)
    source = build_model("bmshj", 8, 24)
    save_checkpoint(tmp_path / "t.safetensors", source, 0.013, 1)
    trainer = Trainer(
        knobs(
            pictures,
            tmp_path / "run.safetensors",
            f"teacher={tmp_path}/t.safetensors",
            "distill=1",
            model="cheng",
        )
    )
    x = torch.from_numpy(trainer.sampler.batch(0, range(1))).float() / 255
    assert trainer.teacher(x).shape == (1, 8, 4, 4) and len(set(trainer.teacher.chosen.tolist())) == 8
    trainer.train_step(x, 0.5)
    with pytest.raises(UserError, match="has 4 latent channels, the new codec 8"):
        Teacher(build_model("bmshj", 4, 4), 8, x)


@pytest.mark.parametrize("model", ["bmshj", "mbt", "cheng", "elic"])
def test_every_family_starts_as_the_pictures_own_transform_at_growing_widths(pictures, tmp_path, model):
    out = tmp_path / "run.safetensors"
    more = ["init=klt", "widths=4,8,16", "m=48", "crop=128", "steps=1", "lr=1e-5"]
    trainer = Trainer(knobs(pictures, out, *more, model=model))
    pixels = torch.from_numpy(trainer.sampler.batch(7, range(2)))
    assert judged(trainer.model, pixels, 0.013)[2] > 24  # dB; random weights: below 12
    trainer.run()
    assert load_checkpoint(out)[1].widths.stages == (4, 8, 16)


def test_a_transform_that_does_not_fit_is_refused_in_one_line(pictures, tmp_path):
    with pytest.raises(UserError, match="give it widths="):
        Trainer(knobs(pictures, tmp_path / "run.safetensors", "init=klt", model="cheng"))
    with pytest.raises(UserError, match="expected three even numbers"):
        Trainer(knobs(pictures, tmp_path / "run.safetensors", "widths=3,5,7"))
