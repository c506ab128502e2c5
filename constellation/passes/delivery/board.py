"""What a satellite holds, and how files become units on its link."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from constellation.passes.delivery import cfdp
from constellation.passes.delivery.cfdp import Receiver, Sender, Unit
from constellation.passes.delivery.link import Channel
from constellation.passes.delivery.rules import File


@dataclass(eq=False)
class Transfer:
    """One file on its way, both sides of it."""

    file: File
    sender: Sender
    receiver: Receiver = field(default_factory=Receiver)
    lost: int = 0
    begun_s: float = np.inf
    done_s: float = np.inf
    relayed: int = 0
    stations: set[int] = field(default_factory=set)
    down_timer: int = 0  # of the ground; a timer that is not the latest is void
    up_timer: int = 0


@dataclass(eq=False)
class Craft:
    """One satellite: what it holds, and whom it talks to."""

    number: int
    held: dict[int, Transfer] = field(default_factory=dict)
    channel: Channel | None = None
    free_s: float = 0.0  # when its link has sent what it was given
    session: int = 0
    sending: bool = False

    @property
    def stored_bytes(self) -> int:
        return sum(one.file.size_bytes for one in self.held.values())


def sizes_of(unit: Unit, segment: int) -> np.ndarray:
    """Bytes on the link of every unit that it stands for, int64 [n]."""
    if not isinstance(unit, cfdp.Data):
        return np.array([unit.size_bytes])
    sizes = np.full(cfdp.segments_of(unit, segment), segment + cfdp.DATA_OVERHEAD_BYTES)
    sizes[-1] = (unit.end - unit.begin - 1) % segment + 1 + cfdp.DATA_OVERHEAD_BYTES
    return sizes


def cut(unit: Unit, fits: int, segment: int) -> tuple[Unit | None, list[Unit]]:
    """The part of a unit that found room, and the rest."""
    if not fits or not isinstance(unit, cfdp.Data):
        return None, [unit]
    middle = unit.begin + fits * segment
    return cfdp.Data(unit.begin, middle, unit.again), [cfdp.Data(middle, unit.end, unit.again)]


def surviving(
    unit: cfdp.Data, left_s: np.ndarray, lost: np.ndarray, segment: int
) -> list[tuple[int, int, float]]:
    """Runs of a run that arrive: first byte, last byte, when the last of it left."""
    if len(lost) == 1:
        return [] if lost[0] else [(unit.begin, unit.end, float(left_s[0]))]
    whole = np.concatenate([[True], lost, [True]])
    begins = np.flatnonzero(whole[:-1] & ~whole[1:])
    ends = np.flatnonzero(~whole[:-1] & whole[1:])
    return [
        (unit.begin + int(a) * segment, min(unit.end, unit.begin + int(b) * segment), float(left_s[b - 1]))
        for a, b in zip(begins, ends, strict=True)
    ]
