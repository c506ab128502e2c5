"""Files on their way down: nothing is lost or made up, whatever the passes, losses, antennas and stores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.common.errors import UserError
from constellation.links.pruning import LinkRules
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import contact_windows
from constellation.passes.delivery.antennas import Passes
from constellation.passes.delivery.contacts import contacts_between, rate_and_loss, skies
from constellation.passes.delivery.link import Contact
from constellation.passes.delivery.relays import relays_over
from constellation.passes.delivery.rules import ORDERS, File, TransferKnobs
from constellation.passes.delivery.simulate import deliver
from constellation.passes.delivery.weather import Weather
from constellation.scenario.network import GroundKnobs, LinkKnobs, OrbitKnobs, SyncKnobs, TopologyKnobs

CALM = TransferKnobs(unit_loss=0.0, handover_s=0.0)
END_S = 10_000.0


def a_pass(satellite, begin_s, end_s, rate_bps=8e5, station=0, loss=0.0):
    edges_s = np.array([begin_s, (begin_s + end_s) / 2, end_s])
    rate, losses = np.full(2, rate_bps), np.full(2, loss)
    return Contact(satellite, station, satellite, edges_s, rate, losses, 0.003, loss)


def a_file(index, satellite=0, size=100_000, ready_s=0.0, **more):
    return File(index, satellite, index, satellite, size, ready_s, **more)


def told(fate):
    return {name: value for name, value in vars(fate).items() if name != "file"}


def passes_of(*contacts, antennas=(0,)):
    return Passes(tuple(sorted(contacts, key=lambda one: one.begin_s)), antennas, END_S)


def test_a_file_is_down_when_its_last_bit_is():
    account = deliver([a_file(0)], passes_of(a_pass(0, 100.0, 200.0)), CALM, "fifo", 0)
    overhead = 22 + 14 * 98 + 20  # metadata, headers of 98 segments, end of file
    assert account.fates[0].done_s == pytest.approx(100 + (100_000 + overhead) / 1e5 + 0.003, abs=1e-6)
    assert account.faults == [] and account.fates[0].begun_s == 100.0


def test_a_file_may_be_spread_over_passes_and_stations():
    two = passes_of(a_pass(0, 0.0, 0.6), a_pass(0, 50.0, 60.0, station=1), antennas=(0, 0))
    account = deliver([a_file(0)], two, CALM, "fifo", 0)
    fate = account.fates[0]
    assert fate.stations == (0, 1) and 50 < fate.done_s < 51 and account.handovers == 1
    assert fate.again == 0 and account.faults == []


@st.composite
def deliveries(draw):
    draws = np.random.default_rng(draw(st.integers(0, 2**32)))
    satellites, stations = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    contacts = []
    for satellite in range(satellites):
        for station in range(stations):
            edges = np.sort(draws.uniform(0, END_S * 1.1, 2 * draws.integers(0, 4)))
            for a, b in zip(edges[::2], edges[1::2], strict=True):
                loss = float(draws.choice([0.0, 0.05, 0.4, 1.0]))
                rate_bps = draws.uniform(1e4, 1e6)
                contacts.append(a_pass(satellite, a, min(b, a + 60), rate_bps, station, loss))
    files = [
        a_file(
            i,
            int(draws.integers(satellites)),
            int(draws.integers(1, 60_000)),
            draws.uniform(0, END_S / 2),
            rank=int(draws.integers(8)),
            needs=(int(draws.integers(i + 1)),),
        )
        for i in range(draw(st.integers(1, 8)))
    ]
    knobs = TransferKnobs(
        storage_mib=draw(st.sampled_from([0.0, 0.06])),
        drop=draw(st.sampled_from(["newest", "oldest", "largest", "last"])),
        segment_bytes=draw(st.sampled_from([256, 1024])),
    )
    antennas = tuple(draw(st.integers(0, 2)) for _ in range(stations))
    return files, passes_of(*contacts, antennas=antennas), knobs, draw(st.sampled_from(ORDERS))


@given(deliveries())
@settings(max_examples=40, deadline=None)
def test_every_byte_is_received_or_lost_and_equal_seeds_give_equal_accounts(delivery):
    files, passes, knobs, order = delivery
    account = deliver(files, passes, knobs, order, 3)
    assert account.faults == []
    for fate in account.fates:
        assert not (fate.dropped and np.isfinite(fate.begun_s))
        assert fate.done_s >= fate.begun_s >= 0 and fate.usable_s >= fate.done_s
    again = deliver(files, passes, knobs, order, 3)
    assert [vars(one) | {"file": 0} for one in account.fates] == [
        vars(one) | {"file": 0} for one in again.fates
    ]


def test_an_account_that_does_not_add_up_says_so():
    account = deliver([a_file(0)], passes_of(a_pass(0, 0.0, 99.0)), CALM, "fifo", 0)
    fate = account.fates[0]
    wrong = type(fate)(**{**vars(fate), "lost": 7})
    assert "100000 + 0 bytes sent" in wrong.faults[0] and "7 lost" in wrong.faults[0]


def test_lost_segments_are_sent_again_and_nothing_else_is():
    lossy = TransferKnobs(handover_s=0.0)
    account = deliver([a_file(0, size=10**6)], passes_of(a_pass(0, 0.0, 99.0, loss=0.05)), lossy, "fifo", 1)
    fate = account.fates[0]
    assert np.isfinite(fate.done_s) and fate.again >= fate.lost > 0
    assert fate.twice == fate.again - fate.lost and account.faults == []


@pytest.mark.parametrize(
    ("order", "first"), [("fifo", 0), ("newest", 1), ("smallest", 2), ("priority", 3), ("needed", 4)]
)
def test_the_order_of_the_queue_says_who_goes_first(order, first):
    files = [
        a_file(0, ready_s=0.0, rank=9),
        a_file(1, ready_s=5.0, rank=8),
        a_file(2, size=50_000, ready_s=1.0, rank=7),
        a_file(3, ready_s=1.0, rank=0),
        a_file(4, ready_s=1.0, rank=5, needed=3),
    ]
    account = deliver(files, passes_of(a_pass(0, 10.0, 99.0)), CALM, order, 0)
    assert min(account.fates, key=lambda fate: fate.done_s).file.index == first


@pytest.mark.parametrize(("drop", "gone"), [("newest", 2), ("oldest", 0), ("largest", 1), ("last", 0)])
def test_a_full_store_drops_by_its_rule(drop, gone):
    files = [
        a_file(0, size=400_000, ready_s=0.0, rank=5),
        a_file(1, size=500_000, ready_s=1.0, rank=1),
        a_file(2, size=300_000, ready_s=2.0, rank=0),
    ]
    knobs = TransferKnobs(unit_loss=0.0, storage_mib=1.0, drop=drop)
    account = deliver(files, passes_of(a_pass(0, 10.0, 99.0)), knobs, "priority", 0)
    assert [fate.file.index for fate in account.fates if fate.dropped] == [gone]
    assert account.dropped_bytes == files[gone].size_bytes and account.stored_bytes <= 2**20


def test_what_was_acknowledged_makes_room():
    knobs = TransferKnobs(unit_loss=0.0, storage_mib=0.1, handover_s=0.0)
    files = [a_file(0, size=90_000), a_file(1, size=90_000, ready_s=50.0)]
    account = deliver(files, passes_of(a_pass(0, 10.0, 20.0), a_pass(0, 60.0, 70.0)), knobs, "fifo", 0)
    assert account.usable == 2 and account.dropped_bytes == 0


def test_one_antenna_serves_one_satellite_and_then_the_other():
    both = [a_pass(0, 0.0, 50.0), a_pass(1, 0.0, 50.0)]
    files = [a_file(0, 0, 10**6), a_file(1, 1, 10**6)]
    one = deliver(files, passes_of(*both, antennas=(1,)), CALM, "fifo", 0)
    many = deliver(files, passes_of(*both), CALM, "fifo", 0)
    assert many.fates[1].done_s < 11 < 20 < one.fates[1].done_s < 22
    assert one.fates[1].begun_s > one.fates[0].done_s


def test_a_picture_is_of_use_when_those_it_needs_are_down():
    files = [a_file(0, 0, needs=(1,)), a_file(1, 1, ready_s=1.0), a_file(2, 0, needs=(-1,))]
    account = deliver(files, passes_of(a_pass(0, 0.0, 50.0), a_pass(1, 100.0, 150.0)), CALM, "fifo", 0)
    assert account.fates[0].done_s < 2 and account.fates[0].usable_s == account.fates[1].done_s > 100
    assert account.fates[2].usable_s == np.inf and account.usable == 2


# ---------------------------------------------------------------- real passes


@pytest.fixture(scope="module")
def constellation():
    return load_constellation(OrbitKnobs(pattern="53:24/3/1"))


def test_contacts_carry_what_the_passes_carry(constellation):
    ground, span_s = GroundKnobs(), (0.0, 6 * 3600.0)
    knobs = TransferKnobs(margin_db=0.0)
    (sky,) = skies(ground, knobs, 0, span_s)
    contacts = contacts_between(constellation, range(24), sky, knobs, span_s)
    windows = contact_windows(constellation, ground, *span_s)
    assert len(contacts) == len(windows) > 3
    carried = sum(float(np.sum(np.diff(one.edges_s) * one.rate_bps)) / 8 for one in contacts)
    assert carried == pytest.approx(windows.capacity_bytes.sum(), rel=1e-3)


def test_data_goes_over_links_to_whoever_has_a_contact():
    """A satellite that sees no station for an hour delivers earlier over those that do."""
    span_s = (0.0, 3 * 3600.0)
    high = load_constellation(OrbitKnobs(pattern="53:24/3/1", altitude_km=1200.0))
    ground = GroundKnobs(stations=("Matera", "Santiago"))
    contacts = [
        one
        for sky in skies(ground, CALM, 0, span_s)
        for one in contacts_between(high, range(24), sky, CALM, span_s)
    ]
    rules = LinkRules(TopologyKnobs(rule="grid", max_distance_km=9000.0), LinkKnobs(), SyncKnobs())
    first = {s: min((c.begin_s for c in contacts if c.satellite == s), default=np.inf) for s in range(24)}
    far = max(first, key=lambda s: first[s])
    ways = Passes(
        tuple(sorted(contacts, key=lambda c: c.begin_s)), (0, 0), span_s[1], relays_over(high, rules, 60.0)
    )
    alone = Passes(ways.contacts, (0, 0), span_s[1])
    direct = deliver([a_file(0, far)], alone, CALM, "fifo", 0)
    relayed = deliver([a_file(0, far)], ways, CALM, "fifo", 0)
    assert relayed.faults == [] and relayed.fates[0].relayed > 0
    assert relayed.fates[0].done_s < direct.fates[0].done_s - 600


# ---------------------------------------------------------------- weather

KA = GroundKnobs(downlink=LinkKnobs(frequency_ghz=26.5))


def test_it_rains_as_often_as_the_recommendation_says():
    """300 days by the minute: attenuation exceeded in p % of the time is P.618's for p %."""
    from itur.models import itu618

    days = 300
    weather = Weather(KA, 1, 0, (0.0, days * 86400.0))
    fade_db = weather.fade_db(np.arange(0, days * 86400.0, 60.0), np.full(days * 1440, 10.0))
    for p in (2.0, 3.5):
        exact = itu618.rain_attenuation(40.65, 16.70, 26.5, 10.0, hs=0.53, p=p).value
        assert np.percentile(fade_db, 100 - p) == pytest.approx(exact, rel=0.4)
    assert (fade_db == 0).mean() > 0.9


def test_weather_is_the_same_for_a_seed_and_changes_slowly():
    one, same, other = (Weather(KA, seed, 0, (0.0, 86400.0)) for seed in (5, 5, 6))
    times_s = np.arange(0, 86400.0, 60.0)
    assert np.array_equal(one.exceeded_pct(times_s), same.exceeded_pct(times_s))
    assert not np.array_equal(one.exceeded_pct(times_s), other.exceeded_pct(times_s))
    assert np.abs(np.diff(one.exceeded_pct(times_s))).max() < 40


def test_rain_takes_the_planned_link_down_and_slows_the_adaptive_one():
    distance_km, fade_db = np.full(3, 900.0), np.array([0.0, 2.0, 9.0])
    planned = rate_and_loss(distance_km, fade_db, KA, TransferKnobs())
    adaptive = rate_and_loss(distance_km, fade_db, KA, TransferKnobs(coding="adaptive"))
    assert planned[1].tolist() == [0.001, 0.001, 1.0] and len(set(planned[0])) == 1
    assert adaptive[0][0] > adaptive[0][1] > adaptive[0][2] > 0 and set(adaptive[1]) == {0.001}


def test_rain_on_light_is_refused():
    with pytest.raises(UserError, match=r"expected ground\.downlink\.kind=rf"):
        Weather(GroundKnobs(downlink=LinkKnobs(kind="optical")), 0, 0, (0.0, 1.0))
