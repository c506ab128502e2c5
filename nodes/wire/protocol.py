"""A round as a protocol: its sides are generators that yield what they send and are resumed with what they
hear.

    HEADERS -> EXCHANGE -> DOWNLINK -> WITNESS -> (REQUEST -> ANSWER)* -> REQUEST that closes the round

A side does no input or output. So a satellite's round runs alike in a test, in a notebook, in a study
(`together`, all sides in one process) and under torchrun (`drive`, one side per process over a transport).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from nodes.wire.faults import NO_FAULTS, Faults
from nodes.wire.stages import Heard, Send, Side

T = TypeVar("T")


class Transport(Protocol):
    """What carries messages between the processes of a run."""

    def exchange(self, send: Send) -> Heard:
        """Deliver what this process sends at a stage, and return what its nodes hear."""
        ...


def drive(side: Side[T], transport: Transport) -> T:
    """Run one process's side of a round. What the transport raises is thrown into the side, so that it can
    clean up, and then raised."""
    try:
        send = next(side)
        while True:
            try:
                heard = transport.exchange(send)
            except BaseException as error:
                side.throw(error)
                raise
            send = side.send(heard)
    except StopIteration as done:
        return done.value
    finally:
        side.close()


def together(sides: Mapping[int | tuple[int, ...], Side[Any]], faults: Faults = NO_FAULTS) -> dict[Any, Any]:
    """Run all sides of a round in this process, in lock-step; the results by the same keys.

    sides: the node, or the nodes of a crew, that each side speaks for. At each turn the earliest stage that a
    side waits at is delivered. Raises `ValueError` for two speakers of one node, and for sides that disagree
    about a stage's size or audience; every side is closed.
    """
    speakers = {key: frozenset((key,) if isinstance(key, int) else key) for key in sides}
    nodes = frozenset().union(*speakers.values())
    if sum(map(len, speakers.values())) != len(nodes):
        raise ValueError(
            f"sides speak for {sorted(map(sorted, speakers.values()))}, expected every node once"
        )
    results: dict[Any, Any] = {}
    known = dict.fromkeys(sides, nodes)  # whom each side believes alive
    waiting: dict[Any, Send] = {}

    def resume(key: Any, heard: Heard | None) -> None:
        waiting.pop(key, None)
        try:
            waiting[key] = sides[key].send(heard)  # type: ignore[arg-type]
        except StopIteration as done:
            results[key] = done.value

    try:
        for key in sides:
            resume(key, None)
        while waiting:
            stage = min(send.stage for send in waiting.values())
            here = [key for key, send in waiting.items() if send.stage == stage]
            alive = faults.alive(nodes, stage)
            sends = {key: waiting[key] for key in here}
            heard = faults.apply(merged(list(sends.values())), alive)
            for key in here:
                lost, known[key] = known[key] - alive, alive
                resume(key, narrowed(heard, sends[key], speakers[key], lost))
        return results
    finally:
        for side in sides.values():
            side.close()


def merged(sends: list[Send]) -> Send:
    """What several sides send at one stage, as one. Raises `ValueError` where they disagree."""
    first = sends[0]
    for send in sends[1:]:
        told = send.size, send.audience, send.sparse
        if send.stage.step.gathers and told != (first.size, first.audience, first.sparse):
            raise ValueError(f"{first.stage}: sides disagree about the size or the audience of its messages")
    messages = {s: data for send in sends for s, data in send.messages.items()}
    return replace(first, messages=dict(sorted(messages.items())))


def narrowed(heard: Heard, send: Send, speaks_for: frozenset[int], lost: frozenset[int]) -> Heard:
    """What one side hears of a stage: everything where the step gathers (but that messages for others are
    empty where it is sparse), else what its own nodes heard."""
    if send.sparse:
        own = frozenset().union(*(senders for one, senders in heard.by.items() if one in speaks_for))
        messages = {s: data if s in own else b"" for s, data in heard.messages.items()}
        return replace(heard, messages=messages, lost=lost)
    if send.stage.step.gathers:
        return replace(heard, lost=lost)
    by = {receiver: senders for receiver, senders in heard.by.items() if receiver in speaks_for}
    listened = frozenset().union(*by.values()) if by else frozenset()
    return Heard({s: data for s, data in heard.messages.items() if s in listened}, by, lost)
