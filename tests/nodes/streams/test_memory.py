"""Streams that refer to views of earlier rounds: both ends keep what was acknowledged, forget alike, and
whatever one of them lost is repaired."""

from dataclasses import replace

import pytest

import dlrc
from codec.bitstream import unpack
from codec.earlier import code_of, is_earlier, number_of, numbers_of, source_of_number
from constellation.common.errors import BitstreamError, UserError
from constellation.scenario.load import load_scenario
from dlrc.store.recording import Recording
from ground.records import Outcome
from ground.round import Station, hear_round
from nodes.memory import Closing, GroundMemory, Memory, Past, Reach, past_of
from nodes.round import fly_round
from nodes.streams.offer import Offer
from nodes.wire.faults import NO_FAULTS, Faults, Outage
from nodes.wire.protocol import together
from nodes.wire.stages import GROUND, Stage, Step
from tests.nodes.streams.stream_cases import crew_of, forced, station_of

REACH = Reach(8, {})
EVERYBODY = (0, 1, 2)


def flown(rounds=3, splits=(EVERYBODY,), faults=NO_FAULTS, reach=REACH):
    """(streams by source, records) of rounds that remember each other."""
    crews = [replace(crew_of("bmshj", numbers), memory=Memory(reach)) for numbers in splits]
    station = Station(station_of("bmshj").board, GroundMemory(reach))
    streams, records = {}, []
    with forced():
        for number in range(rounds):
            sides = {crew.numbers: fly_round(crew, number) for crew in crews}
            done = together({**sides, GROUND: hear_round(station, number)}, faults)
            records.append(done.pop(GROUND).record)
            for one in done.values():
                streams |= {(s, number): product.stream for s, product in one.products.items()}
    return dict(sorted(streams.items())), records


def ages(data: bytes) -> set[int]:
    return {number // 1024 for number in unpack(data).header.earlier}


def test_streams_of_later_rounds_refer_to_earlier_ones_and_decode_exactly():
    streams, records = flown()
    assert all(one.outcome is Outcome.EXACT for record in records for one in record.satellites)
    assert not any(unpack(streams[s, 0]).header.earlier for s in EVERYBODY)
    later = [ages(streams[s, n]) for s in EVERYBODY for n in (1, 2)]
    assert sum(map(bool, later)) >= 4 and {1, 2} <= set().union(*later)
    for record in records:
        for one in record.satellites:
            told = {number_of(source, one.round) for source in one.earlier}
            assert told == set(unpack(streams[one.satellite, one.round]).header.earlier)


@pytest.mark.parametrize("splits", [((0, 1), (2,)), ((2,), (0,), (1,))])
def test_bytes_do_not_depend_on_who_flies_with_whom_under_faults(splits):
    faults = Faults(
        loss=0.4,
        seed=3,
        outages={1: [Outage(Stage(0, Step.REQUEST), 1)], 2: [Outage(Stage(1, Step.EXCHANGE), 2)]},
    )
    streams, records = flown(faults=faults)
    again, others = flown(splits=splits, faults=faults)
    assert streams == again
    assert [one.to_json() for one in records] != [] and len(others) == len(records)
    for record in records:
        for one in record.satellites:
            assert one.outcome in (Outcome.EXACT, Outcome.RESENT, Outcome.INDEPENDENT) or one.satellite in (
                1,
                2,
            )


def test_who_did_not_hear_the_ground_close_a_round_does_not_refer_to_it():
    deaf = Faults(outages={1: [Outage(Stage(0, Step.REQUEST), 1)]})
    streams, records = flown(faults=deaf)
    assert not ages(streams[1, 1]) and 2 not in ages(streams[1, 2])
    assert all(one.outcome is Outcome.EXACT for record in records[1:] for one in record.satellites)
    assert any(ages(streams[s, 1]) for s in (0, 2))


def test_a_ground_that_lost_its_memory_asks_for_independent_streams_once():
    _, records = flown(rounds=4, reach=Reach(8, {GROUND: (2,)}))
    second = {one.outcome for one in records[2].satellites}
    assert Outcome.INDEPENDENT in second and second <= {Outcome.INDEPENDENT, Outcome.EXACT}
    for record in (records[0], records[1], records[3]):
        assert all(one.outcome is Outcome.EXACT for one in record.satellites)
    for one in records[2].satellites:
        assert one.ledger.resent == (one.independent.total if one.outcome is Outcome.INDEPENDENT else 0)


def test_a_satellite_that_lost_its_memory_goes_without():
    streams, records = flown(reach=Reach(8, {1: (2,)}))
    assert not ages(streams[1, 2]) and any(ages(streams[s, 2]) for s in EVERYBODY if s != 1)
    assert all(one.outcome is Outcome.EXACT for record in records for one in record.satellites)


def test_what_is_too_old_is_forgotten_on_both_sides():
    streams, records = flown(reach=Reach(1, {}))
    assert set().union(*(ages(data) for data in streams.values())) == {1}
    assert all(one.outcome is Outcome.EXACT for record in records for one in record.satellites)


def offer_of(satellite, number):
    return Offer.of((satellite, number), 0.0, b"stream", (0, 0))


def test_only_what_was_heard_and_accepted_is_kept():
    offers = {s: offer_of(s, 0) for s in (0, 1, 2)}
    by = {0: frozenset({0, 1}), 1: frozenset({1, 2}), 2: frozenset({2})}
    past = past_of(offers, by, Closing(accepted=frozenset({1, 2}), informed=frozenset({0, 1})))
    assert past.offers.keys() == {1, 2}
    assert past.heard == {0: frozenset({1}), 1: frozenset({1, 2})}
    memory = Memory(REACH)
    memory.close(0, past)
    assert list(memory.offers(0, 3)) == [1 + 3 * 1024] and not memory.offers(2, 3)
    assert memory.offers(0, 3)[1 + 3 * 1024].header.satellite == 1 + 3 * 1024
    assert not memory.offers(0, 0)


def test_who_is_asked_for_the_independent_stream_forgets_what_was_before():
    memory = Memory(REACH)
    for number in range(3):
        heard = {0: frozenset({1}), 1: frozenset({1})}
        memory.close(number, Past({1: offer_of(1, number)}, heard, frozenset({0} if number == 1 else ())))
    assert list(memory.offers(0, 3)) == [1 + 1024, 1 + 2048]
    assert list(memory.offers(1, 3)) == [1 + 1024, 1 + 2048, 1 + 3072]
    assert list(memory.offers(0, 1)) == [1 + 1024]  # the round that begins again finds what it found


def test_numbers_of_earlier_views_come_back_or_are_refused():
    for sources in ([(0, 9)], [(1023, 9), (3, 2), (0, 0)], [(5, 9), (6, 9), (7, 9)]):
        numbers = tuple(sorted(number_of(source, 10) for source in sources))
        assert numbers_of(code_of(numbers)) == numbers and all(map(is_earlier, numbers))
        assert {source_of_number(number, 10) for number in numbers} == set(sources)
    for code in (1 << 15, (1 << 15) - 1, (1 << 15 * 80) - 1):
        with pytest.raises(BitstreamError, match="earlier sources"):
            numbers_of(code)
    with pytest.raises(ValueError, match="no source"):
        number_of((0, 0), 32)


def test_a_node_that_is_none_forgets_nothing():
    with pytest.raises(UserError, match="NODE:ROUND"):
        load_scenario("dense", ("faults.forgets=moon:2",))


SMALL = {
    "satellites": 2, "capture.patch_px": 64, "capture.window_px": 96, "scene.size_px": 128,
    "dlrc.memory": "rounds", "codec.device": "cpu",
}  # fmt: skip
STREAMS = {"rounds": 2, "dlrc.exchange": "streams", "dlrc.dedup": "hybrid"}


def bytes_in(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.bin"))}


LISTS = {"rounds": 3, "capture.patch_px": 128, "capture.window_px": 192, "scene.size_px": 192}


@pytest.mark.parametrize("how", [STREAMS, LISTS])
def test_a_run_that_goes_on_flies_the_bytes_that_it_would_have_flown(how, tmp_path, monkeypatch):
    whole = dlrc.run("dense", **(SMALL | how), output=str(tmp_path / "whole"))
    last = how["rounds"] - 1
    assert any(one.earlier for one in whole.rounds[last].satellites)
    assert all(one.exact for record in whole.rounds for one in record.satellites)
    keep = Recording.keep

    def cut_short(self, record, streams, images):
        if record.number == last:
            raise KeyboardInterrupt
        keep(self, record, streams, images)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Recording, "keep", cut_short)
        dlrc.run("dense", **(SMALL | how), output=str(tmp_path / "cut"))
    dlrc.run("dense", **(SMALL | how), output=str(tmp_path / "cut"), resume=True)
    assert bytes_in(tmp_path / "cut") == bytes_in(tmp_path / "whole")
