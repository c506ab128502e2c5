"""The study of distillation: equal starts, results that are kept, figures that say what they are."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.model import Widths
from codec.models.registry import build
from constellation.common.cli import run
from constellation.common.errors import UserError
from dlrc.studies.encoders import courses, distill, norms_trained
from dlrc.studies.encoders.courses import Course, School
from dlrc.studies.encoders.distill_report import Group, paired, records, rivals
from dlrc.studies.encoders.norms import NormKeys
from tests.codec.training.training_cases import Killed, waves

ELIC = "elic_lambda0.013.safetensors"
TINY = ("n=8", "m=24", "widths=8,16,24")


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
    monkeypatch.setattr(courses, "LOSSLESS", ("0.png", "1.png"))


def words(folder, out, *more):
    return [
        *(f"data={folder}", f"train={folder}", f"teacher={folder}/{ELIC}", f"out={out}"),
        *("steps=2", "seeds=2", "batch=1", "crop_px=64", "patches=1", *more),
    ]


def test_a_study_trains_every_way_and_a_second_call_trains_nothing(folder, tmp_path, monkeypatch, capsys):
    run(distill.COMMAND, words(folder, tmp_path, "ways=none,paper"))
    printed = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "distill.csv").open()))
    assert [(row["way"], row["steps"], row["seeds"]) for row in rows] == [
        ("none", "2", "2"),
        ("paper", "2", "2"),
    ]
    assert float(rows[0]["against_none_pct"]) == 0 and "nan" not in printed
    told = json.loads((tmp_path / "distill.json").read_text())
    assert len(told["rows"]) == 2 and told["patches"] == 2
    with Image.open(tmp_path / "distill.png") as picture:
        assert picture.width > 800

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(courses, "Trainer", refuse)
    before = (tmp_path / "distill.csv").read_bytes()
    run(distill.COMMAND, words(folder, tmp_path, "ways=none,paper"))
    assert (tmp_path / "distill.csv").read_bytes() == before


def test_a_longer_none_has_the_steps_that_the_teacher_costs_and_seeds_come_one_after_the_other():
    own = distill.DistillKeys(data="x", train="y", seeds=2, steps=100, longer=1.25, ways=("none", "latent"))
    kinds = [("none", 100), ("none", 125), ("latent", 100)]
    assert distill.plan(own) == [(seed, kind) for seed in (0, 1) for kind in kinds]


def school(folder, out):
    teacher = f"teacher={folder}/{ELIC}"
    common = (f"data={folder}", teacher, "freeze=true", *TINY, "batch=1", "crop=64", "lambda=0.013")
    return School(
        out, ("model=rsllic", *common, "val_share=0", "checkpoint_s=0", "val_every=1"), str(folder), 1
    )


def test_a_course_that_was_cut_off_ends_as_if_it_had_not_been(folder, tmp_path, monkeypatch):
    asked = ("x", "steps=3", "kd=2", "seed=5")
    whole = school(folder, tmp_path / "a").course(*asked)
    step = courses.Trainer.train_step

    def killed(trainer, *arguments):
        if trainer.step == 2:
            raise Killed
        return step(trainer, *arguments)

    monkeypatch.setattr(courses.Trainer, "train_step", killed)
    with pytest.raises(Killed):
        school(folder, tmp_path / "b").course(*asked)
    monkeypatch.undo()
    monkeypatch.setattr(courses, "LOSSLESS", ("0.png", "1.png"))
    with pytest.raises(UserError, match="was begun with other keys"):
        school(folder, tmp_path / "b").course("x", "steps=3", "kd=3", "seed=5")
    again = school(folder, tmp_path / "b").course(*asked)
    assert np.array_equal(whole.figures, again.figures) and whole.curve == again.curve


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
    own = distill.DistillKeys(data="x", train="y", seeds=2)
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
    start = school(folder, tmp_path / "start").course("rsllic", "steps=1").path
    monkeypatch.setattr(norms_trained, "START", start)
    monkeypatch.setattr(norms_trained, "TEACHER", folder / ELIC)
    asked = {
        "data": str(folder),
        "train": str(folder),
        "out": str(tmp_path / "norms"),
        "steps": 1,
        "batch": 1,
    }
    own = NormKeys(**asked, crop_px=64, norms=("frozen", "position"), judge=1, rounds=0)
    found = norms_trained.trained(own)
    assert [load_checkpoint(found[n].path)[0].widths.norm for n in own.norms] == ["frozen", "position"]
    rows = norms_trained.loss_rows(found)
    assert rows[0]["against_pct"] == 0 and np.isfinite(rows[1]["against_low"])
    assert norms_trained.flown(own, found) == []
