"""G_down: the paper's formulas, their regimes and their limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.models import registry
from constellation.clock import device_profile
from constellation.common.errors import UserError
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import contact_windows
from constellation.passes.downlink_gain import (
    REGIMES,
    DownlinkDay,
    Method,
    delivered_bits,
    downlink_bits,
    downlink_day,
    downlink_gain,
    methods_of,
    production_bits,
    regime,
)
from constellation.scenario.network import GroundKnobs, OrbitKnobs

TIMES_S, RATES = st.floats(1e-3, 2.0), st.floats(0.05, 8.0)
DAYS = st.floats(1e6, 1e15)


def test_production_and_downlink_by_hand():
    method = Method(patch_time_s=0.0864, bpp=0.5)
    assert production_bits(method, 256) == pytest.approx(1e6 * 256 * 256 * 24)
    assert float(downlink_bits(method, DownlinkDay(4, 600, 100e6).bits_per_day)) == pytest.approx(
        4 * 600 * 100e6 * 24 / 0.5
    )


def test_a_starved_downlink_gains_what_the_rate_saves():
    baseline, dlrc = Method(0.02, 1.0), Method(0.03, 0.6)
    assert float(downlink_gain(baseline, dlrc, 1e6)) == pytest.approx(1 / 0.6 - 1)
    assert REGIMES[int(regime(baseline, dlrc, 1e6))] == "both limited by the downlink"


def test_a_wide_downlink_loses_what_the_computation_costs():
    baseline, dlrc = Method(0.02, 1.0), Method(0.03, 0.6)
    assert float(downlink_gain(baseline, dlrc, 1e18)) == pytest.approx(2 / 3 - 1)
    assert REGIMES[int(regime(baseline, dlrc, 1e18))] == "both limited by computation"


def test_in_between_the_gain_is_dlrcs_production_over_the_baselines_downlink():
    baseline, dlrc = Method(0.02, 1.0), Method(0.024, 0.5)
    day = 0.9 * production_bits(baseline, 256) / 24
    assert REGIMES[int(regime(baseline, dlrc, day))] == "only independent coding limited by the downlink"
    assert float(downlink_gain(baseline, dlrc, day)) == pytest.approx(
        production_bits(dlrc, 256) / float(downlink_bits(baseline, day)) - 1
    )


@given(TIMES_S, TIMES_S, RATES, RATES, DAYS)
def test_the_gain_lies_between_its_two_limits(time_b, time_d, bpp_b, bpp_d, day):
    gain = float(downlink_gain(Method(time_b, bpp_b), Method(time_d, bpp_d), day))
    limits = bpp_b / bpp_d - 1, time_b / time_d - 1
    assert min(limits) - 1e-9 <= gain <= max(limits) + 1e-9


@given(TIMES_S, RATES, DAYS)
def test_a_method_gains_nothing_over_itself(time_s, bpp, day):
    assert float(downlink_gain(Method(time_s, bpp), Method(time_s, bpp), day)) == 0


def test_no_downlink_delivers_nothing_and_has_no_gain():
    baseline, dlrc = Method(0.02, 1.0), Method(0.03, 0.6)
    assert float(delivered_bits(baseline, 0.0, 256)) == 0
    assert np.isnan(downlink_gain(baseline, dlrc, np.array([0.0, 1e6]))).tolist() == [True, False]


def test_only_the_part_of_the_sync_that_entropy_modelling_cannot_hide_costs_time():
    titan_v = device_profile("titan_v", registry.seconds("titan_v"))
    slow, fast = titan_v.compute_times("cheng", 256, 20), titan_v.compute_times("bmshj", 256, 20)
    _, hidden = methods_of(slow, 1.0, 0.3, t_sync_s=0.040)
    _, exposed = methods_of(fast, 1.0, 0.3, t_sync_s=0.040, processors=4)
    assert hidden.patch_time_s == pytest.approx(slow.lic_s + slow.dlrc_s)
    assert exposed.patch_time_s == pytest.approx((fast.lic_s + fast.dlrc_s + 0.040 - 0.00785) / 4)


def test_a_day_from_orbits_carries_what_its_windows_carry():
    constellation = load_constellation(OrbitKnobs(pattern="53:12/3/1"))
    windows = contact_windows(constellation, GroundKnobs(), 0.0, 43200.0)
    day = downlink_day(windows, 12)
    assert day.bits_per_day == pytest.approx(2 * 8 * windows.capacity_bytes.sum() / 12)
    assert day.windows_per_day == pytest.approx(2 * len(windows) / 12)


def test_a_station_that_is_never_seen_gives_an_empty_day():
    constellation = load_constellation(OrbitKnobs(pattern="53:2/1/0"))
    north = GroundKnobs(latitude_deg=85.0, longitude_deg=0.0)
    assert downlink_day(contact_windows(constellation, north, 0.0, 20000.0), 2).bits_per_day == 0


def test_values_that_make_no_sense_are_refused():
    with pytest.raises(UserError, match="windows: 200 a day of 600 s each, expected at most a day in all"):
        DownlinkDay(200, 600, 1e6)
    with pytest.raises(UserError, match="rate_bps: -1, expected"):
        DownlinkDay(2, 600, -1.0)
    with pytest.raises(UserError, match="bpp: 0, expected"):
        Method(0.1, 0.0)
