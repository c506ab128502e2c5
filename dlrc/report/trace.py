"""`trace.json`: what every satellite and the ground did, on simulated time, in Chrome's trace event format
(opens in Perfetto).

One process, one track per name (satellite 0, satellite 1, ..., ground). Times are simulated, microseconds
since the start of the run, so a trace is the same wherever it is made."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class SpanLike(Protocol):
    """Anything with a name, and a beginning and an end in simulated seconds."""

    @property
    def name(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


def trace_events(
    tracks: Mapping[str, Sequence[SpanLike]], process: str = "simulated time"
) -> list[dict[str, Any]]:
    """The events of a trace: the names of the tracks in the order given, then their spans by beginning.

    Spans of one track may nest, as calls do, and may not cross. Raises `ValueError` for a span that ends
    before it begins."""
    events: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", "pid": 1, "args": {"name": process}}]
    for thread, name in enumerate(tracks, start=1):
        events.append({"ph": "M", "name": "thread_name", "pid": 1, "tid": thread, "args": {"name": name}})
        events.append(
            {"ph": "M", "name": "thread_sort_index", "pid": 1, "tid": thread, "args": {"sort_index": thread}}
        )
    for thread, spans in enumerate(tracks.values(), start=1):
        for span in sorted(spans, key=lambda span: (span.start_s, -span.end_s)):
            if not span.end_s >= span.start_s:
                raise ValueError(
                    f"span {span.name!r}: ends at {span.end_s} s, before its beginning at {span.start_s} s"
                )
            start_us = round(1e6 * span.start_s, 3)
            events.append(
                {
                    "ph": "X",
                    "name": span.name,
                    "cat": "simulated",
                    "pid": 1,
                    "tid": thread,
                    "ts": start_us,
                    "dur": round(1e6 * span.end_s - start_us, 3),
                    "args": _details(span),
                }
            )
    return events


def _details(span: SpanLike) -> dict[str, Any]:
    round_number = getattr(span, "round", None)
    return {} if round_number is None else {"round": round_number}


def write_trace(path: Path, tracks: Mapping[str, Sequence[SpanLike]]) -> None:
    """Write the trace of `tracks` (name -> spans) to `path`, through a temporary name."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    trace = {"traceEvents": trace_events(tracks), "displayTimeUnit": "ms"}
    temporary.write_text(json.dumps(trace, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)
