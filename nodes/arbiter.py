"""Arbiter (paper section 3.4): who keeps which signature, decided alike on every satellite.

From the same lists every satellite computes the same owners; there is no second exchange.

Two ways of `balanced`. Where everybody heard everybody, greedily: signatures with one holder go to it; then,
fewest holders first and by signature among those, each goes to the holder whose downlink is done soonest,
(entries + 1) / rate, ties to the first in the order. All see the same lists, so all get the same answer. With
partial views two satellites would count different loads and each might leave a signature to the other; there
the holder with the highest hash of (signature, satellite) keeps it (rendezvous hashing, Thaler & Ravishankar
1998). That is an order of all satellites for every signature, which does not depend on who was heard, so
references of one signature point up it and end.

When is a remote copy *exact*? When the owner's content hash equals ours, and the owner is known to code the
vector itself. The second needs care with partial views: if the owner heard a satellite that we did not, it
may have dropped the vector in favour of one that is close but not equal. So exactness is claimed only if
everyone whom the owner heard, we heard too.

What the ground is remembered to have (`dlrc.memory=rounds`) is neither coded nor taken from anybody in the
round. Whoever refers to it announced the content of the remembered vector in its list, not of its own, so
that what others conclude about copies of it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from nodes.crew import Known, Observation, Rules
from nodes.lists.entries import Recalled
from nodes.messages import SignatureList
from nodes.timeline import Watch


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
            alone = {one.satellite: one.own for one in group}  # of one that codes by itself
            lists = {s: known.lists[s] for s in sorted(heard & known.lists.keys())} or alone
            decided = decided_by(rules, order, known, heard, lists)
        for one in group:
            with watch.span("arbitrate", one.satellite):
                owner, index = decided[one.satellite]
                exact = np.zeros(len(owner), dtype=bool)
                if rules.exact_context:
                    exact = _exact_entries(one.own, lists, owner, index, known.by)
                if one.recalled is not None:
                    owner, index, exact = _with_earlier(one, one.recalled, (owner, index, exact), rules)
                maps[one.satellite] = _fill_map(one, owner, index, exact)
    return {one.satellite: maps[one.satellite] for one in seen}


def decided_by(
    rules: Rules,
    order: Sequence[int],
    known: Known,
    heard: frozenset[int],
    lists: Mapping[int, SignatureList],
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """`owners_of` as satellites decide who heard these, and so have these lists. order: satellites, highest
    priority first."""
    rank = {satellite: place for place, satellite in enumerate(order)}
    return owners_of(
        {s: one.signatures for s, one in lists.items()},
        sorted(lists, key=lambda s: (rank.get(s, len(rank)), s)),
        rules.priority.rule,
        known.complete if rules.scope == "all" else known.closed(heard),
        {s: one.header.metric for s, one in lists.items()},
    )


def owners_of(
    lists: Mapping[int, np.ndarray],
    order: Sequence[int],
    rule: str = "id",
    complete: bool = True,
    rate_bps: Mapping[int, float] | None = None,
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Owner and index in the owner's list of every entry of every list, by satellite: int16 [U], int32 [U].

    lists: signatures, int64 [U], by satellite. order: satellites, highest priority first, containing all of
    `lists`. complete, rate_bps: for `balanced` alone: whether every satellite of the round heard every other;
    downlink rates (default: equal). The owner keeps the entry's signature. Of a signature that a list holds
    twice the first entry counts. Sorting, O(n log n) in all entries."""
    ranked = [satellite for satellite in order if satellite in lists]
    sizes = np.array([len(lists[satellite]) for satellite in ranked], dtype=np.int64)
    if not sizes.sum():
        return {satellite: (np.zeros(0, np.int16), np.zeros(0, np.int32)) for satellite in lists}
    begins = np.cumsum(sizes) - sizes
    signature = np.concatenate([lists[satellite] for satellite in ranked])
    holder = np.repeat(np.array(ranked, dtype=np.int64), sizes)
    index = np.arange(sizes.sum()) - np.repeat(begins, sizes)
    # groups of equal signatures, in each the best rank first, then the first entry: the order of `holder`
    by = np.argsort(signature, kind="stable")
    first = np.append(True, signature[by[1:]] != signature[by[:-1]])
    starts = np.flatnonzero(first)
    winner = by[starts]
    if rule == "balanced" and complete:
        winner = _greedy(by, starts, holder, rate_bps or {})
    elif rule == "balanced":
        winner = _rendezvous(by, starts, signature, holder)
    best = np.empty(len(by), dtype=np.int64)
    best[by] = winner[np.cumsum(first) - 1]
    owner, where = holder[best].astype(np.int16), index[best].astype(np.int32)
    return {
        satellite: (owner[begin : begin + size], where[begin : begin + size])
        for satellite, begin, size in zip(ranked, begins.tolist(), sizes.tolist(), strict=True)
    }


def _greedy(
    by: np.ndarray, starts: np.ndarray, holder: np.ndarray, rate_bps: Mapping[int, float]
) -> np.ndarray:
    """`balanced` with complete views (see the module's head): the winning entry of every group."""
    bounds = np.append(starts, len(by))
    holders = holder[by].tolist()
    winner = by[starts]
    alone = np.diff(bounds) == 1
    load = np.bincount(holder[winner[alone]], minlength=int(holder.max()) + 1).tolist()
    pace = [1.0 / max(rate_bps.get(satellite, 1.0), 1e-9) for satellite in range(len(load))]
    cost = [(entries + 1) * seconds for entries, seconds in zip(load, pace)]
    contested = np.flatnonzero(~alone)
    contested = contested[np.argsort(np.diff(bounds)[contested], kind="stable")]
    places = np.empty(len(contested), dtype=np.int64)
    for n, (begin, end) in enumerate(zip(bounds[contested].tolist(), bounds[contested + 1].tolist())):
        members = holders[begin:end]
        choice = min(members, key=cost.__getitem__)
        places[n] = begin + members.index(choice)
        load[choice] += 1
        cost[choice] = (load[choice] + 1) * pace[choice]
    winner[contested] = by[places]
    return winner


def _rendezvous(by: np.ndarray, starts: np.ndarray, signature: np.ndarray, holder: np.ndarray) -> np.ndarray:
    """`balanced` with partial views: of every group the first entry with the highest hash of (signature,
    satellite)."""
    score = _mixed(
        signature[by].astype(np.uint64) ^ _mixed(holder[by].astype(np.uint64) + np.uint64(1))
    )  # one to one: holders never tie
    sizes = np.diff(np.append(starts, len(by)))
    highest = np.flatnonzero(
        score == np.repeat(np.maximum.reduceat(score, starts), sizes)
    )  # more than one where a list repeats itself
    group = np.repeat(np.arange(len(starts)), sizes)[highest]
    return by[highest[np.append(True, group[1:] != group[:-1])]]


def _mixed(words: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele et al. 2014), wrapping: uint64 -> uint64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


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


def _with_earlier(
    one: Observation, recalled: Recalled, decided: tuple[np.ndarray, np.ndarray, np.ndarray], rules: Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Owner, index and exactness of every entry, where what is remembered comes first, whoever owns it."""
    at = recalled.owner >= 0
    same = (recalled.contents == one.selection.contents) & rules.exact_context
    parts = zip((recalled.owner, recalled.index, same), decided, strict=True)
    owner, index, exact = (np.where(at, earlier, now).astype(now.dtype) for earlier, now in parts)
    return owner, index, exact


def _fill_map(one: Observation, owner: np.ndarray, index: np.ndarray, exact: np.ndarray) -> AssignmentMap:
    """From what became of each entry of the list to what becomes of each position."""
    selection, (height, width) = one.selection, one.view.y.shape[1:]
    cells = height * width
    fate = np.full(cells, LOCAL, dtype=np.uint8)
    source = selection.positions[selection.entry_of].astype(np.int32)
    owner_of = np.full(cells, -1, dtype=np.int16)
    exact_of = np.zeros(cells, dtype=bool)
    at = selection.positions
    kept = owner == one.satellite
    fate[at] = np.where(kept, KEPT, REMOTE)
    source[at] = np.where(kept, -1, index)
    owner_of[at] = np.where(kept, -1, owner)
    exact_of[at] = exact & ~kept
    return AssignmentMap(*(part.reshape(height, width) for part in (fate, exact_of, owner_of, source)))
