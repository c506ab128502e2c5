"""Arbiter and the round's exchange (paper section 3.4): who keeps which signature, decided alike on every
satellite.

Each satellite gathers one fixed-size message per satellite: a header (satellite, round, priority metric,
count, checksum) and up to H * W entries of one or two int64 (signature; content hash under
`dlrc.signature=lsh`). From the same messages every satellite computes the same priority order and the same
owners; there is no second exchange.

When is a remote copy *exact*? When the owner's content hash equals ours, and the owner is known to code the
vector itself. The second needs care with partial views: if the owner heard a satellite that we did not, it
may have dropped the vector in favour of one that is close but not equal. So exactness is claimed only if
everyone whom the owner heard, we heard too."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from constellation.priority import HEADER_WORDS, RoundHeader, assign_owners
from nodes.crew import Known, Observation, Rules
from nodes.selector import Selection
from nodes.timeline import Watch


@dataclass(frozen=True)
class SignatureList:
    """What one satellite sent in a round: `header`, `signatures` int64 [U], and `contents` int64 [U] (None if
    not sent)."""

    header: RoundHeader
    signatures: np.ndarray
    contents: np.ndarray | None

    @property
    def satellite(self) -> int:
        return self.header.satellite

    @property
    def payload_bytes(self) -> int:
        """Bytes of this list on the inter-satellite links."""
        words = 1 if self.contents is None else 2
        return 8 * (HEADER_WORDS + words * len(self.signatures))


def signature_list(
    satellite: int, round_number: int, metric: float, selection: Selection, with_contents: bool
) -> SignatureList:
    """This satellite's own list, ready to be packed."""
    contents = selection.contents if with_contents else None
    checksum = _checksum(selection.signatures, contents)
    header = RoundHeader(satellite, round_number, metric, len(selection.signatures), checksum)
    return SignatureList(header, selection.signatures, contents)


def pack_list(own: SignatureList, capacity: int, with_contents: bool) -> np.ndarray:
    """The list as int64 words of a size that is equal on all satellites: header, then `capacity` entries,
    zero-padded."""
    words = np.zeros(HEADER_WORDS + capacity * (2 if with_contents else 1), dtype=np.int64)
    words[:HEADER_WORDS] = own.header.to_words()
    count = own.header.count
    words[HEADER_WORDS : HEADER_WORDS + count] = own.signatures
    if own.contents is not None:
        words[HEADER_WORDS + capacity : HEADER_WORDS + capacity + count] = own.contents
    return words


def unpack_list(words: np.ndarray, capacity: int, with_contents: bool) -> SignatureList:
    """Inverse of `pack_list`; a count or checksum that does not fit raises `RuntimeError` (a fault of the
    exchange, not of a user)."""
    header = RoundHeader.from_words(words[:HEADER_WORDS])
    if not 0 <= header.count <= capacity:
        raise RuntimeError(
            f"satellite {header.satellite}: {header.count} signatures announced, at most {capacity} possible"
        )
    signatures = words[HEADER_WORDS : HEADER_WORDS + header.count]
    start = HEADER_WORDS + capacity
    contents = words[start : start + header.count] if with_contents else None
    if _checksum(signatures, contents) != header.checksum:
        raise RuntimeError(f"satellite {header.satellite}: checksum of its signature list does not match")
    return SignatureList(header, signatures, contents)


def arbitrate(
    own: SignatureList,
    selection: Selection,
    shape: tuple[int, int],
    heard: Mapping[int, SignatureList],
    order: tuple[int, ...],
    participants: Mapping[int, frozenset[int]],
    rule: str = "id",
    exact_context: bool = True,
) -> AssignmentMap:
    """The assignment map of one satellite.

    heard: lists of the satellites this one heard (its own may be among them). order: satellite ids, highest
    priority first. participants: for every satellite, the ids it heard (itself included). exact_context:
    False marks every remote copy inexact (`codec.context=independent`, and footprint deduplication, where no
    contents are exchanged)."""
    me = own.satellite
    everyone = {**heard, me: own}
    satellites = [satellite for satellite in order if satellite in everyone]
    complete = all(len(heard_by) == len(participants) for heard_by in participants.values())
    rates = {s: everyone[s].header.metric for s in satellites} if rule == "balanced" else None
    owners, indices = assign_owners(
        [everyone[s].signatures for s in satellites], satellites, order, rule, complete, rates
    )
    mine = satellites.index(me)
    owner, index = owners[mine], indices[mine]
    exact = np.zeros(len(owner), dtype=bool)
    if exact_context:
        exact = _exact_entries(own, everyone, owner, index, participants)
    return _fill_map(selection, shape, me, owner, index, exact)


def assignments(
    rules: Rules, order: Sequence[int], known: Known, seen: Sequence[Observation], watch: Watch
) -> dict[int, AssignmentMap]:
    """The assignment map of every satellite of a crew. order: satellites, highest priority first.

    Owners are decided once for each distinct set of lists that one of them heard; with whole views that is
    once a crew.
    """
    groups: dict[frozenset[int], list[Observation]] = {}
    for one in seen:
        groups.setdefault(known.by[one.satellite], []).append(one)
    maps = {}
    for heard, group in groups.items():
        with watch.span("arbitrate", *(one.satellite for one in group)):
            lists = {s: known.lists[s] for s in order if s in heard and s in known.lists}
            lists = lists or {one.satellite: one.own for one in group}  # of one that codes by itself
            decided = _owners(rules.priority.rule, order, known.complete, lists)
        for one in group:
            with watch.span("arbitrate", one.satellite):
                owner, index = decided[one.satellite]
                exact = np.zeros(len(owner), dtype=bool)
                if rules.exact_context:
                    exact = _exact_entries(one.own, lists, owner, index, known.by)
                shape = one.view.y.shape[1:]
                maps[one.satellite] = _fill_map(one.selection, shape, one.satellite, owner, index, exact)
    return maps


def _owners(
    rule: str, order: Sequence[int], complete: bool, lists: Mapping[int, SignatureList]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """(owner, index in the owner's list) of every entry of `lists`, by satellite."""
    ranked = [*order, *(s for s in lists if s not in order)]  # whose header nobody took is alone
    rates = {s: one.header.metric for s, one in lists.items()} if rule == "balanced" else None
    signatures = [one.signatures for one in lists.values()]
    decided = assign_owners(signatures, list(lists), ranked, rule, complete, rates)
    return dict(zip(lists, zip(*decided, strict=True), strict=True))


def _exact_entries(
    own: SignatureList,
    everyone: Mapping[int, SignatureList],
    owner: np.ndarray,
    index: np.ndarray,
    participants: Mapping[int, frozenset[int]],
) -> np.ndarray:
    me = own.satellite
    exact = np.zeros(len(owner), dtype=bool)
    for other in np.unique(owner):
        if other == me or not participants[int(other)] <= participants[me]:
            continue
        entries = np.flatnonzero(owner == other)
        theirs = everyone[int(other)].contents
        mine = own.contents
        if theirs is None or mine is None:  # the signature is the content
            exact[entries] = True
        else:
            exact[entries] = theirs[index[entries]] == mine[entries]
    return exact


def _fill_map(
    selection: Selection,
    shape: tuple[int, int],
    me: int,
    owner: np.ndarray,
    index: np.ndarray,
    exact: np.ndarray,
) -> AssignmentMap:
    cells = shape[0] * shape[1]
    fate = np.full(cells, LOCAL, dtype=np.uint8)
    source = selection.positions[selection.entry_of].astype(np.int32)
    owner_of = np.full(cells, -1, dtype=np.int16)
    exact_of = np.zeros(cells, dtype=bool)
    at = selection.positions
    kept = owner == me
    fate[at] = np.where(kept, KEPT, REMOTE)
    source[at] = np.where(kept, -1, index)
    owner_of[at] = np.where(kept, -1, owner)
    exact_of[at] = exact & ~kept
    return AssignmentMap(
        fate.reshape(shape), exact_of.reshape(shape), owner_of.reshape(shape), source.reshape(shape)
    )


def _checksum(signatures: np.ndarray, contents: np.ndarray | None) -> int:
    value = zlib.crc32(np.ascontiguousarray(signatures).tobytes())
    return value if contents is None else zlib.crc32(np.ascontiguousarray(contents).tobytes(), value)
