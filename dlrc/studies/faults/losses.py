"""Savings, quality and latency when satellites are lost, by priority rule.

0, 1, 2, 4 of the satellites die while they code: the others have copied from their lists, so their references
dangle, and are repaired. Who dies is drawn, round by round, alike for all rules; or `who=first`: those that
own most, the highest in the order. Coding without DLRC is flown beside, with the same deaths. Writes
OUTPUT/losses-DIGEST/losses.csv."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from codec.models import registry
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from constellation.scenario.load import SCENARIO
from constellation.scenario.scenario import Scenario
from dlrc.local import Flight, Sides, fly, sides_of
from dlrc.studies.common.terms import FLOWN, refuse_estimates
from ground.records import Outcome, SatelliteRecord
from nodes.crew import Board, See
from nodes.process.board import load_board
from nodes.process.preflight import check_inputs
from nodes.wire.faults import Outage
from nodes.wire.stages import Stage, Step

_DRAWN = 0x105E5


class LossesKeys(Knobs):
    """Keys of this study."""

    windows: Annotated[int, Field(ge=1, le=10000)] = 4
    """rounds of every cell"""
    lost: Several[Annotated[int, Field(ge=0, le=1023)]] = (0, 1, 2, 4)
    """satellites that die in each round"""
    rules: Several[Literal["id", "link", "energy", "random", "balanced"]] = ("id", "link", "energy", "random")
    """of priority"""
    who: Literal["any", "first"] = "any"
    """dies: drawn; or the highest in the order"""


@dataclass(frozen=True)
class Row:
    """One cell of the table, over all rounds. saving_pct: of the bytes that the survivors sent, their
    independent streams against all that their images took, what was sent again included. downlink_s: mean
    simulated transmission of a survivor, sent again included. psnr_db: mean over the survivors' images."""

    rule: str
    exchange: str
    lost: int
    images: int
    exact: int
    repaired: int
    missing: int
    saving_pct: float
    psnr_db: float
    psnr_alone_db: float
    resent_bytes: int
    t_round_s: float
    downlink_s: float


def study(given: Given) -> None:
    """Fly every cell, print, write."""
    scenario, own = given.subject, given.own
    refuse_estimates(scenario.codec)
    if max(own.lost) >= scenario.satellites:
        raise UserError(f"lost={max(own.lost)}: expected less than satellites={scenario.satellites}")
    check_inputs(scenario)
    folder = make_folder(Path(scenario.output) / f"losses-{scenario.digest}")
    board, rows = load_board(scenario.codec), []
    see = seen_once(scenario, board)
    cells = [(rule, lost) for rule in own.rules for lost in own.lost]
    for rule, lost in watched(cells, "cells"):
        if rule == "balanced" and registry.sequential(scenario.codec.model, scenario.codec.context):
            continue
        ruled = with_rule(scenario, rule)
        rows.append(flown(ruled, looking(sides_of(ruled, board), see), lost, own))
    write_records(folder / "losses.csv", [asdict(row) for row in rows])
    print(table(rows))
    print(
        f"\n{scenario.codec.model}, {scenario.name}, {own.windows} rounds, who={own.who}: {folder}/losses.csv"
    )


def with_rule(scenario: Scenario, rule: str) -> Scenario:
    """The scenario under another rule."""
    return scenario.model_copy(update={"priority": scenario.priority.model_copy(update={"rule": rule})})


def seen_once(scenario: Scenario, board: Board) -> See:
    """What satellites see and code alone, kept: no rule and no loss changes it."""
    crew = sides_of(scenario, board).crew
    return functools.cache(lambda number, satellites: crew.see(number, satellites))


def looking(sides: Sides, see: See) -> Sides:
    """The same sides, with other eyes."""
    return replace(sides, crew=replace(sides.crew, see=see))


def flown(scenario: Scenario, sides: Sides, lost: int, own: LossesKeys) -> Row:
    """One cell: so many satellites lost in each round."""
    records: list[SatelliteRecord] = []
    rounds_s, missing = [], 0
    for number in range(own.windows):
        dying = who_dies(scenario, sides, number, lost, own.who)
        flight = struck(sides, number, dying)
        records += flight.landed.record.satellites
        rounds_s.append(flight.landed.record.t_round_s or 0.0)
        missing += scenario.satellites - lost - len(flight.landed.record.satellites)
    return row_of(scenario, lost, records, rounds_s, missing)


def who_dies(scenario: Scenario, sides: Sides, number: int, lost: int, who: str) -> list[int]:
    """Of a round: drawn, or the first of the order that all headers give."""
    if who == "first":
        order = list(fly(sides, number, decode=False).flown.accord.order)
        return order[:lost]
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([_DRAWN, scenario.seed, number])))
    return stream.permutation(scenario.satellites)[:lost].tolist()


def struck(sides: Sides, number: int, dying: Sequence[int]) -> Flight:
    """A round in which satellites die when their lists have been heard, and before they downlink."""
    gone = {one: [Outage(Stage(number, Step.DOWNLINK), number + 1)] for one in dying}
    return fly(Sides(sides.crew, sides.station, replace(sides.faults, outages=gone)), number)


def row_of(
    scenario: Scenario, lost: int, records: Sequence[SatelliteRecord], rounds_s: Sequence[float], missing: int
) -> Row:
    """Sums first, ratios last."""
    came = [one for one in records if one.outcome is not Outcome.LOST]
    alone = sum(one.independent.total for one in came)
    took = sum(one.dlrc.total + one.uncounted_bytes for one in came)
    both = [(one.quality_dlrc, one.quality_independent) for one in came]
    psnr = [(dlrc.psnr_db, plain.psnr_db) for dlrc, plain in both if dlrc and plain]
    return Row(
        rule=scenario.priority.rule,
        exchange=str(getattr(scenario.dlrc, "exchange", "signatures")),
        lost=lost,
        images=len(came),
        exact=sum(one.outcome in (Outcome.EXACT, Outcome.RESENT) for one in came),
        repaired=sum(one.outcome is Outcome.INDEPENDENT for one in came),
        missing=missing + len(records) - len(came) + sum(one.outcome is Outcome.INCOMPLETE for one in came),
        saving_pct=round(100 * (1 - took / alone), 2) if alone else 0.0,
        psnr_db=round(float(np.mean([pair[0] for pair in psnr])), 3) if psnr else 0.0,
        psnr_alone_db=round(float(np.mean([pair[1] for pair in psnr])), 3) if psnr else 0.0,
        resent_bytes=sum(one.ledger.resent for one in records),
        t_round_s=round(float(np.mean(rounds_s)), 5),
        downlink_s=round(float(np.mean(list(_downlinks(came)))), 6) if came else 0.0,
    )


def _downlinks(records: Sequence[SatelliteRecord]) -> Iterator[float]:
    """Seconds of each, with what was sent again at the same rate."""
    for one in records:
        if one.transmission_s is not None and one.ledger.first:
            yield one.transmission_s * (one.ledger.first + one.ledger.resent) / one.ledger.first


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    heads = "rule | lost | images | exact | repaired | gaps | saving | PSNR (alone) | sent again"
    heads += " | exchange | downlink"
    lines = [f"| {heads} |", "|" + " --- |" * 11]
    for row in rows:
        name = row.rule if row.exchange == "signatures" else f"{row.rule}, {row.exchange}"
        lines.append(
            f"| {name} | {row.lost} | {row.images} | {row.exact} | {row.repaired} | {row.missing} | "
            f"{row.saving_pct:.1f} % | {row.psnr_db:.2f} ({row.psnr_alone_db:.2f}) dB | "
            f"{row.resent_bytes} B | {1000 * row.t_round_s:.1f} ms | {1000 * row.downlink_s:.3f} ms |"
        )
    return "\n".join(lines)


COMMAND = Command(
    name="study losses",
    about=__doc__ or "",
    own=LossesKeys,
    work=study,
    subject=SCENARIO,
    honours=FLOWN,
    examples=("dlrc study losses scenario=dense", "dlrc study losses scenario=dense who=first lost=0,1"),
)

if __name__ == "__main__":
    main_of(COMMAND)
