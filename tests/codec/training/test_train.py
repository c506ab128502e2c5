"""Training runs: exact resume after a kill, what they write, the command line."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from codec.models.checkpoint import load_checkpoint
from codec.training.knobs import TrainKnobs, parse_knobs
from codec.training.train import COMMAND
from codec.training.trainer import Trainer
from constellation.common.cli import page
from constellation.common.errors import UserError
from constellation.common.knobs import keys_of
from tests.codec.training.training_cases import Killed, knobs, train

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("model", ["bmshj", "mbt", "cheng", "elic"])
def test_training_with_halos_runs_and_resumes_to_the_bit(pictures, tmp_path, model):
    more = ["crop=192", "halo=0.7", "missing_context=0.5", "steps=3"]
    whole = train(knobs(pictures, tmp_path / "whole.safetensors", *more, model=model))
    with pytest.raises(Killed):
        train(knobs(pictures, tmp_path / "cut.safetensors", *more, model=model), kill_after=2)
    resumed = train(knobs(pictures, tmp_path / "cut.safetensors", *more, "resume=true", model=model))
    found = resumed.model.net.state_dict()
    for name, value in whole.model.net.state_dict().items():
        assert torch.equal(value, found[name]), name


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


def test_a_run_writes_a_loadable_checkpoint_a_curve_and_its_picture(pictures, tmp_path, drawn_curves):
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
    with pytest.raises(UserError, match=r"run\.state\.pt is not there"):
        Trainer(knobs(pictures, out, "resume=true"))
    train(knobs(pictures, out, "steps=1"))
    with pytest.raises(UserError, match=r"lr=0\.5: the run in run\.state\.pt had 0\.001"):
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
    assert (default.n, default.shape.m, default.shape.stages) == (128, 192, ())


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
        "codec.training.train",
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
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert load_checkpoint(out)[1].steps == 2
    assert done.stdout.count("validation") == 1
