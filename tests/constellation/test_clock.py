"""Simulated clock: Table 2, stages in order, overlap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.clock import TITAN_V, ComputeTimes, SimulatedClock, device_profile, modelling_overlaps, round_timeline
from constellation.errors import UserError
from constellation.scenario import ClockKnobs, CodecKnobs

TABLE_2_TOTAL_MS = {"bmshj": 24.68, "mbt": 24.71, "cheng": 985.83, "elic": 274.07}
seconds = st.floats(0, 100, allow_nan=False)


@pytest.mark.parametrize("model", TABLE_2_TOTAL_MS)
def test_stages_of_table_2_add_up_to_its_totals(model):
    times = TITAN_V.compute_times(model, 256)
    assert 1e3 * times.lic_s == pytest.approx(TABLE_2_TOTAL_MS[model], abs=0.011)
    assert 1e3 * times.dlrc_s == pytest.approx(12.89)


def test_every_model_of_the_scenario_has_times():
    for model in CodecKnobs.model_fields["model"].annotation.__args__:
        assert TITAN_V.compute_times(model, 256).lic_s > 0
    assert device_profile(ClockKnobs().profile) is TITAN_V


def test_times_grow_with_the_area_and_recognition_with_k():
    small, large = TITAN_V.compute_times("mbt", 256), TITAN_V.compute_times("mbt", 512)
    assert large.lic_s == pytest.approx(4 * small.lic_s)
    assert TITAN_V.compute_times("mbt", 256, k=10).recognition_s == pytest.approx(small.recognition_s / 2)


def test_an_unknown_model_or_profile_is_named():
    with pytest.raises(UserError, match="codec.model=vvc.*bmshj"):
        TITAN_V.compute_times("vvc", 256)
    with pytest.raises(UserError, match="clock.profile=measured.*titan_v"):
        device_profile("measured")


def test_overlap_ends_with_the_longer_and_waiting_for_the_past_does_nothing():
    clock = SimulatedClock(10.0)
    clock.overlap([("a", 1.0, "link"), ("b", 3.0, "compute")])
    clock.wait_until(12.0)
    assert clock.now_s == 13.0 and len(clock.spans) == 2
    clock.wait_until(20.0)
    assert clock.now_s == 20.0 and clock.spans[-1].category == "wait"
    with pytest.raises(ValueError, match="stage c"):
        clock.spend("c", -1.0)


@given(st.builds(ComputeTimes, seconds, seconds, seconds, seconds, seconds), seconds, seconds, st.floats(0, 1e6))
def test_overlap_saves_exactly_the_shorter_of_sync_and_modelling(times, t_sync_s, downlink_s, start_s):
    apart = round_timeline(times, t_sync_s, downlink_s, False, start_s)[-1].end_s
    together = round_timeline(times, t_sync_s, downlink_s, True, start_s)[-1].end_s
    assert apart - together == pytest.approx(min(t_sync_s, times.modelling_s), abs=1e-6)
    assert apart == pytest.approx(start_s + times.lic_s + times.dlrc_s + t_sync_s + downlink_s)


def test_arbitration_waits_for_the_signature_round():
    spans = {span.name: span for span in round_timeline(TITAN_V.compute_times("cheng", 256), 0.05, 0.1, True)}
    assert spans["signature round"].start_s == spans["entropy modelling"].start_s
    assert spans["arbiter and filter"].start_s == spans["entropy modelling"].end_s > spans["signature round"].end_s


def test_context_that_depends_on_the_round_cannot_be_modelled_during_it():
    assert modelling_overlaps("bmshj", "lsh", "independent", "centred")
    assert modelling_overlaps("mbt", "content", "exact", "fixed")
    assert modelling_overlaps("mbt", "lsh", "open", "centred")
    assert not modelling_overlaps("mbt", "lsh", "independent", "fixed")
    assert not modelling_overlaps("mbt", "lsh", "exact", "centred")
