"""From the faults that a scenario asks for to what goes wrong at which stage: pure, so every process makes
the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from constellation.scenario.faults import STAGE_NAMES, Event, FaultKnobs
from constellation.scenario.network import GroundKnobs
from nodes.wire.faults import Faults, Outage
from nodes.wire.stages import Stage, Step

STEPS = {
    "capture": Step.HEADERS,
    "exchange": Step.EXCHANGE,
    "coding": Step.DOWNLINK,
    "downlink": Step.DOWNLINK,
}
_DRAWN = 0xFA17  # stream of random numbers of its own


def events_of(knobs: FaultKnobs, satellites: int, rounds: int, step_s: float) -> tuple[Event, ...]:
    """All faults of a run, by round: those that are listed, and those that are drawn. step_s: simulated
    seconds from round to round."""
    listed = [_dated(event, step_s) for event in knobs.events]
    drawn = _drawn(knobs, satellites, rounds) if knobs.rate else ()
    here = [event for event in (*listed, *drawn) if event.satellite < satellites and event.round < rounds]
    return tuple(sorted(here, key=lambda event: (event.round, event.satellite)))


def faults_of_run(
    knobs: FaultKnobs, ground: GroundKnobs, size: tuple[int, int], step_s: float, seed: int
) -> Faults:
    """All that goes wrong in a run. size: satellites and rounds. seed: of the run."""
    return faults_of(knobs, ground, seed, events_of(knobs, *size, step_s))


def _dated(event: Event, step_s: float) -> Event:
    if event.time_s is None:
        return event
    return event.model_copy(update={"round": int(event.time_s // step_s), "time_s": None})


def _drawn(knobs: FaultKnobs, satellites: int, rounds: int) -> Iterator[Event]:
    """One at most for each satellite and round."""
    for number in range(rounds):
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([_DRAWN, knobs.seed, number])))
        struck = np.flatnonzero(stream.random(satellites) < knobs.rate)
        for satellite in struck.tolist():
            kind, stage = knobs.kinds[int(stream.integers(len(knobs.kinds)))], int(stream.integers(4))
            peer = int(stream.integers(satellites))
            yield Event(
                kind=kind,
                satellite=satellite,
                round=number,
                stage=STAGE_NAMES[stage],  # type: ignore[arg-type]
                rounds=int(stream.integers(1, 4)),
                seconds=float(stream.exponential(knobs.deadline_s)),
                peer=peer if peer != satellite else -1,
            )


def faults_of(knobs: FaultKnobs, ground: GroundKnobs, seed: int, events: Iterable[Event]) -> Faults:
    """What goes wrong: `ground.stream_loss`, `ground.silent_satellite`, and a run's events."""
    silent = ground.silent_satellite
    outages: dict[int, list[Outage]] = {}
    cut, damaged = set(), set()
    deaf: dict[tuple[int, Stage], int] = {}
    lies: dict[Stage, dict[int, float]] = {}
    waits: dict[Stage, float] = {}

    def wait(stage: Stage, seconds: float) -> None:
        if stage.step.gathers:
            waits[stage] = max(waits.get(stage, 0.0), min(seconds, knobs.deadline_s))

    for event in events:
        who, stage = event.satellite, Stage(event.round, STEPS[event.stage])
        if event.kind in ("dies", "hangs", "reboots"):
            begins = stage
            if (
                event.stage == "downlink"
            ):  # in the midst of it: what it sent is cut short, and it answers no more
                damaged.add((who, stage))
                begins = Stage(event.round, Step.REQUEST)
            back = {"dies": None, "hangs": event.round + 1, "reboots": event.round + 1 + event.rounds}[
                event.kind
            ]
            outages.setdefault(who, []).append(Outage(begins, back))
            wait(stage, knobs.deadline_s)
        elif event.kind == "corrupts":
            damaged.add((who, stage))
            if event.stage == "coding":  # what it keeps is wrong, too; its independent stream is another
                damaged.add((who, Stage(event.round, Step.ANSWER)))
        elif event.kind == "late":
            wait(stage, event.seconds)
            if event.seconds > knobs.deadline_s:
                cut.add((who, stage))
        elif event.kind == "cut":
            cut.add((who, Stage(event.round, Step.EXCHANGE)))
            deaf[who, Stage(event.round, Step.EXCHANGE)] = -1
        elif event.kind == "partial":
            deaf[who, Stage(event.round, Step.EXCHANGE)] = event.peer
        else:
            lies.setdefault(Stage(event.round, Step.HEADERS), {})[who] = event.metric
    return Faults(
        mute=frozenset({silent} if silent >= 0 else ()),
        loss=ground.stream_loss,
        seed=seed,
        outages=outages,
        cut=frozenset(cut),
        damaged=frozenset(damaged),
        deaf=deaf,
        lies=lies,
        waits=waits,
    )
