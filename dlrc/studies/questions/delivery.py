"""When a run's pictures are on the ground: its streams through passes, stations, weather and loss, by rule.

Streams go down as files of CCSDS CFDP class 2; a picture is usable when its stream and those that it copies
from are complete. A row for each of the queue's `orders`, and one of independent streams. Without run= the
scenario is flown here, once for each of `rules`. Hours from readiness to the first, mean, last usable
picture; bytes sent = received + lost is checked. Writes runs/delivery-<digest>/: delivery.csv, files.csv,
summary.json, delivery.png, scenario.yaml."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError, naming
from constellation.common.files import make_folder, write_records, write_text
from constellation.common.knobs import build, overlay
from constellation.common.progress import watched
from constellation.formats.plan import PlanContact, read_plan
from constellation.links.pruning import LinkRules
from constellation.orbit.frames import parse_epoch
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import DAY_S
from constellation.passes.delivery.antennas import Passes
from constellation.passes.delivery.contacts import contacts_between, skies
from constellation.passes.delivery.link import Contact
from constellation.passes.delivery.relays import relays_over
from constellation.passes.delivery.rules import File, Order, check_files
from constellation.passes.delivery.simulate import deliver
from constellation.scenario.load import SCENARIO, changed, write_scenario
from constellation.scenario.scenario import Scenario
from dlrc.store.results import Run
from dlrc.studies.common.terms import FLOWN
from dlrc.studies.questions.delivery_files import Delivered, DeliveryKeys, files_of
from dlrc.studies.questions.delivery_report import drawn, file_rows, report, rows


def study(given: Given) -> None:
    """Fly or read, deliver, print, write."""
    own: DeliveryKeys = given.own
    if own.plan:
        plan_of(own, given.subject.orbit.epoch)  # refused before anything is flown
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
    if own.plan:
        return planned_passes(scenario, own, len(constellation), span_s)
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


def plan_of(own: DeliveryKeys, epoch: str) -> tuple[PlanContact, ...]:
    """The contacts of the plan that `plan=` names, from an epoch on. Raises `UserError`, also for rain and
    relays, of which a plan says nothing."""
    if own.weather != "clear" or own.relay != "none":
        raise UserError(f"plan={own.plan}: says who meets whom; expected weather=clear and relay=none")
    return naming("plan")(read_plan)(own.plan, parse_epoch(epoch))


def planned_passes(
    scenario: Scenario, own: DeliveryKeys, satellites: int, span_s: tuple[float, float]
) -> Passes:
    """The passes of a contact plan, whose nodes are the satellites and then the stations. Raises `UserError`
    for nodes that there are not."""
    stations = scenario.ground.each
    contacts = []
    for one in plan_of(own, scenario.orbit.epoch):
        if max(one.source, one.target) > satellites + len(stations):
            raise UserError(
                f"plan={own.plan}: node {max(one.source, one.target)}, expected {satellites} satellites and "
                f"{len(stations)} stations (ground.stations=)"
            )
        if one.source <= satellites < one.target:
            edges_s, who = np.array([one.begin_s, one.end_s]), one.source - 1
            rate, loss = np.array([one.rate_bps]), np.array([own.unit_loss])
            station = one.target - satellites - 1
            contacts.append(Contact(who, station, who, edges_s, rate, loss, one.delay_s, own.unit_loss))
    return Passes(tuple(contacts), tuple(station.antennas for station in stations), span_s[1])


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
    run = naming("run")(dlrc.open)(own.run)
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
    examples=("dlrc study delivery run=runs/dense-0123abcd ground.stations=Svalbard,Matera weather=rain",),
)

if __name__ == "__main__":
    main_of(COMMAND)
