"""What both ends keep of closed rounds (`dlrc.memory=rounds`), so that a stream may refer to earlier views.

The ground keeps the vectors of every stream that it accepted. A satellite keeps the offers that it heard, or
made, or entries of lists (nodes/lists), of those that the ground accepted, if it heard the ground say so:
acknowledged, never assumed. Both forget what is older than `dlrc.memory_rounds`. So whatever a satellite
refers to the ground has, unless the ground lost its memory; then it asks for the independent stream as for
any lost owner, and who is asked for that forgets all before.

Everything is kept by round, and a round reads only those before it: one that begins again after an accident
finds what it found the first time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from codec.earlier import Source, number_of
from constellation.common.frozen import value
from constellation.scenario.coding import DlrcKnobs
from constellation.scenario.faults import FaultKnobs
from nodes.lists.entries import Entries
from nodes.streams.offer import Offer
from nodes.wire.stages import GROUND


@value
class Closing:
    """How a round ended for a crew. accepted: whose streams the ground kept. informed: satellites that
    heard it say so. alone: satellites that were asked for the stream that needs nobody."""

    accepted: frozenset[int] = frozenset()
    informed: frozenset[int] = frozenset()
    alone: frozenset[int] = frozenset()


@value
class Past:
    """One closed round. offers: of the satellites that the ground accepted, streams or entries of lists.
    heard: satellite -> whose offers it may use; of those that heard the ground close the round. alone: as of
    `Closing`."""

    offers: Mapping[int, Offer | Entries]
    heard: Mapping[int, frozenset[int]]
    alone: frozenset[int] = frozenset()


Recall = Callable[[int], "Past | None"]  # a round that was stored -> what of it is kept


@value
class Reach:
    """How far a memory goes. rounds: that are kept. lost: node -> rounds at whose beginning it loses all."""

    rounds: int
    lost: Mapping[int, tuple[int, ...]]

    @staticmethod
    def of(dlrc: DlrcKnobs, faults: FaultKnobs) -> Reach | None:
        """Of a scenario; None where nothing is kept."""
        return Reach(dlrc.memory_rounds, faults.lost_memories) if dlrc.remembers else None

    def first(self, node: int, number: int, forgot: tuple[int, ...] = ()) -> int:
        """The first round that a node still knows in round `number`. forgot: rounds at whose end it did."""
        lost = [one for one in self.lost.get(node, ()) if one <= number]
        return max(0, number - self.rounds, *lost, *(one for one in forgot if one < number))


class Memory:
    """A crew's."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._rounds: dict[int, Past] = {}

    def close(self, number: int, past: Past) -> None:
        """Keep a round that is over, in the place of whatever was kept under its number."""
        self._rounds[number] = past
        for old in [one for one in self._rounds if one < number - self._reach.rounds]:
            del self._rounds[old]

    def offers(self, satellite: int, number: int) -> dict[int, Offer]:
        """The streams that a satellite may refer to in round `number`, by number of the source, the latest
        rounds first."""
        kept = self._kept(satellite, number)
        streams = {told: one for told, one in kept.items() if isinstance(one, Offer)}
        return {told: Offer(replace(one.header, satellite=told), one.stream) for told, one in streams.items()}

    def entries(self, satellite: int, number: int) -> dict[int, Entries]:
        """The same of lists."""
        kept = self._kept(satellite, number)
        return {told: one for told, one in kept.items() if isinstance(one, Entries)}

    def _kept(self, satellite: int, number: int) -> dict[int, Offer | Entries]:
        forgot = tuple(one for one, past in self._rounds.items() if satellite in past.alone)
        first = self._reach.first(satellite, number, forgot)
        found = {}
        for round_ in sorted((one for one in self._rounds if first <= one < number), reverse=True):
            past = self._rounds[round_]
            for sender in sorted(past.heard.get(satellite, frozenset()) & past.offers.keys()):
                found[number_of((sender, round_), number)] = past.offers[sender]
        return found

    def restore(self, number: int, recall: Recall) -> None:
        """Before round `number`, after an accident or a break: what is not here from what was stored."""
        for round_ in range(max(0, number - self._reach.rounds), number):
            if round_ not in self._rounds and (past := recall(round_)) is not None:
                self._rounds[round_] = past


class GroundMemory:
    """The ground's: vectors, int32, of accepted streams: [M, H, W], or of their lists, [M, U]."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._rounds: dict[int, dict[int, np.ndarray]] = {}

    def keep(self, number: int, vectors: Mapping[int, np.ndarray]) -> None:
        """Of a closed round, by satellite."""
        self._rounds[number] = dict(vectors)
        for old in [one for one in self._rounds if one < number - self._reach.rounds]:
            del self._rounds[old]

    def before(self, number: int) -> dict[Source, np.ndarray]:
        """What streams of round `number` may refer to."""
        first = self._reach.first(GROUND, number)
        kept = {one: held for one, held in self._rounds.items() if first <= one < number}
        return {(satellite, one): y for one, held in kept.items() for satellite, y in held.items()}

    def lacks(self, number: int) -> bool:
        """Whether rounds before `number` are not here that would be, had it been here."""
        return any(one not in self._rounds for one in range(max(0, number - self._reach.rounds), number))

    def restore(self, number: int, recall: Recall, vectors: Callable[[Offer], np.ndarray]) -> None:
        """Before round `number`: what is not here from what was stored. vectors: of an independent stream,
        which are those of the stream that was accepted."""
        for round_ in range(max(0, number - self._reach.rounds), number):
            if round_ not in self._rounds and (past := recall(round_)) is not None:
                offers = past.offers.items()
                self._rounds[round_] = {s: vectors(one) for s, one in offers if isinstance(one, Offer)}


def past_of(
    offers: Mapping[int, Offer | Entries], by: Mapping[int, frozenset[int]], closing: Closing
) -> Past:
    """What of a round is kept. offers: that reached somebody; by: receiver -> whom it heard."""
    accepted = {s: offer for s, offer in offers.items() if s in closing.accepted}
    heard = {s: by[s] & accepted.keys() for s in closing.informed & by.keys()}
    return Past(accepted, heard, closing.alone)
