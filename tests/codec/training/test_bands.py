"""Codecs of any bands begin from one of three, and are trained on pictures of samples."""

import numpy as np
import pytest
import rasterio
import torch

from codec.imagery.scaling import of_training
from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.model import Widths
from codec.models.registry import build
from codec.training.bands.start import fit_last_layer, of_three, pseudo_colours
from constellation.common.errors import UserError
from tests.codec.training.training_cases import knobs, train

STAGES = {"bmshj": (), "cheng": (8, 8, 8), "elic": (8, 8, 8)}


def smooth(bands, side=64, seed=0):
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, bands, 8, 8, generator=random)
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


@pytest.mark.parametrize("name", ["bmshj", "cheng", "elic"])
@pytest.mark.parametrize("bands", [1, 6])
def test_only_the_first_and_last_layer_are_new_and_the_last_fits_best(name, bands):
    torch.manual_seed(1)
    source = build(name, Widths(8, 24, STAGES[name]))
    sample = smooth(bands)
    target = of_three(name, source, sample)
    theirs = source.net.state_dict()
    ends = ("g_a.0.", f"g_s.{len(source.g_s) - 1}.")
    for key, tensor in target.net.state_dict().items():
        if not key.startswith(ends) and "cdf" not in key and "scale_table" not in key:
            assert torch.equal(tensor, theirs[key]), key
    with torch.no_grad():
        latents = torch.round(target.analysis(sample))
        error = (target.synthesis(latents) - sample).square().mean()
        last = target.g_s[-1] if hasattr(target.g_s[-1], "bias") else target.g_s[-1][0]
        last.bias.add_(0.05)
        assert error < (target.synthesis(latents) - sample).square().mean()
        fit_last_layer(target, sample)
        assert (target.synthesis(latents) - sample).square().mean() == pytest.approx(float(error), rel=1e-3)


def test_pseudo_colours_keep_the_lengths_of_three_components():
    sample = smooth(3, seed=2)
    matrix, _ = pseudo_colours(sample)
    assert torch.allclose(matrix @ matrix.T, torch.eye(3), atol=1e-5)


def test_a_codec_of_another_kind_or_width_is_no_start():
    source = build("bmshj", Widths(8, 24))
    with pytest.raises(UserError, match="init: holds bmshj of 3 bands, expected mbt of 3"):
        of_three("mbt", source, smooth(4))


@pytest.fixture
def samples(tmp_path):
    folder = tmp_path / "samples"
    folder.mkdir()
    rows, cols = np.mgrid[0:96, 0:80]
    for number in range(3):
        planes = [500 + 40 * number + 7 * rows + 9 * band * cols for band in range(4)]
        options = {"driver": "GTiff", "count": 4, "height": 96, "width": 80, "dtype": "uint16"}
        with rasterio.open(folder / f"{number}.tif", "w", **options) as dataset:
            dataset.write(np.stack(planes).astype(np.uint16))
    return folder


def test_training_on_bands_keeps_16_bits_and_writes_their_scales(tmp_path, samples):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "rgb.safetensors", build("bmshj", Widths(8, 24)), 0.013, 1)
    words = [f"init={tmp_path}/rgb.safetensors", "missing_context=0", "bands=1,3,4"]
    trainer = train(knobs(samples, tmp_path / "a.safetensors", *words, model="bmshj"))
    model, info = load_checkpoint(tmp_path / "a.safetensors")
    assert model.widths.bands == 3 and info.bands is not None and info.bands.count == 3
    batch = trainer.sampler.batch(0, range(1))
    assert batch.dtype == np.uint16 and len(np.unique(batch)) > 256
    with rasterio.open(samples / "0.tif") as dataset:
        assert info.bands.count == of_training([dataset.read([1, 3, 4])]).count


def test_a_run_on_bands_resumes_to_the_bit(tmp_path, samples):
    whole = knobs(samples, tmp_path / "a.safetensors", "bands=all", "missing_context=0", model="bmshj")
    train(whole)
    part = ["bands=all", "missing_context=0"]
    train(knobs(samples, tmp_path / "b.safetensors", *part, "steps=2", model="bmshj"))
    train(knobs(samples, tmp_path / "b.safetensors", *part, "resume=true", model="bmshj"))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_bands_that_a_picture_lacks_are_refused_in_one_line(tmp_path, samples):
    with pytest.raises(UserError, match=r"data 0.tif: .*scene.bands=5, expected bands of 1, 2, 3, 4"):
        train(knobs(samples, tmp_path / "a.safetensors", "bands=5", model="bmshj"))
