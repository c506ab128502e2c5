"""Codecs by name, their entropy parameters against CompressAI's own, checkpoints against hostile files."""

import json
import resource
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from codec.entropy import smooth
from codec.entropy.smooth import SCALE_MIN, checkerboard, gaussian_likelihood
from codec.models import registry
from codec.models.checkpoint import load_checkpoint, load_weights, save_checkpoint, shipped_weights
from codec.models.elic import default_groups
from codec.models.model import Cells, Widths
from codec.models.registry import build_model
from constellation.common.errors import UserError

WIDTHS = {"bmshj": (8, 12), "mbt": (8, 12), "cheng": (8, 8)} | dict.fromkeys(
    ("elic", "rsllic", "cosmic"), (8, 24)
)


def tiny(name, seed=0):
    torch.manual_seed(seed)
    return build_model(name, *WIDTHS[name])


def latents(model, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 3, 128, 192, generator=generator)
    with torch.no_grad():
        y = model.analysis(x) * 20
        return y, model.quantize_hyper(model.hyper_analysis(y))


@pytest.fixture(params=registry.names())
def name(request):
    return request.param


@pytest.mark.parametrize("name", ["mbt", "cheng"])
def test_raster_models_agree_with_compressais_parameters_for_the_same_context(name):
    model = tiny(name)
    y, z_hat = latents(model)
    y_hat = torch.round(y)
    with torch.no_grad():
        means, scales = smooth.parameters(model, z_hat, y_hat)
        captured = []
        handle = model.net.gaussian_conditional.register_forward_pre_hook(
            lambda _, args, kwargs: captured.append((args[1], kwargs["means"])), with_kwargs=True
        )
        model.net.h_a.register_forward_pre_hook(lambda _, args: (y,))
        model.net.g_a.register_forward_hook(
            lambda *_: y_hat
        )  # CompressAI's context is round(g_a(x)) of what g_a gives
        model.net(torch.rand(2, 3, 128, 192))
        handle.remove()
    assert torch.allclose(scales, captured[0][0], atol=1e-4)
    assert torch.allclose(means, captured[0][1], atol=1e-4)


def test_elic_agrees_with_compressais_own_forward_pass_on_its_own_y_hat():
    model, captured = tiny("elic"), []
    y, z_hat = latents(model)
    for k in range(len(model.widths.groups)):
        codec = model.net.latent_codec.y.latent_codec[f"y{k}"].y
        codec.register_forward_pre_hook(lambda _, args: captured.append(args[1]))
    with torch.no_grad():
        y_hat = model.net.latent_codec(y)["y_hat"]
        means, scales = smooth.parameters(model, z_hat, y_hat)
    theirs = [part.chunk(2, 1) for part in captured]
    assert torch.allclose(scales, torch.cat([scale for scale, _ in theirs], 1), atol=1e-4)
    assert torch.allclose(means, torch.cat([mean for _, mean in theirs], 1), atol=1e-4)


def test_bmshj_has_zero_means_and_the_hyper_decoders_scales():
    model = tiny("bmshj")
    y, z_hat = latents(model)
    with torch.no_grad():
        means, scales = smooth.parameters(model, z_hat, torch.round(y))
        assert not means.any() and torch.equal(scales, model.net.h_s(z_hat))
        assert torch.equal(model.hyper_analysis(y), model.net.h_a(y.abs()))


@pytest.mark.parametrize("name", ["mbt", "cheng", "elic"])
def test_parameters_of_a_position_do_not_depend_on_positions_that_follow_in_coding_order(name):
    model = tiny(name)
    y, z_hat = latents(model)
    y_hat, (row, column) = torch.round(y), (4, 6)  # an anchor: (4 + 6) is even
    changed = y_hat.clone()
    if name == "elic":  # the vector itself, and every non-anchor, come later than an anchor within one group
        first = slice(0, model.widths.groups[0])
        changed[:, first, row, column] += 7
        changed[:, first] += 3 * ~checkerboard(*y.shape[-2:])
        channels = first
    else:
        changed[:, :, row, column:] += 7
        changed[:, :, row + 1 :] -= 5
        channels = slice(None)
    with torch.no_grad():
        before, after = smooth.parameters(model, z_hat, y_hat), smooth.parameters(model, z_hat, changed)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[:, channels, row, column], new[:, channels, row, column])
        assert not torch.equal(old, new)


def test_anchors_are_the_positions_with_an_even_sum_of_row_and_column():
    assert checkerboard(2, 3).tolist() == [[True, False, True], [False, True, False]]


def test_likelihoods_of_all_integers_add_up_to_one_and_scales_are_bounded_below():
    symbols = torch.arange(-200.0, 201.0).reshape(1, -1, 1, 1)
    for mean, scale in ((0.0, 1.0), (0.37, 5.0), (-2.5, 0.01)):
        p = gaussian_likelihood(symbols, torch.full_like(symbols, mean), torch.full_like(symbols, scale))
        assert abs(float(p.sum()) - 1) < 1e-5
    tiny_scale = gaussian_likelihood(torch.zeros(1), torch.zeros(1), torch.tensor([1e-3]))
    assert torch.equal(
        tiny_scale, gaussian_likelihood(torch.zeros(1), torch.zeros(1), torch.tensor([SCALE_MIN]))
    )


def test_gradients_reach_every_weight_of_the_entropy_model(name):
    model = tiny(name)
    y, z_hat = latents(model)
    means, scales = smooth.parameters(model, z_hat, torch.round(y))
    (means.sum() + scales.sum()).backward()
    parts = [model.h_s, *model.context_networks, *model.heads]
    for part in parts:
        for parameter in part.parameters() if part is not None else ():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all()


def test_default_groups_add_up_and_follow_the_paper_at_full_width():
    assert default_groups(320) == (16, 16, 32, 64, 192)
    for m in (24, 48, 96, 128, 192, 256):
        assert sum(default_groups(m)) == m and min(default_groups(m)) >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vae", 8, 12), "model 'vae': expected one of bmshj, mbt, cheng, elic"),
        (("cheng", 8, 12), "expected the same number"),
        (("elic", 7, 24), "expected an even number"),
        (("mbt", 8, 1), "expected a whole number from 2"),
        (("mbt", 8, 12, [4, 8]), "has no channel groups"),
        (("elic", 8, 24, [4, 8]), "add up to m=24"),
    ],
)
def test_impossible_models_are_refused_in_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        build_model(*arguments)


def test_a_saved_checkpoint_loads_with_the_same_tables_and_float16_weights(name, tmp_path):
    model = tiny(name)
    saved = save_checkpoint(tmp_path / "w.safetensors", model, 0.013, 7, {"data": "abc"})
    loaded, info = load_checkpoint(tmp_path / "w.safetensors", expect_model=name)
    assert info == saved and (info.model, info.n, info.m) == (name, *WIDTHS[name]) and info.steps == 7
    assert loaded.widths == model.widths
    weight, original = loaded.g_a.state_dict(), model.g_a.state_dict()
    assert all(torch.equal(weight[key], original[key].half().float()) for key in weight)
    stored = load_file(tmp_path / "w.safetensors")
    table = next(key for key in stored if key.endswith("_quantized_cdf"))
    assert stored[table].dtype == torch.int32 and torch.equal(stored[table], loaded.bottleneck._quantized_cdf)


def test_a_loaded_checkpoint_codes_with_compressais_own_compress(tmp_path):
    save_checkpoint(tmp_path / "w.safetensors", tiny("bmshj"), 0.013, 1)
    net = load_checkpoint(tmp_path / "w.safetensors")[0].net
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        coded = net.compress(x)
        decoded = net.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert decoded.shape == x.shape


@pytest.mark.parametrize("name", ["mbt", "elic"])
def test_a_loaded_checkpoint_has_the_gaussian_tables_that_compressai_computes(name, tmp_path):
    save_checkpoint(tmp_path / "w.safetensors", tiny(name), 0.013, 1)
    loaded, fresh = load_checkpoint(tmp_path / "w.safetensors")[0].net.state_dict(), tiny(name).net
    fresh.update()
    tables = {key: value for key, value in fresh.state_dict().items() if "gaussian_conditional." in key}
    assert any(key.endswith("._quantized_cdf") and value.numel() for key, value in tables.items())
    assert all(torch.equal(loaded[key], value) for key, value in tables.items())


@pytest.mark.parametrize("name", ["bmshj", "elic"])
def test_training_a_loaded_checkpoint_has_a_gradient_where_z_is_unlikely(name, tmp_path):
    shipped = load_weights("", name, 0.013)[0]
    save_checkpoint(tmp_path / "w.safetensors", tiny(name), 0.013, 1)
    for model in (shipped, load_checkpoint(tmp_path / "w.safetensors")[0]):
        z = torch.full((1, model.n, 2, 2), 3e4, requires_grad=True)
        bits = -torch.log2(model.bottleneck(z, training=True)[1]).mean()
        bits.backward()
        assert float(bits) == pytest.approx(29.9, abs=0.1) and bool(torch.isfinite(z.grad).all())


def spoil(tmp_path, change, metadata_change=None):
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, tiny("bmshj"), 0.013, 1)
    length = struct.unpack("<Q", path.read_bytes()[:8])[0]
    metadata = json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"]
    tensors = load_file(path)
    change(tensors)
    metadata.update(metadata_change or {})
    save_file(tensors, path, {key: value for key, value in metadata.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        (lambda t: t.pop("g_a.0.weight"), None, "lacks g_a.0.weight"),
        (lambda t: t.update(evil=torch.zeros(1)), None, "foreign tensor evil"),
        (lambda t: t.update({"g_a.0.bias": torch.zeros(9).half()}), None, r"g_a.0.bias is F16 \[9\]"),
        (lambda t: t.update({"g_a.0.bias": torch.zeros(8, dtype=torch.int64)}), None, r"g_a.0.bias is I64"),
        (lambda t: t["g_a.0.bias"].fill_(float("nan")), None, "not finite"),
        (lambda t: t["entropy_bottleneck._quantized_cdf"].fill_(3), None, "impossible table"),
        (lambda t: t["entropy_bottleneck._cdf_length"].fill_(10**6), None, "impossible table"),
        (lambda t: None, {"model": "vae"}, "expected one of"),
        (lambda t: None, {"model": None}, "metadata lacks 'model'"),
        (lambda t: None, {"N": "lots"}, "is not a number"),
        (lambda t: None, {"N": "999999999"}, "expected a whole number"),
        (lambda t: None, {"lambda": "nan"}, "expected a number from 1e-06 to 10"),
        (lambda t: None, {"groups": "[4, 8]"}, "has no channel groups"),
    ],
)
def test_a_spoilt_checkpoint_is_refused_in_one_line(tmp_path, change, metadata, message):
    path = spoil(tmp_path, change, metadata)
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_the_wrong_model_a_missing_file_and_garbage_are_refused(tmp_path):
    save_checkpoint(tmp_path / "w.safetensors", tiny("mbt"), 0.013, 1)
    with pytest.raises(UserError, match="holds mbt, scenario asks for bmshj"):
        load_checkpoint(tmp_path / "w.safetensors", expect_model="bmshj")
    with pytest.raises(UserError, match="no such file"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 4096)
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_checkpoint(tmp_path / "bad.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_checkpoint(tmp_path / "cut.safetensors")


def test_weights_that_nobody_ships_are_refused_with_a_list_of_those_that_are(tmp_path):
    save_checkpoint(tmp_path / "bmshj_lambda0.013.safetensors", tiny("bmshj"), 0.013, 1)
    assert shipped_weights("bmshj", 0.013, tmp_path).name == "bmshj_lambda0.013.safetensors"
    with pytest.raises(
        UserError, match=r"no shipped checkpoint for mbt at lambda 0.5; shipped: bmshj_lambda0.013"
    ):
        shipped_weights("mbt", 0.5, tmp_path)


def test_a_tiny_file_that_announces_wide_networks_is_refused_before_anything_is_allocated(tmp_path):
    path = spoil(tmp_path, lambda t: None, {"N": "1024", "M": "1024"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"expected floats of shape \[1024"):
        load_checkpoint(path)
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
    )  # KiB; the network has 1 GiB


WIDE = {"n": 8, "m": 24, "stages": (8, 16, 24)}


def test_networks_with_stages_and_with_other_bands_survive_their_checkpoint(name, tmp_path):
    for widths in (Widths(**WIDE), Widths(8, 8 if name == "cheng" else 24, bands=5)):
        model = registry.build(name, widths)
        save_checkpoint(tmp_path / "w.safetensors", model, 0.013, 1)
        loaded, info = load_checkpoint(tmp_path / "w.safetensors")
        assert info.widths == model.widths == loaded.widths
        x = torch.rand(1, widths.bands, 64, 64)
        with torch.no_grad():
            y = loaded.analysis(x)
            assert y.shape == (1, widths.m, 4, 4) and loaded.synthesis(y).shape == x.shape
            means, scales = smooth.parameters(loaded, loaded.quantize_hyper(loaded.hyper_analysis(y)), y)
            assert means.shape == scales.shape == y.shape


def test_passes_code_every_channel_at_every_position_once(name):
    model = tiny(name)
    counted = {cells: torch.zeros(model.m) for cells in Cells}
    for step in model.passes:
        counted[step.cells][step.channels] += 1
    assert bool((counted[Cells.ALL] + counted[Cells.ANCHORS] == 1).all())
    assert bool((counted[Cells.ALL] + counted[Cells.OTHERS] == 1).all())
    assert model.has_context == registry.family(name).has_context


def test_families_have_numbers_of_their_own_and_see_their_own_widths():
    assert len(registry.numbers()) == len(registry.names())
    for name in registry.names():
        model = tiny(name)
        assert registry.family(name).widths_of(model.net.state_dict()) == model.widths
