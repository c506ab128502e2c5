"""What reached the ground in a round, send by send, and what to ask for next.

A satellite keeps a round until the ground has closed it. Streams that are damaged themselves are asked for
again, once; then whoever's image is still not whole sends its independent stream, once, which needs nobody.
Nobody is asked of whom nothing ever came, and no decision looks at what travels outside the simulated
link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from constellation.common.frozen import value
from ground.decoder import Decoded, Source
from nodes.messages import MessageError, Orders, Witness
from nodes.wire.stages import Heard


class Kind(Enum):
    """What a satellite was to send."""

    FIRST, AGAIN, INDEPENDENT = range(3)


@value
class Arrival:
    """One send of one satellite. data: its bytes as they arrived, damaged or not; None: they did not."""

    kind: Kind
    data: bytes | None


@value
class Arrived:
    """What came in a round so far.

    sends: by satellite, in order. witness: what satellites told outside the simulated link. gone: who died;
    they send nothing any more."""

    number: int
    sends: Mapping[int, tuple[Arrival, ...]]
    witness: Mapping[int, Witness]
    gone: frozenset[int] = frozenset()

    def _latest(self, *kinds: Kind) -> dict[Source, bytes]:
        return {
            (satellite, self.number): one.data
            for satellite, sends in self.sends.items()
            for one in sends  # the last stays
            if one.kind in kinds and one.data is not None
        }

    @property
    def streams(self) -> dict[Source, bytes]:
        """DLRC streams as they came last. They alone are what followers refer to: an independent stream of
        the same satellite may have another list."""
        return self._latest(Kind.FIRST, Kind.AGAIN)

    @property
    def spares(self) -> dict[Source, bytes]:
        """Independent streams that were sent on request, for their own satellites' images."""
        return self._latest(Kind.INDEPENDENT)

    @property
    def came(self) -> frozenset[int]:
        """Satellites of whom anything came over the link."""
        return frozenset(s for s, sends in self.sends.items() if any(one.data is not None for one in sends))

    @property
    def alone(self) -> dict[Source, bytes]:
        """Independent streams to compare with, from the witnesses of those who came: what would have come
        without DLRC."""
        return {(s, self.number): self.witness[s].alone for s in sorted(self.came & self.witness.keys())}

    def plus(self, orders: Orders, heard: Heard, lost: frozenset[int]) -> Arrived:
        """With the answers to `orders`: a damaged answer does not say what it is. lost: who died
        meanwhile."""
        sends, gone = dict(self.sends), self.gone | lost
        for kind, asked in ((Kind.AGAIN, orders.again), (Kind.INDEPENDENT, orders.independent)):
            for satellite in sorted(asked - gone):
                sends[satellite] = (*sends.get(satellite, ()), Arrival(kind, heard.messages.get(satellite)))
        return Arrived(self.number, sends, self.witness, gone)


def receive(number: int, downlink: Heard, witnesses: Heard) -> Arrived:
    """The first attempt: what was heard at DOWNLINK and at WITNESS. A satellite of which there is neither is
    dead, as far as the ground knows."""
    witness = {}
    for satellite, data in witnesses.messages.items():
        try:
            witness[satellite] = Witness.unpack(data)
        except MessageError:
            continue
    everybody = sorted(downlink.messages.keys() | witness.keys())
    sends = {s: (Arrival(Kind.FIRST, downlink.messages.get(s)),) for s in everybody}
    return Arrived(number, sends, witness, downlink.lost | witnesses.lost)


def wanted(decoded: Decoded, arrived: Arrived, asked: Sequence[Orders]) -> Orders:
    """What to ask for after what has been `asked` so far; closes the round when nothing is left to ask for.

    decoded: `arrived.streams`, decoded. accepted: whose DLRC stream the ground has, whole."""
    here = arrived.came - arrived.gone
    again = frozenset(s for s, _ in decoded.damaged) & here
    again -= frozenset().union(*(orders.again for orders in asked))
    if again and not any(orders.independent for orders in asked):
        return Orders(again=again)
    whole = frozenset(satellite for satellite, _ in decoded.whole)
    replace = here - whole - frozenset().union(*(orders.independent for orders in asked))
    return Orders(independent=replace) if replace else Orders(accepted=whole)
