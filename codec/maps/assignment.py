"""The assignment map A (paper sections 3.3 and 3.4): where the vector of every latent position comes from.

Each position is *kept* (its vector is coded in this stream), a *local copy* (of an earlier position of the
same grid) or a *remote copy*, addressed as (owner, index in the owner's transmitted signature list). That
list holds the owner's representatives, which are its non-LOCAL positions, in raster order; so entry i is the
i-th non-LOCAL position of the owner's own map. Addresses do not depend on what the owner kept or whom it
heard: maps made from partial views stay meaningful (design.md, "The map survives partial views").

Section 3.4 numbers the kept vectors of all satellites densely instead; `dense_numbering` and
`from_dense_numbering` translate, for rounds in which every satellite heard every other."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from constellation.common.errors import BitstreamError, UserError

KEPT, LOCAL, REMOTE = 0, 1, 2
ORDERS = ("raster", "checkerboard")
MAX_SATELLITE = 32767  # owner is int16


@dataclass(frozen=True)
class AssignmentMap:
    """The fates of an H x W latent grid; immutable, and checked for shapes and dtypes when made
    (`UserError`).

    fate: uint8 [H, W], KEPT, LOCAL or REMOTE. exact: bool [H, W], for REMOTE: the owner's coded vector equals
    this satellite's own; False elsewhere. owner: int16 [H, W], for REMOTE: satellite id of the owner; -1
    elsewhere. source: int32 [H, W]. KEPT: -1. LOCAL: flat raster position of the representative in this grid
    (KEPT or REMOTE, earlier in coding
        order). REMOTE: index in the owner's transmitted signature list.
    """

    fate: np.ndarray
    exact: np.ndarray
    owner: np.ndarray
    source: np.ndarray

    def __post_init__(self) -> None:
        wanted = {"fate": np.uint8, "exact": np.bool_, "owner": np.int16, "source": np.int32}
        for name, dtype in wanted.items():
            array = getattr(self, name)
            if (
                not isinstance(array, np.ndarray)
                or array.dtype != dtype
                or array.ndim != 2
                or array.shape != self.fate.shape
            ):
                found = (
                    f"{array.dtype} {list(array.shape)}"
                    if isinstance(array, np.ndarray)
                    else type(array).__name__
                )
                raise UserError(
                    f"assignment map: {name} is {found}, expected {np.dtype(dtype)} [H, W] like fate"
                )
        if self.fate.size == 0:
            raise UserError("assignment map: no positions")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), latent positions."""
        return self.fate.shape

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AssignmentMap):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("fate", "exact", "owner", "source")
        )

    __hash__ = None


@dataclass(frozen=True)
class Shares:
    """Shares of the three fates among all positions, in [0, 1]."""

    kept: float
    local: float
    remote: float


def all_kept(height: int, width: int) -> AssignmentMap:
    """The map of a satellite that shares nothing (and of a run without DLRC)."""
    shape = (height, width)
    return AssignmentMap(
        np.full(shape, KEPT, np.uint8),
        np.zeros(shape, bool),
        np.full(shape, -1, np.int16),
        np.full(shape, -1, np.int32),
    )


def coding_rank(height: int, width: int, order: str) -> np.ndarray:
    """Rank in coding order of every flat raster position, int32 [H * W]. order: `raster`, or `checkerboard`
    (anchors, cells with (row + column) even, before the others; raster within each)."""
    flat = np.arange(height * width, dtype=np.int32)
    if order == "raster":
        return flat
    if order != "checkerboard":
        raise UserError(f"coding order: found {order!r}, expected one of {', '.join(ORDERS)}")
    odd = (flat // width + flat % width) % 2
    rank = np.empty_like(flat)
    rank[np.argsort(odd, kind="stable")] = flat
    return rank


def validate(
    assignment: AssignmentMap,
    satellite: int,
    participants: Collection[int],
    order: str = "raster",
    error: type[UserError] = UserError,
) -> None:
    """Check that the map of `satellite` means something; raises `error` (`UserError`, or `BitstreamError` in
    a decoder) with one line.

    participants: ids of the satellites whose lists this one heard (its own may be among them). order: the
    coding order of its codec. Checked: values of fate; fillers where a field does not apply; owners heard and
    not the satellite itself; list indexes within the grid's size; local copies of an earlier non-LOCAL
    position."""
    height, width = assignment.shape
    fate, owner, source = (getattr(assignment, name).reshape(-1) for name in ("fate", "owner", "source"))
    if fate.max() > REMOTE:
        raise error(f"assignment map: fate {int(fate.max())}, expected {KEPT}, {LOCAL} or {REMOTE}")
    remote, local = fate == REMOTE, fate == LOCAL
    if (
        np.any(assignment.exact.reshape(-1) & ~remote)
        or np.any(owner[~remote] != -1)
        or np.any(source[fate == KEPT] != -1)
    ):
        raise error("assignment map: exact, owner or source set where the fate has none")
    heard = set(participants) - {satellite}
    for other in np.unique(owner[remote]):
        if int(other) not in heard:
            raise error(
                f"assignment map: satellite {satellite} copies from satellite {int(other)}, which it did not hear"
            )
    if np.any((source[remote | local] < 0) | (source[remote | local] >= height * width)):
        raise error(f"assignment map: a source outside 0..{height * width - 1}")
    _check_local(np.flatnonzero(local), fate, source, coding_rank(height, width, order), error)


def _check_local(
    at: np.ndarray, fate: np.ndarray, source: np.ndarray, rank: np.ndarray, error: type[UserError]
) -> None:
    representative = source[at]
    if np.any(fate[representative] == LOCAL):
        raise error("assignment map: a local copy of a local copy, expected a representative")
    if np.any(rank[representative] >= rank[at]):
        raise error("assignment map: a local copy of a position that is not coded before it")


def signature_positions(assignment: AssignmentMap) -> np.ndarray:
    """Raster positions of the satellite's transmitted signature list, int32 [U], ascending: its non-LOCAL
    positions."""
    return np.flatnonzero(assignment.fate.reshape(-1) != LOCAL).astype(np.int32)


def kept_entries(assignment: AssignmentMap) -> np.ndarray:
    """Which entries of the satellite's transmitted list it keeps, bool [U]. On board every satellite knows
    this of every other it heard (arbitration computes the owners of all lists), without knowing the other's
    map."""
    fate = assignment.fate.reshape(-1)
    return fate[fate != LOCAL] == KEPT


def shares(assignment: AssignmentMap) -> Shares:
    """Shares of kept, local-copy and remote-copy positions."""
    counts = np.bincount(assignment.fate.reshape(-1), minlength=3) / assignment.fate.size
    return Shares(*(float(value) for value in counts[:3]))


def combined_digest(y_context_crc: int, assignment: AssignmentMap) -> int:
    """CRC-32 of the known context (`y_context_crc`) continued over the map: what a decoder must reproduce,
    values and references.

    Where the context says zero (an inexact remote copy) the reference stands in for the vector.
    """
    value = y_context_crc & 0xFFFFFFFF
    for array, dtype in (
        (assignment.fate, "u1"),
        (assignment.exact, "u1"),
        (assignment.owner, "<i2"),
        (assignment.source, "<i4"),
    ):
        value = zlib.crc32(np.ascontiguousarray(array.astype(dtype)).tobytes(), value)
    return value


def own_numbering(assignment: AssignmentMap, satellite: int, kept_of: Mapping[int, np.ndarray]) -> np.ndarray:
    """Section 3.4's dense numbers of one satellite's positions, int32 [H, W].

    kept_of: satellite -> `kept_entries` bool [U], of all satellites of the round, in priority order (highest
    first); satellite's own among them. Its numbers start at the count of vectors kept by all satellites
    before it. Raises `UserError` where a reference does not end at a kept entry (the participant sets
    disagree), which this numbering cannot express."""
    offset_of = _offsets({other: int(np.count_nonzero(kept)) for other, kept in kept_of.items()})
    fate, owner, source = (getattr(assignment, name).reshape(-1) for name in ("fate", "owner", "source"))
    kept, local = fate == KEPT, fate == LOCAL
    if np.count_nonzero(kept) != np.count_nonzero(kept_of[satellite]):
        raise UserError(
            f"dense numbering: satellite {satellite} keeps {np.count_nonzero(kept)} vectors, its list says otherwise"
        )
    numbers = np.full(fate.size, -1, dtype=np.int64)
    numbers[kept] = offset_of[satellite] + np.arange(np.count_nonzero(kept))
    for other in np.unique(owner[fate == REMOTE]):
        at = np.flatnonzero((fate == REMOTE) & (owner == other))
        entries = kept_of.get(int(other), np.zeros(0, bool))
        if np.any(source[at] >= len(entries)) or not np.all(entries[source[at]]):
            raise UserError(
                f"dense numbering: satellite {satellite} copies a vector that satellite {int(other)} does not keep; "
                "use dlrc.map_coding=successor where satellites hear different sets"
            )
        numbers[at] = offset_of[int(other)] + (np.cumsum(entries) - 1)[source[at]]
    numbers[local] = numbers[source[local]]
    return numbers.astype(np.int32).reshape(assignment.shape)


def dense_numbering(maps: Mapping[int, AssignmentMap]) -> list[np.ndarray]:
    """Section 3.4's dense numbers, int32 [H, W] per map; maps: satellite -> map, in priority order (highest
    first)."""
    kept_of = {satellite: kept_entries(assignment) for satellite, assignment in maps.items()}
    return [own_numbering(assignment, satellite, kept_of) for satellite, assignment in maps.items()]


def from_dense_numbering(
    numbers: Mapping[int, np.ndarray],
    kept_counts: Mapping[int, int],
    order: str = "raster",
    exact: Mapping[int, np.ndarray] | None = None,
) -> dict[int, AssignmentMap]:
    """Inverse of `dense_numbering`: the maps of a whole round (every owner must be present). `BitstreamError`
    where numbers make no sense.

    numbers: satellite -> int32 [H, W], in priority order. kept_counts: satellite -> vectors it keeps. exact:
    satellite -> bool [H, W] flags, which the numbers do not carry (default: every remote copy exact). The
    first position of a number in coding order is its representative."""
    offset_of = _offsets(kept_counts)
    fates = {
        satellite: _fates(satellite, array, offset_of[satellite], kept_counts[satellite], order)
        for satellite, array in numbers.items()
    }
    return {
        satellite: _from_numbers(satellite, array, fates, kept_counts, order, exact)
        for satellite, array in numbers.items()
    }


def _offsets(kept_counts: Mapping[int, int]) -> dict[int, int]:
    ends = np.cumsum([0, *kept_counts.values()])
    return {satellite: int(start) for satellite, start in zip(kept_counts, ends)}


def cluster_representatives(numbers: np.ndarray, order: str) -> np.ndarray:
    """For every flat position, the first position in coding order with the same number, int64 [H * W]."""
    by_rank = np.argsort(coding_rank(*numbers.shape, order))
    _, first, inverse = np.unique(numbers.reshape(-1)[by_rank], return_index=True, return_inverse=True)
    out = np.empty(numbers.size, dtype=np.int64)
    out[by_rank] = by_rank[first][inverse.reshape(-1)]
    return out


def _fates(satellite: int, numbers: np.ndarray, offset: int, count: int, order: str) -> np.ndarray:
    flat = numbers.reshape(-1)
    local = cluster_representatives(numbers, order) != np.arange(flat.size)
    own = (flat >= offset) & (flat < offset + count)
    fate = np.where(local, LOCAL, np.where(own, KEPT, REMOTE)).astype(np.uint8)
    if not np.array_equal(flat[fate == KEPT], offset + np.arange(count)):
        raise BitstreamError(
            f"dense numbering: the kept numbers of satellite {satellite} are not {offset}..{offset + count - 1} in order"
        )
    return fate


def _from_numbers(
    satellite: int,
    numbers: np.ndarray,
    fates: Mapping[int, np.ndarray],
    kept_counts: Mapping[int, int],
    order: str,
    exact: Mapping[int, np.ndarray] | None,
) -> AssignmentMap:
    fate, flat = fates[satellite], numbers.reshape(-1)
    owner = np.full(flat.size, -1, dtype=np.int16)
    source = np.full(flat.size, -1, dtype=np.int32)
    local = fate == LOCAL
    source[local] = cluster_representatives(numbers, order)[local]
    for other, offset in _offsets(kept_counts).items():
        at = np.flatnonzero((fate == REMOTE) & (flat >= offset) & (flat < offset + kept_counts[other]))
        if len(at):
            entries = np.flatnonzero(fates[other][fates[other] != LOCAL] == KEPT)
            owner[at], source[at] = other, entries[flat[at] - offset]
    remote = fate == REMOTE
    if np.any(owner[remote] == -1):
        raise BitstreamError(
            f"dense numbering: satellite {satellite} has a number outside those of the round"
        )
    flags = remote.copy() if exact is None else exact[satellite].reshape(-1) & remote
    shape = numbers.shape
    return AssignmentMap(
        fate.reshape(shape), flags.reshape(shape), owner.reshape(shape), source.reshape(shape)
    )
