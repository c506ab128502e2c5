"""Simulated time: spans, device profiles and the timeline of a round."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.clock import (
    CAPTURE_S,
    TITAN_V,
    Activity,
    ComputeTimes,
    DeviceProfile,
    SimulatedClock,
    device_profile,
    round_timeline,
)
from constellation.common.errors import UserError
from dlrc.report.trace import trace_events

SECONDS = st.floats(0, 100)
TABLE_2_TOTAL_MS = {"bmshj": 24.68, "mbt": 24.71, "cheng": 985.83, "elic": 274.07}


def some_times(analysis=1.0, hashing=2.0, arbitrate=3.0, modelling=4.0, coding=5.0, hyperprior=1.5):
    return ComputeTimes(analysis, hashing, arbitrate, modelling, coding, hyperprior)


def test_spending_moves_the_clock_and_leaves_a_span():
    clock = SimulatedClock(10.0)
    span = clock.spend("hash", 2.5, "compute")
    assert (span.start_s, span.end_s, clock.now_s) == (10.0, 12.5, 12.5)
    assert clock.spans == [span]


def test_waiting_for_the_past_takes_no_time():
    clock = SimulatedClock(10.0)
    assert clock.wait_until("contact", 4.0).duration_s == 0
    assert clock.wait_until("contact", 14.0).duration_s == 4.0
    assert clock.now_s == 14.0


def test_branches_run_side_by_side_and_the_longest_decides():
    clock = SimulatedClock(1.0)
    clock.overlap([Activity("a", 2.0, "x"), Activity("b", 3.0, "x")], [Activity("c", 4.0, "x")])
    assert [(span.name, span.start_s, span.end_s) for span in clock.spans] == [
        ("a", 1.0, 3.0),
        ("b", 3.0, 6.0),
        ("c", 1.0, 5.0),
    ]
    assert clock.now_s == 6.0


@pytest.mark.parametrize("duration_s", [-1e-9, math.nan, math.inf])
def test_time_neither_runs_backwards_nor_stops(duration_s):
    with pytest.raises(ValueError, match="expected a finite time"):
        SimulatedClock().spend("hash", duration_s, "compute")


@pytest.mark.parametrize("model", TABLE_2_TOTAL_MS)
def test_titan_v_sums_to_the_totals_of_table_2(model):
    times = device_profile("titan_v").compute_times(model, 256, 20)
    assert 1e3 * times.lic_s == pytest.approx(TABLE_2_TOTAL_MS[model], abs=0.011)
    assert 1e3 * times.dlrc_s == pytest.approx(12.89, abs=1e-9)


def test_times_grow_with_the_area_and_the_hash_with_k():
    small, large = TITAN_V.compute_times("elic", 256, 20), TITAN_V.compute_times("elic", 512, 40)
    assert large.analysis_s == pytest.approx(4 * small.analysis_s)
    assert large.hash_s == pytest.approx(8 * small.hash_s)


def test_a_measured_profile_returns_what_was_measured():
    profile = DeviceProfile.from_measurement(some_times(), "mbt", 512, 10, "2 cores")
    assert profile.compute_times("mbt", 512, 10) == some_times()
    with pytest.raises(UserError, match="no times for the model elic; there are: mbt"):
        profile.compute_times("elic", 512, 10)


def test_an_unknown_profile_lists_those_there_are():
    with pytest.raises(UserError, match="clock.profile=orin: unknown profile; there are: titan_v"):
        device_profile("orin")


def test_a_round_has_the_stages_in_order():
    names = [span.name for span in round_timeline(some_times(), 1.0, 6.0, overlaps=True)]
    assert names == ["capture", "analysis", "hash", "sync", "entropy", "arbitrate", "entropy", "downlink"]


@given(SECONDS, SECONDS, st.booleans(), SECONDS)
def test_a_round_lasts_as_long_as_its_stages_less_what_overlaps(t_sync_s, downlink_s, overlaps, start_s):
    times = some_times()
    spans = round_timeline(times, t_sync_s, downlink_s, overlaps, start_s)
    beside_s = times.entropy_modelling_s if overlaps else times.hyperprior_s
    serial_s = CAPTURE_S + times.lic_s + times.dlrc_s + t_sync_s + downlink_s
    assert spans[-1].end_s - start_s == pytest.approx(serial_s - min(t_sync_s, beside_s))
    assert sum(span.duration_s for span in spans if span.name == "entropy") == pytest.approx(9.0)


@given(SECONDS, st.booleans())
def test_arbitration_waits_for_the_sync(t_sync_s, overlaps):
    spans = {span.name: span for span in round_timeline(some_times(), t_sync_s, 0.0, overlaps)}
    assert spans["arbitrate"].start_s >= spans["sync"].end_s


def test_overlapping_spans_nest_so_that_a_trace_can_show_them():
    events = trace_events({"satellite 0": round_timeline(some_times(), 2.0, 1.0, overlaps=True)})
    assert [event["name"] for event in events if event["ph"] == "X"].count("entropy") == 2
