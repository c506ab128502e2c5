"""The container of one satellite's stream of one round: header, z, y, map, prediction, and a checksum for
each.

A stream is the fields of `FIELDS` one after the other (`python -m codec.bitstream` prints them as a table).
Integers are LEB128 varints in their shortest form unless their width is given. Any change of these bytes is a
new version; streams of earlier versions, which lack what is marked as newer, are still read. Streams are
written as version 4, but for those that refer to earlier rounds (5), those of pictures of other bands than
8-bit RGB (6), and those that are both (7).

A stream says which round of which run it is of in one word, `accord`: a checksum of what all satellites of
the round agreed on, their numbers and the checksums of their lists (nodes/arbiter.py). A follower copies
vectors that lists named, and only a stream of the same accord has them; so streams of two runs cannot fill
each other's gaps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from codec.earlier import SATELLITES, code_of, numbers_of
from codec.fields import (
    BANDED,
    BOTH,
    FIELDS,
    MAGIC,
    MAX_POSITIONS,
    MAX_STREAM_BYTES,
    REMEMBERING,
    VERSION,
    VERSIONS,
    Field,
)
from codec.framing import Reader, crc16, participants_code, participants_of, varint
from codec.imagery.scaling import Bands
from codec.settings import SETTINGS, StreamSettings, settings_bits, settings_of
from constellation.common.errors import BitstreamError


@dataclass(frozen=True)
class Header:
    """What a stream says about itself."""

    settings: StreamSettings
    weights: bytes
    """first 4 bytes of the checkpoint's SHA-256"""
    satellite: int
    round: int
    height: int
    """latent positions"""
    width: int
    k: int
    participants: tuple[int, ...]
    """ids of the satellites whose lists the sender heard (itself included), sorted"""
    accord: int = 0
    """32 bits, alike in all streams that may refer to each other by their lists; else 0"""
    picture_digest: int = 0
    """CRC-32 of the picture, row by row, where `settings.shows`; else 0"""
    bands: Bands | None = None
    """of a picture that is not 8-bit RGB"""
    earlier: tuple[int, ...] = ()
    """views of earlier rounds that it may refer to, by number (codec/earlier.py), ascending"""

    @property
    def sources(self) -> tuple[int, ...]:
        """All that map and prediction may name: participants, then earlier views."""
        return self.participants + self.earlier

    @property
    def version(self) -> int:
        """The oldest that has all of this."""
        if self.bands is not None:
            return BOTH if self.earlier else BANDED
        return REMEMBERING if self.earlier else VERSION

    @property
    def band_count(self) -> int:
        return 3 if self.bands is None else self.bands.count

    @property
    def scales(self) -> bytes:
        return b"" if self.bands is None else self.bands.packed


@dataclass(frozen=True)
class Bitstream:
    """A parsed stream. digest: what a decoder must arrive at, 32 bits. framing_bytes: everything that is not
    z, y, map or prediction."""

    header: Header
    z: bytes
    y: bytes
    map: bytes
    digest: int
    framing_bytes: int = field(default=0, compare=False)
    prediction: bytes = b""


_SECTIONS = ("z", "y", "map", "prediction")
_OPTIONAL = _SECTIONS[2:]  # sections that may be empty, and then have no checksum


def pack(stream: Bitstream) -> bytes:
    """The stream's bytes. Raises ValueError for fields out of range (a bug of the caller, not of a user)."""
    header = stream.header
    _check(header, ValueError)
    if len(header.weights) != 4:
        raise ValueError(f"weights digest of {len(header.weights)} bytes, expected 4")
    if stream.prediction and not header.settings.predicts:
        raise ValueError(f"a prediction with dedup {header.settings.dedup}, dlrc {header.settings.dlrc}")
    values = {
        **{part.name: getattr(header, part.name) for part in FIELDS if hasattr(header, part.name)},
        "magic": MAGIC,
        "version": header.version,
        "settings": settings_bits(header.settings),
        "participants": participants_code(header.participants),
        "earlier": code_of(header.earlier),
        **{f"{name}_size": len(getattr(stream, name)) for name in _SECTIONS},
        **{name: getattr(stream, name) for name in (*_SECTIONS, "digest")},
    }
    out = bytearray()
    for part in FIELDS:
        name = part.name.removesuffix("_check")
        if not part.present(header.version, header.settings) or (name in _OPTIONAL and not values[name]):
            continue
        if part.name.endswith("_check"):
            values[part.name] = crc16((bytes(out) if name == "z" else b"") + values[name])
        value = values[part.name]
        if part.kind == "varint":
            out += varint(value)
        else:
            out += (
                value if part.kind in ("bytes", "section", "scales") else value.to_bytes(part.size, "little")
            )
    return bytes(out)


def unpack(data: bytes) -> Bitstream:
    """Parse and check a stream. Raises `BitstreamError`, one line, for anything that `pack` would not
    write (in an earlier version: would not have written)."""
    if len(data) > MAX_STREAM_BYTES:
        raise BitstreamError(f"stream of {len(data)} bytes, expected at most {MAX_STREAM_BYTES}")
    if data[:2] != MAGIC:
        raise BitstreamError(f"not a DLRC stream: begins with {bytes(data[:2])!r}, expected {MAGIC!r}")
    reader, settings = Reader(bytes(data)), StreamSettings()
    found: dict[str, Any] = dict.fromkeys(("accord", "prediction_size", "picture_digest", "earlier"), 0)
    found["scales"] = b""
    for part in FIELDS:
        name = part.name.removesuffix("_check")
        if name in _OPTIONAL and not found[f"{name}_size"]:
            found[name] = b""
        elif part.present(found.get("version", VERSION), settings):
            start = reader.at
            found[part.name] = _read(reader, part, found)
            if part.name == "settings":
                settings = settings_of(found["settings"], found["version"])
            elif part.name == "z_check":
                found["header"] = _header(found, settings), start
    digest, (header, _) = found["digest"], found["header"]
    if reader.at != len(data):
        raise BitstreamError(f"{len(data) - reader.at} bytes after the end of the stream")
    z, y, section, prediction = (found[name] for name in _SECTIONS)
    framing_bytes = len(data) - sum(len(found[name]) for name in _SECTIONS)
    return Bitstream(header, z, y, section, digest, framing_bytes, prediction)


def _read(reader: Reader, part: Field, found: dict[str, Any]) -> bytes | int:
    """One field's value, checked by itself. found: the fields before it."""
    if part.kind == "section":
        data = reader.take(found[f"{part.name}_size"])
        before = reader.data[: found["header"][1]] if part.name == "z" else b""
        if found[f"{part.name}_check"] != crc16(before + data):
            what = "header and z" if part.name == "z" else f"section {part.name}"
            raise BitstreamError(f"checksum of {what} does not match: the stream is damaged")
        return data
    if part.kind in ("bytes", "scales"):
        return reader.take(part.size * (found["band_count"] if part.kind == "scales" else 1))
    value = reader.varint() if part.kind == "varint" else int.from_bytes(reader.take(part.size), "little")
    if part.name == "version" and value not in VERSIONS:
        known = " or ".join(map(str, VERSIONS))
        raise BitstreamError(f"stream of version {value}, expected {known}")
    if part.high is not None and not part.low <= value <= part.high:
        raise BitstreamError(f"{part.name} {value}, expected {part.low} to {part.high}")
    return value


def _header(found: dict[str, Any], settings: StreamSettings) -> Header:
    names = ("weights", "satellite", "round", "height", "width", "k", "accord", "picture_digest")
    earlier, bands = numbers_of(found["earlier"]), _bands(found["scales"])
    told: dict[str, Any] = {name: found[name] for name in names}
    members = participants_of(found["participants"])
    header = Header(settings=settings, participants=members, earlier=earlier, bands=bands, **told)
    if found["version"] >= VERSION and found["version"] != header.version:
        raise BitstreamError(f"version {found['version']}, expected {header.version}")
    _check(header, BitstreamError)
    return header


def _bands(scales: bytes) -> Bands | None:
    try:
        return Bands.unpacked(scales) if scales else None
    except ValueError as error:
        raise BitstreamError(f"scales: {str(error)[:200]}") from None


def _check(header: Header, error: type[Exception]) -> None:
    for part in FIELDS:
        if part.high is None:
            continue
        value: int = getattr(header, part.name)
        if not part.low <= value <= part.high:
            raise error(f"{part.name} {value}, expected {part.low} to {part.high}")
    size = f"latent map of {header.height} x {header.width}"
    if header.height * header.width > MAX_POSITIONS:
        raise error(f"{size}, expected at most {MAX_POSITIONS} positions")
    if header.height % 4 or header.width % 4:
        raise error(f"{size}, expected multiples of 4 (64 px)")
    if header.participants and header.satellite not in header.participants:
        raise error(f"satellite {header.satellite} is not among its own participants")
    if header.bands is not None and header.settings.predicts:
        raise error(f"bands with dedup {header.settings.dedup}, which predicts pictures of 8-bit RGB")
    settings = header.settings
    if header.earlier and not (settings.predicts or settings.remembers):
        raise error(f"refers to earlier rounds with dedup {settings.dedup} and grid {settings.grid}")
    if header.earlier and header.participants[-1:] >= (SATELLITES,):
        raise error(
            f"participant {header.participants[-1]}, expected below {SATELLITES} beside earlier rounds"
        )
    if header.earlier and header.earlier[-1] // SATELLITES > header.round:
        raise error(f"refers to a view {header.earlier[-1] // SATELLITES} rounds before round {header.round}")
    refers = settings.dlrc and not settings.predicts
    if not 0 <= header.accord < 1 << 32 or (header.accord and not refers):
        raise error(f"accord {header.accord}, expected 32 bits, and 0 where no list is referred to")
    if not 0 <= header.picture_digest < 1 << 32 or (header.picture_digest and not settings.shows):
        raise error(f"picture digest {header.picture_digest}, expected 32 bits, and 0 where none is given")


def layout() -> str:
    """The fields of a stream and the bits of its settings, as two tables for people (Markdown)."""
    width = {"varint": "varint", "section": "its length", "scales": "8 a band"}
    lines = ["| bytes | field | what it says |", "| --- | --- | --- |"]
    lines += [f"| {width.get(part.kind, part.size)} | {part.name} | {part.says} |" for part in FIELDS]
    lines += ["", "| bits | setting | values, by number |", "| --- | --- | --- |"]
    for part in SETTINGS:
        new = f" (new in {part.since})" if part.since > min(VERSIONS) else ""
        lines.append(f"| {part.bits} | {part.name}{new} | {', '.join(map(str, part.values()))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(layout())
