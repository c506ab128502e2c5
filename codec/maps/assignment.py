"""The assignment map A (paper sections 3.3 and 3.4): where the vector of every latent position comes from.

Each position is *kept* (its vector is coded in this stream), a *local copy* (of an earlier position of the
same grid) or a *remote copy*, addressed as (owner, index in the owner's transmitted signature list). That
list holds the owner's representatives, which are its non-LOCAL positions, in raster order; so entry i is the
i-th non-LOCAL position of the owner's own map. Addresses do not depend on what the owner kept or whom it
heard: maps made from partial views stay meaningful.

Section 3.4 numbers the kept vectors of all satellites densely instead (codec/maps/numbering.py), which takes
a round in which every satellite heard every other."""

from __future__ import annotations

import zlib
from collections.abc import Collection

import numpy as np

from codec.earlier import SATELLITES
from constellation.common.errors import UserError
from constellation.common.frozen import value

KEPT, LOCAL, REMOTE = 0, 1, 2
FILL, KNOWN = -1, -2  # of `AssignmentMap.known`
MAX_SATELLITE = 32767  # owner is int16


@value
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
        height, width = self.fate.shape
        return height, width

    def known(self, context: str = "exact") -> np.ndarray:
        """Which vectors a decoder knows before and while it decodes this stream, int32 [H, W], by flat
        position: the own position if kept (coded in this stream); the representative's if a local copy; KNOWN
        for an exact remote copy, whose vector comes from another stream and is equal to the own; FILL,
        nothing, for any other.

        context: `independent` takes every remote copy for a FILL; `exact` and `open` do not."""
        flat = np.arange(self.fate.size, dtype=np.int32).reshape(self.shape)
        remote = np.where(self.exact & (context != "independent"), KNOWN, FILL)
        return np.where(self.fate == KEPT, flat, np.where(self.fate == LOCAL, self.source, remote)).astype(
            np.int32
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AssignmentMap):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("fate", "exact", "owner", "source")
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # equal by content, so no key by identity


def all_kept(height: int, width: int) -> AssignmentMap:
    """The map of a satellite that shares nothing (and of a run without DLRC)."""
    shape = (height, width)
    return AssignmentMap(
        np.full(shape, KEPT, np.uint8),
        np.zeros(shape, bool),
        np.full(shape, -1, np.int16),
        np.full(shape, -1, np.int32),
    )


def validate(
    assignment: AssignmentMap,
    satellite: int,
    participants: Collection[int],
    rank: np.ndarray,
    error: type[UserError] = UserError,
) -> None:
    """Check that the map of `satellite` means something; raises `error` (`UserError`, or `BitstreamError` in
    a decoder) with one line.

    participants: ids of the satellites whose lists this one heard (its own may be among them). rank: int [H,
    W], the coding order of its codec (`codec.entropy.order.rank`). Checked: values of fate; fillers where a
    field does not apply; owners heard and not the satellite itself; list indexes within the grid's size;
    local copies of an earlier non-LOCAL position."""
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
                f"assignment map: satellite {satellite} copies from satellite {int(other)}, which it did not "
                "hear"
            )
    if np.any((source[remote | local] < 0) | (source[remote | local] >= height * width)):
        raise error(f"assignment map: a source outside 0..{height * width - 1}")
    _check_local(np.flatnonzero(local), fate, source, rank.reshape(-1), error)


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


def earlier_cells(assignment: AssignmentMap) -> np.ndarray:
    """Which positions copy from lists of earlier rounds, bool [H, W], in the map of a stream that may."""
    return assignment.owner >= SATELLITES


def without_earlier(assignment: AssignmentMap) -> AssignmentMap:
    """The same map, where what comes from earlier rounds is as good as coded: references end there."""
    at = earlier_cells(assignment)
    fate = np.where(at, KEPT, assignment.fate).astype(np.uint8)
    owner, source = (
        np.where(at, -1, part).astype(part.dtype) for part in (assignment.owner, assignment.source)
    )
    return AssignmentMap(fate, assignment.exact & ~at, owner, source)


def combined_digest(y_context_crc: int, assignment: AssignmentMap, contents: np.ndarray | None = None) -> int:
    """CRC-32 of the known context (`y_context_crc`) continued over the map: what a decoder must reproduce,
    values and references. contents: int64 [E], hashes of the vectors at `earlier_cells`, continued over
    where there are any: what is remembered may be wrong at either end.

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
    if contents is not None and len(contents):
        value = zlib.crc32(np.ascontiguousarray(contents, dtype="<i8").tobytes(), value)
    return value
