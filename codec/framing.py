"""Bytes of the container one by one: numbers, checksums, and a reader that never passes the end."""

from __future__ import annotations

import zlib

from constellation.common.errors import BitstreamError

MAX_SATELLITES = 32768
MAX_BITS = MAX_SATELLITES + 14  # of a number: a bit for each satellite, and what varints waste


def varint(value: int) -> bytes:
    """A number, LEB128, in its shortest form."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def crc16(data: bytes) -> int:
    """Low half of CRC-32."""
    return zlib.crc32(data) & 0xFFFF


class Reader:
    """Takes bytes from the front, never past the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next bytes. Raises `BitstreamError` where there are not as many."""
        if count > len(self.data) - self.at:
            raise BitstreamError(f"stream ends after {len(self.data)} bytes, in the middle of a field")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        """The next number. Raises `BitstreamError` for one in another than its shortest form."""
        digits = bytearray()
        while True:
            (byte,) = self.take(1)
            digits.append(byte & 0x7F)
            if not byte & 0x80:
                break
            if 7 * len(digits) > MAX_BITS:
                raise BitstreamError("a number has too many digits")
        if byte == 0 and len(digits) > 1:
            raise BitstreamError("a number is not in its shortest form")
        value = 0
        for digit in reversed(digits):
            value = value << 7 | digit
        return value


def participants_code(participants: tuple[int, ...]) -> int:
    """Satellites' ids as one number: 2 n for 0 to n - 1, else 1 + twice a bit mask."""
    if tuple(participants) == tuple(range(len(participants))):
        return len(participants) << 1
    return sum(1 << satellite for satellite in participants) << 1 | 1


def participants_of(code: int) -> tuple[int, ...]:
    """Inverse of `participants_code`. Raises `BitstreamError`."""
    if not code & 1:
        if code >> 1 > MAX_SATELLITES:
            raise BitstreamError(f"{code >> 1} participants, expected at most {MAX_SATELLITES}")
        return tuple(range(code >> 1))
    mask = code >> 1
    if mask.bit_length() > MAX_SATELLITES:
        raise BitstreamError(f"participant {mask.bit_length() - 1}, expected at most {MAX_SATELLITES - 1}")
    members = tuple(bit for bit, digit in enumerate(reversed(f"{mask:b}")) if digit == "1")
    if members == tuple(range(len(members))):
        raise BitstreamError("participants are not in their shortest form")
    return members
