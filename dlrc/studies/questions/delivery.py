"""When a run's pictures are on the ground: its streams through passes, stations, weather and loss, by rule.

Every stream that a run sent waits on board for a pass, goes down in the manner of CCSDS CFDP class 2 (lost
segments are asked for and sent again), and its picture is usable when it and the streams of those that it
copies from are complete. The queue on board follows each of the `orders`; a row of independent streams
stands beside them. run=FOLDER takes a stored run; without, the scenario is flown here, once for each of the
priority rules in `rules`. One stream stands for `tiles` like it. Bytes sent = received + lost is checked
file by file, and printed where it is not so. Writes runs/delivery-<digest>/: delivery.csv (the table),
files.csv, summary.json, delivery.png, scenario.yaml.

    first      from the first file's readiness to the first usable picture, hours
    mean       of a picture, from its own readiness
    all        to the last one
    usable     pictures that ever are
    again      file bytes sent on request, MB; lost: on the link; dropped: by a full store"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records, write_text
from constellation.common.knobs import build, overlay
from constellation.common.progress import watched
from constellation.links.pruning import LinkRules
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import DAY_S
from constellation.passes.delivery.account import Account
from constellation.passes.delivery.antennas import Passes
from constellation.passes.delivery.contacts import contacts_between, skies
from constellation.passes.delivery.relays import relays_over
from constellation.passes.delivery.rules import File, Order, TransferKnobs, check_files
from constellation.passes.delivery.simulate import deliver
from constellation.scenario.load import SCENARIO, changed, write_scenario
from constellation.scenario.scenario import Scenario
from dlrc.store.results import Run
from dlrc.studies.common.terms import FLOWN
from dlrc.studies.questions.delivery_files import files_of
from dlrc.studies.questions.delivery_report import drawn, file_rows, report, rows


class DeliveryKeys(TransferKnobs):
    """Keys of this study."""

    run: str = ""
    """folder of a stored run, instead of flying the scenario"""
    rules: tuple[str, ...] = ()
    """priority rules to fly the scenario with, id,link,...; none: its own"""
    tiles: Annotated[int, Field(ge=1, le=10**9)] = 10000
    """streams that each one stands for"""
    days: Annotated[float, Field(ge=0.01, le=30)] = 1.0
    """of passes after the first capture"""


@dataclass(frozen=True)
class Delivered:
    """One way of a delivery. kept_by: the priority rule that the run was flown with; coding: dlrc or
    independent."""

    kept_by: str
    coding: str
    account: Account


def study(given: Given) -> None:
    """Fly or read, deliver, print, write."""
    own: DeliveryKeys = given.own
    runs = _runs(given)
    scenario = runs[0].scenario
    folder = make_folder(Path(scenario.output) / f"delivery-{_digest(given, scenario)}")
    delivered = [one for run in runs for one in deliver_run(run, scenario, own)]
    print(report(scenario, own, delivered))
    write_records(folder / "delivery.csv", rows(delivered))
    write_records(folder / "files.csv", file_rows(delivered))
    write_text(folder / "summary.json", json.dumps(rows(delivered), indent=2) + "\n")
    write_scenario(scenario, folder / "scenario.yaml")
    drawn(scenario, own, delivered, folder / "delivery.png")
    print(f"\nwrote {folder}/ (delivery.csv, files.csv, summary.json, delivery.png, scenario.yaml)")
    faults = [line for one in delivered for line in one.account.faults]
    if faults:
        raise UserError(f"the account does not add up: {faults[0]}" + " ..." * (len(faults) > 1))


def deliver_run(run: Run, scenario: Scenario, own: DeliveryKeys) -> list[Delivered]:
    """Every order of the queue, and independent streams in the first of them."""
    ways: list[tuple[str, Order]] = [("dlrc", order) for order in own.orders]
    ways.append(("independent", own.orders[0]))
    files = {coding: files_of(run, coding, own.tiles) for coding in ("dlrc", "independent")}
    check_files(files["dlrc"])
    passes = passes_of(scenario, files["dlrc"], own)
    return [
        Delivered(
            run.scenario.priority.rule, coding, deliver(files[coding], passes, own, order, scenario.seed)
        )
        for coding, order in watched(ways, "orders of the queue")
    ]


def passes_of(scenario: Scenario, files: Sequence[File], own: DeliveryKeys) -> Passes:
    """All contacts of those that hold files, or of everybody where data is relayed. Raises `UserError` where
    nobody ever passes a station."""
    constellation = load_constellation(scenario.orbit)
    begin_s = min(file.ready_s for file in files)
    span_s = (float(np.floor(begin_s)), float(np.floor(begin_s)) + own.days * DAY_S)
    relayed = own.relay == "links"
    who = range(len(constellation)) if relayed else sorted({file.satellite for file in files})
    contacts = [
        contact
        for sky in skies(scenario.ground, own, scenario.seed, span_s)
        for contact in contacts_between(constellation, list(who), sky, own, span_s)
    ]
    if not contacts:
        names = ", ".join(station.name for station in scenario.ground.each)
        raise UserError(
            f"ground: none of the satellites passes {names} within {own.days:g} days; expected a station "
            "that the orbits pass (ground.stations=, ground.latitude_deg=), more days=, or relay=links"
        )
    rules = LinkRules(scenario.topology, scenario.link, scenario.sync)
    return Passes(
        tuple(sorted(contacts, key=lambda one: (one.begin_s, one.satellite, one.station))),
        tuple(station.antennas for station in scenario.ground.each),
        span_s[1],
        relays_over(constellation, rules, Passes.relay_s) if relayed else None,
    )


def _runs(given: Given) -> list[Run]:
    """The stored run with the command line's stations, or the scenario flown by each rule."""
    import dlrc

    own: DeliveryKeys = given.own
    if not own.run:
        rules = own.rules or (given.subject.priority.rule,)
        scenarios = [changed(given.subject, priority={"rule": rule}) for rule in rules]
        return [dlrc.run(scenario) for scenario in scenarios]
    foreign = [
        word for word in given.words if not word.startswith(("ground.", "output=", "link.", "topology."))
    ]
    if own.rules or foreign:
        raise UserError(
            f"run={own.run}: was flown already, so {foreign[0] if foreign else 'rules='} changes nothing; "
            "ground., link. and topology. words do"
        )
    run = dlrc.open(own.run)
    values = overlay(run.scenario.model_dump(by_alias=True), given.words, Scenario)
    return [Run(build(Scenario, values), run.facts, run.rounds, run.gallery)]


def _digest(given: Given, scenario: Scenario) -> str:
    text = f"{scenario.digest} {given.own.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


COMMAND = Command(
    name="study delivery",
    about=__doc__ or "",
    own=DeliveryKeys,
    work=study,
    subject=SCENARIO,
    honours=(*FLOWN, "rounds", "ground"),
    default="smoke",
    examples=(
        "dlrc study delivery run=runs/dense-0123abcd ground.stations=Svalbard,Matera weather=rain",
        "dlrc study delivery scenario=dense rules=id,link storage_mib=64 drop=largest",
        "dlrc study delivery relay=links ground.antennas=1",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
