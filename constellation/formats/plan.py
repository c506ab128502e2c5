"""Contact plans: who can talk to whom, when, how fast; for ION, HDTN and the D3TN tools, and back.

Satellites are nodes 1 to S in the order of the constellation, stations the nodes after them. A contact is one
direction; links and passes are two each. Rates are those that a clear sky gives, mean over a pass; times are
seconds after the epoch. ION counts bytes and whole seconds, HDTN bits and whole seconds: contacts are cut to
the seconds inside them."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import accumulate
from operator import itemgetter
from pathlib import Path

from constellation.common.errors import UserError
from constellation.common.frozen import value

MAX_FILE_BYTES = 64 << 20
_ION_TIME = re.compile(r"\d{4}/\d{1,2}/\d{1,2}-\d{2}:\d{2}:\d{2}", re.ASCII)


@value
class PlanContact:
    """One direction. source, target: nodes, 1 the first; delay_s: one way."""

    source: int
    target: int
    begin_s: float
    end_s: float
    rate_bps: float
    delay_s: float


@value
class Plan:
    """names: of the nodes, the first being node 1. contacts: by begin, source and target. satellites: how
    many of the nodes are satellites."""

    names: tuple[str, ...]
    contacts: tuple[PlanContact, ...]
    epoch: datetime
    satellites: int


def both_ways(
    ends: tuple[int, int], span_s: tuple[float, float], rate_bps: float, delay_s: float
) -> list[PlanContact]:
    """A link as two contacts."""
    a, b = ends
    return [PlanContact(*pair, *span_s, rate_bps, delay_s) for pair in ((a, b), (b, a))]


def sorted_plan(
    names: Iterable[str], contacts: Iterable[PlanContact], epoch: datetime, satellites: int
) -> Plan:
    """The plan, its contacts in order."""
    order = sorted(contacts, key=lambda c: (c.begin_s, c.source, c.target, c.end_s))
    return Plan(tuple(names), tuple(order), epoch, satellites)


# ---------------------------------------------------------------- writing


def ion_plan(plan: Plan) -> str:
    """Commands of ION's `ionadmin`: absolute times in UTC, bytes per second, light time in whole seconds."""
    lines = [f"# {number} {' '.join(name.split())}" for number, name in enumerate(plan.names, start=1)]
    for one in plan.contacts:
        whole = _whole(one)
        if whole:
            begin, end = (_ion_time(plan.epoch + timedelta(seconds=s)) for s in whole)
            nodes = f"{one.source} {one.target}"
            lines.append(f"a contact {begin} {end} {nodes} {int(one.rate_bps / 8)} 1.0")
            lines.append(f"a range {begin} {end} {nodes} {round(one.delay_s)}")
    return "\n".join(lines) + "\n"


def hdtn_plan(plan: Plan) -> str:
    """HDTN's contact plan: seconds after the epoch, bits per second, light time in whole seconds."""
    cut = [one for one in plan.contacts if _whole(one)]
    contacts = [
        {
            "contact": number,
            "source": one.source,
            "dest": one.target,
            "startTime": whole[0],
            "endTime": whole[1],
            "rateBitsPerSec": int(one.rate_bps),
            "owlt": round(one.delay_s),
        }
        for number, (one, whole) in enumerate(zip(cut, map(_whole, cut), strict=True))
        if whole
    ]
    rows = ",\n".join(json.dumps(row) for row in contacts)
    return '{"contacts": [\n' + rows + "\n]}\n"


def tvg_plan(plan: Plan) -> str:
    """A factual time-varying graph of dtn-tvg-util, which aiodtnsim flies: exact times and delays."""
    edges: dict[tuple[str, str], list[list]] = {}
    nodes = [f"{number}" for number in range(1, len(plan.names) + 1)]
    for one in plan.contacts:
        key = (str(one.source), str(one.target))
        rates = [[one.begin_s, one.rate_bps, 0.0, one.delay_s]]
        edges.setdefault(key, []).append([*key, one.begin_s, one.end_s, rates])
    vertices = {node: sorted({b for a, b in edges if a == node}) for node in nodes}
    rows = [{"vertices": list(key), "contacts": contacts} for key, contacts in edges.items()]
    return json.dumps({"vertices": vertices, "edges": rows, "contact_type": "Contact_v2"}) + "\n"


def _whole(one: PlanContact) -> tuple[int, int] | None:
    begin_s, end_s = math.ceil(one.begin_s - 1e-9), math.floor(one.end_s + 1e-9)
    return (begin_s, end_s) if end_s > begin_s and one.rate_bps >= 8 else None


def _ion_time(moment: datetime) -> str:
    return moment.strftime("%Y/%m/%d-%H:%M:%S")


# ---------------------------------------------------------------- reading


def read_plan(path: str, epoch: datetime) -> tuple[PlanContact, ...]:
    """The contacts of an ION or an HDTN plan; the notation is told by its first characters. epoch: of second
    0. ION's light times apply to the contacts that they cover. Raises `UserError` that names file and
    line."""
    try:
        size = Path(path).stat().st_size
        text = Path(path).read_bytes()[: MAX_FILE_BYTES + 1].decode("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or 'not a text file'}") from None
    if size > MAX_FILE_BYTES:
        raise UserError(f"{path}: {size} bytes, expected at most {MAX_FILE_BYTES}")
    found = _read_hdtn(text, path) if text.lstrip().startswith("{") else _read_ion(text, path, epoch)
    if not found:
        raise UserError(f"{path}: no contacts, expected a plan of ION or HDTN")
    return tuple(sorted(found, key=lambda c: (c.begin_s, c.source, c.target)))


def _read_hdtn(text: str, path: str) -> list[PlanContact]:
    try:
        rows = json.loads(text)["contacts"]
        assert isinstance(rows, list)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise UserError(f"{path}: no plan of HDTN, expected an object with a list contacts") from None
    found = []
    for number, row in enumerate(rows):
        where = f"{path} contact {number}"
        if not isinstance(row, dict):
            raise UserError(f"{where}: expected an object")
        rate = row.get("rateBitsPerSec", 1e6 * row["rate"] if isinstance(row.get("rate"), int) else None)
        values = [row.get(key) for key in ("source", "dest", "startTime", "endTime")] + [
            rate,
            row.get("owlt", 0),
        ]
        found.append(_contact(values, where))
    return found


def _read_ion(text: str, path: str, epoch: datetime) -> list[PlanContact]:
    contacts, ranges, reference_s = [], [], 0.0
    for number, line in enumerate(text.splitlines(), start=1):
        words, where = line.split("#")[0].split(), f"{path} line {number}"
        if len(words) == 2 and words[0] == "@":
            reference_s = _ion_seconds(words[1], epoch, 0.0, where)
        if len(words) < 6 or words[0] != "a" or words[1] not in ("contact", "range"):
            continue
        try:
            begin_s, end_s = (_ion_seconds(word, epoch, reference_s, where) for word in words[2:4])
            nodes, amount = [int(word) for word in words[4:6]], float(words[6])
        except (ValueError, IndexError):
            raise UserError(f"{where}: expected 'a {words[1]} BEGIN END FROM TO NUMBER'") from None
        if words[1] == "range":
            ranges.append((*nodes, begin_s, end_s, amount))
        else:
            contacts.append(_contact([*nodes, begin_s, end_s, 8 * amount, 0.0], where))
    return _with_ranges(contacts, ranges)


def _with_ranges(contacts: list[PlanContact], ranges: list[tuple]) -> list[PlanContact]:
    """Light times of contacts, by a search among the ranges of their pair alone. ION's ranges hold both ways
    unless the other way has its own; of several at once, the one that began last."""
    by_way: dict[tuple[int, int], list[tuple[float, float, float]]] = defaultdict(list)
    for a, b, *range_ in ranges:
        by_way[a, b].append(tuple(range_))
    until_s = {}  # of each way, how long any that began so far holds
    for way, held in by_way.items():
        held.sort()
        until_s[way] = list(accumulate((end_s for _, end_s, _ in held), max))
    found = []
    for one in contacts:
        for way in ((one.source, one.target), (one.target, one.source)):
            held = by_way.get(way, [])
            at = bisect_right(held, one.begin_s, key=itemgetter(0)) - 1
            while at >= 0 and until_s[way][at] > one.begin_s >= held[at][1]:
                at -= 1
            if at >= 0 and held[at][1] > one.begin_s:
                one = replace(one, delay_s=float(held[at][2]))
                break
        found.append(one)
    return found


def _ion_seconds(word: str, epoch: datetime, reference_s: float, where: str) -> float:
    if word.startswith("+") and word[1:].isascii() and word[1:].isdigit() and len(word) < 12:
        return reference_s + int(word[1:])
    try:
        if not _ION_TIME.fullmatch(word):
            raise ValueError
        moment = datetime.strptime(word, "%Y/%m/%d-%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        raise UserError(f"{where}: time {word[:32]!r}, expected yyyy/mm/dd-hh:mm:ss or +seconds") from None
    return (moment - epoch).total_seconds()


def _contact(values: list, where: str) -> PlanContact:
    good = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values)
    if good and all(map(math.isfinite, values)):
        source, target, begin_s, end_s, rate_bps, delay_s = values
        whole = int(source) == source and int(target) == target and 0 < min(source, target) < 2**63
        if whole and source != target and end_s > begin_s and rate_bps > 0 and delay_s >= 0:
            return PlanContact(
                int(source), int(target), float(begin_s), float(end_s), float(rate_bps), float(delay_s)
            )
    raise UserError(
        f"{where}: found {str(values)[:80]}, expected two nodes, an end after the beginning, a rate above 0"
    )
