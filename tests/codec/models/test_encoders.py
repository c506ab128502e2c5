"""Encoder files: g_a of one family before another checkpoint's entropy model and decoder."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from benchmarks.common.macs import on_board
from codec.models.checkpoint import load_checkpoint, load_weights, save_checkpoint, weights_sha256
from codec.models.encoders.files import bind, save_encoder
from codec.models.encoders.lsconv import LSConv, aggregate, folded_state, freeze, thaw
from codec.models.encoders.swap import blocks_of, swap_norms
from codec.models.model import Widths
from codec.models.registry import build
from constellation.common.errors import UserError
from constellation.scenario.coding import CodecKnobs
from nodes.process.board import check_norm
from nodes.process.preflight import check_weights

TINY = Widths(8, 24, (8, 16, 24))


@pytest.fixture(params=("rsllic", "cosmic"))
def name(request):
    return request.param


@functools.cache
def made(name, host_widths):
    """An encoder file, its decoder's, and the model in it."""
    torch.manual_seed(3)
    with tempfile.TemporaryDirectory() as folder:
        host, path = Path(folder) / "elic_lambda0.02.safetensors", Path(folder) / "encoder.safetensors"
        save_checkpoint(host, build("elic", host_widths), 0.02, 1)
        model = build(name, TINY)
        save_encoder(path, name, model.widths, model.net.state_dict(), {"lambda": "0.02", "steps": "7"})
        bind(path, host)
        return path.read_bytes(), host.read_bytes(), model


def written(folder, name, host_widths=TINY):
    path = folder / "encoder.safetensors"
    encoder, host, model = made(name, host_widths)
    path.write_bytes(encoder)
    (folder / "elic_lambda0.02.safetensors").write_bytes(host)
    return path, model


def test_an_encoder_file_takes_the_rest_from_the_checkpoint_that_it_names(tmp_path, name):
    path, own = written(tmp_path, name)
    host, host_info = load_checkpoint(tmp_path / "elic_lambda0.02.safetensors")
    model, info = load_checkpoint(path, expect_model=name)
    assert (model.name, model.ground.name, info.host.sha256) == (name, "elic", host_info.sha256)
    assert info.ground is info.host and info.sha256 == weights_sha256(str(path), name, 0.02)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(model.analysis(x), own.analysis(x), atol=0.02)
        y = torch.round(10 * model.analysis(x))
        assert torch.equal(model.synthesis(y), host.synthesis(y))
        assert torch.equal(model.hyper_analysis(y), host.hyper_analysis(y))
    assert model.ground.g_s is model.g_s and model.ground.g_a is not model.g_a


def test_another_decoder_a_missing_one_and_one_that_does_not_fit_are_refused_in_one_line(tmp_path, name):
    path, _ = written(tmp_path, name)
    save_checkpoint(tmp_path / "elic_lambda0.02.safetensors", build("elic", TINY), 0.02, 2)
    with pytest.raises(UserError, match=r"elic_lambda0.02.safetensors with SHA-256 \w+, beside .*found \w+$"):
        load_checkpoint(path)
    (tmp_path / "elic_lambda0.02.safetensors").unlink()
    for refused in (lambda: load_checkpoint(path), lambda: check_weights(knobs(path, name))):
        with pytest.raises(UserError, match=r"there is none$"):
            refused()
    path, _ = written(tmp_path, name, host_widths=replace(TINY, stages=(8, 16, 16)))
    with pytest.raises(UserError, match=r"stages=\[8, 16, 24\].*its decoder elic has .*stages=\[8, 16, 16\]"):
        load_checkpoint(path)


def knobs(path, name, **more):
    return CodecKnobs.model_validate({"model": name, "weights": str(path), **more})


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        (lambda t: t.pop("g_a.0.bias"), {}, "lacks g_a.0.bias"),
        (lambda t: t.update({"g_s.0.bias": torch.zeros(8)}), {}, "foreign tensor g_s.0.bias"),
        (lambda t: t.update({"g_a.0.bias": torch.zeros(9)}), {}, r"g_a.0.bias is F32 \[9\]"),
        (lambda t: t["g_a.0.bias"].fill_(float("inf")), {}, "g_a|0.bias holds a value that is not finite"),
        (lambda t: None, {"part": "decoder"}, "metadata part='decoder', expected encoder"),
        (lambda t: None, {"decoder": "../../x"}, "metadata name decoder='../../x'"),
        (lambda t: None, {"decoder_sha256": "beef"}, "SHA-256 'beef', expected a model and 64 hex digits"),
        (lambda t: None, {"lambda": "0.03"}, "its decoder is elic_lambda0.03.safetensors"),
        (lambda t: None, {"norm": "batch"}, "norm='batch'"),
        (lambda t: None, {"N": "10"}, "expected floats|its decoder elic has N=8"),
    ],
)
def test_a_spoilt_encoder_file_is_refused_in_one_line(tmp_path, change, metadata, message):
    path, _ = written(tmp_path, "rsllic")
    with safe_open(path, "pt") as file:
        kept = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {**kept, **metadata})
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_norm_that_the_weights_do_not_have_is_refused():
    check_norm(CodecKnobs(model="rsllic"), "frozen")
    check_norm(CodecKnobs(model="rsllic", norm="frozen"), "frozen")
    with pytest.raises(UserError, match=r"codec.norm=group: the weights of rsllic have norm=frozen"):
        check_norm(CodecKnobs(model="rsllic", norm="group"), "frozen")
    with pytest.raises(UserError, match="no norm to choose"):
        check_norm(CodecKnobs(model="cosmic", norm="group"), "")


def test_what_ships_shares_the_decoder_of_the_codec_that_ships(name):
    model, info = load_weights("", name, 0.013)
    assert info.ground.sha256 == weights_sha256("", model.ground.name, 0.013) != info.sha256


def test_frozen_statistics_folded_away_leave_the_same_latents():
    torch.manual_seed(1)
    model = build("rsllic", TINY)
    thaw(model.net)
    x = torch.rand(2, 3, 64, 64)
    model.net.train()
    for _ in range(30):
        model.analysis(x)
    for block in model.net.modules():
        if isinstance(block, LSConv):
            torch.nn.init.normal_(block.norm.weight)
            torch.nn.init.normal_(block.norm.bias)
    freeze(model.net)
    model.net.eval()
    flown = build("rsllic", TINY)
    flown.net.load_state_dict({**flown.net.state_dict(), **folded_state(model.net)})
    with torch.no_grad():
        before, after = model.analysis(x), flown.analysis(x)
    assert float((before - after).abs().max()) < 1e-4 * float(before.abs().max())


def test_aggregation_is_each_channels_own_three_by_three_sum_with_the_kernel_of_its_number():
    torch.manual_seed(2)
    x, kernels = torch.rand(1, 16, 5, 4), torch.randn(1, 2 * 9, 5, 4)
    found, padded = aggregate(x, kernels).numpy(), np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    for channel, row, column in ((0, 0, 0), (3, 2, 1), (10, 4, 3), (15, 1, 2)):
        taps = kernels[0, channel % 2 * 9 : channel % 2 * 9 + 9, row, column].numpy().reshape(3, 3)
        window = padded[0, channel, row : row + 3, column : column + 3]
        assert found[0, channel, row, column] == pytest.approx(float((taps * window).sum()), abs=1e-5)


def test_aggregation_passes_the_gradients_of_its_nine_parts_on():
    torch.manual_seed(8)
    x = torch.rand(2, 16, 2, 3, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(2, 2 * 9, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(aggregate, (x, kernels))


@pytest.mark.parametrize(
    ("norm", "exact"), [("frozen", True), ("none", True), ("group", False), ("position", False)]
)
def test_another_norm_goes_on_with_kernels_like_those_that_were_there(norm, exact):
    torch.manual_seed(9)
    source, target = build("rsllic", TINY), build("rsllic", replace(TINY, norm=norm))
    for block in blocks_of(source.net):
        block.kernels.weight.data.normal_(std=0.3)
    if norm == "frozen":
        thaw(target.net)
    x = torch.rand(2, 3, 64, 64)
    target.net.eval()
    with torch.no_grad():
        wanted = source.analysis(x)
        swap_norms(target.g_a, source.g_a, x)
        found = target.analysis(x)
        for block in blocks_of(target.net):
            block.kernels.weight.zero_()
            torch.nn.init.zeros_(block.kernels.bias)
        without = target.analysis(x)
    error = float((found - wanted).square().mean())
    assert error < (1e-9 if exact else 0.3 * float((without - wanted).square().mean()))


@pytest.mark.parametrize(
    ("norm", "local"), [("frozen", True), ("none", True), ("position", True), ("group", False)]
)
def test_far_away_changes_reach_a_latent_only_where_the_norm_looks_at_the_whole_patch(norm, local):
    torch.manual_seed(4)
    model = build("rsllic", replace(TINY, norm=norm))
    for block in model.net.modules():
        if isinstance(block, LSConv):
            block.kernels.weight.data.normal_(std=0.3)
    x = torch.rand(1, 3, 64, 512)
    other = x.clone()
    other[..., 400:] = torch.rand(1, 3, 64, 112)
    with torch.no_grad():
        difference = (model.analysis(x) - model.analysis(other))[..., :4].abs().max()
    assert bool(difference == 0) is local


@pytest.mark.parametrize(
    ("name", "widths", "g_a", "rest"),
    [
        ("bmshj", (128, 192), 42.2, None),
        ("elic", (128, 320), 120.0, 46.0),
        ("rsllic", (128, 320), 32.3, 46.0),
    ],
)
def test_counted_multiply_adds_are_those_that_are_known(name, widths, g_a, rest):
    found = on_board(build(name, Widths(*widths)))
    assert found["g_a"] / 1e3 == pytest.approx(g_a, abs=0.06)
    if rest is not None:
        assert (found["hyperprior"] + found["context"]) / 1e3 == pytest.approx(rest, abs=0.06)
