"""Random faults, many at once, in one process: nothing crashes, and nothing is passed off as what it is not.

    dlrc study chaos                 1000 scenarios of tiny pictures, seeded
    dlrc study chaos scenarios=20

Each scenario draws satellites, priority rule, codec, what is exchanged and how exactly, rates, kinds and
seeds of faults, lies and loss, and flies two rounds over one of a few built-in pictures. Checked of every
image: one that is called exact has the very latents that its satellite coded; one with unresolved references
says so; none is shown of a satellite of which nothing came; every ledger adds up; and the same scenario again
gives the same bytes."""

from __future__ import annotations

import functools
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from codec.imagery.procedural import render
from codec.maps.assignment import KEPT
from codec.models import registry
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs
from constellation.common.progress import watched
from constellation.network import Instant, SpaceSegment
from constellation.scenario.coding import BY_STREAMS
from constellation.scenario.faults import KINDS
from constellation.scenario.load import load_scenario
from constellation.scenario.scenario import Scenario
from dlrc.local import Flight, Sides, faults_of_scenario, fly
from ground.records import Outcome
from ground.round import Station
from nodes.crew import Board
from nodes.process.board import load_board
from nodes.round import crew_of
from nodes.wire.schedule import events_of
from nodes.wire.stages import Stage, Step

SCENE_PX = 192
TINY = ("capture.patch_px=64", "capture.window_px=96", "rounds=2", "codec.device=cpu")
SCENES = 6  # pictures, drawn once: rendering would take half of the time
ROUNDS = 2
PLAIN_AND_SEQUENTIAL = registry.names()[:2]  # families without and with a context model


WAYS = {
    "lsh": ("dlrc.signature=lsh",),
    "content": ("dlrc.signature=content",),
    "footprint": ("dlrc.dedup=footprint",),
    "conditional": ("dlrc.exchange=streams", "dlrc.dedup=conditional"),
    "hybrid": ("dlrc.exchange=streams", "dlrc.dedup=hybrid"),
}  # of avoiding a second copy


class ChaosKeys(Knobs):
    """Keys of this command."""

    scenarios: Annotated[int, Field(ge=1, le=10**6)] = 1000
    """how many"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """of the first; the others follow"""
    again: Annotated[int, Field(ge=1, le=10**6)] = 20
    """every how many is flown twice"""


@dataclass(frozen=True)
class Flown:
    """What came of a scenario. wrong: a line for each law that does not hold."""

    outcomes: Counter[str]
    events: int
    wrong: tuple[str, ...]


def draw_scenes(folder: Path) -> list[Path]:
    """The pictures that the scenarios look at."""
    paths = [folder / f"scene{number}.png" for number in range(SCENES)]
    for number, path in enumerate(paths):
        Image.fromarray(render(number, 0, 0, SCENE_PX, SCENE_PX)).save(path)
    return paths


def drawn(seed: int, scenes: Sequence[Path]) -> Scenario:
    """Scenario `seed`."""
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([0xC405, seed])))
    kinds = [kind for kind in KINDS if stream.random() < 0.6] or ["dies"]
    rule = stream.choice(["id", "random", "balanced", "link", "energy"])
    model = stream.choice(PLAIN_AND_SEQUENTIAL, p=[0.8, 0.2])
    way = stream.choice(["lsh", "content", "footprint", "conditional", "hybrid"], p=[0.4, 0.3, 0.1, 0.1, 0.1])
    if way in BY_STREAMS and rule == "balanced":
        rule = "id"  # streams need one order of all satellites
    alone = way not in BY_STREAMS and (rule == "balanced" or stream.random() < 0.3)
    words = [
        *TINY,
        *WAYS[way],
        f"scene.path={scenes[int(stream.integers(len(scenes)))]}",
        f"satellites={int(stream.integers(1, 7))}",
        f"seed={int(stream.integers(1 << 20))}",
        f"priority.rule={rule}",
        f"codec.model={model}",
        f"codec.context={'independent' if alone else 'exact'}",
        f"dlrc.k={int(stream.integers(2, 24))}",
        f"faults.rate={float(stream.uniform(0.1, 0.9)):.3f}",
        f"faults.kinds={','.join(kinds)}",
        f"faults.seed={int(stream.integers(1 << 20))}",
        f"ground.stream_loss={float(stream.choice([0.0, 0.3, 0.8])):g}",
    ]
    return load_scenario("dense", words)


class Instants(SpaceSegment):
    """A space network whose instants are kept: all scenarios fly in the same two."""

    def __init__(self, satellites: int) -> None:
        super().__init__(load_scenario("dense", [f"satellites={satellites}"]).network)
        self._kept: dict[int, Instant] = {}

    def at(self, number: int) -> Instant:
        """Participants, links and rates of a round."""
        if number not in self._kept:
            self._kept[number] = super().at(number)
        return self._kept[number]


network_of = functools.cache(Instants)  # of so many satellites


@functools.cache
def board_of(model: str) -> Board:
    """The shipped codec of a family, loaded once."""
    return load_board(load_scenario("dense", ["codec.device=cpu", f"codec.model={model}"]).codec)


def struck_harder(sides: Sides, seed: int) -> Sides:
    """With accidents that no scenario asks for: requests and answers that never come, claims that are no
    numbers."""
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([0xC406, seed])))
    satellites = sides.crew.numbers
    cut, damaged = set(sides.faults.cut), set(sides.faults.damaged)
    for number in range(ROUNDS):
        for who in (-1, *satellites):
            for step in (Step.REQUEST, Step.ANSWER) if stream.random() < 0.2 else ():
                for part in range(2):
                    (cut if stream.random() < 0.5 else damaged).add((who, Stage(number, step, part)))
    claims = (math.nan, math.inf, -math.inf, 0.0)
    lies = dict(sides.faults.lies)
    if stream.random() < 0.3:
        who = int(stream.choice(satellites))
        lies[Stage(0, Step.HEADERS)] = {who: claims[int(stream.integers(len(claims)))]}
    faults = replace(sides.faults, cut=frozenset(cut), damaged=frozenset(damaged), lies=lies)
    return Sides(sides.crew, sides.station, faults)


def flown(seed: int, scenes: Sequence[Path]) -> tuple[Flown, list[bytes]]:
    """Fly scenario `seed`, and hold every image against what its satellite coded."""
    scenario = drawn(seed, scenes)
    board, network = board_of(scenario.codec.model), network_of(scenario.satellites)
    crew = crew_of(scenario, range(scenario.satellites), board, network)
    sides = struck_harder(Sides(crew, Station(board), faults_of_scenario(scenario)), seed)
    outcomes: Counter[str] = Counter()
    wrong, arrived = [], []
    for number in range(ROUNDS):
        flight = fly(sides, number)
        outcomes.update(one.outcome.value for one in flight.landed.record.satellites)
        wrong += [f"seed {seed}, round {number}: {line}" for line in laws_broken(flight)]
        arrived += [data for _, data in sorted(flight.landed.arrived.streams.items())]
    events = events_of(scenario.faults, scenario.satellites, ROUNDS, scenario.orbit.step_s)
    return Flown(outcomes, len(events), tuple(wrong)), arrived


def laws_broken(flight: Flight) -> Iterator[str]:
    """What is passed off as what it is not."""
    landed, products = flight.landed, flight.flown.products
    for one in landed.record.satellites:
        source, name = (one.satellite, one.round), f"satellite {one.satellite}"
        missing = landed.decoded.missing.get(source)
        if one.exact and source not in landed.decoded.whole:
            yield f"{name} is called exact, and is not whole"
        if one.exact and landed.arrived.streams[source] != products[one.satellite].stream:
            yield f"{name} is called exact, and its stream is not the one that was coded"
        if one.exact and not _as_coded(flight, one.satellite):
            yield f"{name} is called exact, and has other latents than were coded"
        if missing is not None and missing.any() and one.outcome in (Outcome.EXACT, Outcome.RESENT):
            yield f"{name} has unresolved references, and does not say so"
        if one.outcome is Outcome.LOST and one.satellite in landed.images:
            yield f"{name} is lost, and has an image"
        if one.outcome is not Outcome.LOST and one.satellite not in landed.images:
            yield f"{name} is {one.outcome}, and has no image"
        if one.ledger.first + one.ledger.resent != one.ledger.received + one.ledger.lost:
            yield f"{name}: {one.ledger} does not add up"


def _as_coded(flight: Flight, satellite: int) -> bool:
    """Whether the ground has, wherever a satellite kept its own vector, the vector that it chose to code."""
    task = flight.flown.tasks.get(satellite)
    if task is None:
        return True
    y_hat, kept = task.observation.selection.y_hat, task.assignment.fate == KEPT
    latents = flight.landed.decoded.latents[satellite, flight.landed.arrived.number]
    return bool(np.array_equal(y_hat[:, kept], latents[:, kept]))


def run(given: Given) -> None:
    """Fly all scenarios; exit code 1 where a law is broken."""
    own: ChaosKeys = given.own
    outcomes: Counter[str] = Counter()
    events, wrong = 0, []
    with tempfile.TemporaryDirectory(prefix="dlrc_") as folder:
        scenes = draw_scenes(Path(folder))
        for seed in watched(range(own.seed, own.seed + own.scenarios), "scenarios"):
            found, arrived = flown(seed, scenes)
            outcomes, events = outcomes + found.outcomes, events + found.events
            wrong += found.wrong
            if seed % own.again == 0 and flown(seed, scenes)[1] != arrived:
                wrong.append(f"seed {seed}: flown again, other bytes")
    images = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(f"{own.scenarios} scenarios, {events} faults: {images}; {len(wrong)} laws broken")
    print("\n".join(wrong[:20]), end="\n" if wrong else "")
    if wrong:
        raise SystemExit(1)


COMMAND = Command(
    name="study chaos",
    about=__doc__ or "",
    own=ChaosKeys,
    work=run,
    examples=("dlrc study chaos scenarios=20", "dlrc study chaos seed=1000"),
)

if __name__ == "__main__":
    main_of(COMMAND)
