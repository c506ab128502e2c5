"""Simulated time: spans, device profiles and the timeline of a round."""

import math

import pytest

from codec.models import registry
from constellation.clock import Activity, ComputeTimes, DeviceProfile, SimulatedClock, device_profile
from constellation.common.errors import UserError

TITAN_V = device_profile("titan_v", registry.seconds("titan_v"))
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
    times = device_profile("titan_v", registry.seconds("titan_v")).compute_times(model, 256, 20)
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
    with pytest.raises(UserError, match=r"clock.profile=orin: unknown profile; there are: titan_v"):
        device_profile("orin", {})


def test_a_halo_is_paid_for_by_the_analysis_alone_with_the_area_that_it_adds():
    plain, wide = (TITAN_V.compute_times("elic", 256, 20, halo_px) for halo_px in (0, 64))
    assert wide.analysis_s == pytest.approx(plain.analysis_s * (384 / 256) ** 2)
    assert (wide.hash_s, wide.lic_s - wide.analysis_s) == (plain.hash_s, plain.lic_s - plain.analysis_s)
