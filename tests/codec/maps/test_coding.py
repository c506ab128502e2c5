"""Codings of the assignment map: what goes in comes out, any bytes are answered, and overlap costs almost
nothing."""

import contextlib
import hashlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.map_coding import Overlap, make_round, measure
from codec.fields import MAX_POSITIONS
from codec.maps.assignment import all_kept, validate
from codec.maps.coding import _best_profile, _walked, decode_map, encode_map, map_arrays
from codec.maps.model import PROFILES
from codec.maps.numbering import squeeze
from constellation.common.errors import BitstreamError, UserError
from tests.codec.maps.map_cases import ORDERS, arbitrary_map, ranks

SHAPES = ((4, 4), (4, 12), (16, 16), (24, 8), (1, 20))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(SHAPES),
    order=st.sampled_from(sorted(ORDERS)),
    coding=st.sampled_from(("successor", "lzma")),
    heard=st.sets(st.integers(0, 32767), min_size=1, max_size=9),
)
def test_any_map_comes_back_from_its_bytes(seed, shape, order, coding, heard):
    rng = np.random.default_rng(seed)
    participants = tuple(sorted(heard))
    satellite = int(rng.choice(participants))
    one = arbitrary_map(rng, ranks(*shape, order), satellite, participants)
    data = encode_map(one, coding, participants=participants, satellite=satellite)
    assert (
        decode_map(
            data,
            coding,
            participants=participants,
            satellite=satellite,
            rank=ranks(shape[0], shape[1], order),
        )
        == one
    )


@pytest.mark.parametrize("side", [16, 64])
@pytest.mark.parametrize("misses", [0.0, 0.05])
def test_rounds_come_back_from_each_stream_alone(side, misses):
    maps = make_round(np.random.default_rng(4), Overlap(side, 2 * side, 1, misses, 0.02))
    for satellite, one in maps.items():
        data = encode_map(one, "successor", participants=tuple(maps), satellite=satellite)
        assert (
            decode_map(
                data, "successor", participants=tuple(maps), satellite=satellite, rank=ranks(side, side)
            )
            == one
        )


@pytest.mark.parametrize("coding", ["successor", "lzma"])
def test_a_map_of_kept_positions_only_costs_no_byte(coding):
    assert encode_map(all_kept(16, 16), coding, participants=(0, 1, 2), satellite=1) == b""
    assert decode_map(b"", coding, participants=(0, 1, 2), satellite=1, rank=ranks(16, 16)) == all_kept(
        16, 16
    )


@pytest.mark.parametrize(("window", "misses", "repeats"), [(32, 0.0, 0.02), (64, 0.05, 0.0), (20, 0.0, 0.3)])
def test_the_profile_that_is_cheapest_on_record_is_the_shortest_in_bytes(window, misses, repeats):
    lengths = []
    for seed in range(4):
        for satellite, one in make_round(
            np.random.default_rng(seed), Overlap(16, window, seed % 3, misses, repeats)
        ).items():
            arrays = map_arrays(one, np.arange(8))
            if one.fate.any():
                walked = [len(_walked(arrays, 16, profile, 8, satellite)) for profile in range(PROFILES)]
                lengths.append((walked[_best_profile(arrays, 16, 8, satellite)], min(walked)))
    assert all(chosen - best in (0, 1) for chosen, best in lengths)
    assert sum(chosen for chosen, _ in lengths) <= 1.01 * sum(best for _, best in lengths)


def test_more_owners_than_the_coder_remembers_come_back():
    rng = np.random.default_rng(8)
    participants = tuple(range(0, 900, 3))
    one = arbitrary_map(rng, ranks(32, 32), 300, participants)
    while np.count_nonzero(one.fate == 2) < 300:
        one = arbitrary_map(rng, ranks(32, 32), 300, participants)
    data = encode_map(one, "successor", participants=participants, satellite=300)
    assert decode_map(data, "successor", participants=participants, satellite=300, rank=ranks(32, 32)) == one


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=60),
    coding=st.sampled_from(("successor", "lzma")),
    order=st.sampled_from(sorted(ORDERS)),
    participants=st.sampled_from(((2,), (0, 2), (0, 1, 2, 3, 9))),
)
def test_any_bytes_are_a_valid_map_or_a_bitstream_error(data, coding, order, participants):
    try:
        decoded = decode_map(data, coding, participants=participants, satellite=2, rank=ranks(16, 16, order))
    except BitstreamError:
        return
    validate(decoded, 2, participants, ranks(16, 16, order))


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_two_successor_streams_of_one_setting_give_one_map(seed):
    rng = np.random.default_rng(seed)
    maps = make_round(np.random.default_rng(seed % 7), Overlap(16, 32, 1))
    data = bytearray(encode_map(maps[5], "successor", participants=tuple(maps), satellite=5))
    at = int(rng.integers(1, len(data)))  # the first byte holds the setting
    data[at] ^= 1 << int(rng.integers(8))
    try:
        decoded = decode_map(
            bytes(data), "successor", participants=tuple(maps), satellite=5, rank=ranks(16, 16)
        )
    except BitstreamError:
        return
    assert decoded != maps[5]


@pytest.mark.parametrize("coding", ["successor", "lzma"])
def test_appended_and_missing_bytes_never_give_the_same_map(coding):
    maps = make_round(np.random.default_rng(3), Overlap(16, 32, 1))
    data = encode_map(maps[4], coding, participants=tuple(maps), satellite=4)
    with pytest.raises(BitstreamError):
        decode_map(data + b"\0", coding, participants=tuple(maps), satellite=4, rank=ranks(16, 16))
    for damaged in (data + b"\1", data + data, data[:-1], data[:-3]):
        with contextlib.suppress(BitstreamError):
            assert (
                decode_map(damaged, coding, participants=tuple(maps), satellite=4, rank=ranks(16, 16))
                != maps[4]
            )


def test_an_lzma_bomb_is_refused_without_unpacking_it():
    with pytest.raises(BitstreamError, match="LZMA2 gives"):
        decode_map(squeeze(bytes(50_000_000)), "lzma", participants=(0, 1), satellite=0, rank=ranks(16, 16))


def test_a_stranger_as_owner_or_an_unknown_coding_is_a_user_error():
    maps = make_round(np.random.default_rng(3), Overlap(16, 32, 1))
    with pytest.raises(UserError, match="did not hear"):
        encode_map(maps[7], "successor", participants=(7,), satellite=7)
    with pytest.raises(UserError, match="expected one of successor, lzma"):
        encode_map(maps[7], "zip", participants=tuple(maps), satellite=7)


@pytest.mark.parametrize(("window", "goal"), [(32, 0.25), (64, 0.25)])
def test_overlap_costs_less_than_a_quarter_bit_per_position(window, goal):
    rounds = [
        make_round(np.random.default_rng([50, number]), Overlap(16, window, 1 + number % 2, 0.0, 0.0))
        for number in range(6)
    ]
    sizes = sum(measure(maps) for maps in rounds)
    assert 8 * sizes[4] / (6 * 8 * 256) <= goal
    assert sizes[4] <= sizes[0] / 10


def test_the_bytes_of_a_map_are_frozen():
    maps = make_round(np.random.default_rng(1), Overlap(16, 32, 1, 0.03, 0.02))
    streams = [
        encode_map(one, "successor", participants=tuple(maps), satellite=satellite)
        for satellite, one in maps.items()
    ]
    digest = hashlib.sha256(b"".join(len(data).to_bytes(2, "little") + data for data in streams)).hexdigest()
    assert (
        digest == "8567df84da783b26c68feef94289b2beeec69eb6e49c02250a69f6d3ff0319da"
    )  # another value is another bitstream: a new version


def test_addresses_beyond_sixty_three_bits_are_a_bitstream_error():
    side, participants = 1024, tuple(range(8192))  # 8192 lists of 2^20 entries: addresses of eight bytes
    addresses = np.zeros(side * side, dtype="<u8")
    addresses[5] = 1 << 63
    with pytest.raises(BitstreamError, match="an owner that is no participant"):
        decode_map(
            squeeze(addresses.tobytes()),
            "lzma",
            participants=participants,
            satellite=0,
            rank=np.arange(side * side).reshape(side, side),
        )


@pytest.mark.parametrize("coding", ["successor", "lzma"])
def test_a_map_of_thousands_of_participants_comes_back(coding):
    participants = tuple(range(0, 32768, 4))
    one = arbitrary_map(np.random.default_rng(5), ranks(32, 64), 32764, participants)
    data = encode_map(one, coding, participants=participants, satellite=32764)
    rank = ranks(32, 64)
    assert decode_map(data, coding, participants=participants, satellite=32764, rank=rank) == one


@pytest.mark.parametrize("coding", ["successor", "lzma"])
def test_any_bytes_at_the_limits_of_a_container_are_answered_in_seconds(coding):
    rng, participants = np.random.default_rng(1), tuple(range(32768))
    rank, started = np.arange(MAX_POSITIONS).reshape(256, -1), time.perf_counter()
    for size in (1, 40, 3000):
        with contextlib.suppress(BitstreamError):
            decode_map(rng.bytes(size), coding, participants=participants, satellite=5, rank=rank)
    assert time.perf_counter() - started < 30
