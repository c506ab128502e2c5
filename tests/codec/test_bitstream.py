"""The container: its bytes are frozen, its framing is small, and whatever is not a stream is refused with one
line."""

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream import Bitstream, Header, layout, pack, unpack
from codec.fields import FIELDS, MAX_SIDE
from codec.imagery.scaling import Bands
from codec.models import registry
from codec.settings import CONTEXTS, DEDUPS, GRIDS, MAP_CODINGS, REPRESENTATIVES, SIGNATURES, StreamSettings
from codec.settings import SETTINGS as SETTING_BITS
from constellation.common.errors import BitstreamError

HEADER = Header(
    StreamSettings(),
    bytes.fromhex("0badcafe"),
    satellite=3,
    round=2,
    height=16,
    width=16,
    k=20,
    participants=tuple(range(8)),
    accord=0xFEEDF00D,
)
STREAM = Bitstream(HEADER, z=b"zz", y=b"yyyy", map=b"m", digest=0x12345678)

SETTINGS = st.builds(
    StreamSettings,
    st.sampled_from(registry.names()),
    st.sampled_from(GRIDS),
    st.sampled_from(CONTEXTS),
    st.sampled_from(SIGNATURES),
    st.sampled_from(REPRESENTATIVES),
    st.sampled_from(MAP_CODINGS),
    st.sampled_from(DEDUPS),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@st.composite
def streams(draw):
    satellite = draw(st.integers(0, 32767))
    participants = draw(
        st.one_of(
            st.just(()), st.just(tuple(range(satellite + 1))), st.sets(st.integers(0, 32767), max_size=9)
        )
    )
    how = draw(SETTINGS)
    header = Header(
        how,
        draw(st.binary(min_size=4, max_size=4)),
        satellite,
        draw(st.integers(0, 2**32 - 1)),
        4 * draw(st.integers(1, 64)),
        4 * draw(st.integers(1, 64)),
        draw(st.integers(0, 255)),
        tuple(sorted({*participants, satellite})) if participants else (),
        draw(st.integers(0, 2**32 - 1)) if how.dlrc and not how.predicts else 0,
    )
    return Bitstream(
        header,
        draw(st.binary(max_size=80)),
        draw(st.binary(max_size=80)),
        draw(st.binary(max_size=80)),
        draw(st.integers(0, 2**32 - 1)),
        prediction=draw(st.binary(max_size=80)) if how.predicts else b"",
    )


def test_the_bytes_of_a_container_are_frozen():
    expected = (
        "d7 4c  04  80 08  0b ad ca fe "  # magic, version, settings (representative mean, dlrc), weights
        "03  02  10 10  14  10  02 04 01  0d f0 ed fe "  # satellite, round, height, width, k, heard 0 to 7
        "2d 0e  7a 7a  f2 68  79 79 79 79  68 f2  6d  78 56 34 12"  # lengths; accord
    )  # each section behind its checksum; digest
    assert pack(STREAM) == bytes.fromhex(expected), "other bytes are another bitstream: a new version"


def test_a_stream_that_predicts_has_a_section_for_it_and_no_accord():
    how = replace(HEADER.settings, dedup="hybrid")
    stream = replace(STREAM, header=replace(HEADER, settings=how, accord=0))
    plain, predicted = pack(stream), pack(replace(stream, prediction=b"guide"))
    assert len(plain) == len(pack(STREAM)) - 4 + 1 and len(predicted) == len(plain) + 2 + 5
    assert unpack(predicted).prediction == b"guide" and unpack(plain).prediction == b""
    with pytest.raises(ValueError, match="a prediction with dedup signature"):
        pack(replace(STREAM, prediction=b"guide"))


VERSION_3 = bytes.fromhex("d74c0380080badcafe0302101014100204010df0edfe6d307a7af2687979797968f26d78563412")
VERSION_2 = bytes.fromhex("d74c0280080badcafe0302101014100204011bc37a7af2687979797968f26d78563412")


def test_streams_of_version_2_are_still_read():
    back = unpack(VERSION_2)
    assert back == replace(STREAM, header=replace(HEADER, accord=0)) and back.header.settings.portable
    with pytest.raises(BitstreamError, match="unknown bits"):  # version 2 has no bit for arithmetic
        unpack(VERSION_2[:3] + b"\x80\x28" + VERSION_2[5:])


def test_streams_of_version_3_are_still_read():
    assert unpack(VERSION_3) == STREAM
    with pytest.raises(BitstreamError, match="unknown bits"):  # version 3 knows no dedup above 1
        unpack(VERSION_3[:4] + b"\x48" + VERSION_3[5:])


def test_a_stream_says_whether_it_was_coded_in_exact_arithmetic():
    floats = replace(HEADER, settings=replace(HEADER.settings, portable=False))
    assert not unpack(pack(replace(STREAM, header=floats))).header.settings.portable


def test_a_stream_without_dlrc_has_no_accord_and_no_bytes_for_one():
    alone = replace(HEADER, settings=replace(HEADER.settings, dlrc=False), accord=0)
    assert len(pack(replace(STREAM, header=alone))) == len(pack(STREAM)) - 4
    with pytest.raises(ValueError, match="accord"):
        pack(replace(STREAM, header=replace(alone, accord=7)))


def test_the_table_of_fields_for_people_names_every_field_and_setting():
    table = layout()
    assert all(f"| {part.name} |" in table for part in FIELDS)
    assert all(f"| {part.name}" in table for part in SETTING_BITS)


def test_a_mask_of_many_participants_is_read_in_no_time():
    members = tuple(range(0, 32768, 2))
    data = pack(replace(STREAM, header=replace(HEADER, satellite=6, participants=members)))
    started = time.perf_counter()
    assert unpack(data).header.participants == members
    assert time.perf_counter() - started < 0.5


@settings(max_examples=200, deadline=None)
@given(streams())
def test_every_stream_comes_back_from_its_bytes(stream):
    data = pack(stream)
    back = unpack(data)
    assert back == stream
    assert pack(back) == data
    sections = (stream.z, stream.y, stream.map, stream.prediction)
    assert back.framing_bytes == len(data) - sum(map(len, sections))


@pytest.mark.parametrize("patch_px", [256, 2048])
def test_framing_of_a_patch_of_eight_satellites_is_at_most_36_bytes(patch_px):
    header = replace(HEADER, height=patch_px // 16, width=patch_px // 16, round=99)
    stream = Bitstream(header, bytes(900), bytes(16000), bytes(50), 7)
    assert unpack(pack(stream)).framing_bytes <= 36


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_truncated_stream_is_refused(cut):
    with pytest.raises(BitstreamError):
        unpack(pack(STREAM)[:-cut])


def test_every_flipped_bit_is_noticed_by_a_checksum_or_changes_the_digest():
    data = pack(STREAM)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert (
                replace(unpack(bytes(damaged)), digest=STREAM.digest) == STREAM
            )  # the digest is the decoder's to check
        except BitstreamError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "not a DLRC stream"),
        (lambda data: b"\x89PNG\r\n\x1a\n", "not a DLRC stream"),
        (lambda data: data[:2] + b"\x09" + data[3:], "version 9, expected 2 or 3"),
        (lambda data: data[:20], "stream ends after 20 bytes"),
        (lambda data: data + b"\0", "1 bytes after the end"),
        (lambda data: data[:24] + b"?" + data[25:], "checksum of header and z"),
        (lambda data: data[:29] + b"?" + data[30:], "checksum of section y"),
        (lambda data: data[:34] + b"?" + data[35:], "checksum of section map"),
        (lambda data: data[:9] + b"\x83\x00" + data[10:], "not in its shortest form"),
        (lambda data: data[:9] + b"\xff" * 12 + data[10:], "satellite|too many digits"),
        (lambda data: data[:3] + b"\x07\x02" + data[5:], "model is number 7"),
        (lambda data: data[:14] + b"\x81" + b"\x80" * 4681 + b"\x04" + data[15:], "participant"),
    ],
)
def test_foreign_and_damaged_bytes_are_refused_with_one_line(damage, said):
    with pytest.raises(BitstreamError, match=said) as caught:
        unpack(damage(pack(STREAM)))
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_behind_the_magic_are_refused(noise):
    with pytest.raises(BitstreamError):
        unpack(pack(STREAM)[:3] + noise)


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 0},
        {"height": MAX_SIDE + 4},
        {"height": 4096, "width": 4096},
        {"height": 6},
        {"k": 256},
        {"satellite": 9},
        {"weights": b"123"},
    ],
)
def test_fields_out_of_range_cannot_be_packed(changes):
    with pytest.raises(ValueError):
        pack(replace(STREAM, header=replace(HEADER, **changes)))


def test_maps_may_name_lists_of_earlier_rounds_where_their_vectors_can_be_checked():
    earlier = replace(HEADER, round=9, earlier=(1024, 1025, 3 * 1024 + 7))
    banded = replace(earlier, bands=Bands(4, (2.0,) * 4, (0.0,) * 4))
    for header, version in ((earlier, 5), (banded, 7)):
        data = pack(replace(STREAM, header=header))
        assert data[2] == version and unpack(data).header == header
    for change in ({"grid": "centred"}, {"dedup": "footprint"}):
        with pytest.raises(ValueError, match="refers to earlier rounds with dedup"):
            pack(replace(STREAM, header=replace(earlier, settings=StreamSettings(**change))))
    with pytest.raises(ValueError, match="participant 2000, expected below 1024 beside earlier rounds"):
        pack(replace(STREAM, header=replace(earlier, participants=(3, 2000))))
