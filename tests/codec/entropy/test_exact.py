"""Portable networks: the same bits by every route, and close to the float32 network they stand for."""

import numpy as np
import pytest
import torch
from torch import nn

from codec.entropy import smooth
from codec.entropy.digits import int8_is_exact, quantise
from codec.entropy.encoder import parameter_passes
from codec.entropy.network import masked_layer, network
from codec.entropy.order import groups
from tests.codec.entropy.entropy_cases import FAMILIES, kept_everywhere, small_coder, small_model
from tests.codec.entropy.entropy_reference import integers, plain_network


def _z(name: str, seed: int = 0, height: int = 2, width: int = 3) -> torch.Tensor:
    return torch.round(
        torch.randn(small_model(name).n, height, width, generator=torch.Generator().manual_seed(seed)) * 6
    ).double()


def _rows(values: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.flatten(1).T.numpy())


@pytest.mark.parametrize("name", FAMILIES)
def test_h_s_equals_the_plain_integer_network_bit_for_bit(name):
    module, z = small_model(name).h_s, _z(name)
    expected = _rows(plain_network(module, z))
    for backend in ("float64", "int8") if int8_is_exact() else ("float64",):
        assert np.array_equal(network(module, True, backend).map(_rows(z), 2, 3), expected), backend


@pytest.mark.parametrize("name", FAMILIES)
def test_threads_and_onednn_change_nothing(name):
    module, z = small_model(name).h_s, _rows(_z(name, height=4, width=4))
    expected = network(module, True, "float64").map(z, 4, 4)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            for mkldnn in (True, False):
                with torch.backends.mkldnn.flags(enabled=mkldnn):
                    assert np.array_equal(network(module, True).map(z, 4, 4), expected)
                    assert np.array_equal(network(module, True, "float64").map(z, 4, 4), expected)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ("mbt", "elic"))
def test_rows_do_not_depend_on_the_rows_beside_them(name):
    model = small_model(name)
    net = network(model.heads[0 if name == "mbt" else 1], True)
    rows = np.random.default_rng(0).standard_normal((300, net.layers[0].inputs)) * 5
    together = net.rows(rows)
    assert all(
        np.array_equal(net.rows(rows[i : i + n]), together[i : i + n])
        for i, n in ((0, 1), (7, 2), (100, 65), (299, 1))
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_are_close_to_the_float_network_s(name):
    model, rng = small_model(name), np.random.default_rng(0)
    y = torch.from_numpy(np.rint(rng.standard_normal((1, model.m, 8, 8)) * 3)).float()
    z = torch.round(torch.randn(1, model.n, 2, 2) * 4).int()
    with torch.no_grad():
        means, scales = smooth.parameters(model, z + model.medians(), y)
    exact, floats = np.empty((2, 2, model.m, 64))
    for portable, into in ((True, exact), (False, floats)):
        coder = small_coder(name, portable)
        coder_rows(coder, z[0].numpy(), y[0].numpy(), into)
    reference = np.stack((scales[0].flatten(1).numpy(), means[0].flatten(1).numpy()))
    assert np.allclose(floats, reference, rtol=1e-4, atol=1e-4)
    assert np.abs(exact - reference).max() < 2e-2 * np.abs(reference).max()


def coder_rows(coder, z, y, into) -> None:
    """Scales and means of every position, [2, M, H * W], by way of the coder's own passes."""
    order = groups(coder.model.passes, kept_everywhere(*y.shape[1:]))
    for positions, channels, parameters in parameter_passes(coder, z, y.astype(np.int16), order):
        half = parameters.shape[1] // 2
        into[0, channels.start : channels.stop][:, positions] = parameters[:, :half].T
        into[1, channels.start : channels.stop][:, positions] = parameters[:, half:].T


def test_masked_layer_sees_only_the_visible_cells():
    model = small_model("mbt")
    (step,) = model.passes
    assert masked_layer(step.window, True).inputs == 12 * model.m
    assert [tuple(o) for o in step.offsets] == [
        (r, c) for r in (-2, -1, 0) for c in range(-2, 3) if (r, c) < (0, 0)
    ]
    offsets = small_model("elic").passes[1].offsets
    assert len(offsets) == 12 and all(sum(o) % 2 for o in offsets)


def test_quantise_keeps_fifteen_bits_of_the_largest_value():
    values = np.random.default_rng(0).standard_normal((9, 33)) * np.exp2(np.arange(-40, 41, 10))[:, None]
    for per_row in (True, False):
        digits = quantise(values, per_row)
        high, low = digits.digits[:, :9].astype(np.int64)
        whole = high * 256 + low
        back = whole * digits.unit[:, None]
        largest = np.abs(values).max(axis=1) if per_row else np.full(9, np.abs(values).max())
        assert (np.abs(back - values).max(axis=1) <= np.maximum(largest * 2.0**-14, 2.0**-41)).all()
        mantissa, e = integers(torch.from_numpy(values[4] if per_row else values))
        assert np.array_equal(whole[4] if per_row else whole, mantissa.numpy()) and digits.unit[4] == 2.0**-e


def test_zero_activations_stay_zero():
    assert not quantise(np.zeros((3, 5)), True).digits.any()


def test_a_layer_that_cannot_be_exact_is_refused():
    for module in (
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
        nn.Conv2d(4, 4, 3),
        nn.Sigmoid(),
        nn.ConvTranspose2d(4, 4, 3, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
    ):
        with pytest.raises(ValueError, match="portable"):
            network(nn.Sequential(nn.Conv2d(4, 4, 1), module), True)
    broken = nn.Conv2d(2, 2, 1)
    broken.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        network(broken, True)
