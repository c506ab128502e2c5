"""The study of maps, on a few pictures of its own."""

import csv

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from codec.models.checkpoint import save_checkpoint
from codec.models.model import Widths
from codec.models.registry import build
from constellation.common.cli import perform
from constellation.common.errors import UserError
from dlrc.studies.downstream.planner import COMMAND as PLANNER
from dlrc.studies.downstream.segmentation import COMMAND


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    folder = root / "segmentation" / "burned_area"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for fire in "abcd":
        mask = np.zeros((196, 200), bool)
        mask[30:90, 40:110] = True
        samples = (random.integers(300, 900, (5, 196, 200)) + 900 * mask).astype(np.uint16)
        options = {"driver": "GTiff", "count": 5, "height": 196, "width": 200, "dtype": "uint16"}
        with rasterio.open(folder / f"{fire}_img.tif", "w", **options) as dataset:
            dataset.write(samples)
        Image.fromarray(mask.astype(np.uint8)).save(folder / f"{fire}_mask.png")
    torch.manual_seed(0)
    save_checkpoint(root / "bmshj_lambda0.013.safetensors", build("bmshj", Widths(8, 24)), 0.013, 1)
    return root


def test_every_method_has_a_line_and_a_second_call_measures_nothing_anew(data, tmp_path, capsys):
    pytest.importorskip("imagecodecs")
    words = [f"data={data}", f"init={data}", f"out={tmp_path}", "tasks=fire", "bands=all", "codecs=bmshj"]
    words += ["folds=2", "steps=1", "further=1", "tune=1", "joint=1", "seeds=1", "levels_db=32"]
    words += ["lambdas=0.013", "retrain_db=32", "retrain=klt,bmshj"]
    perform(COMMAND, words)
    first = capsys.readouterr().out
    line = "| proxy: burned area, not flames | bmshj 0.013 | originals | 4 |"
    assert line in first and "nothing marked" in first and "at the PSNR of" in first
    with (tmp_path / "segmentation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    methods = {(row["method"], row["segmenter"]) for row in rows}
    assert {("original", "originals"), ("original", "threshold")} <= methods
    assert ("bmshj 0.013", "went on with decoded") in methods
    assert ("bmshj 0.013 band by band", "originals") in methods
    assert {("bmshj 0.013 joint seed 0", "joint"), ("bmshj 0.013 control seed 0", "control")} <= methods
    assert {("JPEG 2000 32 dB", "originals"), ("JPEG 2000 KLT 32 dB", "went on with decoded")} <= methods
    assert {
        ("bmshj 0.013 patches captured", "originals"),
        ("bmshj 0.013 patches dlrc", "originals"),
    } <= methods
    assert (tmp_path / "curves_fire.png").is_file() and (tmp_path / "masks_fire.png").is_file()
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    perform(COMMAND, words)
    assert capsys.readouterr().out == first
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    perform(PLANNER, [f"table={tmp_path}/segmentation.csv", "task=fire", "iou=0.0", "bits=1e9", "mpx=1"])
    assert "fits" in capsys.readouterr().out


def test_a_folder_without_labelled_pictures_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no labelled pictures in segmentation/clouds"):
        perform(COMMAND, [f"data={tmp_path}", f"out={tmp_path}/out", "tasks=cloud"])
    with pytest.raises(UserError, match=r"table=.*: no table of study segmentation"):
        perform(PLANNER, [f"table={tmp_path}/none.csv", "task=fire"])
