"""The link budget against the rate table of the paper's parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.links.budget import fastest_stride_km_bps, link_budget, noise_dbm, rate_bps
from constellation.scenario.network import LinkKnobs

RF = st.builds(
    LinkKnobs,
    noise=st.sampled_from(["ktb", "paper"]),
    tx_power_dbm=st.floats(-10, 60),
    bandwidth_mhz=st.floats(0.1, 2000),
)


@pytest.mark.parametrize(
    "noise,expected_mbps", [("ktb", (573.8, 326.4, 185.3)), ("paper", (46.3, 6.17, 1.57))]
)
def test_rates_are_those_of_table_a1(noise, expected_mbps):
    rates_mbps = rate_bps(np.array([500.0, 1500.0, 3000.0]), LinkKnobs(noise=noise)) / 1e6
    assert np.allclose(rates_mbps, expected_mbps, rtol=5e-3)


def test_the_printed_noise_counts_the_temperature_twice():
    excess_db = noise_dbm(LinkKnobs(noise="paper")) - noise_dbm(LinkKnobs(noise="ktb"))
    assert excess_db == pytest.approx(10 * np.log10(290), abs=0.03)


def test_the_terms_of_a_budget_add_up():
    budget = link_budget(1500.0, LinkKnobs())
    assert budget.free_space_loss_db == pytest.approx(32.44 + 20 * np.log10(1500) + 20 * np.log10(20000))
    assert budget.received_dbm == pytest.approx(40 + 35 + 35 - 10 - budget.free_space_loss_db)
    assert budget.snr_db == pytest.approx(budget.received_dbm - budget.noise_dbm)
    assert budget.rate_bps == pytest.approx(0.8 * budget.capacity_bps, rel=1e-9)
    assert budget.noise == "ktb"


def test_an_optical_link_has_its_fixed_rate_at_any_distance():
    link = LinkKnobs(kind="optical", optical_rate_bps=5e9)
    assert (rate_bps(np.array([0.0, 10.0, 5000.0]), link) == 5e9).all() and link_budget(
        100.0, link
    ).noise == "optical"


@given(link=RF, distance_km=st.floats(1, 1e5))
def test_the_rate_falls_with_distance(link, distance_km):
    near, far = rate_bps(np.array([distance_km, distance_km * 1.5]), link)
    assert near > far > 0


@given(link=RF, limit_km=st.floats(10, 1e4), share=st.floats(0.001, 1))
def test_no_hop_carries_bits_faster_per_kilometre_than_the_fastest_stride(link, limit_km, share):
    assert share * limit_km * rate_bps(share * limit_km, link) <= fastest_stride_km_bps(link, limit_km)


def test_two_satellites_at_one_point_have_a_finite_rate():
    assert np.isfinite(rate_bps(np.array(0.0), LinkKnobs()))
