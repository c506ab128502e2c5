"""nodes.timeline: the stages of a round on the simulated clock, and what a stopwatch makes of them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.clock import CAPTURE_S, ComputeTimes
from constellation.scenario.load import load_scenario
from dlrc.report.trace import trace_events
from nodes.timeline import Watch, round_timeline

SECONDS = st.floats(0, 100)


def some_times(analysis=1.0, hashing=2.0, arbitrate=3.0, modelling=4.0, coding=5.0, hyperprior=1.5):
    return ComputeTimes(analysis, hashing, arbitrate, modelling, coding, hyperprior)


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
    spans = round_timeline(some_times(), 2.0, 1.0, overlaps=True)
    events = trace_events({"satellite 0": [(span, {}) for span in spans]})
    assert [event["name"] for event in events if event["ph"] == "X"].count("entropy") == 2


def test_without_dlrc_there_is_nothing_to_hash_to_wait_for_or_to_arbitrate():
    spans = round_timeline(some_times(), None, 6.0, overlaps=True)
    assert [span.name for span in spans] == ["capture", "analysis", "entropy", "downlink"]
    assert spans[-1].end_s == pytest.approx(CAPTURE_S + some_times().lic_s + 6.0)


def test_measured_coding_waits_for_the_arbitration_and_only_the_hyperprior_runs_beside_the_exchange():
    watch = Watch()
    for stage, wait_s in (("modelling", 0.01), ("coding", 0.05), ("arbitrate", 0.02)):
        with watch.span(stage, 3):
            time.sleep(wait_s)
    spans = round_timeline(watch.times(3), 1.0, 0.0, overlaps=True)
    beside, arbitrate, coding = (span for span in spans if span.name in ("entropy", "arbitrate"))
    assert beside.duration_s < 0.04 < coding.duration_s
    assert coding.start_s >= arbitrate.end_s


def test_a_stopwatch_charges_each_satellite_what_was_done_for_all_and_forgets_it_for_the_next_round():
    watch = Watch()
    with watch.span("arbitrate", 0, 1):
        time.sleep(0.01)
    first = watch.times(0), watch.times(1)
    assert first[0].arbitrate_s == first[1].arbitrate_s >= 0.01
    assert watch.times(0).arbitrate_s == 0
    with pytest.raises(ValueError, match="expected one of analysis"), watch.span("lunch", 0):
        pass


def test_a_device_profile_is_what_the_clock_goes_by_whatever_was_measured():
    def of(*words):
        scenario = load_scenario("dense", words)
        return Watch.of(scenario.clock, scenario.capture, scenario.codec.flown, scenario.dlrc.k)

    watch = of("capture.halo_px=32")
    with watch.span("hash", 0):
        time.sleep(0.001)
    wide, plain = watch.times(0), of().times(0)
    assert wide.hash_s == plain.hash_s and wide.analysis_s == pytest.approx(plain.analysis_s * 1.25**2)
