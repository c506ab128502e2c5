"""Entropy coding against CompressAI's own `compress` and `decompress`, same weights, one thread each, ratios from one run.

    python -m benchmarks.coding [models=bmshj,mbt,cheng,elic] [size_px=256] [repeats=5] [batch=8] [weights=random|shipped]

Entropy stage only: CompressAI's time less its g_a (g_s), ours from y to bytes (bytes to y_hat), h_a and h_s included on both sides. `batch`: per patch, that
many patches that do not refer to each other decoded in one call. `whole`: encode + decode with g_a and g_s. Random weights stand in for trained ones
at CompressAI's widths for quality 3: the transforms' output is given a spread per channel and the networks matching scales, since the
number of non-zero and escaping symbols is what coding time depends on. `weights=shipped` takes this project's (narrower) checkpoints instead.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from codec.checkpoint import load_weights
from codec.entropy import ContextLayout, EntropyCoder, StreamItem, warm_up
from codec.models import LatentModel, build_model
from constellation.errors import UserError, user_errors_to_exit

WIDTHS = {"bmshj": (128, 192), "mbt": (192, 192), "cheng": (128, 128), "elic": (192, 320)}
GOALS = {  # times faster than CompressAI, 256 px: encode, decode, decode per patch of a batch of 8
    "bmshj": (1, 1, 1), "mbt": (25, 10, 25), "cheng": (12, 6, 15), "elic": (3, 1.5, 3)}


class Spread(nn.Module):
    """Gives each latent channel of random weights a spread of its own, from dead to busy, as training does."""

    def __init__(self, m: int, measured: torch.Tensor) -> None:
        super().__init__()
        wanted = torch.exp(torch.linspace(-2.5, 1.5, m)[torch.randperm(m)])
        self.register_buffer("gain", (wanted / measured.clamp_min(1e-6)).reshape(1, -1, 1, 1))
        self.wanted = wanted

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y * self.gain


def random_model(name: str, x: torch.Tensor) -> LatentModel:
    """Full-width random weights whose latents and scales are of plausible sizes."""
    torch.manual_seed(1)
    model = build_model(name, *WIDTHS[name])
    spread = Spread(model.m, model.g_a(x)[0].flatten(1).std(dim=1))
    model.net.g_a = nn.Sequential(model.net.g_a, spread)
    heads = {"bmshj": [model.h_s[4]] if name == "bmshj" else None, "elic": [h[-1] for h in model.param_aggregation]}.get(name)
    start = 0
    for layer in heads or [model.entropy_parameters[-1]]:
        width = layer.out_channels // (1 if name == "bmshj" else 2)
        layer.bias.data[:width] = spread.wanted[start : start + width]
        start += width
    model.net.update(force=True)
    from dataclasses import replace

    return replace(model, g_a=model.net.g_a)


def median_time(action: Callable, repeats: int) -> tuple[float, object]:
    """(median seconds, last result) after one unmeasured call (none where repeats is 1: that is for actions of many seconds)."""
    result = action() if repeats > 1 else None
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = action()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def picture(size_px: int) -> torch.Tensor:
    """A smooth random picture with some texture, [1, 3, size, size]; transforms cost the same for any."""
    generator = torch.Generator().manual_seed(0)
    x = sum(nn.functional.interpolate(torch.rand(1, 3, s, s, generator=generator), (size_px, size_px), mode="bicubic") / s**0.5 for s in (4, 16, 64))
    return (x - x.min()) / (x.max() - x.min())


@torch.no_grad()
def measure(name: str, size_px: int, repeats: int, batch: int, weights: str) -> dict[str, tuple[float, float]]:
    """Seconds (CompressAI, ours) of each stage."""
    x = picture(size_px)
    model = random_model(name, x) if weights == "random" else load_weights(name, 0.013)[0]
    if weights != "random":
        model.net.update(force=False)
    start = time.perf_counter()
    coder = EntropyCoder(model)
    build_s = time.perf_counter() - start
    g_a, y = median_time(lambda: model.g_a(x), repeats)
    side = size_px // 16
    layout = ContextLayout.all_kept(side, side)

    def encode():
        return coder.encode(coder.hyper_symbols(y), torch.round(y)[0].numpy().astype(np.int32), layout)

    encode_s, coded = median_time(encode, repeats)
    item = StreamItem(coded.z_bytes, coded.y_bytes, side, side, layout, y_digest=coded.y_digest)
    decode_s, decoded = median_time(lambda: coder.decode([item])[0], repeats)
    batch_s, _ = median_time(lambda: coder.decode([item] * batch), max(1, repeats // 2))
    y_hat = torch.from_numpy(decoded.y_context).float()[None]
    g_s, _ = median_time(lambda: model.g_s(y_hat), repeats)
    slow = 1 if size_px > 256 else max(1, repeats // 2)
    compress_s, packed = median_time(lambda: model.net.compress(x), slow)
    decompress_s, _ = median_time(lambda: model.net.decompress(**{k: packed[k] for k in ("strings", "shape")}), slow)
    theirs = sum(len(s) for part in packed["strings"] for s in (part if isinstance(part, (list, tuple)) else [part]))
    print(f"# {name}: N={model.n} M={model.m}; g_a {g_a * 1e3:.0f} ms, g_s {g_s * 1e3:.0f} ms, coder built in {build_s * 1e3:.0f} ms; "
          f"bytes {len(coded.z_bytes) + len(coded.y_bytes)} (fixed grid), CompressAI {theirs}; non-zero {(y_hat != 0).float().mean():.0%}", flush=True)
    return {"encode": (compress_s - g_a, encode_s), "decode": (decompress_s - g_s, decode_s), f"decode, batch of {batch}": (decompress_s - g_s, batch_s / batch),
            "whole": (compress_s + decompress_s, g_a + encode_s + decode_s + g_s)}


def _options(arguments: list[str]) -> dict[str, str]:
    options = {"models": ",".join(WIDTHS), "size_px": "256", "repeats": "5", "batch": "8", "weights": "random"}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in options:
            raise UserError(f"{argument}: unknown option; there are: {', '.join(options)}")
        options[key] = value
    return options


def main(arguments: list[str]) -> None:
    """Print one row per model and stage."""
    options = _options(arguments)
    torch.set_num_threads(1)
    warm_up()
    rows = []
    for name in options["models"].split(","):
        if name not in WIDTHS:
            raise UserError(f"models={name}: expected some of {', '.join(WIDTHS)}")
        stages = measure(name, int(options["size_px"]), int(options["repeats"]), int(options["batch"]), options["weights"])
        for (stage, (theirs, ours)), goal in zip(stages.items(), (*GOALS[name], None), strict=True):
            rows.append((name, stage, theirs * 1e3, ours * 1e3, theirs / ours, goal))
    print(f"\n{options['weights']} weights, {options['size_px']} px, portable, 1 thread, CPU {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'model':6} {'stage':20} {'CompressAI ms':>14} {'ours ms':>9} {'ratio':>7} {'goal':>6}")
    for name, stage, theirs, ours, ratio, goal in rows:
        mark = "" if goal is None else f"{goal:>5g}x" + ("" if ratio >= goal else " *")
        print(f"{name:6} {stage:20} {theirs:14.1f} {ours:9.1f} {ratio:6.1f}x {mark:>6}")


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
