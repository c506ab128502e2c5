"""The centred grid, CompressAI's own streams for comparison, and the frozen bytes of the fixed grid."""

import copy
import dataclasses
import zlib

import numpy as np
import pytest
import torch

from codec.entropy.coder import EntropyCoder
from codec.entropy.decoder import StreamItem, decode
from codec.entropy.encoder import encode, encode_centred
from codec.entropy.estimate import centred_bits
from codec.models import registry
from codec.models.model import LatentModel
from codec.models.registry import build_model
from codec.training.initialise import entropy_outputs
from tests.codec.entropy.entropy_cases import (
    FAMILIES,
    kept_everywhere,
    latents,
    mixed_known,
    small_coder,
    small_model,
)

families = pytest.mark.parametrize("name", FAMILIES)


@families
def test_centred_estimate_is_the_size_of_the_centred_stream(name):
    coder, y = small_coder(name, grid="centred"), latents(name)[0].numpy()
    z = coder.hyper_symbols(latents(name))
    bits = centred_bits(coder, z, y, np.ones((8, 8), bool))
    assert 0 < 8 * len(encode_centred(coder, z, y, kept_everywhere(8, 8)).y_bytes) - bits.sum() < 64


@families
def test_centred_grid_round_trips(name):
    coder, y = small_coder(name, grid="centred"), latents(name)
    known = mixed_known(name, 1, known=False)
    coded = encode_centred(coder, coder.hyper_symbols(y), y[0].numpy(), known)
    (decoded,) = decode(coder, [StreamItem(coded.z_bytes, coded.y_bytes, known, coded.y_digest)])
    assert decoded.y_context.dtype == np.float32 and np.array_equal(decoded.y_context, coded.y_hat)
    off = np.abs(decoded.y_context - y[0].numpy())[:, known == kept_everywhere(8, 8)]
    assert off.max() <= 0.5 + 1e-2


@families
def test_centred_float_coding_is_compressai_s_to_within_a_percent(name):
    x = torch.nn.functional.interpolate(
        torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)), (256, 256)
    ).clamp(0, 1)
    model = busy_model(name, x)
    with torch.no_grad():
        y = model.g_a(x)
        theirs = model.net.compress(x)
        x_hat = model.net.decompress(theirs["strings"], theirs["shape"])["x_hat"]
        coder = EntropyCoder(model, portable=False, grid="centred")
        coded = encode_centred(coder, coder.hyper_symbols(y), y[0].numpy(), kept_everywhere(16, 16))
        ours = model.g_s(torch.from_numpy(coded.y_hat)[None]).clamp(0, 1)
    size = sum(len(s) for part in theirs["strings"] for s in ([part] if isinstance(part, bytes) else part))
    assert abs(len(coded.z_bytes) + len(coded.y_bytes) - size) <= 0.01 * size + (
        40 if name == "elic" else 0
    )  # elic: ten strings there
    assert torch.allclose(ours, x_hat, atol=1e-3)


def busy_model(name: str, x: torch.Tensor) -> LatentModel:
    """A copy of the small model whose g_a puts out channels of standard deviation 4, which its scales
    expect."""
    net = copy.deepcopy(small_model(name).net)
    model = registry.family(name).parts(net, small_model(name).widths)
    with torch.no_grad():
        y = model.g_a(x)
        net.g_a = torch.nn.Sequential(net.g_a, _Standard(y))
        for layer in entropy_outputs(model):
            layer.weight.mul_(0.3)
            layer.bias[: layer.out_channels // (1 if name == "bmshj" else 2)] += 4.0
    net.update()
    return dataclasses.replace(model, g_a=net.g_a)


class _Standard(torch.nn.Module):
    def __init__(self, y):
        super().__init__()
        self.mean, self.gain = y.mean(dim=(0, 2, 3), keepdim=True), 4.0 / y.std(dim=(0, 2, 3), keepdim=True)

    def forward(self, y):
        return (y - self.mean) * self.gain


@families
def test_the_bytes_of_a_stream_are_frozen(name):
    """A change here is a change of the bitstream: streams of earlier versions would no longer decode."""
    model = build_model(name, 4, 4 if name == "cheng" else 12, (2, 2, 8) if name == "elic" else None)
    for key, value in model.net.state_dict().items():  # weights from integers, the same on every machine
        if key.endswith(("weight", "bias")) and value.dtype == torch.float32:
            value.copy_(
                (((torch.arange(value.numel()) * 7919 + len(key)) % 1009).reshape(value.shape) - 504) / 2048
            )
    rows = torch.tensor([0, 6000, 59000, 65000, 65536], dtype=torch.int32).repeat(4, 1)
    bottleneck = model.bottleneck
    bottleneck._quantized_cdf, bottleneck._cdf_length = rows, torch.full((4,), 5, dtype=torch.int32)
    bottleneck._offset, bottleneck.quantiles.data[:, 0, 1] = torch.full((4,), -1, dtype=torch.int32), 0.125
    y_hat = (np.arange(model.m * 16).reshape(model.m, 4, 4) * 37 % 11) - 5
    coded = encode(EntropyCoder(model), np.arange(4).reshape(4, 1, 1) - 1, y_hat, mixed_known(name, 7, 4, 4))
    assert (zlib.crc32(coded.z_bytes), zlib.crc32(coded.y_bytes), coded.y_digest) == FROZEN[name]


FROZEN = {
    "bmshj": (127275249, 237023311, 700674160),
    "mbt": (127275249, 301386328, 700674160),
    "cheng": (127275249, 88450950, 2170581470),
    "elic": (127275249, 4255451184, 3007619538),
}
