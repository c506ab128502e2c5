"""The message of a satellite that sends its stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.messages import MessageError
from nodes.streams.offer import Offer

OFFER = Offer.of((3, 7), 0.25, b"a stream of bytes", (-5, 1 << 20))


@given(st.binary(min_size=1, max_size=40), st.integers(0, 20))
def test_a_stream_survives_its_packing_at_any_padding_to_whole_words(stream, more):
    sent = Offer.of((3, 7), 0.25, stream, (1, 2))
    data = sent.pack(len(stream) + more)
    assert len(data) % 8 == 0 and Offer.unpack(sent.header, data).stream == stream


@pytest.mark.parametrize("at", range(24))
def test_damage_at_any_byte_is_noticed_padding_included(at):
    data = bytearray(OFFER.pack(20))
    data[at] ^= 1
    with pytest.raises(MessageError, match="satellite 3"):
        Offer.unpack(OFFER.header, bytes(data))


def test_a_stream_shorter_than_its_header_says_is_refused():
    with pytest.raises(MessageError, match="16 bytes for a stream of 17"):
        Offer.unpack(OFFER.header, OFFER.stream[:-1])
