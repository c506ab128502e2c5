"""A round's sides under `together` and `drive`: who hears what, in which order, and what a fault changes."""

import pytest

from nodes.wire.faults import NO_FAULTS, Faults
from nodes.wire.protocol import drive, together
from nodes.wire.stages import GROUND, Heard, Send, Stage, Step


def satellite(number, log):
    heard = yield Send(Stage(0, Step.HEADERS), {number: bytes([number])}, 1)
    log[number] = sorted(heard.messages), {r: sorted(s) for r, s in heard.by.items()}
    yield Send(Stage(0, Step.DOWNLINK), {number: b"stream%d" % number})
    return sorted(heard.lost)


def ground():
    return (yield Send(Stage(0, Step.DOWNLINK)))


def fly(faults=NO_FAULTS):
    log = {}
    done = together({**{n: satellite(n, log) for n in range(3)}, GROUND: ground()}, faults)
    return log, done


def test_everybody_hears_every_header_and_the_ground_every_stream():
    log, done = fly()
    assert log[1] == ([0, 1, 2], {0: [0, 1, 2], 1: [0, 1, 2], 2: [0, 1, 2]})
    assert list(done[GROUND].messages) == [0, 1, 2] and done[GROUND].by == {GROUND: frozenset({0, 1, 2})}


def test_a_cut_header_reaches_its_own_sender_alone():
    log, _ = fly(Faults(cut=frozenset({(1, Stage(0, Step.HEADERS))})))
    assert log[0][1] == {0: [0, 2], 1: [0, 1, 2], 2: [0, 2]}


def test_who_dies_is_lost_to_the_others_and_hears_nothing():
    log, done = fly(Faults(deaths={2: Stage(0, Step.HEADERS)}))
    assert log[0] == ([0, 1], {0: [0, 1], 1: [0, 1]}) and done[0] == [2]
    assert list(done[GROUND].messages) == [0, 1]


def test_a_mute_satellite_is_heard_by_the_others_but_not_by_the_ground():
    log, done = fly(Faults(mute=frozenset({0})))
    assert log[2][0] == [0, 1, 2] and list(done[GROUND].messages) == [1, 2]


def test_requests_and_answers_alternate_in_order():
    stages = [
        Stage(0, Step.ANSWER, 0),
        Stage(0, Step.REQUEST, 1),
        Stage(0, Step.REQUEST, 0),
        Stage(0, Step.WITNESS),
    ]
    assert sorted(stages) == [stages[3], stages[2], stages[0], stages[1]]


def test_two_speakers_of_one_node_are_refused():
    with pytest.raises(ValueError, match="every node once"):
        together({(0, 1): satellite(0, {}), 1: satellite(1, {})})


def test_what_the_transport_raises_reaches_the_side_before_the_caller():
    seen = []

    def side():
        try:
            yield Send(Stage(0, Step.HEADERS))
        except OSError as error:
            seen.append(error)
            raise

    class Broken:
        def exchange(self, send) -> Heard:
            raise OSError("cable")

    with pytest.raises(OSError, match="cable"):
        drive(side(), Broken())
    assert len(seen) == 1
