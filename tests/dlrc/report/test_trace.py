"""Traces: two tracks a satellite and one for the ground, spans in microseconds of simulated time."""

import json

import pytest

from constellation.clock import Span
from dlrc.report.trace import trace_events, tracks, write_trace
from ground.records import Outcome
from tests.dlrc.run_cases import ROUNDS, one_round, record, run


def shown(path):
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    return list(names.values()), [(names[e["tid"]], e) for e in events if e["ph"] == "X"]


def test_links_have_tracks_of_their_own_and_they_are_not_empty(tmp_path):
    names, spans = shown(write_trace(tmp_path / "trace.json", run()))
    assert names == ["satellite 0", "satellite 0 (links)", "satellite 1", "satellite 1 (links)", "ground"]
    on_links = [event["name"] for name, event in spans if name == "satellite 1 (links)"]
    assert on_links == ["sync", "downlink", "sync", "downlink"]
    assert [event["name"] for name, event in spans if name == "satellite 1"] == ["capture", "entropy"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]


def test_spans_are_in_microseconds_and_say_their_round(tmp_path):
    _, spans = shown(write_trace(tmp_path / "trace.json", run()))
    found = [event for name, event in spans if (name, event["name"]) == ("satellite 0", "entropy")]
    assert [(event["ts"], event["dur"], event["args"]) for event in found] == [
        (1000, 20000, {"round": 0}),
        (10001000, 20000, {"round": 1}),
    ]


def test_the_ground_receives_from_the_first_bit_to_the_last_of_what_came():
    spans = [span for span, _ in tracks(run())["ground"]]
    assert [(span.start_s, span.end_s) for span in spans] == [
        (0.05, pytest.approx(0.35)),
        (10.05, pytest.approx(10.35)),
    ]
    lost = record(0, 1, outcome=Outcome.LOST)
    ((span, _),) = tracks(run(rounds=(one_round(0, record(0, 0), lost),)))["ground"]
    assert span.end_s == pytest.approx(0.25)
    assert tracks(run(rounds=(one_round(0, lost),)))["ground"] == []


def test_a_downlink_says_what_came_of_it():
    lost = record(0, 1, outcome=Outcome.LOST)
    of_links = tracks(run(rounds=(one_round(0, lost), ROUNDS[1])))["satellite 1 (links)"]
    told = [told.get("outcome") for span, told in of_links if span.name == "downlink"]
    assert told == ["lost", "exact"]


def test_a_span_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="before its beginning"):
        trace_events({"satellite 0": [(Span("hash", 2.0, -1.0, "compute"), {})]})
