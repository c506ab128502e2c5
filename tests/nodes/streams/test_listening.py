"""Satellites that do not look in a round: they hear what the links bring them, keep what the ground accepted,
and nobody calls them missing."""

from dataclasses import replace
from unittest import mock

import pytest

from codec.bitstream import unpack
from codec.earlier import source_of_number
from constellation.common.errors import UserError
from constellation.network import SpaceSegment
from constellation.scenario.load import load_scenario
from dlrc.report.lines import progress
from dlrc.store.recall import past_in
from ground.records import Outcome
from ground.round import Station, hear_round
from nodes.memory import GroundMemory, Memory, Reach
from nodes.round import fly_round
from nodes.wire.faults import NO_FAULTS, Faults, Outage
from nodes.wire.protocol import together
from nodes.wire.stages import GROUND, Stage, Step
from tests.nodes import round_cases
from tests.nodes.round_cases import EVERYBODY
from tests.nodes.streams.stream_cases import WORDS, crew_of, forced, station_of

REACH = Reach(8, {})
LOOKING = ({0: None, 1: None}, {2: None, 3: None, 4: None})  # 2 to 4 look in the second round alone
HEARING = {0: (0, 1), 1: (0, 1), 2: (0, 1, 2), 3: (1, 3), 4: (4,)}  # and in the first hear both, one, nobody
LISTENS = (*WORDS, "dlrc.memory=rounds", "dlrc.listen=true")


def flown(words=LISTENS, splits=(EVERYBODY,), faults=NO_FAULTS):
    """(streams by source, records) of two rounds."""
    crews = [replace(crew_of("bmshj", who, words, HEARING), memory=Memory(REACH)) for who in splits]
    station = Station(station_of("bmshj").board, GroundMemory(REACH))
    streams, records = {}, []
    for crew in crews:
        at, see = crew.network.at, crew.see

        def instant(number, at=at):
            made = at(number)
            made.sightings = LOOKING[number]
            return made

        crew.network.at = instant
        object.__setattr__(crew, "see", lambda n, who, see=see: see(n, [s for s in who if s in LOOKING[n]]))
    with forced():
        for number in range(2):
            sides = {crew.numbers: fly_round(crew, number) for crew in crews}
            done = together({**sides, GROUND: hear_round(station, number)}, faults)
            records.append(done.pop(GROUND).record)
            for one in done.values():
                streams |= {(s, number): product.stream for s, product in one.products.items()}
    return dict(sorted(streams.items())), records


def earlier(streams, satellite):
    """Of whom the view of the second round refers to a view of the first."""
    numbers = unpack(streams[satellite, 1]).header.earlier
    return {source_of_number(number, 1)[0] for number in numbers}


def test_who_did_not_look_refers_to_what_it_heard_and_the_ground_accepted():
    streams, records = flown()
    assert records[0].bystanders == ((2, (0, 1)), (3, (1,)), (4, ()))
    assert earlier(streams, 2) == {0, 1} and earlier(streams, 3) == {1} and not earlier(streams, 4)
    assert all(one.outcome is Outcome.EXACT for record in records for one in record.satellites)


def test_who_is_not_to_listen_hears_and_keeps_nothing():
    streams, records = flown((*WORDS, "dlrc.memory=rounds"))
    assert records[0].bystanders == ((2, ()), (3, ()), (4, ()))
    assert not any(earlier(streams, s) for s in (2, 3, 4))


def test_who_did_not_hear_the_ground_close_the_round_keeps_nothing_of_it():
    away = Faults(outages={2: [Outage(Stage(0, Step.REQUEST), 1)]})
    streams, records = flown(faults=away)
    assert not earlier(streams, 2) and earlier(streams, 3) == {1}
    assert all(one.outcome is Outcome.EXACT for record in records for one in record.satellites)


@pytest.mark.parametrize("splits", [((0, 1), (2, 3, 4)), ((4, 2), (0,), (1, 3))])
def test_who_listens_does_not_depend_on_who_flies_with_whom(splits):
    streams, records = flown()
    again, others = flown(splits=splits)
    assert streams == again and [one.bystanders for one in records] == [one.bystanders for one in others]


def test_a_run_that_goes_on_knows_who_listened(tmp_path):
    _, records = flown()
    (tmp_path / "record.json").write_text(records[0].to_json())
    with mock.patch("dlrc.store.recall._read", lambda path: b"stream"):
        past = past_in(tmp_path, NO_FAULTS, streams=True)
    assert past is not None
    assert {s: set(heard) for s, heard in past.heard.items()} == {0: {0, 1}, 1: {0, 1}, 2: {0, 1}, 3: {1}}


def test_who_does_not_look_is_no_missing_satellite():
    _, records = flown()
    network = round_cases.scenario_of("bmshj").network
    line = progress(network, records[0])
    assert "2 of 5 looked and 2 listened; 2 of 2 streams decoded exactly" in line and "no word" not in line
    _, (record, _) = flown(faults=Faults(outages={1: [Outage(Stage(0, Step.EXCHANGE), 1)]}))
    line = progress(network, record)
    assert "2 of 5 looked" in line and "no word of: satellite 1" in line


def test_an_exchange_with_listeners_costs_more_and_those_who_look_wait_for_no_word_of_theirs():
    knobs = load_scenario("orbit_pass", ("rounds=1",))
    instant = SpaceSegment(knobs).at(0)
    told = dict.fromkeys(instant.sightings, 2000)
    alone = instant.exchange(told)
    silent = dict.fromkeys(set(range(24)) - told.keys(), 0)
    heard = instant.exchange(told | silent)
    near = [s for s in silent if any(s in heard.hearers[sender] for sender in told)]
    assert near and not any(heard.hearers[s] - {s} for s in silent)
    assert all(alone.hearers[s] <= heard.hearers[s] for s in told)
    numbers = sorted(told | silent)
    sizes = [float((told | silent)[s]) for s in numbers]
    carried = float(instant.timed(numbers, sizes).link_bytes.sum())
    assert carried > float(instant.timed(sorted(told), [2000.0] * len(told)).link_bytes.sum())


def test_listening_without_memory_is_refused():
    with pytest.raises(UserError, match=r"dlrc.listen=true: .*needs dlrc.memory=rounds"):
        load_scenario("orbit_pass", ("dlrc.listen=true",))
