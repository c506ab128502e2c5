"""Records come back equal from JSON, refuse what is none in one line, and their bytes add up."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation.clock import Span
from constellation.common.errors import UserError
from ground.metrics import Quality
from ground.records import Fates, Ledger, Outcome, Place, RoundRecord, SatelliteRecord, SectionBytes

sizes = st.integers(0, 1 << 40)
seconds = st.floats(0, 1e6)


@st.composite
def fates(draw):
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    fate = random.integers(0, 3, shape)
    return Fates(fate, random.random(shape) < 0.5, np.where(fate == 2, random.integers(0, 32768, shape), -1))


@st.composite
def records(draw, number, satellite):
    first, resent, received = draw(sizes), draw(sizes), draw(sizes)
    received = min(received, first + resent)
    quality = st.none() | st.builds(Quality, st.floats(0, 100), st.floats(0, 1))
    section = st.builds(SectionBytes, seconds, seconds, seconds, seconds)
    return SatelliteRecord(
        number,
        satellite,
        draw(st.sampled_from(Outcome)),
        Ledger(first, resent, received, first + resent - received),
        *(draw(sizes), draw(section), draw(section)),
        *(draw(sizes) for _ in range(4)),
        *(draw(quality), draw(quality), draw(st.none() | fates())),
        place=draw(st.none() | st.builds(Place, sizes, sizes, sizes, sizes, st.text(max_size=9))),
        heard=tuple(draw(st.sets(st.integers(0, 9)))),
        t_sync_s=draw(st.none() | seconds),
        spans=tuple(
            draw(st.lists(st.builds(Span, st.text(max_size=5), seconds, seconds, st.just("sensor"))))
        ),
    )


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(0, 999))
def test_a_record_comes_back_equal_from_its_json(data, number):
    satellites = tuple(data.draw(records(number, satellite)) for satellite in range(2))
    record = RoundRecord(number, satellites, (1, 0), data.draw(st.none() | seconds))
    assert RoundRecord.from_json(record.to_json()) == record
    assert "\n" not in record.to_json()


PLAIN = RoundRecord(
    3,
    (
        SatelliteRecord(
            *(3, 0, Outcome.EXACT, Ledger(9, 0, 9, 0), 256, SectionBytes(5, 1, 1, 2), SectionBytes(5, 1)),
            *(4, 3, 9, 0),
            fates=Fates(np.zeros((4, 4)), np.zeros((4, 4)), np.full((4, 4), -1)),
        ),
    ),
)


def test_a_record_that_was_read_back_holds_values_of_the_same_types():
    assert repr(RoundRecord.from_json(PLAIN.to_json()).satellites[0].dlrc) == repr(PLAIN.satellites[0].dlrc)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("number",), "three", "number: "),
        (("order",), [0.5], "order.0: "),
        (("extra",), 1, "extra: "),
        (("satellites", 0, "outcome"), "good", "satellites.0.outcome: "),
        (("satellites", 0, "ledger", "lost"), 1, "9 \\+ 0 bytes sent, 9 received and 1 lost"),
        (("satellites", 0, "fates", "height"), 5, "fates: .*64 bytes of a map of 5 x 4, expected 80"),
        (("satellites", 0, "fates", "height"), 1 << 40, "fates: .*expected 1 to"),
        (("satellites", 0, "fates", "height"), "4", "fates: "),
        (("satellites", 0, "fates", "data"), "!", "fates: "),
        (("satellites", 0, "fates"), [], "fates: "),
    ],
)
def test_what_is_no_record_is_refused_in_one_line_that_names_the_field(path, value, message):
    record = json.loads(PLAIN.to_json())
    *inner, last = path
    part = record
    for key in inner:
        part = part[key]
    part[last] = value
    with pytest.raises(UserError, match=message) as refused:
        RoundRecord.from_json(json.dumps(record))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[", "null", "[]", "{}", '{"number": NaN}'])
def test_text_that_is_no_json_of_a_round_is_refused_in_one_line(text):
    with pytest.raises(UserError):
        RoundRecord.from_json(text)


def test_a_ledger_whose_bytes_do_not_add_up_is_refused():
    assert Ledger(10, 5, 7, 8).lost == 8
    for values in ((10, 5, 7, 7), (10, 0, 11, -1)):
        with pytest.raises(ValueError, match="ledger"):
            Ledger(*values)


def test_fates_cannot_be_changed_and_are_counted():
    source = np.zeros((2, 2), np.uint8)
    kept = Fates(source, np.zeros((2, 2)), np.full((2, 2), -1))
    source[0] = 2
    assert kept.counts == (4, 0, 0)
    with pytest.raises(ValueError):
        kept.fate[0, 0] = 1
