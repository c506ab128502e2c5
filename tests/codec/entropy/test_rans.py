"""rANS: exact bytes, round trips, and what damaged streams do."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.entropy import rans
from codec.entropy.tables import SymbolTables, code_lengths, gaussian_tables
from constellation.common.errors import BitstreamError


def tiny() -> SymbolTables:
    """Two tables: values -1..1 with an escape, and 5..6."""
    return SymbolTables(
        np.array([0, 16384, 49152, 65000, 65536, 0, 65534, 65535, 65536]),
        np.array([0, 5]),
        np.array([3, 2]),
        np.array([-1, 5]),
    )


def read(stream: bytes, tables: np.ndarray, code: SymbolTables) -> np.ndarray:
    """All symbols of one stream; BitstreamError for a damaged one."""
    decoder = rans.Decoder([stream], code)
    symbols = decoder.decode(tables, [np.size(tables)], [0])
    if decoder.faults()[0]:
        raise BitstreamError(decoder.faults()[0])
    return symbols


def test_bytes_of_a_short_stream_are_frozen():
    stream = rans.encode(np.array([0, 1, -1, 5, 7, -40000]), np.array([0, 0, 0, 1, 1, 0]), tiny())
    assert stream.hex() == FROZEN
    assert read(stream, np.array([0, 0, 0, 1, 1, 0]), tiny()).tolist() == [0, 1, -1, 5, 7, -40000]


FROZEN = "7e007d682b862f019fff0039"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_decode_of_encode_is_the_identity_for_any_int16_values(data):
    code = gaussian_tables().code
    count = data.draw(st.integers(0, 40))
    symbols = np.array(
        data.draw(st.lists(st.integers(-65535, 65535), min_size=count, max_size=count)), dtype=np.int32
    )
    tables = np.array(
        data.draw(st.lists(st.integers(0, code.count - 1), min_size=count, max_size=count)), dtype=np.int32
    )
    stream = rans.encode(symbols, tables, code)
    assert np.array_equal(read(stream, tables, code), symbols)
    assert bool(stream) == bool(count)


def test_size_is_the_tables_information_and_at_most_six_bytes_more():
    rng = np.random.default_rng(0)
    code = gaussian_tables().code
    tables = rng.integers(0, code.count, 20000).astype(np.int32)
    symbols = np.rint(rng.standard_normal(20000) * code.size[tables] / 10).astype(np.int32)
    information = code_lengths(symbols, tables, code).sum() / 8
    assert information - 1 <= len(rans.encode(symbols, tables, code)) <= information + 7


def test_several_streams_in_steps_give_what_each_gives_alone():
    rng = np.random.default_rng(1)
    code = gaussian_tables().code
    tables = [rng.integers(0, code.count, n).astype(np.int32) for n in (100, 0, 57)]
    symbols = [rng.integers(-9, 9, len(t)).astype(np.int32) for t in tables]
    decoder = rans.Decoder([rans.encode(s, t, code) for s, t in zip(symbols, tables, strict=True)], code)
    first = decoder.decode(np.concatenate((tables[2][:20], tables[0][:99])), [20, 99], [2, 0])
    rest = decoder.decode(np.concatenate((tables[0][99:], tables[2][20:])), [1, 37], [0, 2])
    assert np.array_equal(first, np.concatenate((symbols[2][:20], symbols[0][:99])))
    assert np.array_equal(rest, np.concatenate((symbols[0][99:], symbols[2][20:])))
    assert decoder.faults() == ["", "", ""]


def test_a_value_or_table_out_of_range_is_refused():
    with pytest.raises(ValueError, match="table index"):
        rans.encode(np.array([0]), np.array([2]), tiny())
    with pytest.raises(ValueError, match="outside its table"):
        rans.encode(np.array([1 << 20]), np.array([0]), tiny())


def test_tables_that_are_no_distribution_are_refused():
    for cdf in ([0, 1, 65535], [0, 0, 65536], [1, 2, 65536]):
        with pytest.raises(ValueError):
            SymbolTables(np.array(cdf), np.array([0]), np.array([1]), np.array([0]))
    with pytest.raises(ValueError, match="outside cdf"):
        SymbolTables(np.array([0, 9, 65536]), np.array([0]), np.array([2]), np.array([0]))


def _stream():
    rng = np.random.default_rng(2)
    code = gaussian_tables().code
    tables = rng.integers(0, 300, 400).astype(np.int32)
    return rng.integers(-3, 4, 400).astype(np.int32), tables, code


def test_every_truncation_is_an_error():
    symbols, tables, code = _stream()
    stream = rans.encode(symbols, tables, code)
    for length in range(len(stream)):
        with pytest.raises(BitstreamError):
            read(stream[:length], tables, code)


def test_a_flipped_bit_is_an_error_or_at_least_changes_symbols():
    symbols, tables, code = _stream()
    stream = rans.encode(symbols, tables, code)
    silent = 0
    for bit in range(8 * len(stream)):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(BitstreamError):
            assert not np.array_equal(read(bytes(damaged), tables, code), symbols)
            silent += 1  # two symbols of one frequency exchanged: the digest of the decoded map tells
    assert silent < 0.1 * 8 * len(stream)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 958))
def test_random_bytes_give_symbols_or_a_bitstream_error(stream, count, table):
    tables = np.full(count, table, dtype=np.int32)
    with contextlib.suppress(BitstreamError):
        assert len(read(stream, tables, gaussian_tables().code)) == count


def test_bytes_for_no_symbols_are_an_error_and_no_bytes_for_symbols_too():
    with pytest.raises(BitstreamError, match="no symbols"):
        read(b"\1" * 6, np.zeros(0, dtype=np.int32), tiny())
    with pytest.raises(BitstreamError, match="too early"):
        read(b"", np.zeros(1, dtype=np.int32), tiny())
