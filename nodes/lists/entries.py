"""What is remembered of a signature list: the entries whose vectors the ground is known to have.

An entry that its satellite coded, or copied from an earlier round, is at the ground as the list announced it.
One that it dropped in favour of another satellite is not kept: what the ground has there is the other's."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping

import numpy as np

from codec.earlier import MAX_SOURCES
from constellation.common.frozen import value
from nodes.messages import MessageError

FEWEST = (
    4  # entries that a list of an earlier round must have for a stream to name it, which takes some bytes
)
_ROW = np.dtype([("index", "<i4"), ("signature", "<i8"), ("content", "<i8")])


@value
class Entries:
    """E entries of one list. index: int32 [E], where they stand in it, ascending. signatures, contents: int64
    [E], of the vectors that the ground has."""

    index: np.ndarray
    signatures: np.ndarray
    contents: np.ndarray

    def pack(self) -> str:
        """As text: rows of 20 bytes and a CRC-32, in base 64."""
        rows = np.zeros(len(self.index), _ROW)
        rows["index"], rows["signature"], rows["content"] = self.index, self.signatures, self.contents
        data = rows.tobytes()
        return base64.b64encode(data + zlib.crc32(data).to_bytes(4, "little")).decode()

    @classmethod
    def unpack(cls, text: str) -> Entries:
        """Inverse of `pack`. Raises `MessageError`."""
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise MessageError("entries of a list: not in base 64") from None
        if len(data) % _ROW.itemsize != 4 or zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
            raise MessageError("entries of a list: checksum does not match")
        rows = np.frombuffer(data[:-4], _ROW)
        if len(rows) and (rows["index"][0] < 0 or (np.diff(rows["index"]) <= 0).any()):
            raise MessageError("entries of a list: indexes that do not ascend")
        kinds = (("index", np.int32), ("signature", np.int64), ("content", np.int64))
        return cls(*(rows[name].astype(kind) for name, kind in kinds))


@value
class Recalled:
    """What a satellite's own list finds in earlier ones, by entry; U entries. owner: int16 [U], the number of
    the earlier list (codec/earlier.py), -1: none. index: int32 [U], of the entry there. contents: int64 [U],
    of the vector that the ground has of it."""

    owner: np.ndarray
    index: np.ndarray
    contents: np.ndarray


def recall(earlier: Mapping[int, Entries], signatures: np.ndarray) -> Recalled:
    """Which entries of a list, `signatures` int64 [U] without repeats, need not be coded.

    earlier: by number, as of `Memory.entries`. The list with the most of what is left is taken, and again
    until none has `FEWEST`: few lists make a short map. Of equal ones the first."""
    owner, index = np.full(len(signatures), -1, np.int16), np.zeros(len(signatures), np.int32)
    contents = np.zeros(len(signatures), np.int64)
    found = {number: _matches(one, signatures) for number, one in earlier.items()}
    for _ in range(MAX_SOURCES):
        gains = {number: int((there[owner < 0] >= 0).sum()) for number, there in found.items()}
        best = max(gains, key=gains.__getitem__, default=-1)
        if best < 0 or gains[best] < FEWEST:
            break
        at = np.flatnonzero((found[best] >= 0) & (owner < 0))
        there = found.pop(best)[at]
        owner[at], index[at], contents[at] = best, earlier[best].index[there], earlier[best].contents[there]
    return Recalled(owner, index, contents)


def _matches(one: Entries, signatures: np.ndarray) -> np.ndarray:
    """Of each signature its first place in `one`, int64 [U]; -1: none."""
    if not len(one.signatures):
        return np.full(len(signatures), -1)
    order = np.argsort(one.signatures, kind="stable")
    place = np.minimum(np.searchsorted(one.signatures, signatures, sorter=order), len(order) - 1)
    return np.where(one.signatures[order[place]] == signatures, order[place], -1)
