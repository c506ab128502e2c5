"""Entropy coding against CompressAI's own `compress` and `decompress`, same weights, one thread each, ratios
of processor time from one run.

Entropy stage only: CompressAI's `compress` and `decompress` with g_a and g_s replaced by their results, ours
from y to bytes (bytes to y_hat), h_a and h_s included on both sides. `batch`: per patch, that many patches
that do not refer to each other decoded in one call. `whole`: encode + decode + g_a + g_s. Random weights
stand in for trained ones at CompressAI's widths for quality 3: the transforms' output is given a spread per
channel and the networks matching scales, since the number of non-zero and escaping symbols is what coding
time depends on. `weights=shipped` takes this project's (narrower) checkpoints instead. `backend=float64`
shows what a processor without signed-byte dot products (VNNI, AMX) would do; streams are the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from codec.entropy.coder import EntropyCoder, warm_up
from codec.entropy.decoder import StreamItem, decode
from codec.entropy.encoder import encode
from codec.maps.assignment import all_kept
from codec.models import registry
from codec.models.checkpoint import load_weights
from codec.models.model import LatentModel
from codec.models.registry import build_model
from codec.training.initialise import entropy_outputs
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from dlrc.commands.models import known_models

WIDTHS = dict(zip(registry.whole(), ((128, 192), (192, 192), (128, 128), (192, 320)), strict=False))
# times faster than CompressAI, at 256 px: encode, decode, decode per patch of a batch of 8
GOALS = dict(zip(registry.whole(), ((1, 1, 1), (25, 10, 25), (12, 6, 15), (3, 1.5, 3)), strict=False))


class Spread(nn.Module):
    """Gives each latent channel of random weights a spread of its own, from dead to busy, as training
    does."""

    def __init__(self, y: torch.Tensor) -> None:
        super().__init__()
        flat = y[0].flatten(1)
        self.wanted = torch.exp(torch.linspace(-2.5, 1.5, len(flat))[torch.randperm(len(flat))])
        self.register_buffer("mean", flat.mean(dim=1).reshape(1, -1, 1, 1))
        self.register_buffer("gain", (self.wanted / flat.std(dim=1).clamp_min(1e-6)).reshape(1, -1, 1, 1))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return (y - self.mean) * self.gain


class Known(nn.Module):
    """Stands in for a transform whose result is known."""

    def __init__(self, result: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("result", result, persistent=False)

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.result


def random_model(name: str, x: torch.Tensor) -> LatentModel:
    """Full-width random weights whose latents and scales are of plausible sizes."""
    torch.manual_seed(1)
    model = build_model(name, *WIDTHS[name])
    spread = Spread(model.g_a(x))
    model.net.g_a = nn.Sequential(model.net.g_a, spread)
    start = 0
    for layer in entropy_outputs(model):
        width = layer.out_channels // (1 if model.passes[0].head is None else 2)
        layer.bias.data[:width] = spread.wanted[start : start + width]
        start += width
    model.net.update(force=True)
    return replace(model, g_a=model.net.g_a)


def medians(actions: dict[str, Callable], repeats: int) -> dict[str, float]:
    """Median seconds of processor time of each action; they take turns, so that a busy machine slows all of
    them alike."""
    times: dict[str, list[float]] = {key: [] for key in actions}
    for turn in range(repeats + (repeats > 1)):  # the first turn warms up, unless it is the only one
        for key, action in actions.items():
            start = time.process_time()
            action()
            if turn or repeats == 1:
                times[key].append(time.process_time() - start)
    return {key: statistics.median(values) for key, values in times.items()}


def picture(size_px: int) -> torch.Tensor:
    """A smooth random picture with some texture, [1, 3, size, size]; transforms cost the same for any."""
    generator = torch.Generator().manual_seed(0)
    x = sum(
        nn.functional.interpolate(
            torch.rand(1, 3, s, s, generator=generator), (size_px, size_px), mode="bicubic"
        )
        / s**0.5
        for s in (4, 16, 64)
    )
    return (x - x.min()) / (x.max() - x.min())


@torch.no_grad()
def measure(name: str, own: CodingKeys) -> dict[str, tuple[float, float]]:
    """Seconds (CompressAI, ours) of each stage."""
    size_px, repeats, batch, weights, backend = own.size_px, own.repeats, own.batch, own.weights, own.backend
    x = picture(size_px)
    model = random_model(name, x) if weights == "random" else load_weights("", name, 0.013)[0]
    if weights != "random":
        model.net.update(force=False)
    start = time.perf_counter()
    coder = EntropyCoder(model, backend=backend)
    build_s = time.perf_counter() - start
    side = size_px // 16
    known, y = all_kept(side, side).known(), model.g_a(x)

    def code():
        return encode(coder, coder.hyper_symbols(y), torch.round(y)[0].numpy().astype(np.int32), known)

    transforms = {"g_a": lambda: model.g_a(x), "g_s": lambda: synthesis(y_hat)}
    synthesis, model.net.g_a = model.net.g_s, Known(y)
    coded, packed = code(), model.net.compress(x)
    item = StreamItem(coded.z_bytes, coded.y_bytes, known, coded.y_digest)
    packed = {key: packed[key] for key in ("strings", "shape")}
    y_hat = torch.from_numpy(decode(coder, [item])[0].y_context).float()[None]
    model.net.g_s = Known(synthesis(y_hat))
    t = medians(
        {
            "compress": lambda: model.net.compress(x),
            "encode": code,
            "decompress": lambda: model.net.decompress(**packed),
            "decode": lambda: decode(coder, [item]),
            "batch": lambda: decode(coder, [item] * batch),
        },
        repeats,
    )
    t |= medians(transforms, min(repeats, 2))
    theirs = sum(
        len(s) for part in packed["strings"] for s in (part if isinstance(part, (list, tuple)) else [part])
    )
    print(
        f"# {name}: N={model.n} M={model.m}; g_a {t['g_a'] * 1e3:.0f} ms, g_s {t['g_s'] * 1e3:.0f} ms, coder "
        f"built in {build_s * 1e3:.0f} ms; bytes {len(coded.z_bytes) + len(coded.y_bytes)} (fixed grid), "
        f"CompressAI {theirs}; non-zero {(y_hat != 0).float().mean():.0%}",
        flush=True,
    )
    both_s = t["g_a"] + t["g_s"]
    return {
        "encode": (t["compress"], t["encode"]),
        "decode": (t["decompress"], t["decode"]),
        f"decode, batch of {batch}": (t["decompress"], t["batch"] / batch),
        "whole": (both_s + t["compress"] + t["decompress"], both_s + t["encode"] + t["decode"]),
    }


class CodingKeys(Knobs):
    """Keys of this benchmark."""

    models: Several[str] = tuple(WIDTHS)
    """families"""
    size_px: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 256
    """side of a patch"""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    """of which the median counts"""
    batch: Annotated[int, Field(ge=1, le=1000)] = 8
    """patches decoded in one call"""
    weights: Literal["random", "shipped"] = "random"
    """at CompressAI's widths, or this project's checkpoints"""
    backend: Literal["auto", "int8", "float64"] = "auto"
    """of the matrix products; streams are the same"""


def bench(given: Given) -> None:
    """Print one row per model and stage."""
    own: CodingKeys = given.own
    models, size_px, weights, backend = known_models(own.models), own.size_px, own.weights, own.backend
    torch.set_num_threads(1)
    warm_up()
    rows = []
    for name in watched(models, "models"):
        stages, goals = (measure(name, own), GOALS[name] if size_px == 256 else (None,) * 3)
        for (stage, (theirs, ours)), goal in zip(stages.items(), (*goals, None), strict=True):
            rows.append((name, stage, theirs * 1e3, ours * 1e3, theirs / ours, goal))
    print(
        f"\n{weights} weights, {size_px} px, portable ({backend}), 1 thread, "
        f"CPU {torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"{'model':6} {'stage':20} {'CompressAI ms':>14} {'ours ms':>9} {'ratio':>7} {'goal':>6}")
    for name, stage, theirs, ours, ratio, goal in rows:
        mark = "" if goal is None else f"{goal:>5g}x" + ("" if ratio >= goal else " *")
        print(f"{name:6} {stage:20} {theirs:14.1f} {ours:9.1f} {ratio:6.1f}x {mark:>6}")


COMMAND = Command(
    name="bench coding",
    about=__doc__,
    own=CodingKeys,
    work=bench,
    examples=("dlrc bench coding", "dlrc bench coding models=mbt weights=shipped"),
)

if __name__ == "__main__":
    main_of(COMMAND)
