"""Rounds flown in this process: all satellites as one crew, and the ground, in lock-step.

Studies, benchmarks, notebooks and `dlrc.run` fly with this. Its streams are those of a launched run: what
carries the messages is all that differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from constellation.common.frozen import value
from constellation.common.knobs import build, overlay
from constellation.common.text import plain_number
from constellation.scenario.load import load_scenario
from constellation.scenario.scenario import Scenario
from dlrc.store.recall import remember
from dlrc.store.recording import Recording
from dlrc.store.results import Run
from ground.account import Landed
from ground.decoder import NOTHING, parse
from ground.receive import receive
from ground.round import Station, hear_round, station_of
from nodes.crew import Crew, Flown
from nodes.messages import Orders
from nodes.process.board import Board
from nodes.process.preflight import check_inputs
from nodes.round import crew_of, fly_round
from nodes.wire.faults import Faults
from nodes.wire.protocol import together
from nodes.wire.schedule import faults_of_run
from nodes.wire.stages import GROUND, Send, Side, Stage, Step


@value
class Sides:
    """Who flies a scenario's rounds: a crew of all satellites, the ground, and what goes wrong between
    them."""

    crew: Crew
    station: Station
    faults: Faults


@value
class Flight:
    """One round: what the crew has after it, and what the ground made of it."""

    number: int
    flown: Flown
    landed: Landed


def run(scenario: str | Scenario, **overrides: Any) -> Run:
    """Fly a run in this process: the records, streams and pictures of the same run under torchrun.

        run("dense", rounds=1, **{"dlrc.k": 12, "scene.path": "city.tif"})

    scenario: the name of a shipped one, a YAML file, or a `Scenario`. overrides: knobs by dotted name; a
    section takes a dictionary, too. With `output` among them the run is kept in a folder below it, as a
    launched one is; else in memory. Raises `UserError`.
    """
    return kept(_scenario(scenario, list(_words(overrides))), stored="output" in overrides)


def kept(asked: Scenario, stored: bool = True, say: Callable[[str], None] | None = None) -> Run:
    """Fly a scenario in this process and keep it, in a folder below its `output` where it is stored. say:
    takes the lines that a console shows. Raises `UserError`."""
    began_s = time.monotonic()
    check_inputs(asked)
    with Recording(asked, stored, say or (lambda _line: None)) as recording:
        sides = sides_of(asked)
        recording.begin(sides.crew.board)
        for memory in (sides.crew.memory, sides.station.memory):
            remember(memory, asked, sides.crew.board, recording.next)
        for number in range(recording.next, asked.rounds):
            recording.add(fly(sides, number).landed)
        return recording.finish(began_s, processes=False)


def _scenario(scenario: str | Scenario, words: list[str]) -> Scenario:
    if isinstance(scenario, str):
        return load_scenario(scenario, words)
    return build(Scenario, overlay(scenario.model_dump(by_alias=True), words, Scenario))


def _words(overrides: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Overrides as one would type them: one way in for all that checks them."""
    for name, given in overrides.items():
        if isinstance(given, dict):
            yield from _words(given, f"{prefix}{name}.")
        elif isinstance(given, bool):
            yield f"{prefix}{name}={str(given).lower()}"
        elif isinstance(given, (int, float)):
            yield f"{prefix}{name}={plain_number(given)}"
        else:
            yield f"{prefix}{name}={given}"


def sides_of(scenario: Scenario, board: Board | None = None) -> Sides:
    """The sides of a scenario. board: a loaded codec, shared by many scenarios, else that of the knobs.
    Raises `UserError`."""
    crew = crew_of(scenario, range(scenario.satellites), board)
    station = station_of(crew.board, scenario)
    return Sides(crew, station, faults_of_scenario(scenario))


def faults_of_scenario(scenario: Scenario) -> Faults:
    """What goes wrong in a run of a scenario."""
    size = scenario.satellites, scenario.rounds
    return faults_of_run(scenario.faults, scenario.ground, size, scenario.orbit.step_s, scenario.seed)


def fly(sides: Sides, number: int, decode: bool = True) -> Flight:
    """Fly round `number`. decode=False: the ground reads containers and maps alone, for their bytes; it has
    no latents, no images, and its record says that all is lost."""
    listens = hear_round if decode else skim
    crew = sides.crew
    done = together(
        {crew.numbers: fly_round(crew, number), GROUND: listens(sides.station, number)}, sides.faults
    )
    return Flight(number, done[crew.numbers], done[GROUND])


def flights(sides: Sides, rounds: int) -> Iterator[Flight]:
    """The first rounds, one after the other."""
    for number in range(rounds):
        yield fly(sides, number)


def skim(station: Station, number: int) -> Side[Landed]:
    """The ground's side of a round that it does not decode: it accepts what can be read."""
    downlink = yield Send(Stage(number, Step.DOWNLINK))
    arrived = receive(number, downlink, (yield Send(Stage(number, Step.WITNESS))))
    decoded, alone = (parse(station.board, streams) for streams in (arrived.streams, arrived.alone))
    accepted = frozenset(satellite for satellite, _ in decoded.streams)
    orders = Orders(accepted=accepted)
    yield Send(Stage(number, Step.REQUEST), {GROUND: orders.pack()})
    return Landed(arrived, decoded, NOTHING, alone, {}, {})
