"""What travels in a round, byte for byte: headers and signature lists between satellites, orders from the
ground, and what a satellite tells the ground outside the simulated link.

    HEADERS   Header: 40 bytes, with a checksum of its own and one of the list that follows; 48 with streams
    EXCHANGE  SignatureList: int64 words, padded with zeros to the longest list that the headers announce;
              with dlrc.exchange=streams an Offer (nodes/streams/offer.py)
    REQUEST   Orders: what the ground still wants, or what it accepted
    WITNESS   Witness: original, independent stream, telemetry

All integers are little-endian. What arrives damaged raises `MessageError`, and whoever hears it treats it as
not heard.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

import numpy as np

from constellation.common.frozen import value
from constellation.sight.geometry import Geometry

HEADER_WORDS = 5
HEADER_BYTES = 8 * HEADER_WORDS
ORDER_BYTES = 8
PLACE_WORDS = 1  # more, of a header that says where the patch lies
_HEADER = struct.Struct("<qqdqI")
_PLACED = struct.Struct("<qqdqiiI")
_WITNESS = struct.Struct("<IIIHHH")
_MASKED = 1 << 15  # beside the number of bands: a mask follows the picture
_WIDE = 1 << 14  # the picture has 16-bit counts


class MessageError(Exception):
    """A message that is damaged, cut short, or not what it says it is."""


@dataclass(frozen=True)
class Header:
    """What each satellite sends ahead of its signatures, or of its stream.

    metric: for `priority.rule`. count: entries of its list, or bytes of its stream. checksum: CRC-32 of the
    list's words, or of the stream, without padding. place: (row, col) of the patch on the ground as the
    satellite believes it, px; None with signatures, which need none. On the wire the checksum's word holds in
    its high half a CRC-32 of everything before it.
    """

    satellite: int
    round: int
    metric: float
    count: int
    checksum: int
    place: tuple[int, int] | None = None

    def pack(self) -> bytes:
        """`HEADER_BYTES` bytes; with a place one word more."""
        layout, place = (_HEADER, ()) if self.place is None else (_PLACED, self.place)
        words = layout.pack(self.satellite, self.round, self.metric, self.count, *place, self.checksum)
        return words + zlib.crc32(words).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """Inverse of `pack`. Raises `MessageError`."""
        longer = HEADER_BYTES + 8 * PLACE_WORDS
        if len(data) not in (HEADER_BYTES, longer):
            raise MessageError(f"header of {len(data)} bytes, expected {HEADER_BYTES} or {longer}")
        if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise MessageError("checksum of a header does not match")
        if len(data) == HEADER_BYTES:
            header = cls(*_HEADER.unpack_from(data))
        else:
            satellite, number, metric, count, row, col, checksum = _PLACED.unpack_from(data)
            header = cls(satellite, number, metric, count, checksum, (row, col))
        if header.count < 0:
            raise MessageError(f"satellite {header.satellite}: {header.count} entries announced")
        return header


@value
class SignatureList:
    """What one satellite sent in a round. signatures: int64 [U]; contents: int64 [U], hashes of the vectors
    that it would code, or None where the signature is the content."""

    header: Header
    signatures: np.ndarray
    contents: np.ndarray | None

    @classmethod
    def of(
        cls, source: tuple[int, int], metric: float, signatures: np.ndarray, contents: np.ndarray | None
    ) -> SignatureList:
        """The list of `source`, (satellite, round), with its header."""
        header = Header(*source, float(metric), len(signatures), _checksum(signatures, contents))
        return cls(header, signatures, contents)

    @property
    def satellite(self) -> int:
        return self.header.satellite

    def pack(self, longest: int) -> bytes:
        """int64 words: signatures, then contents, each padded with zeros to `longest` entries."""
        parts = (self.signatures,) if self.contents is None else (self.signatures, self.contents)
        words = np.zeros((len(parts), longest), dtype="<i8")
        for row, part in zip(words, parts, strict=True):
            row[: len(part)] = part
        return words.tobytes()

    @classmethod
    def unpack(cls, header: Header, data: bytes, with_contents: bool) -> SignatureList:
        """The list that `header` announced. Raises `MessageError` where size, padding or checksum do not
        fit."""
        parts = 2 if with_contents else 1
        if len(data) % (8 * parts) or len(data) < 8 * parts * header.count:
            raise MessageError(
                f"satellite {header.satellite}: list of {len(data)} bytes for {header.count} signatures"
            )
        words = np.frombuffer(data, dtype="<i8").astype(np.int64).reshape(parts, -1)
        entries = words[:, : header.count]
        contents = entries[1] if with_contents else None
        if words[:, header.count :].any() or _checksum(entries[0], contents) != header.checksum:
            raise MessageError(f"satellite {header.satellite}: checksum of its signature list does not match")
        return cls(header, entries[0], contents)


def _checksum(signatures: np.ndarray, contents: np.ndarray | None) -> int:
    crc = zlib.crc32(np.ascontiguousarray(signatures, dtype="<i8").tobytes())
    return crc if contents is None else zlib.crc32(np.ascontiguousarray(contents, dtype="<i8").tobytes(), crc)


def pack_order(order: Sequence[int]) -> bytes:
    """One word ahead of a list, by which satellites notice that they disagree about the order: its CRC-32,
    and a CRC-32 of that."""
    digest = zlib.crc32(np.asarray(order, dtype="<i4").tobytes()).to_bytes(4, "little")
    return digest + zlib.crc32(digest).to_bytes(4, "little")


def check_order(data: bytes) -> bytes:
    """The word, if it arrived whole. Raises `MessageError`."""
    if len(data) != ORDER_BYTES or zlib.crc32(data[:4]).to_bytes(4, "little") != data[4:]:
        raise MessageError("digest of an order does not match")
    return data


@dataclass(frozen=True)
class Orders:
    """What the ground asks of the satellites after it has decoded. Sets of satellites.

    again: send the stream once more. independent: send the stream that needs nobody. accepted: whose streams
    it kept; in the Orders that close a round alone.
    """

    again: frozenset[int] = field(default_factory=frozenset)
    independent: frozenset[int] = field(default_factory=frozenset)
    accepted: frozenset[int] = field(default_factory=frozenset)

    @property
    def closed(self) -> bool:
        """Whether nothing more is asked: the round is over."""
        return not self.again and not self.independent

    def pack(self) -> bytes:
        """Three counts, the satellites of each set ascending, a CRC-32: uint32 words."""
        sets = [sorted(group) for group in (self.again, self.independent, self.accepted)]
        words = np.array([*map(len, sets), *(s for group in sets for s in group)], dtype="<u4").tobytes()
        return words + zlib.crc32(words).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes) -> Orders:
        """Inverse of `pack`. Raises `MessageError`."""
        if len(data) < 16 or len(data) % 4 or zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
            raise MessageError("checksum of the ground's orders does not match")
        words = np.frombuffer(data[:-4], dtype="<u4").tolist()
        ends = [3 + sum(words[:n]) for n in range(4)]
        if ends[-1] != len(words):
            raise MessageError(
                f"the ground's orders name {len(words) - 3} satellites, expected {ends[-1] - 3}"
            )
        return cls(*(frozenset(words[a:b]) for a, b in pairwise(ends)))


@dataclass(frozen=True)
class Note:
    """Telemetry: what a satellite knows about its own round. Times are simulated seconds.

    row, col: of the patch in the window, px. window_row, window_col: of the window in the scene, px. order:
    satellites, highest priority first. heard: whose lists it used, itself included. payload_bytes: of its own
    message on its links (unique signatures, header); gathered_bytes: of the same message in the gathering,
    padded to the longest list. t_sync_s: until it has sent and heard everything; t_round_s: until everybody
    has. open_y_bits: the paper's open-loop estimate for the kept vectors, NaN unless asked for. spans: (name,
    start_s, duration_s, category). peak_rss_mib: of its process so far, what is shared with others by its
    share. geometry: where orbits decide what is seen. offered: whether a stream of its own was whole where
    it was heard. entries: of its list, what later rounds may refer to (nodes/lists/entries.py), as text.
    bystanders: (satellite, whose streams it heard) of those that did not look; alike on all.
    """

    satellite: int
    round: int
    row: float
    col: float
    window_row: int
    window_col: int
    scene: str
    order: tuple[int, ...]
    heard: tuple[int, ...]
    payload_bytes: int
    gathered_bytes: int
    t_sync_s: float
    t_round_s: float
    open_y_bits: float
    spans: tuple[tuple[str, float, float, str], ...]
    peak_rss_mib: float
    geometry: Geometry | None = None
    offered: bool | None = None
    entries: str | None = None
    bystanders: tuple[tuple[int, tuple[int, ...]], ...] | None = None


@value
class Witness:
    """What the ground hears of a satellite outside the simulated link, to measure quality and savings by; the
    decoder never sees it.

    original: uint8 or uint16 [P, P, B]. alone: the independent stream. stream_bytes: of the stream that it
    sent, which may be lost. valid: bool [P, P], which pixels of the original show anything; None: all. Only
    a mask with hidden pixels takes bytes.
    """

    original: np.ndarray
    alone: bytes
    stream_bytes: int
    note: Note
    valid: np.ndarray | None = None

    def pack(self) -> bytes:
        told = {key: held for key, held in asdict(self.note).items() if held is not None}
        note = json.dumps(told).encode()
        height, width, bands = self.original.shape
        masked = _MASKED if self.valid is not None else 0
        masked |= _WIDE if self.original.dtype == np.uint16 else 0
        head = _WITNESS.pack(len(note), len(self.alone), self.stream_bytes, height, width, bands | masked)
        mask = b"" if self.valid is None else np.packbits(self.valid).tobytes()
        pixels = self.original.astype(self.original.dtype.newbyteorder("<"), order="C").tobytes()
        return b"".join([head, note, self.alone, pixels, mask])

    @classmethod
    def unpack(cls, data: bytes) -> Witness:
        """Inverse of `pack`. Raises `MessageError`."""
        if len(data) < _WITNESS.size:
            raise MessageError(f"witness of {len(data)} bytes")
        note, alone, stream_bytes, height, width, bands = _WITNESS.unpack_from(data)
        kind = np.dtype("<u2" if bands & _WIDE else "u1")
        bands, masked = bands & ~(_MASKED | _WIDE), bool(bands & _MASKED)
        mask = -(-height * width // 8) if masked else 0
        ends = np.cumsum([_WITNESS.size, note, alone, height * width * bands * kind.itemsize, mask]).tolist()
        if ends[-1] != len(data):
            raise MessageError(f"witness of {len(data)} bytes, expected {ends[-1]}")
        values = json.loads(data[ends[0] : ends[1]])
        values |= {key: tuple(values[key]) for key in ("order", "heard")}
        values["spans"] = tuple(tuple(span) for span in values["spans"])
        if "bystanders" in values:
            values["bystanders"] = tuple((one, tuple(heard)) for one, heard in values["bystanders"])
        values["geometry"] = Geometry.of(values.get("geometry"))
        pixels = np.frombuffer(data[ends[2] : ends[3]], dtype=kind)
        original, valid = pixels.reshape(height, width, bands), None
        if masked:
            bits = np.frombuffer(data[ends[3] :], dtype=np.uint8)
            valid = np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)
        return cls(original, data[ends[1] : ends[2]], stream_bytes, Note(**values), valid)
