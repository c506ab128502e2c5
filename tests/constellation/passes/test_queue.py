"""Downlink queues: conservation of bytes, order, and delivery times worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.common.errors import UserError
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import contact_windows
from constellation.passes.queue import DownlinkQueue, Service, last_byte_times_s, messages_through, service_of
from constellation.scenario.network import GroundKnobs, OrbitKnobs

TWO_PASSES = Service(
    np.array([100.0, 1000.0]), np.array([200.0, 1100.0]), np.array([8000.0, 16000.0])
)  # 100 kB, then 200 kB


@st.composite
def services(draw):
    edges = sorted(draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=16, unique=True)))
    edges = np.array(edges[: len(edges) // 2 * 2], dtype=np.float64)
    rates = draw(st.lists(st.integers(0, 1_000_000), min_size=len(edges) // 2, max_size=len(edges) // 2))
    return Service(edges[::2], edges[1::2], np.array(rates, dtype=np.float64))


MESSAGES = st.lists(st.tuples(st.integers(-100, 12_000), st.integers(0, 10_000_000)), max_size=12)


@given(services(), MESSAGES)
def test_bytes_are_conserved(service, messages):
    queue = messages_through(service, [ready for ready, _ in messages], [size for _, size in messages])
    assert queue.sent_bytes + queue.left_bytes == pytest.approx(queue.pushed_bytes)
    assert queue.sent_bytes <= service.capacity_bytes + 1e-6
    for delivery in queue.deliveries:
        assert 0 <= delivery.sent_bytes <= delivery.size_bytes + 1e-6
        if delivery.size_bytes:  # an empty message behind one that never leaves never leaves either
            assert math.isfinite(delivery.finish_s) == (delivery.sent_bytes >= delivery.size_bytes - 1e-6)


@given(services(), MESSAGES)
def test_messages_arrive_in_order_and_never_before_they_are_ready(service, messages):
    deliveries = messages_through(
        service, [ready for ready, _ in messages], [size for _, size in messages]
    ).deliveries
    finishes = [delivery.finish_s for delivery in deliveries]
    assert finishes == sorted(finishes)
    assert all(delivery.finish_s >= delivery.ready_s for delivery in deliveries)


@given(services(), MESSAGES)
def test_no_more_is_sent_by_any_time_than_the_link_could_carry_since(service, messages):
    queue = messages_through(service, [ready for ready, _ in messages], [size for _, size in messages])
    for delivery in queue.deliveries:
        if math.isfinite(delivery.finish_s) and delivery.size_bytes:
            carried = service.carried_bytes(delivery.finish_s) - service.carried_bytes(delivery.ready_s)
            assert delivery.size_bytes <= carried * (1 + 1e-9) + 1e-3


@given(services(), st.floats(0, 1))
def test_the_curve_and_its_inverse_agree(service, share):
    target = share * service.capacity_bytes
    if target > 0:
        assert service.carried_bytes(service.time_s(target)) == pytest.approx(target, rel=1e-9, abs=1e-6)


def test_a_message_waits_for_the_pass_and_spreads_over_two():
    queue = DownlinkQueue(TWO_PASSES)
    assert queue.push(0.0, 50_000).finish_s == pytest.approx(150.0)
    assert queue.push(0.0, 150_000).finish_s == pytest.approx(
        1050.0
    )  # 50 kB in the first pass, 100 kB in the second
    rest = queue.push(10.0, 500_000)
    assert (rest.sent_bytes, rest.finish_s, queue.left_bytes) == (100_000, math.inf, 400_000)


def test_a_pass_that_has_gone_by_carries_nothing():
    assert DownlinkQueue(TWO_PASSES).push(180.0, 20_001).finish_s == pytest.approx(1000.0005)
    assert DownlinkQueue(TWO_PASSES).push(2000.0, 1).finish_s == math.inf


def test_an_empty_message_is_there_when_it_is_ready():
    assert DownlinkQueue(TWO_PASSES).push(50.0, 0).finish_s == 50.0


def test_the_time_of_the_last_byte_of_each_satellite():
    later = Service(np.array([500.0]), np.array([600.0]), np.array([8000.0]))
    times = last_byte_times_s({3: TWO_PASSES, 8: later}, {3: 100_000, 8: 1000})
    assert times == {3: pytest.approx(200.0), 8: pytest.approx(501.0)}


def test_messages_cannot_be_pushed_into_the_past():
    queue = DownlinkQueue(TWO_PASSES)
    queue.push(10.0, 1)
    with pytest.raises(ValueError, match=r"ready_s: 5.0"):
        queue.push(5.0, 1)


@pytest.mark.parametrize(
    "columns",
    [
        ([0.0, 5.0], [6.0, 9.0], [1.0, 1.0]),
        ([0.0], [1.0], [-1.0]),
        ([3.0], [1.0], [1.0]),
        ([0.0], [math.inf], [1.0]),
        ([0.0, 1.0], [1.0], [1.0]),
    ],
)
def test_windows_that_make_no_sense_are_refused(columns):
    with pytest.raises(UserError, match=r"downlink windows"):
        Service(*(np.array(column) for column in columns))


def test_the_service_of_real_passes_carries_what_the_windows_say():
    constellation, ground = load_constellation(OrbitKnobs(pattern="53:12/3/1")), GroundKnobs()
    windows = contact_windows(constellation, ground, 0.0, 43200.0)
    satellite = int(windows.satellite[0])
    service = service_of(constellation, windows, satellite, ground)
    assert service.capacity_bytes == pytest.approx(windows.of(satellite).capacity_bytes.sum(), rel=1e-3)
