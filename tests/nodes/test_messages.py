"""nodes.messages: the bytes of a round are frozen, and what is damaged anywhere is not taken for sound."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.messages import (
    HEADER_BYTES,
    Header,
    MessageError,
    Note,
    Orders,
    SignatureList,
    Witness,
    check_order,
    pack_order,
)

WORD = st.integers(-(2**63), 2**63 - 1)
CROWD = st.frozensets(st.integers(0, 1023), max_size=20)
GOLDEN_HEADER = "03000000000000000700000000000000000000000000f83f020000000000000093f5f3d30d1099a0"
GOLDEN_LIST = (
    "0500000000000000faffffffffffffff0000000000000000090000000000000008000000000000000000000000000000"
)
NOTE = Note(
    satellite=3,
    round=7,
    row=16.5,
    col=32.0,
    window_row=64,
    window_col=128,
    scene="a.tif",
    order=(1, 3, 0),
    heard=(0, 3),
    payload_bytes=72,
    gathered_bytes=88,
    t_sync_s=0.25,
    t_round_s=0.5,
    open_y_bits=1.5,
    spans=(("capture", 0.0, 0.001, "sensor"),),
    peak_rss_mib=512.0,
)


def small_list() -> SignatureList:
    return SignatureList.of((3, 7), 1.5, np.array([5, -6]), np.array([9, 8]))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def test_the_bytes_of_header_and_list_are_frozen():
    one = small_list()
    assert one.header.pack().hex() == GOLDEN_HEADER
    assert one.pack(3).hex() == GOLDEN_LIST


def test_the_bytes_of_orders_and_of_an_orders_digest_are_frozen():
    orders = Orders(again=frozenset({4}), independent=frozenset({2, 1}))
    assert orders.pack().hex() == "010000000200000000000000040000000100000002000000e12a8f8d"
    assert pack_order((2, 0, 1)).hex() == "953f522fa86eb1a7"


@given(WORD, WORD, st.floats(allow_nan=False), st.integers(0, 2**40), st.integers(0, 2**32 - 1))
def test_a_header_survives_its_packing(satellite, number, metric, count, checksum):
    header = Header(satellite, number, metric, count, checksum)
    assert len(header.pack()) == HEADER_BYTES and Header.unpack(header.pack()) == header


@pytest.mark.parametrize("at", range(HEADER_BYTES))
def test_damage_at_any_byte_of_a_header_is_noticed(at):
    with pytest.raises(MessageError, match="checksum"):
        Header.unpack(flipped(small_list().header.pack(), at))


@given(st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2))
def test_a_header_with_a_place_is_one_word_longer_and_notices_damage_too(place):
    header = Header(3, 4, 0.5, 4321, 99, place)
    data = header.pack()
    assert len(data) == HEADER_BYTES + 8 and Header.unpack(data) == header
    for at in range(len(data)):
        with pytest.raises(MessageError, match="checksum"):
            Header.unpack(flipped(data, at))


def test_a_header_without_an_end_or_with_a_negative_count_is_refused():
    with pytest.raises(MessageError, match="39 bytes"):
        Header.unpack(small_list().header.pack()[:-1])
    with pytest.raises(MessageError, match="-1 entries"):
        Header.unpack(Header(0, 0, 0.0, -1, 0).pack())


@given(st.lists(st.tuples(WORD, WORD), max_size=9), st.integers(0, 5), st.booleans())
def test_a_list_survives_its_packing_at_any_padding(entries, more, with_contents):
    signatures, contents = (np.array([e[i] for e in entries], dtype=np.int64) for i in (0, 1))
    sent = SignatureList.of((1, 2), math.pi, signatures, contents if with_contents else None)
    read = SignatureList.unpack(sent.header, sent.pack(len(entries) + more), with_contents)
    assert np.array_equal(read.signatures, signatures)
    assert (read.contents is None) == (not with_contents)
    assert read.contents is None or np.array_equal(read.contents, contents)


@pytest.mark.parametrize("at", range(48))
def test_damage_at_any_byte_of_a_list_is_noticed_padding_included(at):
    sent = small_list()
    with pytest.raises(MessageError, match="satellite 3: checksum"):
        SignatureList.unpack(sent.header, flipped(sent.pack(3), at), True)


@pytest.mark.parametrize("size", (0, 8, 16, 31))
def test_a_list_shorter_than_its_header_says_is_refused(size):
    sent = small_list()
    with pytest.raises(MessageError, match="for 2 signatures"):
        SignatureList.unpack(sent.header, sent.pack(2)[:size], True)


def test_a_list_cannot_be_written_to():
    sent = small_list()
    with pytest.raises(ValueError, match="read-only"):
        sent.signatures[0] = 1


@given(CROWD, CROWD, CROWD)
def test_orders_survive_their_packing_and_are_closed_when_they_ask_for_nothing(again, independent, accepted):
    orders = Orders(again, independent, accepted)
    assert Orders.unpack(orders.pack()) == orders
    assert orders.closed == (not (again | independent))


@pytest.mark.parametrize("at", range(28))
def test_damage_at_any_byte_of_the_orders_is_noticed(at):
    orders = Orders(again=frozenset({4}), independent=frozenset({2, 1}))
    with pytest.raises(MessageError):
        Orders.unpack(flipped(orders.pack(), at))


@pytest.mark.parametrize("at", range(8))
def test_damage_at_any_byte_of_an_orders_digest_is_noticed(at):
    assert check_order(pack_order((2, 0, 1))) != pack_order((0, 1, 2))
    with pytest.raises(MessageError):
        check_order(flipped(pack_order((2, 0, 1)), at))


def test_a_witness_survives_its_packing_with_any_number_of_bands():
    for bands in (1, 3, 4):
        picture = np.arange(4 * 5 * bands, dtype=np.uint8).reshape(4, 5, bands)
        read = Witness.unpack(Witness(picture, b"alone", 99, NOTE).pack())
        assert np.array_equal(read.original, picture) and read.note == NOTE
        assert (read.alone, read.stream_bytes) == (b"alone", 99)


def test_a_witness_carries_the_mask_of_its_picture_where_something_is_hidden():
    picture, valid = np.zeros((5, 3, 3), np.uint8), np.arange(15).reshape(5, 3) % 4 > 0
    sent = Witness(picture, b"alone", 99, NOTE, valid).pack()
    assert np.array_equal(Witness.unpack(sent).valid, valid)
    assert len(sent) == len(Witness(picture, b"alone", 99, NOTE).pack()) + 2
    with pytest.raises(MessageError):
        Witness.unpack(sent[:-1])


def test_a_witness_of_another_length_is_refused():
    sent = Witness(np.zeros((2, 2, 3), np.uint8), b"", 0, NOTE).pack()
    for data in (sent[:-1], sent + b"x", sent[:5]):
        with pytest.raises(MessageError):
            Witness.unpack(data)
