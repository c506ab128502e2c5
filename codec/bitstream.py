"""The container of one satellite's stream of one round: header, z, y, map, and a checksum for each.

    offset  bytes    field
    0       2        magic "\\xd7L"
    2       1        version (1)
    3       2        settings, 16 bits: model (3), grid (1), context (2), signature (1), representative (1), map coding (2), dedup (1), dlrc (1),
                     halo (1); the rest is zero
    5       4        first bytes of the SHA-256 of the checkpoint
    9       varints  satellite, round, height, width (latent positions), k, participant count + offset code, length of z, y, map
    ...     2        CRC-16 (low half of CRC-32) of everything before it and z
    ...     z
    ...     2 + y    CRC-16 of y, y
    ...     2 + map  CRC-16 of map, map (the checksum is absent where there is no map)
    ...     4        digest: CRC-32 of the context map (codec.entropy.coder) mixed with the map's references (codec.maps.assignment)

Integers are LEB128 varints in their shortest form. Participants are a bit mask over satellite ids relative to
0, as a varint; all of 0 .. n-1 is written as the number n with a flag, so 1024 satellites cost two bytes. Any
change of these bytes is a new version."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from codec.models import registry
from constellation.common.errors import BitstreamError

MAGIC = b"\xd7L"
VERSION = 2
GRIDS = ("fixed", "centred")
CONTEXTS = ("exact", "independent", "open")
SIGNATURES = ("lsh", "content")
REPRESENTATIVES = ("original", "mean")
MAP_CODINGS = ("successor", "lzma", "lzma_joint")
DEDUPS = ("signature", "footprint")
MAX_STREAM_BYTES = 64 << 20
MAX_SATELLITES = 32768
MAX_SIDE = 4096  # latent positions: 65,536 px
MAX_POSITIONS = 1 << 20
LATENT_PX = 16


@dataclass(frozen=True)
class StreamSettings:
    """How the stream was coded; every field but the last two is one of the tuples above. halo: the latents
    saw what surrounds the patch."""

    model: str = registry.NAMES[0]
    grid: str = "fixed"
    context: str = "exact"
    signature: str = "lsh"
    representative: str = "mean"
    map_coding: str = "successor"
    dedup: str = "signature"
    dlrc: bool = True
    halo: bool = False


@dataclass(frozen=True)
class Header:
    """weights: first 4 bytes of the checkpoint's SHA-256. height, width: latent positions. participants: ids
    of the satellites whose lists the sender heard (itself included), sorted."""

    settings: StreamSettings
    weights: bytes
    satellite: int
    round: int
    height: int
    width: int
    k: int
    participants: tuple[int, ...]


@dataclass(frozen=True)
class Bitstream:
    """A parsed stream. digest: what a decoder must arrive at, 32 bits. framing_bytes: everything that is not
    z, y or map."""

    header: Header
    z: bytes
    y: bytes
    map: bytes
    digest: int
    framing_bytes: int = field(default=0, compare=False)


def pack(stream: Bitstream) -> bytes:
    """The stream's bytes. Raises ValueError for fields out of range (a bug of the caller, not of a user)."""
    header = stream.header
    _check_ranges(header, ValueError)
    head = bytearray(MAGIC)
    head.append(VERSION)
    head += _settings_bits(header.settings).to_bytes(2, "little")
    if len(header.weights) != 4:
        raise ValueError(f"weights digest of {len(header.weights)} bytes, expected 4")
    head += header.weights
    for value in (
        header.satellite,
        header.round,
        header.height,
        header.width,
        header.k,
        _participants_code(header.participants),
        len(stream.z),
        len(stream.y),
        len(stream.map),
    ):
        head += _varint(value)
    out = bytes(head) + _crc16(bytes(head) + stream.z) + stream.z + _crc16(stream.y) + stream.y
    if stream.map:
        out += _crc16(stream.map) + stream.map
    return out + stream.digest.to_bytes(4, "little")


def unpack(data: bytes) -> Bitstream:
    """Parse and check a stream. Raises `BitstreamError`, one line, for anything that `pack` would not
    write."""
    if len(data) > MAX_STREAM_BYTES:
        raise BitstreamError(f"stream of {len(data)} bytes, expected at most {MAX_STREAM_BYTES}")
    if data[:2] != MAGIC:
        raise BitstreamError(f"not a DLRC stream: begins with {bytes(data[:2])!r}, expected {MAGIC!r}")
    reader = _Reader(bytes(data))
    reader.take(2)
    version = reader.take(1)[0]
    if version != VERSION:
        raise BitstreamError(f"stream of version {version}, expected {VERSION}")
    settings = _settings_of(int.from_bytes(reader.take(2), "little"))
    weights = reader.take(4)
    satellite, round_number, height, width, k, participants, z_size, y_size, map_size = (
        reader.varint() for _ in range(9)
    )
    head_end = reader.at
    if satellite >= MAX_SATELLITES:
        raise BitstreamError(f"satellite {satellite}, expected at most {MAX_SATELLITES - 1}")
    header = Header(
        settings, weights, satellite, round_number, height, width, k, _participants_of(participants)
    )
    _check_ranges(header, BitstreamError)
    checksum = reader.take(2)
    z = reader.take(z_size)
    if checksum != _crc16(data[:head_end] + z):
        raise BitstreamError("checksum of header and z does not match: the stream is damaged")
    y, section_map = (_section(reader, name, size) for name, size in (("y", y_size), ("map", map_size)))
    digest = int.from_bytes(reader.take(4), "little")
    if reader.at != len(data):
        raise BitstreamError(f"{len(data) - reader.at} bytes after the end of the stream")
    return Bitstream(header, z, y, section_map, digest, len(data) - len(z) - len(y) - len(section_map))


def _section(reader: _Reader, name: str, size: int) -> bytes:
    if name == "map" and size == 0:
        return b""
    checksum, data = reader.take(2), reader.take(size)
    if checksum != _crc16(data):
        raise BitstreamError(f"checksum of section {name} does not match: the stream is damaged")
    return data


def _check_ranges(header: Header, error: type[Exception]) -> None:
    if not (
        1 <= header.height <= MAX_SIDE
        and 1 <= header.width <= MAX_SIDE
        and header.height * header.width <= MAX_POSITIONS
    ):
        raise error(
            f"latent map of {header.height} x {header.width}, expected 1 to {MAX_SIDE} a side and at most {MAX_POSITIONS} positions"
        )
    if header.height % 4 or header.width % 4:
        raise error(f"latent map of {header.height} x {header.width}, expected multiples of 4 (64 px)")
    if (
        not 0 <= header.k <= 255
        or not 0 <= header.round < 1 << 32
        or not 0 <= header.satellite < MAX_SATELLITES
    ):
        raise error(f"k {header.k}, round {header.round}, satellite {header.satellite}: out of range")
    if header.participants and header.satellite not in header.participants:
        raise error(f"satellite {header.satellite} is not among its own participants")


# ---------------------------------------------------------------- fields

_FIELDS = (
    ("model", None, 3),  # by the families' numbers
    ("grid", GRIDS, 1),
    ("context", CONTEXTS, 2),
    ("signature", SIGNATURES, 1),
    ("representative", REPRESENTATIVES, 1),
    ("map_coding", MAP_CODINGS, 2),
    ("dedup", DEDUPS, 1),
    ("dlrc", (False, True), 1),
    ("halo", (False, True), 1),
)


def _models() -> tuple[str, ...]:
    by_number = registry.numbers()
    return tuple(by_number[number] for number in range(len(by_number)))


def _settings_bits(settings: StreamSettings) -> int:
    bits = shift = 0
    for name, values, width in _FIELDS:
        values = _models() if values is None else values
        bits |= values.index(getattr(settings, name)) << shift
        shift += width
    return bits


def _settings_of(bits: int) -> StreamSettings:
    chosen = {}
    for name, values, width in _FIELDS:
        index = bits & ((1 << width) - 1)
        bits >>= width
        values = _models() if values is None else values
        if index >= len(values):
            raise BitstreamError(f"settings: {name} is number {index}, expected at most {len(values) - 1}")
        chosen[name] = values[index]
    if bits:
        raise BitstreamError("settings: unknown bits are set")
    return StreamSettings(**chosen)


def _participants_code(participants: tuple[int, ...]) -> int:
    if tuple(participants) == tuple(range(len(participants))):
        return len(participants) << 1
    return sum(1 << satellite for satellite in participants) << 1 | 1


def _participants_of(code: int) -> tuple[int, ...]:
    if not code & 1:
        if code >> 1 > MAX_SATELLITES:
            raise BitstreamError(f"{code >> 1} participants, expected at most {MAX_SATELLITES}")
        return tuple(range(code >> 1))
    mask = code >> 1
    if mask.bit_length() > MAX_SATELLITES:
        raise BitstreamError(f"participant {mask.bit_length() - 1}, expected at most {MAX_SATELLITES - 1}")
    members = tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    if members == tuple(range(len(members))):
        raise BitstreamError("participants are not in their shortest form")
    return members


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _crc16(data: bytes) -> bytes:
    return (zlib.crc32(data) & 0xFFFF).to_bytes(2, "little")


class _Reader:
    """Takes bytes from the front, never past the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise BitstreamError(f"stream ends after {len(self.data)} bytes, in the middle of a field")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                if byte == 0 and shift > 7:
                    raise BitstreamError("a number is not in its shortest form")
                return value
            if shift > MAX_SATELLITES + 14:
                raise BitstreamError("a number has too many digits")
