"""What a halo costs in computing: g_a over patch + halo against the patch alone, and g_s over patch + ring
against the patch alone.

    python -m benchmarks.halo [models=bmshj,mbt,cheng,elic] [halos=16,32,48] [sizes=256,512] [repeats=3]

One thread, one process, shipped weights, CPU time of the thread, smallest of the repeats: only the ratios
mean something on another machine. Everything else on board and on the ground (entropy coding, DLRC) works on
the patch's latents alone and costs the same with and without a halo."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.overhead import fastest
from codec.models import registry
from codec.models.checkpoint import load_weights
from codec.models.model import LATENT_STRIDE_PX
from codec.surroundings import RING
from constellation.common.errors import UserError, user_errors_to_exit
from dlrc.studies.common.options import choice, split_arguments, whole_number
from ground.reconstructor import synthesise
from nodes.coding import BoardCoder
from nodes.process.device import one_thread

DEFAULTS = {"models": ",".join(registry.names()), "halos": "16,32,48", "sizes": "256,512", "repeats": "3"}


def main(arguments: Sequence[str]) -> None:
    values, rest = split_arguments(arguments, __doc__, DEFAULTS)
    if rest:
        raise UserError(f"{rest[0]}: unknown key; this benchmark's own are {', '.join(DEFAULTS)}")
    models = [choice("models", text, registry.names()) for text in values["models"].split(",")]
    halos = [whole_number("halos", text, 16, 1024, LATENT_STRIDE_PX) for text in values["halos"].split(",")]
    sizes = [whole_number("sizes", text, 64, 4096, 64) for text in values["sizes"].split(",")]
    repeats = whole_number("repeats", values["repeats"], 1, 1000)
    one_thread()
    print(
        "| model | patch px | g_a, ms | "
        + " | ".join(f"with {halo} px" for halo in halos)
        + f" | g_s, ms | with {RING} cells |"
    )
    print("|" + " --- |" * (5 + len(halos)))
    for name in models:
        model = load_weights("", name, 0.013)[0]
        for size in sizes:
            print(
                line_of(name, size, *measure(BoardCoder(model, "cpu", True, "fixed"), size, halos, repeats)),
                flush=True,
            )


def measure(
    coder: BoardCoder, size: int, halos: Sequence[int], repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds of g_a without and with each halo, and of g_s without and with the ring; what the pictures show
    does not matter."""
    random = np.random.default_rng(0)

    def analyse(halo: int) -> float:
        padded = random.integers(0, 256, (size + 2 * halo, size + 2 * halo, 3), dtype=np.uint8)
        return fastest(lambda: coder.analyse(padded, halo), repeats)

    def rebuild(ring: int) -> float:
        side = size // LATENT_STRIDE_PX + 2 * ring
        latents = random.integers(-3, 4, (coder.model.m, side, side)).astype(np.int32)
        return fastest(lambda: synthesise(coder.model, latents, ring), repeats)

    return [analyse(halo) for halo in (0, *halos)], [rebuild(ring) for ring in (0, RING)]


def line_of(name: str, size: int, on_board: Sequence[float], on_ground: Sequence[float]) -> str:
    """One row of the table: the first of each in ms, the rest as multiples of it."""
    cells = [
        cell
        for times in (on_board, on_ground)
        for cell in (f"{1000 * times[0]:.1f}", *(f"{t / times[0]:.2f} times" for t in times[1:]))
    ]
    return f"| {name} | {size} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
