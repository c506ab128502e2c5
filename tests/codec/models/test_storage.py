"""What a checkpoint holds of masked convolutions."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from codec.models import registry
from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.model import Widths
from codec.models.registry import build_model
from constellation.common.errors import UserError

WIDTHS = {"mbt": (8, 12), "cheng": (8, 8), "elic": (8, 24)}


def tiny(name):
    torch.manual_seed(0)
    return build_model(name, *WIDTHS[name])


def metadata_of(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


@pytest.mark.parametrize("name", ["mbt", "cheng", "elic"])
def test_taps_that_a_mask_hides_are_not_stored_and_files_that_hold_them_load_alike(name, tmp_path):
    model = tiny(name)
    for step in model.passes:
        if step.window is not None:
            step.window.weight.data += 1.0  # hidden taps too
    path, whole = tmp_path / "w.safetensors", tmp_path / "whole.safetensors"
    save_checkpoint(path, model, 0.013, 1)
    loaded, _ = load_checkpoint(path)
    stored = load_file(path)
    windows = [key for key in loaded.net.state_dict() if key.endswith(".mask")]
    assert windows and not any(key.endswith(".mask") for key in stored)
    metadata, before, after = metadata_of(path), model.net.state_dict(), loaded.net.state_dict()
    for key in windows:
        weight = key.removesuffix("mask") + "weight"
        assert stored[weight].dim() == 3
        expected = before[weight].half() * before[key]
        assert torch.equal(after[weight], expected.float())
        for kept in (key, weight):
            stored[kept] = after[kept].half()
    save_file(stored, whole, metadata)
    again = load_checkpoint(whole)[0].net.state_dict()
    for key, value in after.items():
        assert torch.equal(value, again[key]), key


@pytest.mark.parametrize("shape", [(24, 12, 13), (24, 13, 12), (24, 12), (24, 12, 5, 4), (0, 12, 12)])
def test_packed_taps_of_another_shape_are_refused_in_one_line(shape, tmp_path):
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, tiny("mbt"), 0.013, 1)
    metadata = metadata_of(path)
    tensors = load_file(path)
    tensors["context_prediction.weight"] = torch.zeros(shape).half()
    save_file(tensors, path, metadata)
    with pytest.raises(UserError, match=r"context_prediction\.weight is F16"):
        load_checkpoint(path)


def test_a_mask_in_a_file_changes_nothing(tmp_path):
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, tiny("mbt"), 0.013, 1)
    metadata = metadata_of(path)
    before = load_checkpoint(path)[0].net.state_dict()
    tensors = load_file(path)
    tensors["context_prediction.mask"] = torch.ones(before["context_prediction.mask"].shape).half()
    save_file(tensors, path, metadata)
    after = load_checkpoint(path)[0].net.state_dict()
    assert torch.equal(before["context_prediction.mask"], after["context_prediction.mask"])


def test_asking_for_shapes_leaves_the_random_numbers_to_the_caller():
    """A shape is worked out once a process: else what a run draws would depend on what was loaded before."""
    registry._shapes.cache_clear()
    torch.manual_seed(3)
    registry.shapes("bmshj", Widths(4, 8, (4, 4, 4)))
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
