"""Training: the loss, exact resume after a kill, warm starts, the command line."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import codec.training.evaluate
from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.registry import build_model
from codec.surroundings import RING
from codec.training.knobs import COMMAND, TrainKnobs, parse_knobs
from codec.training.step import (
    RateDistortion,
    StepKnobs,
    Teacher,
    evaluate,
    halo_views,
    learning_rate,
    missing_positions,
    straight_through_round,
)
from codec.training.trainer import Trainer
from codec.training.warmstart import rescale_latents, warm_start
from constellation.common.cli import page, perform
from constellation.common.errors import UserError
from constellation.common.knobs import keys_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    rows, columns = np.mgrid[0:300, 0:280]
    for k in range(2):
        waves = 120 + 90 * np.sin(rows[..., None] / (9 + k)) * np.cos(
            columns[..., None] / np.array([7, 11, 13])
        )
        Image.fromarray(waves.astype(np.uint8)).save(root / f"{k}.png")
    return root


def knobs(pictures, out, *more, model="mbt"):
    return parse_knobs(
        [
            f"model={model}",
            "lambda=0.013",
            f"data={pictures}",
            f"out={out}",
            "n=8",
            f"m={8 if model == 'cheng' else 24}",
            "batch=1",
            "crop=64",
            "lr=1e-3",
            "steps=4",
            "val_every=2",
            "checkpoint_s=0",
            "threads=1",
            "device=cpu",
            "missing_context=0.5",
            *more,
        ]
    )


def test_a_part_that_saw_its_surroundings_is_coded_and_judged_alone():
    random = torch.Generator().manual_seed(3)
    views = halo_views(4, 16, random, torch.device("cpu"))
    y = torch.arange(4 * 2 * 256, dtype=torch.float32).reshape(4, 2, 16, 16).requires_grad_()
    given = views.surrounded(y)
    inner = slice(RING, RING + views.side)
    assert torch.equal(given[..., inner, inner], views.cut(y)) and views.side in (8, 12)
    given.sum().backward()
    own = torch.zeros_like(y)
    for image, (row, col) in zip(own, views.corners, strict=True):
        assert 2 <= row <= 14 - views.side and 2 <= col <= 14 - views.side
        image[:, row : row + views.side, col : col + views.side] = 1
    assert ((y.grad > 0) == (own > 0)).all()  # what others sent is not ours to change


@given(st.integers(0, 10**6), st.sampled_from([12, 16, 20]))
@settings(max_examples=40, deadline=None)
def test_a_ring_never_holds_latents_that_bear_the_mark_of_the_crops_border(seed, side):
    views = halo_views(2, side, torch.Generator().manual_seed(seed), torch.device("cpu"))
    rows, cols = views.fill // side, views.fill % side
    assert rows.min() >= 2 and cols.min() >= 2 and rows.max() < side - 2 and cols.max() < side - 2


@pytest.mark.parametrize("model", ["bmshj", "mbt", "cheng", "elic"])
def test_training_with_halos_runs_and_resumes_to_the_bit(pictures, tmp_path, model):
    more = ["crop=192", "halo=0.7", "missing_context=0.5", "steps=3"]
    whole = train(knobs(pictures, tmp_path / "whole.safetensors", *more, model=model))
    with pytest.raises(Killed):
        train(knobs(pictures, tmp_path / "cut.safetensors", *more, model=model), kill_after=2)
    resumed = train(knobs(pictures, tmp_path / "cut.safetensors", *more, "resume=true", model=model))
    for name, value in whole.model.net.state_dict().items():
        assert torch.equal(value, resumed.model.net.state_dict()[name]), name


class Killed(Exception):
    pass


def train(settings, kill_after=None):
    trainer = Trainer(settings)
    if kill_after is not None:
        step = trainer.train_step

        def until_killed(*arguments):
            if trainer.step == kill_after:
                raise Killed
            return step(*arguments)

        trainer.train_step = until_killed
    trainer.run()
    return trainer


def test_a_killed_and_resumed_run_equals_an_unbroken_one_to_the_bit(pictures, tmp_path):
    whole = train(knobs(pictures, tmp_path / "whole.safetensors"))
    with pytest.raises(Killed):
        train(knobs(pictures, tmp_path / "part.safetensors"), kill_after=2)
    resumed = train(knobs(pictures, tmp_path / "part.safetensors", "resume=true"))
    assert whole.step == resumed.step == 4
    for (key, one), other in zip(
        whole.model.net.state_dict().items(), resumed.model.net.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), key
    assert [row[:1] + row[3:] for row in whole.curve] == [row[:1] + row[3:] for row in resumed.curve]


def test_a_run_writes_a_loadable_checkpoint_a_curve_and_its_picture(pictures, tmp_path):
    out = tmp_path / "new" / "run.safetensors"
    trainer = train(knobs(pictures, out, model="elic"))
    model, info = load_checkpoint(out, expect_model="elic")
    assert (info.steps, info.lambda_, info.data_digest, info.widths) == (
        4,
        0.013,
        trainer.digest,
        model.widths,
    )
    rows = list(csv.DictReader((tmp_path / "new" / "run.curve.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"] and float(rows[1]["val_bpp"]) > 0
    with Image.open(tmp_path / "new" / "run.curve.png") as image:
        assert image.width > 400
    assert not list((tmp_path / "new").glob("*.tmp"))


def test_resume_refuses_other_knobs_other_pictures_and_foreign_files(pictures, tmp_path):
    out = tmp_path / "run.safetensors"
    with pytest.raises(UserError, match="run.state.pt is not there"):
        Trainer(knobs(pictures, out, "resume=true"))
    train(knobs(pictures, out, "steps=1"))
    with pytest.raises(UserError, match="lr=0.5: the run in run.state.pt had 0.001"):
        Trainer(knobs(pictures, out, "resume=true", "lr=0.5"))
    one = tmp_path / "one"
    one.mkdir()
    (one / "0.png").write_bytes((pictures / "0.png").read_bytes())
    with pytest.raises(UserError, match="other pictures"):
        Trainer(knobs(one, out, "resume=true"))
    (tmp_path / "run.state.pt").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match="is no training state"):
        Trainer(knobs(pictures, out, "resume=true"))


@pytest.mark.parametrize("model", ["bmshj", "cheng"])
def test_a_few_steps_lower_the_loss(pictures, tmp_path, model):
    trainer = Trainer(knobs(pictures, tmp_path / "run.safetensors", "lr=2e-3", model=model))
    x = torch.from_numpy(trainer.sampler.batch(0, range(2))).float() / 255
    losses = [trainer.train_step(x, 0.0)[0] for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def step(**changes):
    return StepKnobs(**{"lambda_": 0.013, "grid": "fixed", "rounded_rate": True, "bf16": False, **changes})


def test_on_the_fixed_grid_the_training_rate_is_the_rate_that_evaluation_reports():
    torch.manual_seed(0)
    model = build_model("mbt", 8, 12)
    x = torch.rand(1, 3, 64, 64)
    result = RateDistortion(model)(x, step(), None, torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = model.analysis(x)
        noisy_z = -torch.log2(model.bottleneck(model.hyper_analysis(y), training=True)[1]).sum() / 64**2
        exact_z = -torch.log2(model.bottleneck(model.hyper_analysis(y), training=False)[1]).sum() / 64**2
    assert abs(float(result["bpp"]) - evaluate(model, x)[0]) <= abs(float(noisy_z - exact_z)) + 0.02


@pytest.mark.parametrize("name", ["bmshj", "mbt", "cheng", "elic"])
@pytest.mark.parametrize("grid", ["fixed", "centred"])
def test_every_parameter_learns(name, grid):
    model = build_model(name, 8, 8 if name == "cheng" else 24)
    missing = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    missing[..., :2, :2] = True
    result = RateDistortion(model)(
        torch.rand(1, 3, 64, 64),
        step(grid=grid, rounded_rate=False),
        missing,
        torch.Generator().manual_seed(0),
    )
    result["loss"].backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.net.parameters())


def test_missing_vectors_are_neither_context_nor_rate():
    torch.manual_seed(0)
    model = build_model("mbt", 8, 12)
    seen = []
    model.heads[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x, random = torch.rand(1, 3, 64, 64), torch.Generator().manual_seed(0)
    all_but_one = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    all_but_one[..., 0, 0] = False
    RateDistortion(model)(x, step(), all_but_one, random)
    bias = model.passes[0].window.bias.reshape(1, -1, 1, 1)
    assert torch.allclose(
        seen[0][:, 24:, 3:, 3:], bias.expand(1, -1, 1, 1), atol=1e-6
    )  # out of reach of the one known vector


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(1, 20), width=st.integers(2, 20))
def test_no_image_loses_all_of_its_context(seed, height, width):
    missing = missing_positions(3, height, width, torch.Generator().manual_seed(seed))
    assert missing.shape == (3, 1, height, width) and not missing.flatten(1).all(1).any()


def test_straight_through_rounding_rounds_and_passes_the_gradient():
    values = torch.tensor([0.4, 1.6, -2.5], requires_grad=True)
    straight_through_round(values).sum().backward()
    assert straight_through_round(values).tolist() == [0, 2, -2] and values.grad.tolist() == [1, 1, 1]


@given(progress=st.floats(0, 1), decay=st.floats(0, 1))
def test_the_learning_rate_stays_between_its_ends_and_is_constant_without_decay(progress, decay):
    assert 1e-5 - 1e-12 <= learning_rate(1e-4, 1e-5, decay, progress) <= 1e-4
    assert learning_rate(1e-4, 1e-5, 0.0, progress) == 1e-4
    assert learning_rate(1e-4, 1e-5, 0.5, 1.0) == pytest.approx(1e-5)


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
    correlation = lambda a, b: float(torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1])  # noqa: E731
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
    for key, value in bmshj.g_a.state_dict().items():
        assert torch.equal(trainer.model.g_a.state_dict()[key], value.half().float()), key


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=bmshj"], "lambda: missing"),
        (["modle=bmshj"], "modle: unknown key; did you mean model?"),
        (["model"], "expected key=value"),
        (["model=vae", "lambda=0.013", "data=x"], "model: found 'vae', expected one of bmshj"),
        (["model=bmshj", "lambda=nan", "data=x"], "lambda: found 'nan', expected a number above 0"),
        (["model=bmshj", "lambda=-1", "data=x"], "lambda: found -1, expected a number above 0"),
        (["model=bmshj", "lambda=0.013", "data=x", "crop=100"], "crop: found 100, expected a multiple of 64"),
        (
            ["model=bmshj", "lambda=0.013", "data=x", "out=a.pth"],
            "out: found 'a.pth', expected a file that ends in .safetensors",
        ),
        (
            ["model=bmshj", "lambda=0.013", "data=x", "crop=128", "halo=0.5"],
            "crop=128: halo= needs crops of 192 px and more",
        ),
    ],
)
def test_wrong_words_on_the_command_line_are_one_line(words, message):
    with pytest.raises(UserError) as caught:
        parse_knobs(words)
    assert message in str(caught.value)


def test_the_defaults_are_the_papers_recipe():
    default = parse_knobs(["model=elic", "lambda=0.0067", "data=x"])
    assert (default.crop, default.lr, default.decay, default.batch, default.grid) == (
        256,
        1e-4,
        0.0,
        16,
        "fixed",
    )
    assert (default.n, default.latent_channels) == (128, 192)


def test_help_lists_every_key_with_its_default():
    text = page(COMMAND)
    for name, key in keys_of(TrainKnobs).items():
        assert key.meaning and f"  {name} " in text and key.default_text in text


def test_two_processes_under_torchrun_train_one_model(pictures, tmp_path):
    out = tmp_path / "two.safetensors"
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(20000 + os.getpid() % 20000),
        "-m",
        "codec.training.knobs",
        "model=bmshj",
        "lambda=0.013",
        f"data={pictures}",
        f"out={out}",
        "n=4",
        "m=6",
        "batch=1",
        "crop=64",
        "steps=2",
        "threads=1",
        "device=cpu",
    ]
    done = subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert load_checkpoint(out)[1].steps == 2
    assert done.stdout.count("validation") == 1


def test_evaluation_prints_one_row_per_checkpoint_and_refuses_unknown_words(pictures, tmp_path, capsys):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (260, 260, 3), dtype=np.uint8)).save(
        tmp_path / "scene.png"
    )
    for name in ("bmshj", "mbt"):
        save_checkpoint(tmp_path / f"{name}.safetensors", build_model(name, 4, 6), 0.013, 3)
    perform(
        codec.training.evaluate.COMMAND,
        [
            f"data={tmp_path}",
            "scenes=scene.png",
            f"weights={tmp_path}/bmshj.safetensors,{tmp_path}/mbt.safetensors",
        ],
    )
    rows = capsys.readouterr().out.splitlines()
    assert (
        len(rows) == 4
        and "| 4, 6 | 3 |" in rows[2]
        and rows[2].endswith("none needed |")
        and rows[3].endswith("% |")
    )
    with pytest.raises(UserError, match="did you mean weights"):
        perform(codec.training.evaluate.COMMAND, ["weigths=x"])
