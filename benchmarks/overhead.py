"""DLRC's own work on board beside the codec's: Recognizer + Selector + Arbiter + Filter + map, as a share of
g_a + entropy modelling + coding.

    dlrc bench overhead [model=bmshj] [sizes=256,512,1024,2048] [satellites=8,64,256,1024] [repeats=5]

One thread, one process, both sides in one run, CPU time of the thread, smallest of the repeats: only the
ratios mean something on another machine. First the shipped weights, then the paper's widths (N =
128, M = 192) with random weights. The codec side is independent coding (analysis, hyper analysis, entropy
parameters, rANS); DLRC's side is what it adds for one satellite of 8 that overlap like `dense`. Then
arbitration alone, by the number of satellites.

The paper's Table 2 read column by column gives bmshj, 256 px, Titan V: LIC 24.68 ms and DLRC 12.89 ms
(Recognizer, Selector and Arbiter), 52 %."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from codec.entropy.order import rank
from codec.maps.assignment import AssignmentMap, all_kept
from codec.maps.coding import encode_map
from codec.models import registry
from codec.models.checkpoint import load_weights
from codec.models.registry import build_model
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs, Several, Word
from constellation.common.progress import watched
from constellation.scenario.imaging import CaptureKnobs, SceneKnobs
from constellation.scenario.load import SCENARIO
from dlrc.commands.models import known_models
from dlrc.studies.common.variants import Trial
from nodes.arbiter import assignments, owners_of
from nodes.crew import Known
from nodes.encoder import analyse, code, hyper_symbols
from nodes.process.board import Board
from nodes.process.device import one_thread
from nodes.recognizer import signatures
from nodes.round import recognise
from nodes.selector import select
from nodes.sights.seeing import Looker, seeing, windowed
from nodes.timeline import Watch

NEIGHBOURS = 8
PAPER_WIDTHS = 128, 192
PARTS = ("analysis", "coding", "recognizer", "selector", "arbiter", "filter", "map")


class OverheadKeys(Knobs):
    """Keys of this benchmark."""

    model: Word = registry.names()[0]
    """family"""
    sizes: Several[Annotated[int, Field(ge=64, le=4096, multiple_of=64)]] = (256, 512, 1024, 2048)
    """sides of a patch, px"""
    satellites: Several[Annotated[int, Field(ge=2, le=4096)]] = (8, 64, 256, 1024)
    """numbers of lists to arbitrate"""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    """of which the smallest counts"""


def bench(given: Given) -> None:
    """Print one row per patch size and set of weights, then arbitration by the number of satellites."""
    own, scenario = given.own, given.subject
    (name,), sizes, counts, repeats = (
        known_models([own.model], "model"),
        own.sizes,
        own.satellites,
        own.repeats,
    )
    one_thread()
    shipped, info = load_weights("", name, scenario.codec.lambda_)
    torch.manual_seed(0)
    for label, model in (
        (f"shipped weights, M = {shipped.m}", shipped),
        ("paper's widths N = 128, M = 192, random weights", build_model(name, *PAPER_WIDTHS)),
    ):
        print(f"\n{name}, {label}; k = {scenario.dlrc.k}, {scenario.dlrc.rotation}; ms, one thread\n")
        print(
            "| patch | g_a | h_a, h_s, context, rANS | Recognizer | Selector | Arbiter | Filter | map | "
            f"DLRC / codec |\n|{'---|' * 9}"
        )
        for size in watched(sizes, "sizes"):
            print(
                line_of(
                    size,
                    measure(
                        Trial(scenario, Board(model, info, "cpu")),
                        size,
                        repeats if size <= 512 else max(1, repeats // 3),
                    ),
                ),
                flush=True,
            )
    print("\n| satellites x 256 signatures | assign all owners, s |\n|---|---|")
    for count in counts:
        print(f"| {count} | {arbitration_s(count, repeats):.4f} |", flush=True)


def measure(trial: Trial, size: int, repeats: int) -> dict[str, float]:
    """Milliseconds of every part for one satellite, the last of `NEIGHBOURS` by priority, patches of `size`
    px at dense overlap."""
    board, me, everyone = trial.board, NEIGHBOURS - 1, range(NEIGHBOURS)
    model = board.model
    model.net.eval()
    if getattr(model.bottleneck, "_quantized_cdf", torch.zeros(0)).numel() == 0:
        model.net.update(force=True)
    wide = trial.under(
        codec={"model": model.name, "grid": "fixed"},
        capture={"patch_px": size, "window_px": 2 * size},
        scene={"size_px": max(2048, 2 * size)},
    )
    rules, watch, sights = wide.rules, Watch(), wide.sights
    views = seeing(board, rules, _captured(sights.scene, sights.captured, sights.seed), watch)(0, everyone)
    seen = [recognise(rules, view, 0.0) for view in views]
    heard = frozenset(everyone)
    known = Known({one.satellite: one.own for one in seen}, dict.fromkeys(everyone, heard))
    look, y, chosen = views[me].look, views[me].y, seen[me].selection
    order = rank(model.passes, *y.shape[1:])
    known_alone, latents = all_kept(*y.shape[1:]).known(), (y, np.rint(y).astype(np.int32))

    def coding() -> object:
        return code(board, rules.codec, hyper_symbols(board, rules.codec, y), latents, known_alone)

    def arbiter() -> AssignmentMap:
        return assignments(rules, tuple(everyone), known, [seen[me]], watch)[me]

    owned = arbiter()
    steps: dict[str, Callable[[], object]] = {
        "analysis": lambda: analyse(board, look.padded, look.halo_px),
        "hyperprior": lambda: hyper_symbols(board, rules.codec, y),  # a part of coding
        "coding": coding,
        "recognizer": lambda: signatures(y, rules.hashes),
        "selector": lambda: select(y, chosen.signatures[chosen.entry_of], order, rules.dlrc.representative),
        "arbiter": arbiter,
        "filter": lambda: owned.known(),
        "map": lambda: encode_map(owned, "successor", participants=tuple(everyone), satellite=me),
    }
    return {part: 1000 * fastest(step, repeats) for part, step in steps.items()}


@functools.lru_cache(maxsize=1)
def _captured(scene: SceneKnobs, captured: CaptureKnobs, seed: int) -> Looker:
    """What all neighbours see: rendering large ground takes longer than some codecs, and all see the same."""
    looks = windowed(scene, captured, seed)(0, range(NEIGHBOURS))
    return lambda number, satellites: looks


def arbitration_s(satellites: int, repeats: int) -> float:
    """Seconds in which every owner of `satellites` lists of 256 signatures is found; two thirds of a list are
    shared with others."""
    rng = np.random.default_rng(0)
    pool = rng.integers(-(2**62), 2**62, size=64 * satellites, dtype=np.int64)
    lists = [
        np.unique(
            np.concatenate(
                [rng.choice(pool, 170, replace=False), rng.integers(-(2**62), 2**62, 86, dtype=np.int64)]
            )
        )
        for _ in range(satellites)
    ]
    given = dict(enumerate(lists))
    return fastest(lambda: owners_of(given, tuple(given)), min(repeats, 3))


def fastest(step: Callable[[], object], repeats: int) -> float:
    """Smallest CPU time of `repeats` calls after one that warms up, s."""
    step()
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        step()
        times.append(time.thread_time() - started)
    return min(times)


def line_of(size: int, ms: dict[str, float]) -> str:
    """One row of the table."""
    added = sum(ms[part] for part in PARTS[2:])
    return (
        f"| {size} | "
        + " | ".join(f"{ms[part]:.2f}" for part in PARTS)
        + f" | {100 * added / (ms['analysis'] + ms['coding']):.1f} % |"
    )


COMMAND = Command(
    name="bench overhead",
    about=__doc__,
    own=OverheadKeys,
    work=bench,
    subject=SCENARIO,
    honours=(
        "seed",
        "scene",
        "capture",
        "codec.lambda",
        "codec.portable",
        "dlrc.k",
        "dlrc.rotation",
        "dlrc.representative",
    ),
    sets={
        "scenario": "",
        "codec.model": "model",
        "scene.size_px": "sizes",
        "capture.patch_px": "sizes",
        "capture.window_px": "sizes",
        "capture.halo_px": "",
    },
    default="dense",
    examples=("dlrc bench overhead sizes=256,512", "dlrc bench overhead model=elic dlrc.k=8"),
)

if __name__ == "__main__":
    main_of(COMMAND)
