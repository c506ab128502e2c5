"""Do two sides always agree? Streams of real crops, made and read under different arithmetic, and what
portability costs in bits.

Every patch is analysed in one of six ways (float32 plain, without oneDNN, channels_last, 2 threads, float64,
bfloat16: y may differ, its stream must decode to what was coded), encoded twice (signed bytes, 1 thread,
oneDNN; float64 GEMM, 2 threads, no oneDNN: the bytes must be equal), and decoded twice (alone with float64;
in a batch of 8 with signed bytes, threads and oneDNN swapped). For contrast: how many patches' table indices
change when the same network runs in float32 with oneDNN, without, in channels_last, and in float64, as an
ordinary codec would run it. Cost: bits of y from the coder's tables, portable against float32 parameters, and
against -log2 of the exact Gaussian."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from codec.entropy import smooth
from codec.entropy.coder import EntropyCoder
from codec.entropy.decoder import DecodedLatents, StreamItem, decode
from codec.entropy.digits import int8_is_exact
from codec.entropy.encoder import encode
from codec.entropy.estimate import bits_of
from codec.entropy.smooth import SCALE_MIN, gaussian_likelihood
from codec.entropy.tables import gaussian_tables
from codec.imagery.scene import default_data_folder, open_scene
from codec.maps.assignment import all_kept
from codec.models import registry
from codec.models.checkpoint import load_weights
from codec.models.model import LatentModel
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import BitstreamError
from constellation.common.knobs import Knobs, Several
from constellation.scenario.imaging import SceneKnobs
from dlrc.commands.models import known_models

ANALYSES = ("plain", "no oneDNN", "channels_last", "2 threads", "float64", "bfloat16")
BATCH = 8


@contextlib.contextmanager
def arithmetic(threads: int = 1, onednn: bool = True) -> Iterator[None]:
    """Run with so many threads, with or without oneDNN."""
    before = (
        torch.get_num_threads(),
        torch._C._get_mkldnn_enabled(),
    )  # the public context manager warns at every use
    torch.set_num_threads(threads)
    torch._C._set_mkldnn_enabled(onednn)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch._C._set_mkldnn_enabled(before[1])


def crops(count: int, patch_px: int, seed: int) -> Iterator[np.ndarray]:
    """uint8 [patch, patch, 3] from the folder of real scenes, or the procedural scene without one."""
    data = default_data_folder()
    path = str(data / "scenes") if data is not None and (data / "scenes").is_dir() else ""
    print(f"# crops from {'real scenes' if path else 'the procedural scene'}")
    rng = np.random.Generator(np.random.Philox(seed))
    for number in range(count):
        if number % 20 == 0:
            scene = open_scene(SceneKnobs(path=path), seed, number // 20, patch_px)
        row, column = (
            rng.integers(0, scene.height - patch_px + 1),
            rng.integers(0, scene.width - patch_px + 1),
        )
        yield scene.read(int(row), int(column), patch_px, patch_px)


def analyse(model: LatentModel, double: LatentModel, x: torch.Tensor, way: str) -> torch.Tensor:
    """y = g_a(x), float32, computed one way or another."""
    if way == "float64":
        return double.g_a(x.double()).float()
    if way == "bfloat16":
        with torch.autocast("cpu", torch.bfloat16):
            return model.g_a(x).float()
    if way == "channels_last":
        return model.g_a(x.to(memory_format=torch.channels_last)).contiguous()
    with arithmetic(2 if way == "2 threads" else 1, way != "no oneDNN"):
        return model.g_a(x)


def float_indices(
    model: LatentModel, double: LatentModel, z_hat: torch.Tensor, y: torch.Tensor
) -> list[np.ndarray]:
    """Table indices by the ordinary network: float32, without oneDNN, channels_last, float64."""
    last = torch.channels_last
    runs = [smooth.parameters(model, z_hat, y)]
    with arithmetic(1, onednn=False):
        runs.append(smooth.parameters(model, z_hat, y))
    runs.append(smooth.parameters(model, z_hat.to(memory_format=last), y.to(memory_format=last)))
    runs.append(smooth.parameters(double, z_hat.double(), y.double()))
    pairs = [
        np.concatenate(
            (scale[0].flatten(1).double().numpy().T, mean[0].flatten(1).double().numpy().T), axis=1
        )
        for mean, scale in runs
    ]
    return [np.concatenate(gaussian_tables().index(pair)) for pair in pairs]


def _latents(result: DecodedLatents | BitstreamError) -> np.ndarray | None:
    return None if isinstance(result, BitstreamError) else result.y_context


@torch.no_grad()
def examine(name: str, patches: int, patch_px: int, lambda_: float, seed: int) -> dict[str, float]:
    """Mismatch counts and bits over `patches` crops of one model."""
    model, _ = load_weights("", name, lambda_)
    double, _ = load_weights("", name, lambda_)
    double.net.double()
    fast = "int8" if int8_is_exact() else "float64"
    coder, other = EntropyCoder(model, backend=fast), EntropyCoder(model, backend="float64")
    floats = EntropyCoder(model, portable=False)
    side = patch_px // 16
    known, kept = all_kept(side, side).known(), np.ones((side, side), dtype=bool)
    totals = dict.fromkeys(
        (
            "bytes differ",
            "y_hat differs alone",
            "y_hat differs in batch",
            "float indices differ",
            "bits",
            "float bits",
            "ideal bits",
        ),
        0.0,
    )
    waiting: list[tuple[StreamItem, np.ndarray]] = []
    for number, crop in enumerate(crops(patches, patch_px, seed)):
        x = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
        y = analyse(model, double, x, ANALYSES[number % len(ANALYSES)])
        z, y_hat = coder.hyper_symbols(y), torch.round(y)[0].numpy().astype(np.int32)
        coded = encode(coder, z, y_hat, known)
        with arithmetic(2, onednn=False):
            again = encode(other, z, y_hat, known)
        totals["bytes differ"] += (coded.y_bytes, coded.z_bytes) != (again.y_bytes, again.z_bytes)
        item = StreamItem(coded.z_bytes, coded.y_bytes, known)
        totals["y_hat differs alone"] += not np.array_equal(_latents(decode(other, [item])[0]), y_hat)
        waiting.append((item, y_hat))
        if len(waiting) == BATCH or number == patches - 1:
            with arithmetic(2 if number % 2 else 1, onednn=number % 3 > 0):
                decoded = decode(coder, [item for item, _ in waiting])
            totals["y_hat differs in batch"] += sum(
                not np.array_equal(_latents(d), y) for d, (_, y) in zip(decoded, waiting, strict=True)
            )
            waiting = []
        z_hat, y_map = torch.from_numpy(z)[None] + model.medians(), torch.from_numpy(y_hat).float()[None]
        indices = float_indices(model, double, z_hat, y_map)
        totals["float indices differ"] += any(not np.array_equal(indices[0], one) for one in indices[1:])
        totals["bits"] += bits_of(coder, z, y_hat, y_hat, kept).sum()
        totals["float bits"] += bits_of(floats, z, y_hat, y_hat, kept).sum()
        mean, scale = smooth.parameters(double, z_hat.double(), y_map.double())
        totals["ideal bits"] += float(
            -torch.log2(gaussian_likelihood(y_map.double(), mean, scale.clamp_min(SCALE_MIN))).sum()
        )
    return totals


class ExactnessKeys(Knobs):
    """Keys of this benchmark."""

    models: Several[str] = registry.names()
    """families"""
    patches: Annotated[int, Field(ge=1, le=10**6)] = 1000
    """crops per model"""
    patch_px: Annotated[int, Field(ge=64, le=1024, multiple_of=64)] = 64
    """side of a crop"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """of the shipped checkpoints"""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    """of the crops"""


def bench(given: Given) -> None:
    """Print one row per model; exit code 1 if anything differed."""
    own: ExactnessKeys = given.own
    torch.set_num_threads(1)
    models, patches, patch_px = known_models(own.models), own.patches, own.patch_px
    value, seed = own.lambda_, own.seed
    rows = {}
    for name in models:
        rows[name] = examine(name, patches, patch_px, value, seed)
        bad = {key: int(value) for key, value in rows[name].items() if "differ" in key}
        print(f"{name:6} of {patches} patches: {bad}", flush=True)
        bits, floats, ideal = (rows[name][key] for key in ("bits", "float bits", "ideal bits"))
        print(
            f"{name:6} y bits per pixel: portable {bits / (patches * patch_px**2):.5f}, "
            f"portable over float32 {bits / floats - 1:+.4%}, over the exact Gaussian "
            f"{bits / ideal - 1:+.3%}",
            flush=True,
        )
    wrong = sum(
        value
        for row in rows.values()
        for key, value in row.items()
        if "differ" in key and not key.startswith("float")
    )
    print(f"mismatches of bytes or y_hat, all models: {int(wrong)}")
    if wrong or not all(math.isfinite(value) for row in rows.values() for value in row.values()):
        raise SystemExit(1)


COMMAND = Command(
    name="bench exactness",
    about=__doc__,
    own=ExactnessKeys,
    work=bench,
    examples=("dlrc bench exactness patches=100",),
)

if __name__ == "__main__":
    main_of(COMMAND)
