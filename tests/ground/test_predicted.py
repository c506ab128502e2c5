"""Streams that refer to each other, at the ground: hostile ones are refused, each beside the others."""

from dataclasses import replace

import numpy as np
import pytest

from codec.bitstream import pack, unpack
from codec.prediction.guides.coding import pack_guide
from nodes.encoder import alone_stream
from tests.nodes.streams.stream_cases import DIGEST, crew_of, some_plan, station_of


def streams():
    """Plain streams of three satellites that may refer to each other, by source, opened."""
    crew, out = crew_of("bmshj", (0, 1, 2)), {}
    for view in crew.see(0, crew.numbers):
        stream = unpack(alone_stream(crew.board, crew.rules, view))
        how = replace(stream.header.settings, dlrc=True)
        header = replace(stream.header, settings=how, participants=(0, 1, 2))
        out[view.look.satellite, 0] = replace(stream, header=header)
    return out


def guided(stream, *sources):
    """The stream with a guide that it was not coded with."""
    picture = np.zeros((128, 128, 3), np.uint8)
    guide = some_plan(None, None, (picture,), [(source, picture, (0, 0)) for source in sources])
    return replace(stream, prediction=DIGEST + pack_guide(guide, stream.header.participants))


def decoded(parts):
    return station_of("bmshj").decode({source: pack(stream) for source, stream in parts.items()})


def test_streams_that_refer_to_each_other_in_a_circle_are_refused_and_the_others_decode():
    parts = streams()
    parts[0, 0], parts[1, 0] = guided(parts[0, 0], 1), guided(parts[1, 0], 0)
    result = decoded(parts)
    assert result.whole == {(2, 0)}
    assert all("in a circle" in str(result.faults[s, 0]) for s in (0, 1))


def test_a_stream_that_refers_to_itself_or_into_a_circle_is_refused():
    parts = streams()
    parts[0, 0], parts[1, 0] = guided(parts[0, 0], 0), guided(parts[1, 0], 0)
    result = decoded(parts)
    assert result.whole == {(2, 0)} and len(result.faults) == 2


def test_a_stream_that_was_coded_in_another_light_is_damaged_and_who_follows_it_is_not():
    parts = streams()
    parts[1, 0], parts[2, 0] = guided(parts[1, 0], 0), guided(parts[2, 0], 1)
    result = decoded(parts)
    assert result.whole == {(0, 0)} and result.damaged == {(1, 0)}
    assert "refers to satellite 1, whose stream could not be decoded" in str(result.faults[2, 0])


def test_a_reference_that_is_not_here_is_no_damage():
    parts = streams()
    parts[1, 0] = guided(parts[1, 0], 0)
    del parts[0, 0]
    result = decoded(parts)
    assert not result.damaged and "whose stream is not here" in str(result.faults[1, 0])


@pytest.mark.parametrize(
    ("prediction", "says"), [(b"abcdguide", "predicted with weights 61626364"), (DIGEST + bytes(40), "guide")]
)
def test_a_prediction_of_other_weights_or_without_sense_is_refused(prediction, says):
    parts = streams()
    parts[1, 0] = replace(parts[1, 0], prediction=prediction)
    assert says in str(decoded(parts).faults[1, 0])


def test_predicted_streams_under_rules_that_cannot_be_are_refused():
    parts = streams()
    for change in ({"grid": "centred"}, {"context": "independent"}, {"portable": False}):
        how = replace(parts[1, 0].header.settings, **change)
        other = {**parts, (1, 0): replace(parts[1, 0], header=replace(parts[1, 0].header, settings=how))}
        assert "expected fixed, exact, True" in str(decoded(other).faults[1, 0])
