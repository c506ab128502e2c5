"""Training runs that end early, go wrong or are asked for odd things."""

import shutil

import pytest
import torch

from codec.models.checkpoint import load_checkpoint
from codec.models.registry import build_model
from codec.training import trainer
from codec.training.knobs import parse_knobs
from codec.training.trainer import Trainer
from codec.training.warmstart import copy_transforms
from constellation.common.errors import UserError


def run(pictures, out, *more):
    Trainer(
        parse_knobs(
            [
                "model=mbt",
                "lambda=0.013",
                f"data={pictures}",
                f"out={out}",
                "n=8",
                "m=24",
                "batch=1",
                "crop=64",
                "lr=1e-3",
                "val_every=2",
                "checkpoint_s=0",
                "threads=1",
                "device=cpu",
                *more,
            ]
        )
    ).run()


def test_a_run_that_time_ends_keeps_its_last_steps(pictures, tmp_path):
    out = tmp_path / "m.safetensors"
    run(pictures, out, "steps=100000", "val_every=1", "minutes=0.01", "checkpoint_s=1000")
    rows = out.with_suffix(".curve.csv").read_text().splitlines()[1:]
    assert load_checkpoint(out)[1].steps == int(rows[-1].split(",")[0]) > 0


def test_a_teacher_and_halos_train_together(pictures, tmp_path):
    teacher, out = tmp_path / "teacher.safetensors", tmp_path / "m.safetensors"
    run(pictures, teacher, "steps=1")
    run(pictures, out, "crop=192", "halo=1", "distill=1", f"teacher={teacher}", "steps=2")
    assert load_checkpoint(out)[1].steps == 2


def test_an_output_that_cannot_be_written_is_refused_before_training(pictures, tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        run(pictures, tmp_path / "folder.safetensors", "steps=1")
    assert not list(tmp_path.glob("*.tmp"))


def test_a_run_without_finite_gradients_ends_with_one_line(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "MAX_SKIPPED_STEPS", 2)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(UserError, match="no finite gradient in 2 steps"):
        run(pictures, tmp_path / "m.safetensors", "steps=9")


def test_steps_without_a_finite_gradient_are_told(pictures, tmp_path, monkeypatch, capsys):
    clip, norms = torch.nn.utils.clip_grad_norm_, iter([float("nan"), 1.0, float("nan")])
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *given: clip(*given) * 0 + next(norms))
    run(pictures, tmp_path / "m.safetensors", "steps=3")
    assert "2 steps without a finite gradient left out" in capsys.readouterr().out
    monkeypatch.undo()
    run(pictures, tmp_path / "n.safetensors", "steps=1")
    assert "left out" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """The folder of a run of one step."""
    folder = tmp_path_factory.mktemp("trained")
    run(pictures, folder / "m.safetensors", "steps=1")
    return folder


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.update(knobs=[]),
        lambda s: s.update(step=-5),
        lambda s: s.update(elapsed_s=float("nan")),
        lambda s: s.update(net={}),
        lambda s: s.update(curve=[[1]]),
        lambda s: s.update(world=3),
        lambda s: s["net"].update({next(iter(s["net"])): torch.tensor([float("nan")])}),
    ],
)
def test_a_damaged_state_is_refused_in_one_line(pictures, trained, tmp_path, spoil):
    for path in trained.iterdir():
        shutil.copy(path, tmp_path)
    out = tmp_path / "m.safetensors"
    state = torch.load(out.with_suffix(".state.pt"), weights_only=True)
    spoil(state)
    torch.save(state, out.with_suffix(".state.pt"))
    with pytest.raises(UserError, match="resume"):
        run(pictures, out, "steps=2", "resume=true")


@pytest.mark.parametrize("model", ["elic", "cheng"])
def test_transforms_of_the_same_family_are_copied_whole(model):
    torch.manual_seed(0)
    source, target = (build_model(model, 8, 8, (4, 4) if model == "elic" else None) for _ in range(2))
    x = torch.rand(1, 3, 64, 64)
    copy_transforms(target, source, x)
    assert torch.equal(target.g_a(x), source.g_a(x))


def test_a_run_begun_before_there_was_a_knob_goes_on_as_it_was(pictures, trained, tmp_path):
    for path in trained.iterdir():
        shutil.copy(path, tmp_path)
    out = tmp_path / "m.safetensors"
    state = torch.load(out.with_suffix(".state.pt"), weights_only=True)
    del state["knobs"]["shrink"]
    torch.save(state, out.with_suffix(".state.pt"))
    with pytest.raises(UserError, match=r"shrink=2.0: .* had 1.0"):
        run(pictures, out, "steps=2", "shrink=2", "resume=true")
    run(pictures, out, "steps=2", "resume=true")
