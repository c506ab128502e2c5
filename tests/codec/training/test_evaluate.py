"""R + lambda D of checkpoints, and of JPEG 2000 beside them."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from codec.models.checkpoint import save_checkpoint
from codec.models.registry import build_model
from codec.training import classical
from codec.training.evaluate import COMMAND, judged, rate_and_error
from constellation.common.cli import perform
from constellation.common.errors import UserError
from tests.codec.training.training_cases import waves


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(waves()).save(tmp_path / "scene.png")
    for name in ("bmshj", "mbt"):
        save_checkpoint(tmp_path / f"{name}.safetensors", build_model(name, 4, 6), 0.013, 3)
    return tmp_path


def words(folder):
    files = ",".join(f"{folder}/{name}.safetensors" for name in ("bmshj", "mbt"))
    return [f"data={folder}", "scenes=scene.png", "patches=1", f"weights={files}"]


def test_evaluation_prints_one_row_per_checkpoint_and_refuses_unknown_words(folder, capsys):
    perform(COMMAND, [*words(folder), "classical=false"])
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 4 and "| 4, 6 | 3 |" in rows[2]
    assert rows[2].endswith("| - | none needed |") and rows[3].endswith("% |")
    with pytest.raises(UserError, match="did you mean weights"):
        perform(COMMAND, ["weigths=x"])


def test_jpeg_2000_takes_the_quality_that_is_best_for_each_patch_and_lambda():
    pytest.importorskip("imagecodecs")
    patches = np.stack([waves(64, 64, period).transpose(2, 0, 1) for period in (3, 9)])
    found = classical.points(patches, levels_db=(24.0, 32.0, 40.0, 48.0))
    rates = [classical.best(found, lambda_)[:, 0].mean() for lambda_ in (0.0001, 0.01, 1.0)]
    assert rates == sorted(rates) and rates[0] < rates[-1]
    chosen = classical.best(found, 0.01)
    losses = found[..., 0] + 0.01 * 255**2 * found[..., 1]
    assert np.allclose(chosen[:, 0] + 0.01 * 255**2 * chosen[:, 1], losses.min(1))


def test_without_imagecodecs_its_column_stays_empty_and_a_line_says_why(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    perform(COMMAND, words(folder))
    told = capsys.readouterr()
    assert "needs the package imagecodecs" in told.err and told.err.count("\n") == 1
    assert "| - |" in told.out


def test_the_loss_of_patches_does_not_depend_on_how_they_are_batched():
    torch.manual_seed(0)
    model = build_model("mbt", 4, 6)
    patches = torch.randint(0, 256, (7, 3, 64, 64), dtype=torch.uint8)
    loss, bpp, psnr_db = judged(model, patches, 0.013)
    alone = torch.cat([rate_and_error(model, patch[None] / 255) for patch in patches]).double()
    assert bpp == pytest.approx(float(alone[:, 0].mean()), rel=1e-4)
    assert psnr_db == pytest.approx(float(-10 * torch.log10(alone[:, 1].mean())), abs=1e-3)
    assert loss == pytest.approx(bpp + 0.013 * 255**2 * 10 ** (-psnr_db / 10), rel=1e-6)


def test_a_scene_smaller_than_a_patch_is_named(folder):
    Image.fromarray(waves(100, 280)).save(folder / "low.png")
    with pytest.raises(UserError, match=r"scenes=low.png: .*100 px"):
        perform(
            COMMAND, [*words(folder)[2:], f"data={folder}", "scenes=scene.png,low.png", "classical=false"]
        )
