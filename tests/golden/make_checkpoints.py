"""Tiny checkpoints of the four families for the golden rounds: `python -m tests.golden.make_checkpoints`
(then freeze anew).

Weights are few-valued and sparse, so that a file is small once packed. h_a adds at most two latents, each
times a power of two, without bias: a float32 sum of two has one rounding whatever the order, so z is the same
on every machine. g_a and g_s are zero: nothing golden goes through them."""

from __future__ import annotations

import lzma
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.golden.adapter import build_model, save_checkpoint

FOLDER = Path(__file__).parent / "weights"
WIDTHS = {"bmshj": (8, 24, None), "mbt": (8, 24, None), "cheng": (16, 16, None), "elic": (8, 24, (4, 8, 12))}
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def layers(part: nn.Module | None) -> list[nn.Module]:
    return [] if part is None else [module for module in part.modules() if isinstance(module, CONVOLUTIONS)]


def scatter(rng: np.random.Generator, layer: nn.Module, active: int) -> None:
    """About `active` weights per output other than zero, of size 1 to 3 times a power of two, that together
    keep a signal's size."""
    shape = layer.weight.shape
    inputs = (
        layer.weight[0].numel()
        if not isinstance(layer, nn.ConvTranspose2d)
        else shape[0] * shape[2] * shape[3] // 4
    )
    share = min(1.0, active / inputs)
    unit = 2.0 ** round(np.log2(0.5 / np.sqrt(share * inputs)))
    weight = (
        rng.integers(-3, 4, size=shape) * (rng.integers(0, 1 << 16, size=shape) < share * (1 << 16)) * unit
    )
    layer.weight.data = torch.from_numpy(weight.astype(np.float32))
    if layer.bias is not None:
        layer.bias.data = torch.from_numpy(
            (rng.integers(-2, 3, size=layer.bias.shape) / 16).astype(np.float32)
        )


def two_taps(rng: np.random.Generator, layer: nn.Module) -> None:
    layer.weight.data.zero_()
    layer.bias.data.zero_()
    out, channels, rows, cols = layer.weight.shape
    for o in range(out):
        layer.weight.data[o, o % channels, rows // 2, cols // 2] = 1.0
        other = int(rng.integers(channels)), int(rng.integers(rows)), int(rng.integers(cols))
        if layer.weight.data[(o, *other)] == 0:
            layer.weight.data[(o, *other)] = (0.5, -0.5, 1.0)[int(rng.integers(3))]


def parameters_at_rest(layer: nn.Module, scale: float) -> None:
    """Biases of the last layer: scales around `scale`, means around 0."""
    half = len(layer.bias) // 2
    layer.bias.data[:half] += scale


def make(name: str, seed: int) -> bytes:
    """The packed checkpoint."""
    torch.manual_seed(seed)
    rng = np.random.Generator(np.random.Philox(seed))
    model = build_model(name, *WIDTHS[name])
    for part in (model.g_a, model.g_s):
        for layer in layers(part):
            layer.weight.data.zero_()
    for layer in layers(model.h_a):
        two_taps(rng, layer)
    for layer in layers(model.h_s):
        scatter(rng, layer, 10)
    heads = [head for head in model.heads if head is not model.h_s]
    for part in (*model.context_networks, *heads):
        for layer in layers(part):
            scatter(rng, layer, 10)
    for part in heads:
        parameters_at_rest(layers(part)[-1], 1.75)
    if not heads:
        layers(model.h_s)[-1].bias.data += 1.75
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.safetensors"
        save_checkpoint(path, model, 0.013, 1, {"data": "golden"})
        return lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for number, family in enumerate(WIDTHS):
        packed = make(family, 20 + number)
        (FOLDER / f"{family}.safetensors.xz").write_bytes(packed)
        print(family, len(packed))
