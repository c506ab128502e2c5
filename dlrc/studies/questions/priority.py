"""What each priority rule does to the delivery of a round: who keeps how much, and when the last byte is on
the ground.

Per round and rule: the satellites nearest to the region capture `tiles` patches each, which overlap as in the
paper's section 4.1 (`capture.*`, dense by default; equal ground gives equal signatures, so this is the
oracle's deduplication, one pattern of overlap a round); the rule decides owners; each satellite queues its
kept vectors for its contacts with the ground station as computed from the orbits. Rounds are independent of
each other. Writes runs/priority-<digest>/: priority.csv (the table), rounds.csv (one row per rule, round and
satellite), scenario.yaml. Needs no torch.

    last byte    when the last satellite's last byte is down, hours after the capture
    own bytes    mean over the satellites of when their own last byte is down
    usable       mean over the satellites of when theirs and those of the owners they refer to are down
    90 % down    when nine tenths of the round's bytes are down"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_csv
from constellation.common.knobs import Knobs
from constellation.common.progress import watched
from constellation.links.topology import select_region
from constellation.orbit.orbits import Constellation, load_constellation
from constellation.passes.contacts import DAY_S, contact_windows, link_metric, next_contact
from constellation.passes.energy import energy_metric
from constellation.passes.queue import Service, last_byte_times_s, service_of
from constellation.priority import RoundHeader, assign_owners, priority_order
from constellation.scenario.load import SCENARIO, changed, write_scenario
from constellation.scenario.scenario import Scenario
from dlrc.studies.common.terms import STATION
from nodes.capture import ground_cells, patch_offset

RULES = ("id", "link", "energy", "random", "balanced")


class PriorityKeys(Knobs):
    """Keys of this study."""

    rounds: Annotated[int, Field(ge=1, le=1000)] = 12
    """captures, each delivered on its own"""
    every_s: Annotated[float, Field(ge=1, le=30 * DAY_S)] = 3600.0
    """between two captures"""
    tiles: Annotated[int, Field(ge=1, le=10**9)] = 100000
    """patches of a satellite in a round"""
    bits_per_vector: Annotated[float, Field(ge=0.01, le=1e5)] = 160.0
    """of a kept vector"""
    days: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    """of contacts after each capture"""


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `rounds` of the scenario is this study's."""

    scenario: Scenario
    every_s: float
    tiles: int
    bits_per_vector: float
    days: float

    @property
    def folder(self) -> Path:
        key = f"{self.scenario.digest} {self.every_s} {self.tiles} {self.bits_per_vector} {self.days}"
        return Path(self.scenario.output) / f"priority-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """One rule in one round; N satellites. bytes_kept: [N]. own_s: [N] last byte of each, after the capture;
    usable_s: [N]; inf = not within the windows."""

    rule: str
    round: int
    time_s: float
    members: np.ndarray
    order: tuple[int, ...]
    bytes_kept: np.ndarray
    own_s: np.ndarray
    usable_s: np.ndarray
    nine_tenths_s: float


def study(given: Given) -> None:
    """Deliver every round by every rule, print, write."""
    request = request_of(given)
    constellation = load_constellation(request.scenario.orbit)  # a bad file is told before any folder is made
    make_folder(request.folder)
    outcomes = [
        outcome
        for round_number in watched(range(request.scenario.rounds), "rounds")
        for outcome in fly(request, constellation, round_number)
    ]
    print(report(request, outcomes))
    write_tables(request, outcomes)
    print(f"\nwrote {request.folder}/ (priority.csv, rounds.csv, scenario.yaml)")


def request_of(given: Given) -> Request:
    """The keys as the study needs them."""
    own: PriorityKeys = given.own
    scenario = changed(given.subject, rounds=own.rounds)
    return Request(scenario, own.every_s, own.tiles, own.bits_per_vector, own.days)


def fly(request: Request, constellation: Constellation, round_number: int) -> list[Outcome]:
    """All rules on one round's captures and contacts."""
    scenario, ground = request.scenario, request.scenario.ground
    time_s = round_number * request.every_s
    members = select_region(
        constellation.positions_itrs_km(np.array([time_s]))[0], scenario.region, scenario.satellites
    )
    windows = contact_windows(constellation, ground, time_s, time_s + request.days * DAY_S, members)
    if not len(windows):
        raise UserError(
            f"ground.{ground.name}: none of the satellites {members.tolist()} rises above {ground.min_elevation_deg:g} deg there within "
            f"{request.days:g} days; expected a station that the orbits pass"
        )
    services = {
        who: service_of(constellation, windows, int(member), ground) for who, member in enumerate(members)
    }
    lists = signature_lists(scenario, round_number, len(members))
    metrics = {
        "link": link_metric(constellation, members, time_s, ground),
        "energy": energy_metric(constellation, members, time_s, scenario.energy),
    }
    rates = dict(enumerate(next_contact(constellation, members, time_s, ground).mean_rate_bps.tolist()))
    outcomes = []
    for rule in RULES:
        metric = metrics.get(rule, np.zeros(len(members)))
        headers = [
            RoundHeader(who, round_number, float(value), len(lists[who]), 0)
            for who, value in enumerate(metric)
        ]
        order = priority_order(rule, headers, scenario.seed, round_number)
        owners, _ = assign_owners(lists, range(len(members)), order, rule, rate_bps=rates)
        outcomes.append(deliver(request, rule, round_number, members, order, owners, services))
    return outcomes


def signature_lists(scenario: Scenario, round_number: int, satellites: int) -> list[np.ndarray]:
    """Each satellite's signatures: the ground cells below its patch, int64 [H * W] each."""
    corners = [
        patch_offset(scenario.capture, scenario.seed, round_number, satellite)
        for satellite in range(satellites)
    ]
    return [ground_cells(row, col, scenario.capture.patch_px).reshape(-1) for row, col in corners]


def deliver(
    request: Request,
    rule: str,
    round_number: int,
    members: np.ndarray,
    order: tuple[int, ...],
    owners: Sequence[np.ndarray],
    services: dict[int, Service],
) -> Outcome:
    """Queue what each satellite keeps, and find out when it is down."""
    time_s = round_number * request.every_s
    kept = np.array([(owner == who).sum() for who, owner in enumerate(owners)])
    sizes = kept * request.tiles * request.bits_per_vector / 8
    finish = last_byte_times_s(services, dict(enumerate(sizes.tolist())), time_s)
    own_s = np.array([finish[who] for who in range(len(members))]) - time_s
    usable_s = np.array([max(own_s[list({*owner.tolist(), who})]) for who, owner in enumerate(owners)])
    return Outcome(
        rule,
        round_number,
        time_s,
        members,
        order,
        sizes,
        own_s,
        usable_s,
        time_of_share(services, sizes, time_s, 0.9) - time_s,
    )


def time_of_share(services: dict[int, Service], sizes: np.ndarray, ready_s: float, share: float) -> float:
    """When this share of all bytes, of all satellites together, is on the ground (bisection, to a
    millisecond); inf where it never is."""
    end_s = max(float(service.end_s[-1]) for service in services.values() if len(service.end_s))

    def down(time_s: float) -> float:
        return sum(
            min(size, services[who].carried_bytes(time_s) - services[who].carried_bytes(ready_s))
            for who, size in enumerate(sizes)
        )

    wanted = share * sizes.sum()
    if down(end_s) < wanted:
        return np.inf
    low, high = ready_s, end_s
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if down(middle) >= wanted else (middle, high)
    return high


def report(request: Request, outcomes: Sequence[Outcome]) -> str:
    """The printed table: one row per rule, means over the rounds."""
    scenario, ground = request.scenario, request.scenario.ground
    first = [outcome for outcome in outcomes if outcome.rule == "id"]
    volume = np.mean([outcome.bytes_kept.sum() for outcome in first])
    every = (
        scenario.satellites
        * (scenario.capture.patch_px // 16) ** 2
        * request.tiles
        * request.bits_per_vector
        / 8
    )
    lines = [
        f"Priority rules: {scenario.satellites} satellites of {scenario.orbit.pattern if scenario.orbit.source == 'walker' else scenario.orbit.path}, "
        f"{scenario.rounds} rounds, station {ground.name}, window {scenario.capture.window_px} px",
        f"{volume / 1e9:.3g} GB a round after deduplication ({100 * (1 - volume / every):.1f} % less than {every / 1e9:.3g} GB), the same for every rule",
        "",
        "rule       busiest GB   last byte h   own bytes h   usable h   90 % down h   not delivered",
    ]
    for row in table(outcomes):
        lines.append(
            f"{row['rule']:9} {row['busiest_bytes'] / 1e9:11.3g}  {_hours(row['last_byte_s'])}  {_hours(row['own_s'])} {_hours(row['usable_s'], 10)} "
            f"{_hours(row['nine_tenths_s'], 13)}  {row['undelivered']:8d} of {len(first)}"
        )
    return "\n".join(
        lines
        + [
            f"(means over the rounds; not delivered: rounds whose last byte is not down within {request.days:g} days, left out of the times)"
        ]
    )


def table(outcomes: Sequence[Outcome]) -> list[dict]:
    """Per rule the means over its delivered rounds, seconds and bytes."""
    rows = []
    for rule in RULES:
        mine = [outcome for outcome in outcomes if outcome.rule == rule]
        done = [outcome for outcome in mine if np.isfinite(outcome.own_s).all()]
        mean = {
            name: float(np.mean(values)) if done else np.inf
            for name, values in (
                ("last_byte_s", [o.own_s.max() for o in done]),
                ("own_s", [o.own_s.mean() for o in done]),
                ("usable_s", [o.usable_s.mean() for o in done]),
                ("nine_tenths_s", [o.nine_tenths_s for o in done]),
            )
        }
        rows.append(
            {
                "rule": rule,
                "busiest_bytes": float(np.mean([o.bytes_kept.max() for o in mine])),
                **mean,
                "undelivered": len(mine) - len(done),
            }
        )
    return rows


def _hours(seconds: float, width: int = 12) -> str:
    return f"{seconds / 3600:{width}.3f}" if np.isfinite(seconds) else f"{'never':>{width}}"


def write_tables(request: Request, outcomes: Sequence[Outcome]) -> None:
    """priority.csv and rounds.csv."""
    rows = table(outcomes)
    write_csv(
        request.folder / "priority.csv",
        list(rows[0]),
        [
            [value if isinstance(value, (str, int)) else f"{value:.3f}" for value in row.values()]
            for row in rows
        ],
    )
    write_csv(
        request.folder / "rounds.csv",
        [
            "rule",
            "round",
            "time_s",
            "satellite",
            "constellation_index",
            "rank",
            "bytes_kept",
            "own_s",
            "usable_s",
        ],
        [
            [
                o.rule,
                o.round,
                f"{o.time_s:.3f}",
                who,
                int(o.members[who]),
                o.order.index(who),
                f"{o.bytes_kept[who]:.0f}",
                f"{o.own_s[who]:.3f}",
                f"{o.usable_s[who]:.3f}",
            ]
            for o in outcomes
            for who in range(len(o.members))
        ],
    )
    write_scenario(request.scenario, request.folder / "scenario.yaml")


COMMAND = Command(
    name="study priority",
    about=__doc__,
    own=PriorityKeys,
    work=study,
    subject=SCENARIO,
    honours=("name", "seed", "satellites", "output", "orbit", "region", *STATION, "energy", "capture"),
    default="edge_space_com",
    examples=("dlrc study priority rounds=4", "dlrc study priority ground.latitude_deg=67 days=2"),
)

if __name__ == "__main__":
    main_of(COMMAND)
