"""`trace.json`: what every satellite and the ground did, on simulated time, in Chrome's trace event format
(opens in Perfetto).

One process. A satellite has one track for what it computes and one for its links, because they overlap; the
ground receives from the first bit of a round to the last. Times are simulated, microseconds since the start
of the run, so a trace is the same wherever it is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from constellation.clock import Span
from constellation.common.files import write_text
from dlrc.store.results import Run
from ground.records import Outcome, RoundRecord, SatelliteRecord

LINK = "network"  # the category of spans on a satellite's links


def write_trace(path: Path, run: Run) -> Path:
    """Write the trace of a run. Raises `UserError` where the disk refuses."""
    trace = {"traceEvents": trace_events(tracks(run)), "displayTimeUnit": "ms"}
    write_text(path, json.dumps(trace, allow_nan=False) + "\n")
    return path


def tracks(run: Run) -> dict[str, list[tuple[Span, dict[str, Any]]]]:
    """Spans with what is told about them (their round), by the name of their track."""
    out: dict[str, list[tuple[Span, dict[str, Any]]]] = {}
    for satellite in range(run.scenario.satellites):
        out |= {f"satellite {satellite}": [], f"satellite {satellite} (links)": []}
    out["ground"] = []
    for record in run.rounds:
        told = {"round": record.number}
        for one in record.satellites:
            for span in one.spans:
                side = " (links)" if span.category == LINK else ""
                how = {"outcome": one.outcome.value} if span.name == "downlink" else {}
                out.setdefault(f"satellite {one.satellite}{side}", []).append((span, told | how))
        out["ground"] += [(span, told) for span in _received(record)]
    return out


def _received(record: RoundRecord) -> Iterator[Span]:
    spans = [span for one in record.satellites for span in _downlinks(one)]
    if spans:
        first, last = min(span.start_s for span in spans), max(span.end_s for span in spans)
        yield Span("receive", first, last - first, LINK)


def _downlinks(one: SatelliteRecord) -> Iterable[Span]:
    return () if one.outcome is Outcome.LOST else (span for span in one.spans if span.name == "downlink")


def trace_events(
    tracks: Mapping[str, Sequence[tuple[Span, dict[str, Any]]]], process: str = "simulated time"
) -> list[dict[str, Any]]:
    """The events of a trace: the names of the tracks in the order given, then their spans by beginning.

    Spans of one track may nest, as calls do, and may not cross. Raises `ValueError` for a span that ends
    before it begins."""
    events: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", "pid": 1, "args": {"name": process}}]
    for thread, name in enumerate(tracks, start=1):
        for kind, told in (("name", {"name": name}), ("sort_index", {"sort_index": thread})):
            events.append({"ph": "M", "name": f"thread_{kind}", "pid": 1, "tid": thread, "args": told})
    for thread, spans in enumerate(tracks.values(), start=1):
        for span, told in sorted(spans, key=lambda one: (one[0].start_s, -one[0].end_s)):
            events.append(_event(thread, span, told))
    return events


def _event(thread: int, span: Span, told: dict[str, Any]) -> dict[str, Any]:
    if not span.duration_s >= 0:
        raise ValueError(
            f"span {span.name!r}: ends at {span.end_s} s, before its beginning at {span.start_s} s"
        )
    start_us = round(1e6 * span.start_s, 3)
    return {
        "ph": "X",
        "name": span.name,
        "cat": span.category,
        "pid": 1,
        "tid": thread,
        "ts": start_us,
        "dur": round(1e6 * span.end_s - start_us, 3),
        "args": told,
    }
