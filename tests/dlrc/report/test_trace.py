"""Traces: one track per name, spans in microseconds of simulated time."""

import json
from dataclasses import dataclass

import pytest

from dlrc.report.trace import trace_events, write_trace


@dataclass(frozen=True)
class Span:
    name: str
    start_s: float
    end_s: float
    round: int | None = None


TRACKS = {
    "satellite 0": [Span("hash", 0.2, 0.25, 1), Span("capture", 0.0, 0.1, 0)],
    "satellite 1": [],
    "ground": [Span("decode", 1.0, 1.0)],
}


def test_a_trace_names_every_track_and_holds_every_span(tmp_path):
    write_trace(tmp_path / "trace.json", TRACKS)
    trace = json.loads((tmp_path / "trace.json").read_text())
    names = {
        event["tid"]: event["args"]["name"]
        for event in trace["traceEvents"]
        if event["name"] == "thread_name"
    }
    assert list(names.values()) == list(TRACKS)
    spans = [
        (names[event["tid"]], event["name"], event["ts"], event["dur"])
        for event in trace["traceEvents"]
        if event["ph"] == "X"
    ]
    assert spans == [
        ("satellite 0", "capture", 0, 100000),
        ("satellite 0", "hash", 200000, 50000),
        ("ground", "decode", 1000000, 0),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]


def test_a_span_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="before its beginning"):
        trace_events({"satellite 0": [Span("hash", 2.0, 1.0)]})
