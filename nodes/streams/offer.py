"""What a satellite sends the others where streams are exchanged (`dlrc.exchange=streams`): its independent
stream, behind a header that says where its patch lies.

Coding in the light of others changes probabilities, never integers: whoever decodes this stream has the very
vectors that the ground will have. So one exchange is enough, and nobody waits for another's coding."""

from __future__ import annotations

import zlib

from constellation.common.frozen import value
from nodes.messages import Header, MessageError


@value
class Offer:
    """The message. stream: the independent one."""

    header: Header
    stream: bytes

    @classmethod
    def of(cls, source: tuple[int, int], metric: float, stream: bytes, place: tuple[int, int]) -> Offer:
        """The offer of `source`, (satellite, round), whose patch lies at `place`, (row, col) on the ground,
        px."""
        return cls(Header(*source, float(metric), len(stream), zlib.crc32(stream), place), stream)

    @property
    def satellite(self) -> int:
        return self.header.satellite

    def pack(self, longest: int) -> bytes:
        """The stream, padded with zeros to whole words that hold `longest` bytes."""
        return self.stream.ljust(-(-longest // 8) * 8, b"\0")

    @classmethod
    def unpack(cls, header: Header, data: bytes) -> Offer:
        """The offer that `header` announced. Raises `MessageError` where size, padding or checksum do not
        fit."""
        stream, padding = data[: header.count], data[header.count :]
        if len(stream) != header.count or any(padding):
            raise MessageError(
                f"satellite {header.satellite}: {len(data)} bytes for a stream of {header.count}"
            )
        if zlib.crc32(stream) != header.checksum:
            raise MessageError(f"satellite {header.satellite}: checksum of its stream does not match")
        return cls(header, stream)
