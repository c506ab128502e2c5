"""What went wrong in a run, what was repaired, and at which cost; and whether all bytes are accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from constellation.common.text import counted
from dlrc.store.results import Run
from ground.records import Outcome, RoundRecord
from nodes.wire.schedule import events_of, faults_of_run


def accounts(rounds: Sequence[RoundRecord]) -> list[str]:
    """A line for each satellite, round and kind whose bytes sent are not bytes received, lost, and sent
    again."""
    return [
        f"round {record.number}, satellite {one.satellite}, {row.kind}: {row.sent} bytes sent, "
        f"{row.received} received + {row.lost} lost + {row.again} sent again"
        for record in rounds
        for one in record.satellites
        for row in one.accounts
        if not row.adds_up
    ]


def totals(rounds: Sequence[RoundRecord]) -> str:
    """Of a run's downlink, in one line."""
    rows = [row for record in rounds for one in record.satellites for row in one.accounts]
    sent, received = sum(row.sent for row in rows), sum(row.received for row in rows)
    lost, again = sum(row.lost for row in rows), sum(row.again for row in rows)
    return f"{sent} bytes sent = {received} received + {lost} lost + {again} sent again"


def account_row(run: Run) -> str:
    """The line of the closing table; nothing where every byte came the first time."""
    if wrong := accounts(run.rounds):
        return f"DOES NOT ADD UP: {'; '.join(wrong[:3])}"
    ledgers = [one.ledger for record in run.rounds for one in record.satellites]
    return totals(run.rounds) if any(ledger.lost or ledger.resent for ledger in ledgers) else ""


def faults_row(run: Run) -> str:
    """What the scenario's faults did, in one line; nothing where it asks for none."""
    scenario = run.scenario
    events = events_of(scenario.faults, scenario.satellites, len(run.rounds), scenario.orbit.step_s)
    if not events:
        return ""
    kinds = Counter(event.kind for event in events)
    records = [one for record in run.rounds for one in record.satellites]
    outcomes = Counter(one.outcome for one in records)
    lost = outcomes[Outcome.LOST] + outcomes[Outcome.INCOMPLETE] + missing(run)
    repaired = outcomes[Outcome.RESENT] + outcomes[Outcome.INDEPENDENT]
    more = sum(one.ledger.resent for one in records)
    waited_s = waited(run)
    struck = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return (
        f"{struck}: {counted(lost, 'image')} lost, {repaired} repaired, for {more} bytes sent again and "
        f"{waited_s:.2f} s of waiting"
    )


def missing(run: Run) -> int:
    """Views of which neither a stream nor a word came, though there was something to see."""
    came = sum(len(record.satellites) + len(record.looked_away) for record in run.rounds)
    return run.scenario.satellites * len(run.rounds) - came


def waited(run: Run) -> float:
    """Simulated seconds that the run's gatherings took longer."""
    scenario, size = run.scenario, (run.scenario.satellites, len(run.rounds))
    step_s = scenario.orbit.step_s
    return sum(faults_of_run(scenario.faults, scenario.ground, size, step_s, scenario.seed).waits.values())


def accidents_row(run: Run) -> str:
    """Accidents of hosts, in one line."""
    found = run.facts.accidents
    resumed = run.facts.starts - 1
    parts = [
        f"{one.who} {one.what}" + (f", back after {one.cost_s:.1f} s" if one.cost_s else "")
        for one in found[:6]
    ]
    if len(found) > 6:
        parts.append(f"{len(found) - 6} more in cost.json")
    if resumed:
        parts.append("resumed " + ("once" if resumed == 1 else f"{resumed} times"))
    return "; ".join(parts)
