"""Priority: who keeps a signature that several satellites hold (paper section 3.4), decided alike on every satellite.

Each satellite sends a header with one number, its *priority metric*; from the gathered headers everyone computes the same order, and from the
gathered lists the same owners. There is no second exchange.

    id        lowest satellite id first (the paper's global rank)
    link      largest metric first: soonest next contact with the ground station
    energy    largest metric first: state of charge
    random    a permutation from (seed, round)
    balanced  no single order: signatures are spread so that the busiest downlink is shortest
    module:function   the user's own: function(headers, seed, round) -> satellite ids, highest priority first

The ground decodes by priority. A total order makes every reference point up it, so streams can be decoded one after the other. `balanced` has no
total order: two satellites may refer to each other. That is fine for a codec without context, or with
`codec.context=independent`; with context it can leave streams waiting for each other, so `check_rule` refuses it.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from constellation.errors import UserError

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


def priority_order(rule: str, headers: Sequence[RoundHeader], seed: int, round_number: int) -> tuple[int, ...]:
    """Satellite ids, highest priority first; ties by id. The order of `headers` does not matter. Raises `UserError` for an unknown rule."""
    ids = sorted(header.satellite for header in headers)
    if rule in ("id", "balanced"):
        return tuple(ids)
    if rule in ("link", "energy"):
        metric = {header.satellite: header.metric for header in headers}
        return tuple(sorted(ids, key=lambda satellite: (-metric[satellite], satellite)))
    if rule == "random":
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([_RANDOM, seed, round_number])))
        return tuple(int(satellite) for satellite in stream.permutation(ids))
    return _user_order(rule, headers, ids, seed, round_number)


def check_rule(rule: str, model: str = "bmshj", context: str = "exact") -> None:
    """Raise `UserError` for a rule that does not exist, or that the codec's context cannot be decoded under."""
    if rule not in RULES:
        _user_function(rule)
    if rule == "balanced" and model != "bmshj" and context != "independent":
        raise UserError(f"priority.rule=balanced: satellites may refer to each other in a circle, which {model} with codec.context={context} "
                        "cannot decode; use codec.context=independent or codec.model=bmshj")


def assign_owners(lists: Sequence[np.ndarray], satellites: Sequence[int], order: Sequence[int],
                  rule: str = "id") -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Owner and index in the owner's list of every entry of every list.

    lists: int64 [U_s] each, `satellites[i]` sent `lists[i]`. order: satellite ids, highest priority first, containing all of `satellites`.
    Returns (owners int16 [U_s], indexes int32 [U_s]) per list: the satellite that keeps the entry's signature, and where it stands in
    that one's list. Of a signature that a list holds twice the first entry counts. Sorting, O(n log n) in all entries.
    """
    rank_of = {satellite: rank for rank, satellite in enumerate(order)}
    sizes = [len(entries) for entries in lists]
    if not sum(sizes):
        return [np.zeros(0, np.int16) for _ in lists], [np.zeros(0, np.int32) for _ in lists]
    signature = np.concatenate(lists)
    rank = np.repeat([rank_of[satellite] for satellite in satellites], sizes)
    index = np.concatenate([np.arange(size) for size in sizes])
    by = np.lexsort((index, rank, signature))  # groups of equal signatures, best rank first, then first entry
    first = np.empty(len(by), dtype=bool)
    first[0] = True
    np.not_equal(signature[by][1:], signature[by][:-1], out=first[1:])
    starts = np.flatnonzero(first)
    winner = _balanced_winners(by, starts, rank, sizes, len(order)) if rule == "balanced" else by[starts]
    best = np.empty(len(by), dtype=np.int64)
    best[by] = np.repeat(winner, np.diff(np.append(starts, len(by))))
    owner = np.asarray(order)[rank[best]].astype(np.int16)
    ends = np.cumsum(sizes)[:-1]
    return np.split(owner, ends), np.split(index[best].astype(np.int32), ends)


def _balanced_winners(by: np.ndarray, starts: np.ndarray, rank: np.ndarray, sizes: Sequence[int], satellites: int) -> np.ndarray:
    """Greedy: signatures with one holder go to it; the others, fewest holders first and then by signature, to the holder with the least load."""
    load = np.zeros(satellites, dtype=np.int64)
    bounds = np.append(starts, len(by))
    winner = by[starts].copy()
    holders = np.diff(bounds)
    np.add.at(load, rank[winner[holders == 1]], 1)
    for group in np.argsort(holders, kind="stable"):
        if holders[group] > 1:
            entries = by[bounds[group] : bounds[group + 1]]
            choice = entries[np.argmin(load[rank[entries]])]
            winner[group] = choice
            load[rank[choice]] += 1
    return winner


def _user_function(rule: str) -> Callable[..., Sequence[int]]:
    module_name, separator, function_name = rule.partition(":")
    if not separator or not module_name or not function_name:
        raise UserError(f"priority.rule={rule}: unknown rule; there are: {', '.join(RULES)}, or module:function")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"priority.rule={rule}: {error}") from None
    if not callable(function):
        raise UserError(f"priority.rule={rule}: a {type(function).__name__}, expected a function of (headers, seed, round)")
    return function


def _user_order(rule: str, headers: Sequence[RoundHeader], ids: list[int], seed: int, round_number: int) -> tuple[int, ...]:
    ordered = sorted(headers, key=lambda header: header.satellite)
    try:
        order = tuple(int(satellite) for satellite in _user_function(rule)(tuple(ordered), seed, round_number))
    except (TypeError, ValueError) as error:
        raise UserError(f"priority.rule={rule}: {error}") from None
    if sorted(order) != ids:
        raise UserError(f"priority.rule={rule}: returned {list(order)}, expected an order of the satellites {ids}")
    return order
