"""Priority: who keeps a signature that several satellites hold (paper section 3.4), decided alike on every
satellite.

Each satellite sends a header with one number, its *priority metric*; from the gathered headers everyone
computes the same order, and from the gathered lists the same owners. There is no second exchange.

    id        lowest satellite id first (the paper's global rank)
    link      largest metric first: soonest next contact with the ground station
    energy    largest metric first: state of charge
    random    a permutation from (seed, round)
    balanced  no single order: signatures are spread so that the busiest downlink is shortest
    module:function   the user's own: function(headers, seed, round) -> satellite ids, highest priority first

The ground decodes by priority. A total order makes every reference point up it, so streams can be decoded one
after the other. `balanced` has no total order: two satellites may refer to each other. That is fine for a
codec without context, or with `codec.context=independent`; with context it can leave streams waiting for each
other, so `check_rule` refuses it.

Two ways of `balanced`. Where everybody heard everybody, greedily: signatures with one holder go to it; then,
fewest holders first and by signature among those, each goes to the holder whose downlink is done soonest,
(entries + 1) / rate, ties to the first in the order. All see the same lists, so all get the same answer. With
partial views two satellites would count different loads and each might leave a signature to the other; there
the holder with the highest hash of (signature, satellite) keeps it (rendezvous hashing, Thaler & Ravishankar
1998). That is an order of all satellites for every signature, which does not depend on who was heard, so
references of one signature point up it and end."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from constellation.common.errors import UserError

HEADER_WORDS = 5
RULES = ("id", "link", "energy", "random", "balanced")
_RANDOM = 0x9A1D


@dataclass(frozen=True)
class RoundHeader:
    """What each satellite sends ahead of its signatures; `checksum` is the CRC-32 of what follows."""

    satellite: int
    round: int
    metric: float
    count: int
    checksum: int

    def to_words(self) -> np.ndarray:
        """int64 [HEADER_WORDS]; the metric as its float64 bits."""
        bits = struct.unpack("<q", struct.pack("<d", self.metric))[0]
        return np.array([self.satellite, self.round, bits, self.count, self.checksum], dtype=np.int64)

    @classmethod
    def from_words(cls, words: np.ndarray) -> RoundHeader:
        satellite, round_number, bits, count, checksum = (int(word) for word in words)
        return cls(satellite, round_number, struct.unpack("<d", struct.pack("<q", bits))[0], count, checksum)


def priority_order(
    rule: str, headers: Sequence[RoundHeader], seed: int, round_number: int
) -> tuple[int, ...]:
    """Satellite ids, highest priority first; ties by id. The order of `headers` does not matter. Raises
    `UserError` for an unknown rule."""
    ids = sorted(header.satellite for header in headers)
    if rule in ("id", "balanced"):
        return tuple(ids)
    if rule in ("link", "energy"):
        metric = {
            header.satellite: -np.inf if np.isnan(header.metric) else header.metric for header in headers
        }
        return tuple(sorted(ids, key=lambda satellite: (-metric[satellite], satellite)))
    if rule == "random":
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([_RANDOM, seed, round_number])))
        return tuple(int(satellite) for satellite in stream.permutation(ids))
    return _user_order(rule, headers, ids, seed, round_number)


def rule_is_total_order(rule: str) -> bool:
    """Whether every reference points up one order of the satellites, as sequential decoding needs."""
    return rule != "balanced"


def check_rule(rule: str, sequential: bool = False) -> None:
    """Raise `UserError` for a rule that does not exist, or that the codec cannot be decoded under. sequential: vectors
    are coded in the light of other satellites', so that these must be decoded before."""
    if rule not in RULES:
        _user_function(rule)
    if sequential and not rule_is_total_order(rule):
        raise UserError(
            f"priority.rule={rule}: satellites may refer to each other in a circle, which a codec.model with a "
            "context cannot decode; use codec.context=independent or a model without one"
        )


def assign_owners(
    lists: Sequence[np.ndarray],
    satellites: Sequence[int],
    order: Sequence[int],
    rule: str = "id",
    complete: bool = True,
    rate_bps: Mapping[int, float] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Owner and index in the owner's list of every entry of every list.

    lists: int64 [U_s] each, `satellites[i]` sent `lists[i]`. order: satellite ids, highest priority first,
    containing all of `satellites`. complete, rate_bps: for `balanced` alone: whether every satellite of the
    round heard every other; downlink rates (default: equal). Returns (owners int16 [U_s], indexes int32
    [U_s]) per list: the satellite that keeps the entry's signature, and where it stands in that one's list.
    Of a signature that a list holds twice the first entry counts. Sorting, O(n log n) in all entries."""
    rank_of = {satellite: rank for rank, satellite in enumerate(order)}
    ranks = np.array([rank_of[satellite] for satellite in satellites], dtype=np.int64)
    by_rank = np.argsort(ranks, kind="stable").tolist()
    sizes = np.array([len(lists[i]) for i in by_rank], dtype=np.int64)
    if not sizes.sum():
        return [np.zeros(0, np.int16) for _ in lists], [np.zeros(0, np.int32) for _ in lists]
    begins = np.cumsum(sizes) - sizes
    signature = np.concatenate([lists[i] for i in by_rank])
    holder = np.repeat(np.asarray(satellites, dtype=np.int64)[by_rank], sizes)
    index = np.arange(sizes.sum()) - np.repeat(begins, sizes)
    by = np.argsort(
        signature, kind="stable"
    )  # groups of equal signatures, best rank first, then first entry: the order of `holder`
    first = np.append(True, signature[by[1:]] != signature[by[:-1]])
    starts = np.flatnonzero(first)
    winner = by[starts]
    if rule == "balanced":
        winner = (
            _greedy(by, starts, holder, rate_bps or {})
            if complete
            else _rendezvous(by, starts, signature, holder)
        )
    best = np.empty(len(by), dtype=np.int64)
    best[by] = winner[np.cumsum(first) - 1]
    owner, where = holder[best].astype(np.int16), index[best].astype(np.int32)
    place = {
        i: slice(begin, begin + size) for i, begin, size in zip(by_rank, begins.tolist(), sizes.tolist())
    }
    return [owner[place[i]] for i in range(len(lists))], [where[place[i]] for i in range(len(lists))]


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


def _user_function(rule: str) -> Callable[..., Sequence[int]]:
    module_name, separator, function_name = rule.partition(":")
    if not separator or not module_name or not function_name:
        raise UserError(
            f"priority.rule={rule}: unknown rule; there are: {', '.join(RULES)}, or module:function"
        )
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # the user's module may fail in any way
        raise UserError(f"priority.rule={rule}: {type(error).__name__}: {error}") from None
    if not callable(function):
        raise UserError(
            f"priority.rule={rule}: found type {type(function).__name__}, expected a function of (headers, seed, round)"
        )
    return function


def _user_order(
    rule: str, headers: Sequence[RoundHeader], ids: list[int], seed: int, round_number: int
) -> tuple[int, ...]:
    ordered = sorted(headers, key=lambda header: header.satellite)
    try:
        order = tuple(
            int(satellite) for satellite in _user_function(rule)(tuple(ordered), seed, round_number)
        )
    except UserError:
        raise
    except Exception as error:  # so may the user's function
        raise UserError(f"priority.rule={rule}: {type(error).__name__}: {error}") from None
    if sorted(order) != ids:
        raise UserError(
            f"priority.rule={rule}: returned {list(order)}, expected an order of the satellites {ids}"
        )
    return order
