"""Optimisers other than Adam, and the study that compares them in equal processor time."""

import builtins
import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from codec.models import registry
from codec.models.model import Widths
from codec.training.step import OPTIMIZERS, optimizer_for, set_rate, trained_by
from constellation.common.cli import run
from constellation.common.errors import UserError
from constellation.common.knobs import build, overlay
from dlrc.studies.encoders import courses, optimisers
from tests.codec.training.training_cases import Killed, knobs, train, waves


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(2):
        Image.fromarray(waves(period=9 + k)).save(folder / f"{k}.png")
    return folder


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_parameter_is_moved_by_one_group_and_the_quantiles_keep_their_own_rate(kind):
    model = registry.build("mbt", Widths(8, 24, (8, 16, 24)))
    optimizer = optimizer_for(model, 1e-4, kind)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.net.parameters())
    set_rate(optimizer, 0.25)
    assert {group["lr"] for group in optimizer.param_groups[:-1]} == {0.25}
    assert optimizer.param_groups[-1]["lr"] == 1e-3
    assert [id(p) for p in optimizer.param_groups[-1]["params"]] == [
        id(p) for name, p in model.net.named_parameters() if name.endswith("quantiles")
    ]
    assert len(trained_by(optimizer)) + 1 == len(held)


@pytest.mark.parametrize("kind", OPTIMIZERS[1:])
def test_a_killed_run_of_another_optimiser_goes_on_to_the_bit(pictures, tmp_path, kind):
    whole = train(knobs(pictures, tmp_path / "whole.safetensors", f"optimizer={kind}"))
    out = tmp_path / "cut.safetensors"
    with pytest.raises(Killed):
        train(knobs(pictures, out, f"optimizer={kind}"), kill_after=2)
    resumed = train(knobs(pictures, out, f"optimizer={kind}", "resume=true"))
    for name, value in whole.model.net.state_dict().items():
        assert torch.equal(value, resumed.model.net.state_dict()[name]), name


def test_a_state_of_another_optimiser_is_refused(pictures, tmp_path):
    out = tmp_path / "one.safetensors"
    train(knobs(pictures, out, "steps=1"))
    with pytest.raises(UserError, match=r"optimizer=muon: the run in one\.state\.pt had adam"):
        train(knobs(pictures, out, "optimizer=muon", "resume=true"))


def test_without_the_package_the_line_says_what_to_do(pictures, tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "pytorch_optimizer":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match="optimizer=soap: needs the package pytorch-optimizer"):
        train(knobs(pictures, tmp_path / "one.safetensors", "optimizer=soap"))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(courses, "LOSSLESS", ("0.png", "1.png"))
    monkeypatch.setattr(optimisers, "SHAPE", ("n=8", "m=24", "widths=8,16,24"))
    monkeypatch.setattr(optimisers, "PROBE_STEPS", 2)
    monkeypatch.setattr("codec.training.curves.picture", lambda *_: b"")  # each takes half a second


def asked(pictures, out, *more):
    return [
        *(f"data={pictures}", f"train={pictures}", f"out={out}", "minutes=1e-4", "short=1e-4"),
        *("rates=1e-3,1e-2", "batch=1", "crop_px=64", "patches=1", "precision=float32", *more),
    ]


def test_the_study_names_a_rate_for_each_and_a_second_call_trains_nothing(
    pictures, tmp_path, monkeypatch, small, capsys
):
    words = asked(pictures, tmp_path / "out", "optimisers=adam,muon")
    assert not run(optimisers.COMMAND, words)
    first = capsys.readouterr().out.partition("bmshj, lambda")[2]
    monkeypatch.setattr(courses.School, "_train", lambda *_: pytest.fail("trained again"))
    assert not run(optimisers.COMMAND, words)
    assert first and capsys.readouterr().out.partition("bmshj, lambda")[2] == first
    told = json.loads((tmp_path / "out" / "optimisers.json").read_text())
    assert [row["optimiser"] for row in told["rows"]] == ["adam", "muon"]
    with (tmp_path / "out" / "optimisers.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        tried = {float(k): float(v) for k, v in (word.split(":") for word in row["tried"].split())}
        assert {1e-3, 1e-2} <= set(tried) and float(row["rate"]) in tried
    assert float(rows[0]["against_first_pct"]) == 0


def test_a_rate_that_ran_away_is_never_the_best():
    assert optimisers.best_rate({1.0: float("nan"), 0.1: 3.0, 0.01: 4.0}) == 0.1
    with pytest.raises(UserError, match="no training stayed finite"):
        optimisers.best_rate({1.0: float("inf"), 2.0: np.nan})


@pytest.mark.parametrize(
    ("best", "rates"),
    [
        (0.01, {0.005, 0.01, 0.02}),
        (0.05, {0.005, 0.01, 0.02, 0.04, 0.08}),
        (0.0002, {0.005, 0.01, 0.02, 0.0025, 0.00125, 0.000625, 0.0003125, 0.00015625}),
    ],
)
def test_rates_go_on_for_as_long_as_the_best_is_at_an_end(monkeypatch, best, rates):
    def course(name):
        loss = abs(math.log(float(name.split("_")[1]) / best))
        return SimpleNamespace(curve=[(0, 0, loss)])

    monkeypatch.setattr(optimisers, "RATES", (0.005, 0.01, 0.02))
    monkeypatch.setattr(optimisers, "course_of", lambda kind, rate, steps, seed: (f"{kind}_{rate!r}",))
    own = build(optimisers.OptimiserKeys, overlay({}, ["data=d", "train=t"], optimisers.OptimiserKeys))
    tried = optimisers.rates_tried(SimpleNamespace(course=course), own, "adam", 1.0)
    assert sorted(tried) == pytest.approx(sorted(rates))


def test_equal_minutes_are_fewer_steps_where_a_step_costs_more():
    assert optimisers.steps_in(10, 0.5) == 1200
    assert optimisers.steps_in(10, 1.0) == 600
