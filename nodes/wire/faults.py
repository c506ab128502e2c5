"""Faults of a round as data: who dies, which messages are cut, damaged or lost. Pure, so every process
applies them alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from constellation.scenario.network import GroundKnobs
from nodes.messages import Header, MessageError
from nodes.wire.stages import Heard, Send, Stage, Step

_LOSS = 0x105E  # stream of random numbers of its own
_NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Outage:
    """A node takes no part from stage `begins` on, until round `back`; None: for good."""

    begins: Stage
    back: int | None = None

    def covers(self, stage: Stage) -> bool:
        """Whether the node is away at a stage."""
        return not stage < self.begins and (self.back is None or stage.round < self.back)


@dataclass(frozen=True, eq=False)
class Faults:
    """What goes wrong between sending and hearing, the same under every transport.

    deaths: node -> first stage that it takes no part in. cut: (node, stage) whose message reaches nobody but
    itself. damaged: (node, stage) whose message arrives changed. mute: satellites whose DOWNLINK and ANSWER
    never arrive (`ground.silent_satellite`). loss: share of DOWNLINK messages that arrive damaged
    (`ground.stream_loss`), drawn from `seed`, satellite and round as the ground draws them. outages: when
    nodes are away that may come back. deaf: (satellite, EXCHANGE) -> the only other whom it hears then, -1:
    none. lies: HEADERS -> satellite -> the metric that it claims. waits: seconds that a gathering takes
    longer than its links need, as somebody is missing or late. WITNESS is outside the simulated links:
    nothing touches it but a death.
    """

    deaths: Mapping[int, Stage] = field(default_factory=dict)
    cut: frozenset[tuple[int, Stage]] = frozenset()
    damaged: frozenset[tuple[int, Stage]] = frozenset()
    mute: frozenset[int] = frozenset()
    loss: float = 0.0
    seed: int = 0
    outages: Mapping[int, Sequence[Outage]] = field(default_factory=dict)
    deaf: Mapping[tuple[int, Stage], int] = field(default_factory=dict)
    lies: Mapping[Stage, Mapping[int, float]] = field(default_factory=dict)
    waits: Mapping[Stage, float] = field(default_factory=dict)

    @classmethod
    def of(cls, ground: GroundKnobs, seed: int) -> Faults:
        """Those that a scenario asks for: `ground.silent_satellite` and `ground.stream_loss`."""
        silent = ground.silent_satellite
        return cls(mute=frozenset({silent} if silent >= 0 else ()), loss=ground.stream_loss, seed=seed)

    def alive(self, nodes: frozenset[int], stage: Stage) -> frozenset[int]:
        """The nodes that take part in a stage."""
        return frozenset(
            n
            for n in nodes
            if (n not in self.deaths or stage < self.deaths[n])
            and not any(outage.covers(stage) for outage in self.outages.get(n, ()))
        )

    def apply(self, send: Send, alive: frozenset[int]) -> Heard:
        """From everybody's messages of a stage, `send`, to what is heard by `alive`."""
        stage, step = send.stage, send.stage.step
        messages = {
            s: self._passed(s, data, stage) for s, data in sorted(send.messages.items()) if s in alive
        }
        by = self._heard_by(send, messages.keys(), sorted(step.receivers(alive)))
        if (
            not step.gathers
        ):  # what nobody heard is not there; a gathering is alike everywhere, `by` narrows it
            heard = frozenset().union(*by.values()) if by else frozenset()
            messages = {s: data for s, data in messages.items() if s in heard}
        spoiled = frozenset(s for s in messages if step == Step.EXCHANGE and (s, stage) in self.damaged)
        return Heard(messages, by, waited_s=self.waits.get(stage, 0.0), spoiled=spoiled)

    def _heard_by(
        self, send: Send, senders: Collection[int], receivers: Sequence[int]
    ) -> dict[int, frozenset[int]]:
        """Whom each receiver hears, itself among them where it sends. Receivers that hear alike share a set:
        a thousand that hear a thousand are no million."""
        stage, step = send.stage, send.stage.step
        out = frozenset(s for s in senders if self._gets_out(s, stage))
        audience = send.audience if step == Step.EXCHANGE else None
        meant: dict[int, frozenset[int]] = dict.fromkeys(receivers, out)
        if audience is not None and not all(audience.get(s, _NOBODY).issuperset(receivers) for s in out):
            listed: dict[int, list[int]] = {receiver: [] for receiver in receivers}
            for sender in out:
                for receiver in audience.get(sender, _NOBODY) & listed.keys():
                    listed[receiver].append(sender)
            meant = {receiver: frozenset(heard) for receiver, heard in listed.items()}
        by = {}
        for receiver, heard in meant.items():
            if step == Step.EXCHANGE and (receiver, stage) in self.deaf:
                heard &= {self.deaf[receiver, stage]}
            by[receiver] = heard if receiver in heard or receiver not in senders else heard | {receiver}
        return by

    def _gets_out(self, sender: int, stage: Stage) -> bool:
        """Whether a message reaches anybody but its sender."""
        if stage.step == Step.WITNESS:
            return True
        silent = sender in self.mute and stage.step in (Step.DOWNLINK, Step.ANSWER)
        return not silent and (sender, stage) not in self.cut

    def _passed(self, sender: int, data: bytes, stage: Stage) -> bytes:
        """The message as it arrives: whole, or with one byte changed."""
        if stage.step == Step.WITNESS or not data:
            return data
        if (claimed := self.lies.get(stage, {}).get(sender)) is not None:
            data = claiming(data, claimed)
        if (sender, stage) in self.damaged:
            return data[:-1] + bytes([data[-1] ^ 0xFF])
        if stage.step == Step.DOWNLINK and self.loss > 0:
            seeds = np.random.SeedSequence([_LOSS, self.seed, stage.round, sender])
            draw = np.random.Generator(np.random.Philox(seeds))
            if draw.random() < self.loss:
                at = int(draw.integers(len(data)))
                return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        return data


def claiming(header: bytes, metric: float) -> bytes:
    """A header that claims another metric, and is whole; what is no header stays as it is."""
    try:
        return replace(Header.unpack(header), metric=metric).pack()
    except MessageError:
        return header


NO_FAULTS = Faults()
