"""The page of `dlrc study priority`: every rule on the same rounds, side by side; with its JSON and PNG."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from constellation.common.cli import Given
from constellation.common.files import replacing, write_text
from constellation.common.frozen import value
from constellation.sync.series import constellation_label
from dlrc.report.web.shell import (
    Page,
    Section,
    cards,
    cell,
    escape,
    figure,
    finite,
    number,
    rendered,
    select,
    table,
)
from dlrc.studies.lab.story import about, command_line
from dlrc.studies.questions.priority_rounds import Outcome, Request

_HERE = Path(__file__).resolve().parent
FILES = ("priority.csv", "rounds.csv", "priority.json", "priority.png")


@value
class Told:
    """What the study found. rows: of its table, a rule each."""

    request: Request
    outcomes: tuple[Outcome, ...]
    rows: tuple[Mapping[str, Any], ...]
    given: Given


@value
class Column:
    """Of the table: key of a row, head, unit's size, digits, and whether less is better."""

    key: str
    head: str
    size: float
    digits: int = 2
    less: bool = True


COLUMNS = (
    Column("busiest_bytes", "busiest downlink, GB", 1e9),
    Column("last_byte_s", "latest picture, h", 3600),
    Column("usable_s", "a picture usable, h", 3600),
    Column("nine_tenths_s", "90 % of bytes, h", 3600),
    Column("fairness", "fairness (Jain)", 1, 3, less=False),
    Column("energy_j", "energy of sending, kJ", 1000),
    Column("lowest_charge", "lowest battery after, %", 0.01, 1, less=False),
    Column("lost_bytes", "a lost owner costs, GB", 1e9),
    Column("lost_bytes_worst", "at worst, GB", 1e9),
)


def tell(told: Told, epoch: datetime) -> Path:
    """Write the page and its files, each whole or not at all; returns its path. Raises `UserError`."""
    folder, data = told.request.folder, as_data(told, epoch)
    write_text(folder / "priority.json", json.dumps(finite(data), separators=(",", ":")) + "\n")
    draw(told, folder / "priority.png")
    write_text(folder / "index.html", rendered(page_of(told, data)))
    return folder / "index.html"


def as_data(told: Told, epoch: datetime) -> dict[str, object]:
    """What the page draws and priority.json holds; null where undefined: a byte that never is down, energy
    without a contact."""
    first = [one for one in told.outcomes if one.rule == told.outcomes[0].rule]
    return {
        "constellation": constellation_label(told.request.scenario.orbit),
        "epochMs": round(epoch.timestamp() * 1000),
        "times_s": [one.time_s for one in first],
        "members": [one.members for one in first],
        "rules": list(dict.fromkeys(one.rule for one in told.outcomes)),
        "rows": [dict(row) for row in told.rows],
        "rounds": [
            {
                "rule": one.rule,
                "round": one.round,
                "time_s": one.time_s,
                "order": list(one.order),
                "bytes_kept": np.round(one.bytes_kept),
                "own_s": one.own_s,
                "usable_s": one.usable_s,
                "fairness": one.fairness,
                "energy_j": one.energy_j,
                "charge": one.charge,
                "lost_bytes": one.lost_bytes,
            }
            for one in told.outcomes
        ],
        "command": command_line("study priority", told.given),
    }


def page_of(told: Told, data: dict[str, object]) -> Page:
    """The page before it is text."""
    request, scenario = told.request, told.request.scenario
    rounds = [(str(n), f"round {n + 1}") for n in range(len({one.round for one in told.outcomes}))]
    changing = sorted(dict.fromkeys(one.rule for one in told.outcomes), key=lambda rule: rule in FIXED)
    rules = [(rule, rule) for rule in sorted(changing, key=lambda rule: rule != request.own_rule)]
    about_it = (
        f"{scenario.satellites} satellites of {constellation_label(scenario.orbit)}, {len(rounds)} rounds "
        f"{request.every_s / 3600:g} h apart, station {scenario.ground.name}"
    )
    of_round = f'<p class="row">{select("round", "of", [("mean", "the mean round"), *rounds])}</p>'
    under = f'<p class="row">{select("rule", "under", rules)}</p>'
    both = _chart("fairday") + _chart("charge")
    sections = (
        Section("answers", "In short", cards(_answers(told.rows))),
        Section("rules", "Side by side", _side_by_side(told.rows)),
        Section("bytes", "Bytes by satellite", _chart("kept", of_round)),
        Section("latest", "The latest picture over the day", _chart("latestday") + _chart("usableday")),
        Section("fair", "Fairness and energy", f'<div class="two">{both}</div>'),
        Section("lost", "What a lost owner costs", _chart("lostbars")),
        Section("order", "How the order changes over the day", _chart("orderday", under) + _chart("swaps")),
        Section("how", "How this was made", _how(told, str(data["command"]))),
    )
    script = (_HERE / "priority.js").read_text(encoding="utf-8")
    return Page("What each priority rule does to a round", about_it, sections, data, script)


FIXED = ("id", "balanced")  # whose order is that of the numbers, always
CAPTIONS = {
    "kept": "What each satellite keeps and sends, GB; 0 is the satellite nearest to the region.",
    "latestday": """Hours after the capture until the last byte of the round is down, by time of capture. A
gap: not within the days looked at.""",
    "usableday": "The same until a satellite's picture, with all that it refers to, is down: their mean.",
    "fairday": "Jain's index of the bytes kept: 1 where all keep alike, 1 / N where one keeps all.",
    "charge": "Battery of each satellite after sending, in every round; the large dot is the lowest.",
    "lostbars": """Bytes sent anew where one satellite is lost: the independent streams of all who refer to
it. Each dot a satellite of a round, the bar their mean.""",
    "orderday": """Who is first, second, ... in every round; number and colour are the place, 0 nearest to the
region.""",
    "swaps": """How far each order is from that of id: share of the pairs that are the other way round
(Kendall). 0: the same order, 1: reversed.""",
}


def _chart(name: str, controls: str = "") -> str:
    return figure(name, CAPTIONS[name], controls)


def _best(rows: Sequence[Mapping[str, Any]], column: Column) -> list[str]:
    """Rules that are best in a column; none where all are alike or undefined."""
    known = [(float(row[column.key]), str(row["rule"])) for row in rows if np.isfinite(row[column.key])]
    if not known or len({round(figure, 9) for figure, _ in known}) == 1:
        return []
    top = (min if column.less else max)(known)[0]
    return [rule for figure, rule in known if np.isclose(figure, top, rtol=1e-9)]


def _answers(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    asked = ("usable_s", "last_byte_s", "busiest_bytes", "fairness", "lost_bytes")
    said = (
        "pictures usable soonest",
        "latest picture soonest",
        "least on the busiest downlink",
        "fairest",
        "cheapest loss of an owner",
    )
    columns = {column.key: column for column in COLUMNS}
    for key, what in zip(asked, said, strict=True):
        column, best = columns[key], _best(rows, columns[key])
        figures = [float(row[key]) / column.size for row in rows if np.isfinite(row[key])]
        if not figures:
            yield what, "undefined", "no rule's rounds are delivered within the days looked at"
        elif not best:
            yield what, "all alike", f"{number(figures[0], column.digits)} ({column.head})"
        else:
            span = f"{number(min(figures), column.digits)} to {number(max(figures), column.digits)}"
            yield what, ", ".join(best), f"{column.head}: {span} over the rules"


def _side_by_side(rows: Sequence[Mapping[str, Any]]) -> str:
    best = {column.key: _best(rows, column) for column in COLUMNS}
    lines = []
    for row in rows:
        cells = [cell(str(row["rule"]), "head")]
        for column in COLUMNS:
            found = float(row[column.key]) / column.size
            known = bool(np.isfinite(found))
            kind = "undefined" if not known else "good" if row["rule"] in best[column.key] else ""
            cells.append(cell(number(found, column.digits), kind, found))
        lines.append([*cells, cell(str(row["undelivered"]), "bad" if row["undelivered"] else "")])
    head = ["rule", *(column.head for column in COLUMNS), "rounds not delivered"]
    caption = "means over the rounds; green: best of its column; rounds not delivered are in no time"
    return table("table", head, lines, caption)


def _how(told: Told, command: str) -> str:
    request = told.request
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in about(request.scenario.digest)
    )
    return (
        f"<p class='command'><code>{escape(command)}</code></p><dl class='facts'>{facts}</dl>"
        f"<p>Every round stands alone: {request.tiles} patches a satellite, {request.bits_per_vector:g} bits "
        "a vector, everybody hears everybody; deduplication is the oracle's, so all rules send the same "
        "bytes in sum. Delivery goes through the contacts that the orbits give. A rule of your own: "
        f"rule=module:function trust=true. Files beside this page: {', '.join(FILES)}.</p>"
    )


def draw(told: Told, path: Path) -> None:
    """priority.png: bytes by satellite and hours until usable, a colour a rule."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chart = Figure(figsize=(9.0, 3.6), layout="constrained")
    FigureCanvasAgg(chart)
    left, right = chart.subplots(1, 2)
    rules = list(dict.fromkeys(one.rule for one in told.outcomes))
    for n, rule in enumerate(rules):
        mine = [one for one in told.outcomes if one.rule == rule]
        kept = np.zeros((len(mine), told.request.scenario.satellites))
        for line, one in zip(kept, mine, strict=True):
            line[: len(one.bytes_kept)] = one.bytes_kept / 1e9
        places = np.arange(kept.shape[1]) + 0.8 * (n / len(rules) - 0.5)
        left.bar(places, kept.mean(axis=0), 0.8 / len(rules), label=rule)
        hours = np.array([one.usable_s.mean() for one in mine]) / 3600
        right.plot([one.time_s / 3600 for one in mine], np.where(np.isfinite(hours), hours, np.nan), ".-")
    left.set_xlabel("satellite, 0 nearest to the region")
    left.set_ylabel("kept and sent, GB")
    right.set_xlabel("time of capture, h after the epoch")
    right.set_ylabel("until a picture is usable, h")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    chart.legend(loc="outside lower center", ncols=len(rules), frameon=False)
    where = constellation_label(told.request.scenario.orbit)
    chart.suptitle(f"Priority rules: {told.request.scenario.satellites} satellites of {where}", fontsize=11)
    with replacing(path) as temporary:
        chart.savefig(temporary, format="png", dpi=130)
