"""Encoders that learn from a teacher whose decoder stays."""

import shutil
from pathlib import Path

import pytest
import torch

from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.encoders.files import bind, save_encoder
from codec.models.encoders.lsconv import GroupStatistics
from codec.models.model import Widths
from codec.models.registry import build
from codec.training.initialise import halving_layers
from codec.training.students import Lesson, staged
from codec.training.trainer import Trainer
from constellation.common.errors import UserError
from tests.codec.training.training_cases import Killed, knobs, train

WIDTHS = "widths=8,16,24"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "elic_lambda0.013.safetensors"
    torch.manual_seed(6)
    save_checkpoint(path, build("elic", Widths(8, 24, (8, 16, 24))), 0.013, 1)
    return path


def student(pictures, out, teacher, *more):
    words = ["n=8", "m=24", WIDTHS, f"teacher={teacher}", "kd=1", "norm_freeze=0.5", *more]
    return knobs(pictures, out, *words, model="rsllic")


def test_a_frozen_run_resumes_to_the_bit_and_leaves_an_encoder_before_its_teachers_decoder(
    pictures, tmp_path, teacher
):
    more = ("freeze=true", "kd_target=paper", "steps=2")
    whole = train(
        student(pictures, tmp_path / "a" / "rsllic.safetensors", teacher, *more, "checkpoint_s=999")
    )
    with pytest.raises(Killed):
        train(student(pictures, tmp_path / "b" / "rsllic.safetensors", teacher, *more), kill_after=1)
    train(student(pictures, tmp_path / "b" / "rsllic.safetensors", teacher, *more, "resume=true"))
    files = [tmp_path / folder / "rsllic.safetensors" for folder in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    model, info = load_checkpoint(files[0], expect_model="rsllic")
    host, host_info = load_checkpoint(teacher)
    assert info.host.sha256 == host_info.sha256 and info.steps == 2
    found = dict(model.net.named_parameters())
    for key, value in host.net.named_parameters():
        if not key.startswith("g_a."):
            assert torch.equal(value, found[key]), key
    kept = [layer for layer in whole.model.net.modules() if isinstance(layer, GroupStatistics)]
    assert len(kept) == 6 and all(float(layer.live) == 0 for layer in kept)
    x = torch.rand(1, 3, 64, 64)
    whole.model.net.eval()
    with torch.no_grad():
        assert torch.allclose(whole.model.analysis(x), model.analysis(x), atol=0.05)


def test_a_lesson_is_the_error_at_the_layers_that_halve_the_size():
    torch.manual_seed(7)
    model = build("cosmic", Widths(8, 24, (8, 16, 24)))
    x, layers = torch.rand(1, 3, 64, 64), tuple(halving_layers(model))
    with torch.no_grad():
        y, found = staged(model.g_a, layers, x)
        assert torch.equal(y, model.analysis(x)) and torch.equal(y, found[-1])
    assert [tuple(f.shape[1:]) for f in found] == [(8, 32, 32), (16, 16, 16), (24, 8, 8), (24, 4, 4)]
    targets = tuple(f + 2 for f in found)
    assert float(Lesson(layers, targets, 0.5).error(found)) == pytest.approx(0.5 * 4 * 4, rel=1e-5)


def test_a_random_start_takes_the_decoder_and_nothing_of_the_encoder(pictures, tmp_path, teacher):
    trainer = Trainer(
        student(pictures, tmp_path / "x.safetensors", teacher, "freeze=true", "steps=1", "init=random")
    )
    theirs = load_checkpoint(teacher)[0]
    assert torch.equal(trainer.model.g_s[0].weight, theirs.g_s[0].weight)
    assert not torch.equal(trainer.model.g_a[0].weight, theirs.g_a[0].weight)


@pytest.mark.parametrize("norm", ["frozen", "position"])
def test_an_encoder_goes_on_with_another_norm_and_its_file_says_which(pictures, tmp_path, teacher, norm):
    first, model = tmp_path / "first.safetensors", build("rsllic", Widths(8, 24, (8, 16, 24)))
    notes = {"lambda": "0.013", "steps": "1"}
    save_encoder(first, "rsllic", model.widths, model.net.state_dict(), notes)
    bind(first, Path(shutil.copy(teacher, tmp_path)))
    out = tmp_path / "then.safetensors"
    then = train(student(pictures, out, teacher, "freeze=true", "steps=1", f"init={first}", f"norm={norm}"))
    assert load_checkpoint(out)[0].widths.norm == norm
    assert any(isinstance(layer, GroupStatistics) for layer in then.model.net.modules()) is (norm == "frozen")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("init=klt", "freeze=true"), "init=klt: makes a decoder to fit"),
        (("lambda=0.02", "freeze=true"), "needs a whole codec of lambda 0.02, found lambda 0.013"),
        (("n=10",), "the new codec"),
        (("distill=0.5",), "distill: either that"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(pictures, tmp_path, teacher, words, message):
    with pytest.raises(UserError, match=message):
        train(student(pictures, tmp_path / "x.safetensors", teacher, *words))
