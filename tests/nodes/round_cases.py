"""Rounds of tiny codecs over a network that a test makes up: crews, a ground that asks for what it cannot
decode."""

from __future__ import annotations

import contextlib
import functools

import numpy as np

from constellation.network import Sync
from constellation.scenario.load import load_scenario
from constellation.scenario.scenario import Scenario
from ground.round import Station, hear_round
from nodes.capture import ground_cells, patch_offset
from nodes.crew import Crew, Look, Rules, View
from nodes.encoder import view_of
from nodes.process.board import Board, load_board
from nodes.round import fly_round
from nodes.timeline import Watch
from nodes.wire.faults import NO_FAULTS, Faults
from nodes.wire.protocol import together
from nodes.wire.stages import GROUND
from tests.golden.freeze import BASE, MODELS, Checkpoints, view

SATELLITES = 5
EVERYBODY = tuple(range(SATELLITES))


class Instant:
    """An instant of a network in which everybody hears everybody, or whom `hearing` (receiver -> senders)
    says."""

    def __init__(self, number: int, hearing: dict[int, tuple[int, ...]] | None) -> None:
        self.number, self.time_s, self.members = number, 60.0 * number, np.arange(SATELLITES)
        self.hearing = hearing
        self.sightings = {}

    def exchange(self, payload_bytes, audience=None):
        senders = sorted(payload_bytes)
        heard = self.hearing or {r: tuple(senders) for r in senders}
        if audience is not None:
            heard = {r: tuple(s for s in heard[r] if r in audience.get(s, ())) for r in senders}
        hearers = {s: frozenset(r for r in senders if s in heard[r] or r == s) for s in senders}
        return Sync(hearers, {s: 0.001 * payload_bytes[s] for s in senders}, 1.0)

    def metric(self, number: int, rule: str) -> float:
        return float((7 * number) % SATELLITES)

    def downlink_rate_bps(self, number: int) -> float:
        return 1e6


class Network:
    def __init__(self, hearing=None) -> None:
        self.hearing = hearing

    def at(self, number: int) -> Instant:
        return Instant(number, self.hearing)


@functools.cache
def board_of(model: str, grid: str = "fixed") -> Board:
    with Checkpoints() as weights:
        return load_board(scenario_of(model, f"codec.grid={grid}", f"codec.weights={weights[model]}").codec)


@functools.cache
def scenario_of(model: str, *words: str) -> Scenario:
    words = (*BASE, f"codec.model={model}", "codec.device=cpu", f"satellites={SATELLITES}", *words)
    return load_scenario("dense", words)


@functools.cache
def view_of_satellite(model: str, number: int, satellite: int, grid: str = "fixed") -> View:
    scenario = scenario_of(model, f"codec.grid={grid}")
    row, col = patch_offset(scenario.capture, scenario.seed, number, satellite)
    picture = np.zeros((128, 128, 3), np.uint8)
    cells = ground_cells(row, col, 128)
    look = Look(satellite, number, picture, picture, cells, (row, col, 0, 0, "made up"))
    y = view(MODELS[model], 0, satellite, row // 16, col // 16)
    return view_of(board_of(model, grid), scenario.codec, look, y)


def crew_of(model: str, numbers, words: tuple[str, ...] = (), hearing=None, rules: Rules | None = None):
    """A crew of `numbers` whose views are made up, over a made-up network."""
    scenario = scenario_of(model, *words)
    board = board_of(model, scenario.codec.grid)
    rules = rules or Rules.of(scenario, board.model)

    def see(number, satellites):
        return [view_of_satellite(model, number, s, scenario.codec.grid) for s in satellites]

    watch = Watch.of(scenario.clock, scenario.capture, scenario.codec.flown, scenario.dlrc.k)
    return Crew(tuple(numbers), board, rules, Network(hearing), watch, see)


def ground_of(model: str, number: int = 0):
    """The ground's side of a round."""
    return hear_round(Station(board_of(model)), number)


def whole(model: str, products, number: int = 0) -> set[int]:
    """Whose stream gives every vector as it was coded, when all streams are there."""
    streams = {(satellite, number): product.stream for satellite, product in products.items()}
    return {satellite for satellite, _ in Station(board_of(model)).decode(streams).whole}


def fly(crews: list[Crew], faults: Faults = NO_FAULTS, number: int = 0, ground=None):
    """A round of crews, and of a ground: (products by satellite, tasks by satellite, what the ground
    returns)."""
    sides = {crew.numbers: fly_round(crew, number) for crew in crews}
    if ground is not None:
        sides[GROUND] = ground
    done = together(sides, faults)
    told = done.pop(GROUND, None)
    products = {s: product for flown in done.values() for s, product in flown.products.items()}
    tasks = {s: task for flown in done.values() for s, task in flown.tasks.items()}
    return dict(sorted(products.items())), dict(sorted(tasks.items())), told


@contextlib.contextmanager
def module_of(name: str, **functions):
    """A module of the user's with functions, importable for as long as the `with` block lasts."""
    import sys
    import types

    module = types.ModuleType(name)
    module.__dict__.update(functions)
    sys.modules[name] = module
    try:
        yield module
    finally:
        del sys.modules[name]
