"""What each priority rule does to the delivery of a round: who keeps how much, and when the last byte is on
the ground.

Per round and rule: the satellites nearest to the region capture `tiles` patches each, which overlap as in the
paper's section 4.1 (`capture.*`, dense by default; equal ground gives equal signatures, so this is the
oracle's deduplication, one pattern of overlap a round); the rule decides owners; each satellite queues its
kept vectors for its contacts with the ground station as computed from the orbits. Rounds are independent of
each other; within one, everybody is taken to hear everybody, whatever the links. With `region.rule=footprint`
fewer satellites than asked for may see the region, or none: savings count who takes part. Writes
runs/priority-<digest>/: index.html, a page that sets the rules side by side, with rule=module:function yours
among them; priority.csv (the table), rounds.csv (one row per rule, round and satellite), priority.json,
priority.png, scenario.yaml. Needs no torch.

    last byte    when the last satellite's last byte is down, hours after the capture
    own bytes    mean over the satellites of when their own last byte is down
    usable       mean over the satellites of when theirs and those of the owners they refer to are down
    90 % down    when nine tenths of the round's bytes are down"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_csv
from constellation.common.knobs import Knobs
from constellation.common.progress import watched
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import DAY_S
from constellation.priority import check_rule
from constellation.scenario.load import SCENARIO, changed, write_scenario
from constellation.sync.series import constellation_label
from dlrc.studies.common.terms import STATION
from dlrc.studies.lab.priority_page import Told, tell
from dlrc.studies.questions.priority_rounds import RULES, Outcome, Request, bytes_before, fly, vectors_of

MAX_ENTRIES = 20_000_000  # signatures of a round, sorted at once: 1.5 GB


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
    rule: str = ""
    """of your own, module:function, beside the shipped ones"""
    trust: bool = False
    """run the code of that rule"""


def study(given: Given) -> None:
    """Deliver every round by every rule, print, write."""
    request = request_of(given)
    constellation = load_constellation(request.scenario.orbit)  # a bad file is told before any folder is made
    make_folder(request.folder)
    outcomes = [
        outcome
        for number in watched(range(request.scenario.rounds), "rounds")
        for outcome in fly(request, constellation, number)
    ]
    if not outcomes:
        raise UserError(
            "region: no satellite sees it in any round, expected a larger region.max_off_nadir_deg, another "
            "point, or rule=nearest"
        )
    print("\n".join([report(request, outcomes), *constellation.notes]))
    write_tables(request, outcomes)
    page = tell(Told(request, tuple(outcomes), tuple(table(outcomes)), given), constellation.epoch)
    print(f"\nwrote {request.folder}/ (priority.csv, rounds.csv, scenario.yaml); the page: {page}")


def request_of(given: Given) -> Request:
    """The keys as the study needs them. Raises `UserError` for more signatures than memory holds."""
    own: PriorityKeys = given.own
    scenario = changed(given.subject, rounds=own.rounds)
    entries = scenario.satellites * vectors_of(scenario.capture)
    if entries > MAX_ENTRIES:
        raise UserError(
            f"satellites={scenario.satellites} capture.patch_px={scenario.capture.patch_px}: {entries} "
            f"signatures a round, expected at most {MAX_ENTRIES}"
        )
    if own.rule and not own.trust:
        raise UserError(f"rule={own.rule}: is code; trust=true on the command line runs it")
    if own.rule:
        check_rule(own.rule)
    mine = own.rule if own.rule not in RULES else ""
    return Request(scenario, own.every_s, own.tiles, own.bits_per_vector, own.days, mine)


def report(request: Request, outcomes: Sequence[Outcome]) -> str:
    """The printed table: one row per rule, means over the rounds."""
    scenario, ground = request.scenario, request.scenario.ground
    first = [outcome for outcome in outcomes if outcome.rule == "id"]  # all rules keep each signature once
    volume, every = np.mean([outcome.bytes_kept.sum() for outcome in first]), bytes_before(request, first)
    wide = max(9, *(len(rule) for rule in request.rules))
    lines = [
        f"Priority rules: {scenario.satellites} satellites of {constellation_label(scenario.orbit)}, "
        f"{scenario.rounds} rounds, station {ground.name}, window {scenario.capture.window_px} px",
        *_attendance(first, scenario.rounds, scenario.satellites),
        f"{volume / 1e9:.3g} GB a round after deduplication ({100 * (1 - volume / every):.1f} % less than "
        f"{every / 1e9:.3g} GB), the same for every rule",
        "",
        f"{'rule':{wide}}  busiest GB   last byte h   own bytes h   usable h   90 % down h   not delivered",
    ]
    for row in table(outcomes):
        lines.append(
            f"{row['rule']:{wide}} {row['busiest_bytes'] / 1e9:11.3g}  {_hours(row['last_byte_s'])}  "
            f"{_hours(row['own_s'])} {_hours(row['usable_s'], 10)} {_hours(row['nine_tenths_s'], 13)}  "
            f"{row['undelivered']:8d} of {len(first)}"
        )
    lines += [
        "(means over the rounds; not delivered: rounds whose last byte is not down within "
        f"{request.days:g} days, left out of the times; delivery: through the contacts that the orbits give, "
        "one queue a satellite with this round alone in it, an antenna at the station for each)"
    ]
    return "\n".join(lines)


def _attendance(seen: Sequence[Outcome], rounds: int, satellites: int) -> list[str]:
    """A note where fewer satellites than asked for take part. seen: the rounds that somebody sees."""
    present = [len(outcome.members) for outcome in seen] + [0] * (rounds - len(seen))
    if min(present) == satellites:
        return []
    return [
        f"note: {np.mean(present):.1f} satellites on average see the region ({min(present)} to "
        f"{max(present)}), of {satellites} asked for; rounds that nobody sees "
        f"({present.count(0)}) count nowhere"
    ]


def table(outcomes: Sequence[Outcome]) -> list[dict]:
    """Per rule the means over its delivered rounds, seconds and bytes."""
    rows = []
    for rule in dict.fromkeys(outcome.rule for outcome in outcomes):
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
                "fairness": _mean([o.fairness for o in mine]),
                "energy_j": _mean([o.energy_j.sum() for o in mine]),
                "lowest_charge": _mean([o.charge.min() for o in mine]),
                "lost_bytes": float(np.mean([o.lost_bytes.mean() for o in mine])),
                "lost_bytes_worst": float(np.mean([o.lost_bytes.max() for o in mine])),
                "undelivered": len(mine) - len(done),
            }
        )
    return rows


def _mean(figures: Sequence[float]) -> float:
    """Of what is defined; nan where nothing is."""
    known = [figure for figure in figures if np.isfinite(figure)]
    return float(np.mean(known)) if known else np.nan


def _hours(seconds: float, width: int = 12) -> str:
    return f"{seconds / 3600:{width}.3f}" if np.isfinite(seconds) else f"{'never':>{width}}"


def write_tables(request: Request, outcomes: Sequence[Outcome]) -> None:
    """priority.csv and rounds.csv."""
    rows = table(outcomes)
    write_csv(
        request.folder / "priority.csv",
        list(rows[0]),
        [
            [
                value if isinstance(value, (str, int)) else f"{value:.3f}" if np.isfinite(value) else ""
                for value in row.values()
            ]
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
            "energy_j",
            "charge_after",
            "lost_bytes",
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
                f"{o.energy_j[who]:.3f}" if np.isfinite(o.energy_j[who]) else "",
                f"{o.charge[who]:.6f}" if np.isfinite(o.charge[who]) else "",
                f"{o.lost_bytes[who]:.0f}",
            ]
            for o in outcomes
            for who in range(len(o.members))
        ],
    )
    write_scenario(request.scenario, request.folder / "scenario.yaml")


COMMAND = Command(
    name="study priority",
    about=__doc__ or "",
    own=PriorityKeys,
    work=study,
    subject=SCENARIO,
    honours=("name", "seed", "satellites", "output", "orbit", "region", *STATION, "energy", "capture"),
    default="edge_space_com",
    examples=("dlrc study priority rounds=4", "dlrc study priority ground.latitude_deg=67 days=2"),
)

if __name__ == "__main__":
    main_of(COMMAND)
