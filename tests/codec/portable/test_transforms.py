"""The transforms of a codec, alike on every machine."""

import numpy as np
import pytest
import torch

from codec.models import registry
from codec.models.model import Widths
from codec.portable.compiler import compiled
from codec.portable.maps import Planes, sigmoid_table
from codec.portable.product import Product, chosen_backend, integers_of
from codec.portable.transforms import Transforms

FAMILIES = ("bmshj", "mbt", "cheng", "elic")
SIDE = 4  # positions


def small(name, stages=(8, 12, 16)):
    """A codec of random weights, whose normalisations are not trivial."""
    torch.manual_seed(3)
    widths = Widths(8, 32, stages=stages) if stages else Widths(16, 24 if name != "cheng" else 16)
    model = registry.build(name, registry.family(name).check(widths))
    for parameter in model.net.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
        parameter.requires_grad_(False)
    return model


@pytest.mark.parametrize("stages", [(8, 12, 16), ()], ids=["slim", "uniform"])
@pytest.mark.parametrize("name", FAMILIES)
def test_both_back_ends_give_the_same_bits_and_the_codec_s_own_numbers(name, stages):
    model, rng = small(name, stages), np.random.default_rng(1)
    y = rng.integers(-9, 10, (model.m, SIDE, SIDE))
    picture = rng.integers(0, 16321, (64, 64, 3)).astype(np.int16)
    bytes_, doubles = Transforms(model, "int8"), Transforms(model, "float64")
    np.testing.assert_array_equal(bytes_.picture(y), doubles.picture(y))
    np.testing.assert_array_equal(bytes_.latents(picture), doubles.latents(picture))
    with torch.no_grad():
        x_hat = model.g_s(torch.from_numpy(y).float()[None])[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
        x = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 16320
        latents = model.g_a(x)[0].flatten(1).T.numpy()
    assert np.abs(bytes_.picture(y) - x_hat).max() < 1.0
    assert np.abs(bytes_.latents(picture) - latents).max() < 0.003 * np.abs(latents).max()


@pytest.mark.parametrize("name", ("bmshj", "elic"))
def test_threads_and_memory_layout_change_nothing(name):
    model, rng = small(name), np.random.default_rng(2)
    y = rng.integers(-300, 300, (model.m, SIDE, SIDE))
    transforms, before = Transforms(model), torch.get_num_threads()
    picture = transforms.picture(y)
    torch.set_num_threads(2)
    try:
        strided = np.asfortranarray(y.astype(np.int32))
        np.testing.assert_array_equal(Transforms(model).picture(strided), picture)
        given = picture.astype(np.int16) * 64
        flipped = np.ascontiguousarray(given[::-1])[::-1]
        np.testing.assert_array_equal(transforms.latents(flipped), transforms.latents(given))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_largest_latents_a_stream_can_hold_give_a_picture(name):
    model = small(name)
    y = np.where(np.random.default_rng(4).random((model.m, SIDE, SIDE)) < 0.5, -32768, 32767)
    pictures = [Transforms(model, backend).picture(y) for backend in ("int8", "float64")]
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_a_map_that_is_not_finite_is_cut_alike():
    values = np.array([[[np.nan, np.inf, -np.inf, 1e300]]])
    bytes_, doubles = Planes(values, 0, "int8"), Planes(values, 0, "float64")
    whole = bytes_.digits[0].astype(float) * 256 + bytes_.digits[1]
    np.testing.assert_array_equal(whole, doubles.digits[0])
    assert bytes_.unit == doubles.unit and whole[0].tolist()[0] == 0


def test_weights_keep_fourteen_bits_in_two_digits_within_64():
    weight = np.random.default_rng(5).normal(size=(400, 30))
    integers, unit = integers_of(weight, 8191)
    assert np.abs(integers).max() == 8191
    assert np.abs(integers * unit - weight).max() <= np.abs(weight).max() / 8191 / 2 * 1.001
    digits = Product(integers, unit, np.zeros(30), "int8")._matrix.numpy().astype(int)
    assert np.abs(digits).max() <= 64
    np.testing.assert_array_equal(digits[:, :30] * 128 + digits[:, 30:], integers)


def test_the_worst_sums_are_exact():
    integers = np.full((2048, 8), 8191.0)
    digits = np.full((2, 64, 2048), 127, np.int8)
    digits[1] = -128
    outs = []
    for backend, given in (("int8", digits), ("float64", (digits[:1] * 256.0 + digits[1:]))):
        out = np.empty((64, 8))
        Product(integers, np.ones(8), np.zeros(8), backend).apply(given, np.ones(64), out)
        outs.append(out)
    assert (outs[0] == (127 * 256 - 128) * 8191 * 2048).all()
    np.testing.assert_array_equal(outs[0], outs[1])


def test_the_sigmoid_s_table_is_correctly_rounded_and_close():
    table = sigmoid_table()
    x = np.arange(len(table) - 1) / 64
    assert np.abs(table[:-1] - 1 / (1 + np.exp(-x))).max() <= 2.0**-25 + 1e-12
    assert (table * 2**24 == np.rint(table * 2**24)).all()


def test_the_faster_back_end_is_chosen_and_any_can_be_asked_for():
    assert chosen_backend("auto") in ("int8", "float64")
    assert chosen_backend("float64") == "float64"


def test_what_has_no_exact_form_is_refused():
    with pytest.raises(ValueError, match="Tanh cannot be made portable"):
        compiled(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Tanh()), "float64")
    with pytest.raises(ValueError, match="double the size"):
        compiled(torch.nn.Sequential(torch.nn.ConvTranspose2d(3, 3, 4, stride=4)), "float64")
