"""What a round is made of: its steps, what one side sends at a stage, and what it hears there."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

GROUND = -1  # the ground's number among the nodes; satellites are 0 .. N-1
T = TypeVar("T")


class Step(IntEnum):
    """The steps of a round, in order. WITNESS is outside the simulated links: no fault touches it."""

    HEADERS, EXCHANGE, DOWNLINK, WITNESS, REQUEST, ANSWER = range(6)

    @property
    def gathers(self) -> bool:
        """Whether every satellite's message of the step, all of one size, reaches every satellite's
        process."""
        return self <= Step.EXCHANGE

    def senders(self, nodes: frozenset[int]) -> frozenset[int]:
        """Who may send at the step: the ground at REQUEST, the satellites at all others."""
        return nodes & {GROUND} if self == Step.REQUEST else nodes - {GROUND}

    def receivers(self, nodes: frozenset[int]) -> frozenset[int]:
        """Who listens at the step: the satellites at HEADERS, EXCHANGE and REQUEST, the ground at the
        others."""
        return nodes - {GROUND} if self.gathers or self == Step.REQUEST else nodes & {GROUND}


@dataclass(frozen=True)
class Stage:
    """One step of one round. part: number of the REQUEST, and of the ANSWER to it, else 0."""

    round: int
    step: Step
    part: int = 0

    def __lt__(self, other: Stage) -> bool:
        return self._place < other._place

    @property
    def _place(self) -> tuple[int, int, int, int]:  # REQUEST 0, ANSWER 0, REQUEST 1, ANSWER 1, ...
        return self.round, min(self.step, Step.REQUEST), self.part, self.step


@dataclass(frozen=True, eq=False)
class Send:
    """What one side sends at a stage.

    messages: by sender, of the nodes that this side speaks for; may be empty. size: bytes of every message of
    a step that gathers, also known to a side that sends none. audience: sender -> receivers, of EXCHANGE
    alone and alike on every side; None: everybody. sparse: nobody else needs the messages, so they go from
    process to process; of EXCHANGE alone, and alike on every side.
    """

    stage: Stage
    messages: Mapping[int, bytes] = field(default_factory=dict)
    size: int = 0
    audience: Mapping[int, frozenset[int]] | None = None
    sparse: bool = False


@dataclass(frozen=True, eq=False)
class Heard:
    """What one side hears at a stage.

    messages: ascending by sender; at HEADERS and EXCHANGE everybody's, alike on every side (of a sparse
    EXCHANGE, those for others may be empty), at the other steps what this side's nodes heard. by: receiver ->
    senders that it heard, itself included where it sent; the step's living receivers only, so who is not in
    `by` of HEADERS or EXCHANGE is dead. lost: nodes gone since this side's last stage. waited_s: simulated
    seconds that a gathering took longer, for somebody who was missing or late. spoiled: senders whose message
    of EXCHANGE arrived changed; alike on every side.
    """

    messages: Mapping[int, bytes]
    by: Mapping[int, frozenset[int]]
    lost: frozenset[int] = frozenset()
    waited_s: float = 0.0
    spoiled: frozenset[int] = frozenset()


Side = Generator[Send, Heard, T]  # one side of a round; returns its result
