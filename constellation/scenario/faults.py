"""Knobs of what goes wrong in a run: events, or rates with a seed. An accident of the simulation is data;
what real accidents of hosts do to a run stands in `nodes/process/keeper.py`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from constellation.common.errors import UserError
from constellation.common.knobs import ADDED, Knobs, Says, Several, build, refuse_repeats, split_word

Kind = Literal["dies", "hangs", "reboots", "corrupts", "late", "cut", "partial", "lies"]
Forgets = Annotated[
    str, Field(pattern=r"^(ground|[0-9]{1,4}):[0-9]{1,6}$"), Says("NODE:ROUND, as 3:2 or ground:2")
]
StageName = Literal["capture", "exchange", "coding", "downlink"]
KINDS = ("dies", "hangs", "reboots", "corrupts", "late", "cut", "partial", "lies")
STAGE_NAMES = ("capture", "exchange", "coding", "downlink")


class Event(Knobs):
    """One fault of one satellite.

    kind: dies, for good; hangs, until the round is over; reboots, misses `rounds` rounds after this one;
    corrupts what it sends; late, by seconds; cut, no link of its to other satellites works; partial, it hears
    none but its peer; lies about its metric. round, or time_s: when, simulated. stage: where in the round."""

    kind: Kind
    satellite: Annotated[int, Field(ge=0, lt=1024)]
    round: Annotated[int, Field(ge=0, lt=10**6)] = 0
    time_s: Annotated[float, Field(ge=0, le=1e12)] | None = None
    stage: StageName = "exchange"
    rounds: Annotated[int, Field(ge=1, lt=10**6)] = 1
    seconds: Annotated[float, Field(ge=0, le=1e9)] = 1.0
    peer: Annotated[int, Field(ge=-1, lt=1024)] = -1
    metric: Annotated[float, Field(ge=-1e300, le=1e300)] = 1e12


def _event(given: Any) -> Any:
    """An event from its words, `dies satellite=3 round=2 stage=coding`, or from a section."""
    if isinstance(given, Event):
        return given
    try:
        values = _spelt_out(given) if isinstance(given, str) else given
        if isinstance(values, dict) and "kind" in values:
            return build(Event, values)
    except UserError as error:
        raise ValueError(str(error)) from None
    raise ValueError("expected words such as `dies satellite=3 round=2 stage=coding`")


def _spelt_out(text: str) -> dict[str, Any]:
    kind, *words = text.split() or [""]
    refuse_repeats(words)
    pairs = [split_word(word) for word in words]
    return {"kind": kind, **{name: text if name == "stage" else _number(text) for name, text in pairs}}


def _number(text: str) -> Any:
    try:
        return float(text) if set(text) & set(".eE") else int(text)
    except ValueError:
        return text


class FaultKnobs(Knobs):
    """What goes wrong with satellites, the same under every transport."""

    events: Annotated[
        tuple[Annotated[Event, BeforeValidator(_event)], ...], Field(strict=False, max_length=10000)
    ] = ()
    """such as `dies satellite=3 round=2 stage=coding`, in YAML also as sections"""
    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """chance that a fault befalls a satellite in a round"""
    kinds: Several[Kind] = ("hangs", "reboots", "corrupts", "late", "cut", "partial")
    """of faults that are drawn"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """of what is drawn"""
    deadline_s: Annotated[float, Field(ge=0, le=1e6)] = 2.0
    """how long a stage waits for a satellite that the stage before has heard of"""
    forgets: Annotated[tuple[Forgets, ...], Field(strict=False, max_length=10000), ADDED] = ()
    """NODE:ROUND, whose memory of earlier rounds is lost before a round: a satellite, or ground"""

    @property
    def lost_memories(self) -> dict[int, tuple[int, ...]]:
        """Node (-1: the ground) -> rounds at whose beginning it remembers nothing."""
        pairs = [one.split(":") for one in self.forgets]
        nodes = {node: -1 if node == "ground" else int(node) for node, _ in pairs}
        return {nodes[node]: tuple(int(r) for n, r in pairs if n == node) for node, _ in pairs}
