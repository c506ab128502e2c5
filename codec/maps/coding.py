"""Codings of the assignment map (paper section 3.4): bytes of one satellite's stream.

`successor` (default): follows the geometry of overlaps (codec/maps/model.py) with an adaptive binary coder; a
map of kept positions only costs no byte. `lzma`: raw LZMA2 over 16-bit numbers as in the paper, but with
(owner, index) in directly addressable form, owner's rank * H * W + index. Each map decodes alone."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap, all_kept, validate
from codec.maps.binary_coder import (
    AT,
    MODE,
    OVERFLOW,
    RECORD,
    code_uniform,
    finish,
    recorded_cost,
    start_decoding,
    start_encoding,
)
from codec.maps.model import PROFILES, fresh_contexts, walk
from codec.maps.numbering import FILTERS, address_type, squeeze
from constellation.common.errors import BitstreamError, UserError

CODINGS = ("successor", "lzma")

Arrays: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # as `map_arrays` gives them


def encode_map(
    assignment: AssignmentMap, coding: str, *, participants: Sequence[int], satellite: int
) -> bytes:
    """Bytes of the map of `satellite`, which heard `participants` (sorted ids, itself among them). coding:
    `successor` or `lzma`.

    Raises `UserError` for a map that means nothing or an unknown coding."""
    members = _members(participants, satellite, UserError)
    if coding == "successor":
        return _encode_successor(assignment, members, satellite)
    if coding == "lzma":
        return _encode_lzma(assignment, members, satellite)
    raise UserError(f"map coding {coding!r}, expected one of {', '.join(CODINGS)}")


def decode_map(
    data: bytes, coding: str, *, participants: Sequence[int], satellite: int, rank: np.ndarray
) -> AssignmentMap:
    """Inverse of `encode_map`. rank: int [H, W], the codec's coding order (`codec.entropy.order.rank`), whose
    shape is the map's.

    Raises `BitstreamError` for bytes that `encode_map` would not write; what it returns passes
    `codec.maps.assignment.validate`."""
    members, (height, width) = _members(participants, satellite, BitstreamError), rank.shape
    if coding == "successor":
        decoded = _decode_successor(data, (height, width), members, satellite)
    elif coding == "lzma":
        decoded = _decode_lzma(data, (height, width), members, satellite)
    else:
        raise BitstreamError(f"map coding {coding!r}, expected one of {', '.join(CODINGS)}")
    validate(decoded, satellite, participants, rank, BitstreamError)
    return decoded


def warm_up() -> None:
    """Compile (or load from cache) what encoding and decoding need."""
    data = encode_map(all_kept(4, 4), "successor", participants=(0, 1), satellite=0)
    rank = np.arange(16).reshape(4, 4)
    decode_map(data, "successor", participants=(0, 1), satellite=0, rank=rank)


def _members(participants: Sequence[int], satellite: int, error: type[UserError]) -> np.ndarray:
    members = np.array(sorted(set(participants)), dtype=np.int64)
    if satellite not in members:
        raise error(f"assignment map: satellite {satellite} is not among its own participants")
    return members


# ---------------------------------------------------------------- successor


def _encode_successor(assignment: AssignmentMap, members: np.ndarray, satellite: int) -> bytes:
    if np.all(assignment.fate == KEPT):
        return b""
    own = int(np.searchsorted(members, satellite))
    _check_owners(assignment, members, satellite)
    arrays = map_arrays(assignment, members)
    return _walked(
        arrays,
        assignment.shape[1],
        _best_profile(arrays, assignment.shape[1], len(members), own),
        len(members),
        own,
    )


def _best_profile(arrays: Arrays, width: int, members: int, own: int) -> int:
    """The profile of priors under which a map is shortest: one walk lists the bits, then each profile is
    asked what they cost."""
    size, room = -1, 8 * arrays[0].size + 64
    while size < 0 or size > room:
        room = max(room, size)
        recorder = start_encoding()
        recorder[MODE] = RECORD
        contexts, bits = np.zeros(room, np.int32), np.zeros(room, np.int32)
        walk(
            (recorder, np.zeros(1, np.uint8), contexts, bits),
            *_copied(arrays),
            width,
            members,
            own,
            _forward(arrays),
        )
        size = int(recorder[AT])
    return int(
        np.argmin(
            [
                recorded_cost(contexts[:size], bits[:size], *fresh_contexts(profile))
                for profile in range(PROFILES)
            ]
        )
    )


def _copied(arrays: Arrays) -> Arrays:
    fate, exact, owner, source = arrays
    return fate.copy(), exact.copy(), owner.copy(), source.copy()


def _forward(arrays: Arrays) -> int:
    """1 where a local copy names a later position."""
    fate, _, _, source = arrays
    local = np.flatnonzero(fate == LOCAL)
    return int(np.any(source[local] > local))


def _walked(arrays: Arrays, width: int, profile: int, members: int, own: int) -> bytes:
    """The bytes of a map under one profile of priors."""
    forward, size, room = _forward(arrays), -1, 4 * arrays[0].size + 64
    while size < 0:
        model = start_encoding(), np.zeros(room, np.uint8), *fresh_contexts(profile)
        code_uniform(model, profile, PROFILES)
        walk(model, *_copied(arrays), width, members, own, forward)
        size, room = finish(model[0], model[1]), 4 * room
    return model[1][:size].tobytes()


def _decode_successor(
    data: bytes, shape: tuple[int, int], members: np.ndarray, satellite: int
) -> AssignmentMap:
    if not data:
        return all_kept(*shape)
    own = int(np.searchsorted(members, satellite))
    buffer = np.frombuffer(data, np.uint8).copy()
    coder = start_decoding(buffer)
    profile = int(code_uniform((coder, buffer, *fresh_contexts(0)), 0, PROFILES))
    model = coder, buffer, *fresh_contexts(profile)
    total, width = shape[0] * shape[1], shape[1]
    fate, exact = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    owner, source = np.full(total, -1, np.int32), np.full(total, -1, np.int32)
    walk(model, fate, exact, owner, source, width, len(members), own, 0)
    if model[0][OVERFLOW]:
        raise BitstreamError("assignment map: an index outside the owner's list")
    if not fate.any() or _walked((fate, exact, owner, source), width, profile, len(members), own) != data:
        raise BitstreamError("assignment map: bytes that no encoder writes")
    remote = fate == REMOTE
    ids = np.full(total, -1, np.int16)
    ids[remote] = members[owner[remote]]
    return AssignmentMap(
        *(array.reshape(shape) for array in (fate, exact.astype(bool) & remote, ids, source))
    )


def _check_owners(assignment: AssignmentMap, members: np.ndarray, satellite: int) -> None:
    strangers = set(np.unique(assignment.owner[assignment.fate == REMOTE]).tolist()) - (
        set(members.tolist()) - {satellite}
    )
    if strangers:
        raise UserError(
            f"assignment map: satellite {satellite} copies from {sorted(strangers)}, which it did not hear"
        )


def map_arrays(assignment: AssignmentMap, members: np.ndarray) -> Arrays:
    """Flat copies for `codec.maps.model.walk`: fate, exact (uint8), rank of the owner among `members`
    (int32), source."""
    fate, exact, owner, source = (
        getattr(assignment, name).reshape(-1) for name in ("fate", "exact", "owner", "source")
    )
    rank = np.where(owner >= 0, np.searchsorted(members, owner), -1)
    return fate.copy(), exact.astype(np.uint8), rank.astype(np.int32), source.copy()


# ---------------------------------------------------------------- LZMA


def _expand(data: bytes, least: int, most: int) -> bytes:
    try:
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=FILTERS)
        out = decoder.decompress(data, max_length=most + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise BitstreamError(f"assignment map: LZMA2: {error}") from None
    if not least <= len(out) <= most or not decoder.eof or decoder.unused_data:
        raise BitstreamError(f"assignment map: LZMA2 gives {len(out)} bytes, expected {least} to {most}")
    return out


def _encode_lzma(assignment: AssignmentMap, members: np.ndarray, satellite: int) -> bytes:
    """Addresses of all positions (KEPT: own rank, own position; LOCAL: own rank, representative; REMOTE:
    owner's rank, index), then exact flags."""
    if np.all(assignment.fate == KEPT):
        return b""
    _check_owners(assignment, members, satellite)
    fate, exact, owner, source = map_arrays(assignment, members)
    own = int(np.searchsorted(members, satellite))
    remote = fate == REMOTE
    entry = np.where(fate == KEPT, np.arange(fate.size), source)
    addresses = np.where(remote, owner, own).astype(np.int64) * fate.size + entry
    return squeeze(
        addresses.astype(address_type(len(members), fate.size)).tobytes()
        + np.packbits(exact[remote]).tobytes()
    )


def _decode_lzma(data: bytes, shape: tuple[int, int], members: np.ndarray, satellite: int) -> AssignmentMap:
    if not data:
        return all_kept(*shape)
    total = shape[0] * shape[1]
    own = int(np.searchsorted(members, satellite))
    kind = np.dtype(address_type(len(members), total))
    raw = _expand(data, total * kind.itemsize, total * kind.itemsize + (total + 7) // 8)
    addresses = np.frombuffer(raw, kind, total)
    if int(addresses.max()) >= len(members) * total:  # before it becomes signed
        raise BitstreamError("assignment map: an owner that is no participant")
    rank, entry = np.divmod(addresses.astype(np.int64), total)
    remote = rank != own
    exact = _flags(raw[total * kind.itemsize :], remote)
    fate = np.where(remote, REMOTE, np.where(entry == np.arange(total), KEPT, LOCAL)).astype(np.uint8)
    owner = np.where(remote, members[rank], -1).astype(np.int16)
    source = np.where(fate == KEPT, -1, entry).astype(np.int32)
    return AssignmentMap(*(array.reshape(shape) for array in (fate, exact, owner, source)))


def _flags(data: bytes, at: np.ndarray) -> np.ndarray:
    """Unpack one flag for each True of `at`; bool like `at`."""
    count = int(np.count_nonzero(at))
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if len(data) != (count + 7) // 8 or np.any(bits[count:]):
        raise BitstreamError(f"assignment map: {len(data)} bytes of flags, expected {(count + 7) // 8}")
    flags = np.zeros(at.shape, bool)
    flags[at] = bits[:count].astype(bool)
    return flags
