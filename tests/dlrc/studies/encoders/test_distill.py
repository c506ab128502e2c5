"""The study of distillation: equal starts, results that are kept, figures that say what they are."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.encoders.files import bind, save_encoder
from codec.models.model import Widths
from codec.models.registry import build
from constellation.common.cli import run
from dlrc.studies.encoders import courses, distill, norms_trained
from dlrc.studies.encoders.courses import Course
from dlrc.studies.encoders.distill_keys import DistillKeys
from dlrc.studies.encoders.distill_report import Group, paired, records, rivals
from dlrc.studies.encoders.norms_keys import NormKeys
from tests.codec.training.training_cases import Killed, waves

ELIC = "elic_lambda0.013.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two scenes, and a tiny elic."""
    root = tmp_path_factory.mktemp("scenes")
    for k in range(2):
        Image.fromarray(waves(period=9 + k)).save(root / f"{k}.png")
    torch.manual_seed(6)
    save_checkpoint(root / ELIC, build("elic", Widths(8, 24, (8, 16, 24))), 0.013, 1)
    return root


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    monkeypatch.setattr("codec.training.curves.picture", lambda *_: b"")  # each takes half a second
    monkeypatch.setattr(courses, "LOSSLESS", ("0.png", "1.png"))


def words(folder, out, *more):
    return [
        *(f"data={folder}", f"train={folder}", f"teacher={folder}/{ELIC}", f"out={out}"),
        *("steps=2", "seeds=2", "batch=1", "crop_px=64", "patches=1", *more),
    ]


def test_a_study_that_was_cut_off_goes_on_and_a_third_call_trains_nothing(
    folder, tmp_path, monkeypatch, capsys
):
    asked = words(folder, tmp_path, "ways=none,paper")
    monkeypatch.setattr(courses, "CHECKPOINT_S", 0)
    with monkeypatch.context() as patch:
        patch.setattr(courses.Trainer, "train_step", killed_at(courses.Trainer.train_step, call=4))
        with pytest.raises(Killed):
            run(distill.COMMAND, asked)
    with pytest.raises(SystemExit):
        run(distill.COMMAND, [*asked, "kd=3"])
    assert "rsllic-teacher-paper-2-seed0.safetensors was begun with other keys" in capsys.readouterr().err
    run(distill.COMMAND, asked)
    printed = capsys.readouterr()
    assert "paper-2-seed0: goes on" in printed.err and "none-2-seed0" not in printed.err
    rows = list(csv.DictReader((tmp_path / "distill.csv").open()))
    assert [(row["way"], row["seeds"]) for row in rows] == [("none", "2"), ("paper", "2")]
    assert float(rows[0]["against_none_pct"]) == 0 and "| nan" not in printed.out
    told = json.loads((tmp_path / "distill.json").read_text())
    assert len(told["rows"]) == 2 and told["patches"] == 2
    with Image.open(tmp_path / "distill.png") as picture:
        assert picture.width > 800
    monkeypatch.setattr(courses, "Trainer", None)
    before = (tmp_path / "distill.csv").read_bytes()
    run(distill.COMMAND, asked)
    assert (tmp_path / "distill.csv").read_bytes() == before


def killed_at(step, call):
    calls = []

    def until_killed(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return step(*arguments)

    return until_killed


def test_a_longer_none_has_the_steps_that_the_teacher_costs_and_seeds_come_one_after_the_other():
    for longer, more in (((1.25,), [125]), ((1.2, 1.1), [110, 120]), ((1.0, 1.3), [130]), ((1.001,), [])):
        own = DistillKeys(data="x", train="y", seeds=2, steps=100, longer=longer, ways=("none", "latent"))
        kinds = [("none", 100), *(("none", steps) for steps in more), ("latent", 100)]
        assert distill.plan(own) == [(seed, kind) for seed in (0, 1) for kind in kinds]


def test_cosmic_learns_too_and_is_compared_at_equal_minutes(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("codec.training.curves.picture", lambda *_: b"")
    run(distill.COMMAND, words(folder, tmp_path, "model=cosmic", "longer=1.5", "ways=none,latent"))
    rows = list(csv.DictReader((tmp_path / "distill.csv").open()))
    assert [(row["way"], row["steps"]) for row in rows] == [("none", "2"), ("none", "3"), ("latent", "2")]
    assert all(np.isfinite(float(rows[2][f"against_{one}_pct"])) for one in ("none", "longer"))
    assert "against none of 3 steps, %" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["rsllic", "cosmic"])
def test_a_study_in_bf16_lies_beside_that_in_float32(model, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("codec.training.curves.picture", lambda *_: b"")
    asked = words(folder, tmp_path, f"model={model}", "ways=none")
    run(distill.COMMAND, [*asked, "precision=bf16"])
    assert "px, bf16, lambda" in capsys.readouterr().out
    run(distill.COMMAND, asked)
    assert "px, float32, lambda" in capsys.readouterr().out
    exact, rough = (tmp_path / f"{model}-teacher-none-2-seed0{end}.safetensors" for end in ("", "-bf16"))
    exact, rough = (load_checkpoint(path)[0].net.state_dict() for path in (exact, rough))
    off = [float((exact[key].float() - rough[key].float()).abs().max()) for key in exact]
    assert 0 < max(off) < 0.02


def course(losses, name="x"):
    figures = np.stack([np.array(losses, dtype=float), np.zeros(len(losses))], axis=1)
    return Course(name, None, figures, [(1.0, 2.0, 3.0)], 0.5)


def test_differences_are_paired_by_seed_and_their_interval_is_students():
    found = paired(np.array([-1.0, -2.0, -3.0]))
    assert found.value == -2 and found.high == pytest.approx(-2 + 4.3027 / np.sqrt(3), abs=1e-3)
    assert np.isnan(paired(np.array([1.0])).low)
    none = Group("none", 10, (course([1.0, 3.0]), course([2.0, 6.0])))
    latent = Group("latent", 10, (course([0.9, 2.7]), course([1.8, 5.4])))
    assert list(rivals([none, latent])) == ["none"]
    further = [Group("none", steps, none.courses) for steps in (12, 11)]
    assert [g.steps for g in rivals([none, *further, latent]).values()] == [10, 11, 12]
    own = DistillKeys(data="x", train="y", seeds=2)
    row = records(own, [none, latent], 0.013)[1]
    for key in ("pct", "t_low", "t_high", "patches_low", "patches_high"):
        assert row[f"against_none_{key}"] == pytest.approx(-10)


def test_another_teacher_than_elic_is_refused_before_anything_is_written(folder, tmp_path):
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "m.safetensors", build("mbt", Widths(8, 24)), 0.013, 1)
    asked = words(folder, tmp_path / "out", "steps=2")
    asked[2] = f"teacher={tmp_path}/m.safetensors"
    with pytest.raises(SystemExit) as ended:
        run(distill.COMMAND, asked)
    assert ended.value.code == 2 and not (tmp_path / "out").exists()


def test_norms_are_trained_from_one_encoder_and_compared_with_the_first(folder, tmp_path, monkeypatch):
    start = tmp_path / "rsllic.safetensors"
    model = build("rsllic", Widths(8, 24, (8, 16, 24)))
    notes = {"lambda": "0.013", "steps": "1"}
    save_encoder(start, "rsllic", model.widths, model.net.state_dict(), notes)
    bind(start, Path(shutil.copy(folder / ELIC, tmp_path)))
    monkeypatch.setattr(norms_trained, "START", start)
    monkeypatch.setattr(norms_trained, "TEACHER", folder / ELIC)
    asked = {"data": str(folder), "train": str(folder), "out": str(tmp_path / "norms")}
    own = NormKeys(**asked, steps=1, batch=1, crop_px=64, norms=("frozen", "position"), judge=1, rounds=0)
    found = norms_trained.trained(own)
    assert [load_checkpoint(found[n].path)[0].widths.norm for n in own.norms] == ["frozen", "position"]
    rows = norms_trained.loss_rows(found)
    assert rows[0]["against_pct"] == 0 and np.isfinite(rows[1]["against_low"])
    assert norms_trained.flown(own, found) == []


def test_courses_kept_before_there_was_a_knob_are_still_these(folder, tmp_path):
    school = courses.School(tmp_path, (f"data={folder}", "model=bmshj", "lambda=0.013"), str(folder), 1)
    now, shrunk = school._knobs("a", ()), school._knobs("a", ("shrink=2",))
    had = {key: value for key, value in now.model_dump().items() if key != "shrink"}
    earlier = SimpleNamespace(model_dump=lambda: had, init="", teacher="", data=now.data)
    assert school._key(now) == school._key(earlier) != school._key(shrunk)
