"""What a halo costs in computing: g_a over patch + halo against the patch alone, and g_s over patch + ring
against the patch alone.

One thread, one process, shipped weights, CPU time of the thread, smallest of the repeats: only the ratios
mean something on another machine. Everything else on board and on the ground (entropy coding, DLRC) works on
the patch's latents alone and costs the same with and without a halo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from benchmarks.overhead import fastest
from codec.models import registry
from codec.models.checkpoint import load_weights
from codec.models.model import LATENT_STRIDE_PX
from codec.surroundings import RING
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from dlrc.commands.models import known_models
from ground.reconstructor import synthesise
from nodes import encoder
from nodes.process.board import Board
from nodes.process.device import one_thread


class HaloKeys(Knobs):
    """Keys of this benchmark."""

    models: Several[str] = registry.names()
    """families"""
    halos: Several[Annotated[int, Field(ge=16, le=1024, multiple_of=LATENT_STRIDE_PX)]] = (16, 32, 48)
    """px around a patch"""
    sizes: Several[Annotated[int, Field(ge=64, le=4096, multiple_of=64)]] = (256, 512)
    """sides of a patch, px"""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 3
    """of which the smallest counts"""


def bench(given: Given) -> None:
    """Print one row per model and size."""
    own: HaloKeys = given.own
    models, halos, sizes, repeats = known_models(own.models), own.halos, own.sizes, own.repeats
    one_thread()
    print(
        "| model | patch px | g_a, ms | "
        + " | ".join(f"with {halo} px" for halo in halos)
        + f" | g_s, ms | with {RING} cells |"
    )
    print("|" + " --- |" * (5 + len(halos)))
    for name in watched(models, "models"):
        board = Board(*load_weights("", name, 0.013), "cpu")
        for size in sizes:
            print(line_of(name, size, *measure(board, size, halos, repeats)), flush=True)


def measure(board: Board, size: int, halos: Sequence[int], repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of g_a without and with each halo, and of g_s without and with the ring; what the pictures show
    does not matter."""
    random = np.random.default_rng(0)

    def analyse(halo: int) -> float:
        padded = random.integers(0, 256, (size + 2 * halo, size + 2 * halo, 3), dtype=np.uint8)
        return fastest(lambda: encoder.analyse(board, padded, halo), repeats)

    def rebuild(ring: int) -> float:
        side = size // LATENT_STRIDE_PX + 2 * ring
        latents = random.integers(-3, 4, (board.model.m, side, side)).astype(np.int32)
        return fastest(lambda: synthesise(board.model, latents, ring), repeats)

    return [analyse(halo) for halo in (0, *halos)], [rebuild(ring) for ring in (0, RING)]


def line_of(name: str, size: int, on_board: Sequence[float], on_ground: Sequence[float]) -> str:
    """One row of the table: the first of each in ms, the rest as multiples of it."""
    cells = [
        cell
        for times in (on_board, on_ground)
        for cell in (f"{1000 * times[0]:.1f}", *(f"{t / times[0]:.2f} times" for t in times[1:]))
    ]
    return f"| {name} | {size} | " + " | ".join(cells) + " |"


COMMAND = Command(
    name="bench halo", about=__doc__, own=HaloKeys, work=bench, examples=("dlrc bench halo models=bmshj",)
)

if __name__ == "__main__":
    main_of(COMMAND)
