"""The paper's own numbers of an assignment map (section 3.4), for comparison: the kept vectors of all
satellites of a round numbered densely, in one LZMA2 stream. Streams do not use them, as they take a round in
which every satellite heard every other."""

from __future__ import annotations

import lzma
from collections.abc import Mapping

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from constellation.common.errors import UserError

FILTERS = [
    {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 21}
]  # the dictionary bounds a decoder's memory


def squeeze(data: bytes) -> bytes:
    """Raw LZMA2, preset 9: the paper's compressor for a map's numbers."""
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=FILTERS)


def address_type(satellites: int, total: int) -> str:
    """Little-endian integers that hold `satellites` times `total` addresses."""
    return "<u2" if satellites * total <= 1 << 16 else ("<u4" if satellites * total <= 1 << 32 else "<u8")


def joint_bytes(maps: Mapping[int, AssignmentMap]) -> int:
    """Bytes of a whole round's maps (satellite -> map, in priority order) as the paper codes them: how many
    vectors each keeps, all dense numbers, and flags of exactness where some remote copy is not exact."""
    numbers = np.stack([array.reshape(-1) for array in dense_numbering(maps)])
    kept = np.array([np.count_nonzero(one.fate == KEPT) for one in maps.values()], "<u4")
    remote = np.stack([one.fate.reshape(-1) == REMOTE for one in maps.values()])
    exact = np.stack([one.exact.reshape(-1) for one in maps.values()])
    flags = b"" if np.array_equal(exact, remote) else np.packbits(exact[remote]).tobytes()
    return len(squeeze(kept.tobytes() + numbers.astype(address_type(*numbers.shape)).tobytes() + flags))


def kept_entries(assignment: AssignmentMap) -> np.ndarray:
    """Which entries of the satellite's transmitted list it keeps, bool [U]. On board every satellite knows
    this of every other it heard (arbitration computes the owners of all lists), without knowing the other's
    map."""
    fate = assignment.fate.reshape(-1)
    return fate[fate != LOCAL] == KEPT


def own_numbering(assignment: AssignmentMap, satellite: int, kept_of: Mapping[int, np.ndarray]) -> np.ndarray:
    """Section 3.4's dense numbers of one satellite's positions, int32 [H, W].

    kept_of: satellite -> `kept_entries` bool [U], of all satellites of the round, in priority order (highest
    first); satellite's own among them. Its numbers start at the count of vectors kept by all satellites
    before it. Raises `UserError` where a reference does not end at a kept entry (the participant sets
    disagree), which this numbering cannot express."""
    counts = [np.count_nonzero(kept) for kept in kept_of.values()]
    offset_of = dict(zip(kept_of, np.cumsum([0, *counts]).tolist(), strict=False))
    fate, owner, source = (getattr(assignment, name).reshape(-1) for name in ("fate", "owner", "source"))
    kept, local = fate == KEPT, fate == LOCAL
    if np.count_nonzero(kept) != np.count_nonzero(kept_of[satellite]):
        raise UserError(
            f"dense numbering: satellite {satellite} keeps {np.count_nonzero(kept)} vectors, "
            "its list says otherwise"
        )
    numbers = np.full(fate.size, -1, dtype=np.int64)
    numbers[kept] = offset_of[satellite] + np.arange(np.count_nonzero(kept))
    for other in np.unique(owner[fate == REMOTE]):
        at = np.flatnonzero((fate == REMOTE) & (owner == other))
        entries = kept_of.get(int(other), np.zeros(0, bool))
        if np.any(source[at] >= len(entries)) or not np.all(entries[source[at]]):
            raise UserError(
                f"dense numbering: satellite {satellite} copies a vector that "
                f"satellite {int(other)} does not keep"
            )
        numbers[at] = offset_of[int(other)] + (np.cumsum(entries) - 1)[source[at]]
    numbers[local] = numbers[source[local]]
    return numbers.astype(np.int32).reshape(assignment.shape)


def dense_numbering(maps: Mapping[int, AssignmentMap]) -> list[np.ndarray]:
    """Section 3.4's dense numbers, int32 [H, W] per map; maps: satellite -> map, in priority order (highest
    first)."""
    kept_of = {satellite: kept_entries(assignment) for satellite, assignment in maps.items()}
    return [own_numbering(assignment, satellite, kept_of) for satellite, assignment in maps.items()]
