"""The header of a segment, section 4.2: parts 1A, 1B, 2, 3 and 4.

PixelBitDepth is told modulo 16, and a flag says that there are more than 16 bits. What the flag is at 16 bits
independent programs do not agree on (docs/results/ccsds122.md): it is written 0, and read either way. Pixels
have at most 28 bits; DEPTH_DC and DEPTH_AC are what the fields of coefficients can tell."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from codec.ccsds122.blocks import UNWEIGHTED, WEIGHTS

CODEWORD_BYTES = (1, 5, 2, 6, 3, 7, 4, 8)  # by the three bits of CodeWordLength
LIMIT = 1 << 27  # SegByteLimit's modulus: 0 says this many bytes
BLOCKS = 1 << 20  # S's modulus
PIXEL_BITS = 28
DEPTH_DC, DEPTH_AC = 32, 31  # bits of a segment's coefficients, signed and of magnitudes: fields of 5 bits


@dataclass(frozen=True)
class Settings:
    """How a band is coded: parts 2, 3 and 4 but for the picture's own fields. Defaults: all bit planes of the
    real transform, the picture one segment.

    integer: the integer transform, lossless where nothing is cut. pixel_bits: 1 to 28; signed: pixels.
    segment_blocks: S, 0 for the whole picture. byte_limit: SegByteLimit, 0 for none; fill: segments are
    filled up to it. dc_stop, plane_stop, stage_stop (0 to 3, stages 1 to 4): where coding of a segment ends.
    optimum: the best k of every gaggle instead of the heuristic one. weights: of the integer transform's
    subbands, 0 to 3 in the order of `blocks.SUBBANDS`. codeword_bytes: 1 to 8. Raises `ValueError`."""

    integer: bool = False
    pixel_bits: int = 8
    signed: bool = False
    segment_blocks: int = 0
    byte_limit: int = 0
    fill: bool = False
    dc_stop: bool = False
    plane_stop: int = 0
    stage_stop: int = 3
    optimum: bool = True
    weights: tuple[int, ...] = WEIGHTS
    codeword_bytes: int = 1

    def __post_init__(self) -> None:
        checks = {
            "pixel_bits": 1 <= self.pixel_bits <= PIXEL_BITS,
            "segment_blocks": self.segment_blocks == 0 or 16 <= self.segment_blocks <= BLOCKS,
            "byte_limit": 0 <= self.byte_limit <= LIMIT and self.byte_limit % self.codeword_bytes == 0,
            "fill": self.byte_limit > 0 or not self.fill,
            "plane_stop": 0 <= self.plane_stop < 32,
            "stage_stop": 0 <= self.stage_stop < 4,
            "weights": len(self.weights) == 10 and all(0 <= w < 4 for w in self.weights),
            "codeword_bytes": self.codeword_bytes in CODEWORD_BYTES,
        }
        for name, fine in checks.items():
            if not fine:
                raise ValueError(f"CCSDS 122: {name}: unexpected {getattr(self, name)!r}")

    @property
    def used_weights(self) -> tuple[int, ...]:
        """Those of the subbands: the real transform has none."""
        return self.weights if self.integer else UNWEIGHTED


@dataclass(frozen=True)
class Header:
    """One segment's header; a part that is absent repeats what the last one said."""

    settings: Settings
    width: int
    blocks: int
    first: bool
    last: bool
    count: int = 0
    depth_dc: int = 1
    depth_ac: int = 0
    pad_rows: int = 0
    parts: tuple[bool, bool, bool] = (True, True, True)  # whether 2, 3 and 4 are there


def pack(header: Header) -> bytes:
    """Its bytes: 3 to 20."""
    s = header.settings
    fields = [
        (header.first, 1), (header.last, 1), (header.count & 255, 8), (header.depth_dc & 31, 5),
        (header.depth_ac, 5), (0, 1), *((part, 1) for part in header.parts),
    ]  # fmt: skip
    if header.last:
        fields += [(header.pad_rows, 3), (0, 5)]
    if header.parts[0]:
        fields += [(s.byte_limit % LIMIT, 27), (s.dc_stop, 1), (s.plane_stop, 5), (s.stage_stop, 2)]
        fields += [(s.fill, 1), (0, 4)]
    if header.parts[1]:
        fields += [(header.blocks % BLOCKS, 20), (s.optimum, 1), (s.optimum, 1), (0, 2)]
    if header.parts[2]:
        own = s.integer and s.weights != WEIGHTS
        fields += [(s.integer, 1), (0, 1), (s.pixel_bits > 16, 1), (s.signed, 1), (s.pixel_bits % 16, 4)]
        fields += [(header.width, 20), (0, 1), (CODEWORD_BYTES.index(s.codeword_bytes), 3), (own, 1)]
        fields += [(weight if own else 0, 2) for weight in s.weights] + [(0, 11)]
    value = length = 0
    for field, bits in fields:
        value, length = value << bits | int(field), length + bits
    return value.to_bytes(length // 8, "big")


class Reader:
    """Bits of a header, from the front."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self.at = data, 8 * at

    def take(self, bits: int) -> int:
        """The next `bits` as a number. Raises `ValueError` past the end."""
        end = self.at + bits
        if end > 8 * len(self._data):
            raise ValueError("CCSDS 122: the stream ends within a header")
        chunk = int.from_bytes(self._data[self.at // 8 : (end + 7) // 8], "big") >> (-end % 8)
        self.at = end
        return chunk & ((1 << bits) - 1)


def parse(data: bytes, at: int, before: Header | None) -> tuple[Header, int]:
    """(the header at byte `at`, the byte after it). before: the last segment's. Raises `ValueError`."""
    reader = Reader(data, at)
    take = reader.take
    first, last, count, depth_dc, depth_ac = bool(take(1)), bool(take(1)), take(8), take(5) or 32, take(5)
    take(1)
    parts = (bool(take(1)), bool(take(1)), bool(take(1)))
    if first != (before is None) or (first and not all(parts)):
        raise ValueError("CCSDS 122: a picture has to begin with one first segment, which has every part")
    pad_rows = take(8) >> 5 if last else 0
    said = {} if before is None else dataclasses.asdict(before.settings)
    blocks, width = (0, 0) if before is None else (before.blocks, before.width)
    if parts[0]:
        said |= {"byte_limit": take(27), "dc_stop": bool(take(1)), "plane_stop": take(5)}
        said |= {"stage_stop": take(2), "fill": bool(take(1))}
        take(4)
    if parts[1]:
        blocks, said["optimum"] = take(20) or BLOCKS, bool(take(1))
        take(3)
    if parts[2]:
        width, own = _part_4(take)
        said |= own
    found = Header(Settings(**said), width, blocks, first, last, count)
    return dataclasses.replace(
        found, depth_dc=depth_dc, depth_ac=depth_ac, pad_rows=pad_rows, parts=parts
    ), reader.at // 8


def _part_4(take) -> tuple[int, dict]:
    """(the picture's width, what it says of `Settings`)."""
    said: dict = {"integer": bool(take(1))}
    take(1)
    extended, said["signed"], bits = take(1), bool(take(1)), take(4)
    said["pixel_bits"] = 16 * extended + bits or 16
    width = take(20) or 1 << 20
    take(1)  # TransposeImg: what to do with the decoded picture, nothing to its coding
    said["codeword_bytes"] = CODEWORD_BYTES[take(3)]
    own, weights = take(1), tuple(take(2) for _ in range(10))
    take(11)
    said["weights"] = weights if own else WEIGHTS
    return width, said
