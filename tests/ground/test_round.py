"""A round at the ground against a round on board: whatever happens to a stream, its outcome says so, bytes
add up, and images are what the outcome says."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream import unpack
from constellation.network import SpaceSegment
from constellation.scenario.load import load_scenario
from ground.decoder import decode
from ground.records import Outcome, RoundRecord
from ground.round import Station, hear_round
from nodes.process.board import load_board
from nodes.round import crew_of, fly_round
from nodes.wire.faults import NO_FAULTS, Faults
from nodes.wire.protocol import together
from nodes.wire.stages import GROUND, Send, Stage, Step

DOWNLINK, WITNESS, REQUEST, ANSWER = (
    Stage(0, step) for step in (Step.DOWNLINK, Step.WITNESS, Step.REQUEST, Step.ANSWER)
)
SMALL = ("satellites=4", "capture.patch_px=192", "capture.window_px=256", "scene.size_px=256")
GOOD, RESENT, INDEPENDENT, LOST = Outcome.EXACT, Outcome.RESENT, Outcome.INDEPENDENT, Outcome.LOST


class Sky:
    """One round of a scenario, to be flown again and again under other faults."""

    def __init__(self, *words):
        scenario = load_scenario("dense", [*SMALL, *words])
        board = load_board(scenario.codec)
        crew = crew_of(scenario, range(scenario.satellites), board, SpaceSegment(scenario))
        views = crew.see(0, crew.numbers)
        self.crew = dataclasses.replace(crew, see=lambda number, satellites: [views[s] for s in satellites])
        self.station = Station(board)

    def fly(self, faults=NO_FAULTS):
        crew = self.crew
        sides = {crew.numbers: fly_round(crew, 0), GROUND: hear_round(self.station, 0)}
        results = together(sides, faults)
        self.flown = results[crew.numbers]
        return results[GROUND]


class Hit:
    """Faults that change what one satellite sends at a stage, before `then` applies."""

    def __init__(self, changes, then=NO_FAULTS):
        self.changes, self.then = changes, then
        self.alive = then.alive

    def apply(self, send: Send, alive):
        messages = {
            s: self.changes[s, send.stage](data) if (s, send.stage) in self.changes else data
            for s, data in send.messages.items()
        }
        return self.then.apply(dataclasses.replace(send, messages=messages), alive)


def flip(at):
    def change(data):
        place = at % len(data)
        return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]

    return change


@pytest.fixture(scope="module")
def sky():
    return Sky("codec.model=mbt")


@pytest.fixture(scope="module")
def calm(sky):
    return sky.fly()


def outcomes(landed):
    return {one.satellite: one.outcome for one in landed.record.satellites}


def adds_up(landed):
    for one in landed.record.satellites:
        assert (one.ledger.received > 0) == (one.outcome is not LOST)
        assert (one.quality_dlrc is None) == (one.outcome is LOST)
        assert one.uncounted_bytes >= 0
        if one.outcome in (GOOD, LOST):
            assert one.kept + one.local_copy + one.remote_copy == (144 if one.outcome is GOOD else 0)
    assert RoundRecord.from_json(landed.record.to_json()) == landed.record
    return landed


def classes_of(data):
    """A byte of every class of a container, by name."""
    stream = unpack(data)
    tail = len(data) - 4
    at_map = tail - len(stream.map)
    at_y = at_map - 2 - len(stream.y) if stream.map else tail - len(stream.y)
    at_z = at_y - 2 - len(stream.z)
    return {
        "magic": 0,
        "version": 2,
        "settings": 3,
        "weights": 5,
        "satellite": 9,
        "round": 10,
        "sizes": at_z - 3,
        "checksum of the head": at_z - 1,
        "z": at_z,
        "checksum of y": at_y - 1,
        "y": at_y + len(stream.y) // 2,
        "checksum of the map": at_map - 1,
        "map": at_map,
        "digest": tail + 1,
        "last byte": tail + 3,
    }


CLASSES = list(classes_of.__doc__ and (
    "magic", "version", "settings", "weights", "satellite", "round", "sizes", "checksum of the head", "z",
    "checksum of y", "y", "checksum of the map", "map", "digest", "last byte",
))  # fmt: skip
LATE = ("magic", "z", "y", "map", "digest")  # of a stream that follows others: all but the first parse


def test_without_faults_every_stream_is_exact_and_nothing_is_asked_for(sky, calm):
    assert set(outcomes(calm).values()) == {GOOD} and sky.flown.accepted == {0, 1, 2, 3}
    for one in adds_up(calm).record.satellites:
        assert one.ledger.first == one.ledger.received == one.dlrc.total and one.ledger.resent == 0
        task = sky.flown.tasks[one.satellite]
        assert np.array_equal(one.fates.owner, task.assignment.owner)
        assert one.oracle >= one.remote_copy > 0 or one.satellite == calm.record.order[0]


@pytest.mark.parametrize(("victim", "place"), [*((0, place) for place in CLASSES), *((3, p) for p in LATE)])
def test_damage_anywhere_in_a_stream_is_noticed_and_mended_by_that_stream_alone(sky, calm, victim, place):
    at = classes_of(sky.flown.products[victim].stream)[place]
    landed = adds_up(sky.fly(Hit({(victim, DOWNLINK): flip(at)})))
    assert outcomes(landed) == {0: GOOD, 1: GOOD, 2: GOOD, 3: GOOD, victim: RESENT}
    for one, before in zip(landed.record.satellites, calm.record.satellites, strict=True):
        assert (one.dlrc, one.quality_dlrc, one.fates) == (before.dlrc, before.quality_dlrc, before.fates)
        again = one.ledger.first if one.satellite == victim else 0
        assert (one.ledger.resent, one.ledger.lost) == (again, again)


def test_every_byte_class_is_where_the_test_believes_it_is(sky):
    assert list(classes_of(sky.flown.products[1].stream)) == CLASSES


@pytest.mark.parametrize("place", ["y", "digest"])
def test_a_stream_that_comes_damaged_twice_is_replaced_and_so_are_its_followers(sky, place):
    at = classes_of(sky.flown.products[0].stream)[place]
    landed = adds_up(sky.fly(Hit({(0, DOWNLINK): flip(at), (0, ANSWER): flip(at)})))
    assert set(outcomes(landed).values()) == {INDEPENDENT}
    first, *rest = landed.record.satellites
    assert first.ledger.lost == 2 * first.ledger.first and first.ledger.received == first.independent.total
    for one in rest:  # their streams came whole, only in vain
        assert one.ledger.lost == 0 and one.ledger.resent == one.independent.total
    for one in landed.record.satellites:
        assert one.kept == 144 and one.remote_copy == 0 and one.quality_dlrc == one.quality_independent
        assert one.dlrc.total == one.ledger.first + one.independent.total


@pytest.mark.parametrize("place", ["satellite", "y", "digest"])
def test_a_damaged_replacement_is_lost_and_not_asked_for_again(sky, place):
    request = Stage(0, Step.ANSWER, 1)
    hits = {(0, DOWNLINK): flip(-1), (0, ANSWER): flip(-1)}
    alone = sky.flown.products[0].alone
    at = {"satellite": 9, "y": len(alone) // 2, "digest": len(alone) - 1}[place]
    landed = adds_up(sky.fly(Hit(hits | {(0, request): flip(at)})))
    assert outcomes(landed) == {0: LOST, 1: INDEPENDENT, 2: INDEPENDENT, 3: INDEPENDENT}
    assert landed.record.satellites[0].ledger.received == 0 and 0 not in landed.images


def test_the_answer_to_a_request_may_be_cut(sky):
    landed = adds_up(sky.fly(Hit({(1, DOWNLINK): flip(40)}, Faults(cut=frozenset({(1, ANSWER)})))))
    found = outcomes(landed)
    assert found[0] is GOOD and found[1] is INDEPENDENT
    assert landed.record.satellites[1].ledger.lost == 2 * landed.record.satellites[1].ledger.first


def test_a_silent_satellite_is_lost_its_followers_replaced_and_no_byte_counted_twice(sky, calm):
    landed = adds_up(sky.fly(Faults(mute=frozenset({0}))))
    assert outcomes(landed) == {0: LOST, 1: INDEPENDENT, 2: INDEPENDENT, 3: INDEPENDENT}
    silent, *rest = landed.record.satellites
    assert (
        silent.transmission_s is None and silent.fates is None and silent.ledger.first == silent.ledger.lost
    )
    assert silent.ledger.resent == 0 and 0 not in landed.images and 0 not in landed.images_alone
    for one in rest:
        assert one.transmission_s > 0 and one.uncounted_bytes == 0 and one.fates.counts == (144, 0, 0)
        assert np.array_equal(landed.images[one.satellite], landed.images_alone[one.satellite])
    assert sky.flown.accepted == frozenset()


def test_deaths_leave_what_came_and_nothing_of_what_did_not(sky, calm):
    gone = adds_up(sky.fly(Faults(deaths={0: DOWNLINK})))
    assert outcomes(gone) == {1: INDEPENDENT, 2: INDEPENDENT, 3: INDEPENDENT}
    landed = adds_up_without_witness(sky.fly(Faults(deaths={0: WITNESS})))
    one = landed.record.satellites[0]
    assert (
        outcomes(landed) == dict.fromkeys(range(4), GOOD) and one.quality_dlrc is None and one.place is None
    )
    assert np.array_equal(landed.images[0], calm.images[0])
    assert one.pixels == 192 * 192 and one.ledger == calm.record.satellites[0].ledger
    late = sky.fly(Hit({(0, DOWNLINK): flip(9)}, Faults(deaths={0: REQUEST})))
    assert outcomes(late)[0] is LOST and late.record.satellites[0].ledger.resent == 0


def adds_up_without_witness(landed):
    assert RoundRecord.from_json(landed.record.to_json()) == landed.record
    return landed


@settings(max_examples=6, deadline=None)
@given(st.floats(0, 1), st.integers(0, 1 << 30), st.sets(st.integers(0, 3), max_size=2))
def test_under_any_loss_the_round_closes_replays_and_shows_no_wrong_vector(sky, calm, loss, seed, mute):
    faults = Faults(loss=loss, seed=seed, mute=frozenset(mute))
    landed = adds_up(sky.fly(faults))
    assert sky.fly(faults).record == landed.record
    assert {s for s, found in outcomes(landed).items() if found is LOST} == mute
    for satellite, found in outcomes(landed).items():
        if found is INDEPENDENT:
            assert np.array_equal(landed.images[satellite], calm.images_alone[satellite])
        elif found is not LOST:
            assert np.array_equal(landed.images[satellite], calm.images[satellite])


def test_the_record_does_not_depend_on_the_split_into_crews(sky, calm):
    parts = [dataclasses.replace(sky.crew, numbers=numbers) for numbers in ((3, 1), (0,), (2,))]
    sides = {crew.numbers: fly_round(crew, 0) for crew in parts} | {GROUND: hear_round(sky.station, 0)}
    assert together(sides)[GROUND].record == calm.record


def test_independent_streams_leave_what_has_been_decoded_as_it_is(sky, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "ground.round.decode", lambda board, streams: calls.append(streams) or decode(board, streams)
    )
    landed = sky.fly(Faults(mute=frozenset({0})))
    assert calls == [landed.arrived.streams, landed.arrived.spares, landed.arrived.alone]


def test_a_digest_that_does_not_fit_is_blamed_on_damage_where_arithmetic_was_exact(sky):
    landed = sky.fly(Hit({(0, DOWNLINK): flip(-1), (0, ANSWER): flip(-1)}))
    assert "the stream is damaged" in landed.record.satellites[0].fault


def test_a_silent_satellite_surrounds_nobody():
    sky = Sky("codec.model=bmshj", "capture.halo_px=32", "satellites=3")
    landed = adds_up(sky.fly(Faults(mute=frozenset({0}))))
    without = sky.fly(Faults(deaths={0: DOWNLINK}))
    for kind in ("images", "images_alone"):
        for satellite in (1, 2):
            assert np.array_equal(getattr(landed, kind)[satellite], getattr(without, kind)[satellite])
    assert not np.array_equal(sky.fly().images_alone[1], landed.images_alone[1])  # as else it does


def test_a_satellite_with_a_halo_whose_stream_never_parsed_is_replaced():
    sky = Sky("codec.model=bmshj", "capture.halo_px=32", "satellites=2")
    landed = adds_up(sky.fly(Hit({(1, DOWNLINK): flip(0), (1, ANSWER): flip(0)})))
    assert outcomes(landed) == {0: GOOD, 1: INDEPENDENT}
    assert landed.record.satellites[1].dlrc.header >= landed.record.satellites[1].ledger.first


def test_a_replacement_does_not_take_the_place_of_what_followers_refer_to(sky, calm):
    """Its list may be another: where the owner had local copies, addresses into it would mean other
    vectors."""
    at = classes_of(sky.flown.products[3].stream)["y"]
    landed = sky.fly(Hit({(3, DOWNLINK): flip(at), (3, ANSWER): flip(at)}))
    assert outcomes(landed) == {0: GOOD, 1: GOOD, 2: GOOD, 3: INDEPENDENT}
    assert (3, 0) in landed.spares.latents and (3, 0) not in landed.decoded.latents


def test_without_dlrc_nothing_is_shared_and_both_sides_are_the_same_bytes():
    sky = Sky("codec.model=bmshj", "dlrc.enabled=false", "satellites=2")
    landed = adds_up(sky.fly())
    for one in landed.record.satellites:
        assert one.dlrc == one.independent and one.fates is None and one.kept == 144


def test_a_round_of_the_dead_has_an_empty_record(sky):
    landed = sky.fly(Faults(deaths=dict.fromkeys(range(4), Stage(0, Step.HEADERS))))
    assert landed.record == RoundRecord(0, ())


def test_the_cells_of_a_record_say_where_its_bits_went_and_where_its_errors_are(sky):
    for one in sky.fly().record.satellites:
        for bits, coded in ((one.cells.bits, one.dlrc.y), (one.cells.bits_independent, one.independent.y)):
            assert 0 <= 8 * coded - bits.sum(dtype=float) < 8 * 12  # the coder's own state, and rounding
        assert not one.cells.bits[one.fates.fate > 0].any()  # copies cost nothing of y
        mean = one.cells.mse.mean(dtype=float)
        assert abs(10 * np.log10(255**2 / mean) - one.quality_dlrc.psnr_db) < 0.01
