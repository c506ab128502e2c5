"""What became of every file and every byte.

Three parties count for themselves: the satellite what it sent, the link what it lost, the ground what came.
`faults` compares them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from constellation.common.frozen import value
from constellation.passes.delivery.rules import File, Order


@value
class Fate:
    """One file. File bytes: first and again as the satellite counted them, lost as the link did, fresh and
    twice as the ground did. begun_s, done_s: first unit sent, file complete at the ground (inf: never).
    usable_s: it and what it needs complete. dropped: given up by a full store. stations: that heard it."""

    file: File
    first: int
    again: int
    lost: int
    fresh: int
    twice: int
    begun_s: float
    done_s: float
    usable_s: float
    dropped: bool
    stations: tuple[int, ...]
    relayed: int = 0

    @property
    def faults(self) -> list[str]:
        """Where the counts do not add up, a line each."""
        file, found = self.file, []
        who = f"satellite {file.owner} of round {file.round}"
        if self.first + self.again != self.fresh + self.twice + self.lost:
            found.append(
                f"{who}: {self.first} + {self.again} bytes sent, {self.fresh} received, {self.twice} more "
                f"than once and {self.lost} lost"
            )
        if self.fresh > file.size_bytes or self.first > file.size_bytes:
            found.append(f"{who}: {self.fresh} bytes received of a file of {file.size_bytes}")
        if np.isfinite(self.done_s) and self.fresh != file.size_bytes:
            found.append(f"{who}: complete with {self.fresh} of {file.size_bytes} bytes")
        return found


@value
class Account:
    """A delivery under one order of the queue. control_*: bytes of headers and of units that carry no file
    data, sent down and lost on the way. full_s: float64 [S], seconds in which a contact carried data, by
    station; stored_bytes: the most that any satellite held. end_s: when the passes ended."""

    order: Order
    fates: tuple[Fate, ...]
    control_sent: int
    control_lost: int
    control_received: int
    contacts: int
    handovers: int
    busy_s: np.ndarray
    stored_bytes: int
    begin_s: float
    end_s: float

    @property
    def faults(self) -> list[str]:
        """Everything that does not add up; nothing where all does."""
        found = [line for fate in self.fates for line in fate.faults]
        if self.control_sent != self.control_received + self.control_lost:
            found.append(
                f"control: {self.control_sent} bytes sent, {self.control_received} received and "
                f"{self.control_lost} lost"
            )
        made = self.total(fate.file.size_bytes for fate in self.fates)
        down, dropped, left = self.delivered_bytes, self.dropped_bytes, self.left_bytes
        if made != down + dropped + left:
            found.append(f"files: {made} bytes made, {down} delivered, {dropped} dropped, {left} on board")
        return found

    @staticmethod
    def total(numbers: Iterable[int]) -> int:
        """Their sum."""
        return int(sum(numbers))

    @property
    def delivered_bytes(self) -> int:
        """Of files that are complete."""
        return self.total(f.file.size_bytes for f in self.fates if np.isfinite(f.done_s))

    @property
    def dropped_bytes(self) -> int:
        """Of files that a full store gave up."""
        return self.total(f.file.size_bytes for f in self.fates if f.dropped)

    @property
    def left_bytes(self) -> int:
        """Of files still on board at the end, or only partly down."""
        return self.total(
            f.file.size_bytes for f in self.fates if not f.dropped and not np.isfinite(f.done_s)
        )

    @property
    def first_usable_s(self) -> float:
        """From the first file's readiness to the first usable picture; inf: none."""
        return min((f.usable_s for f in self.fates), default=np.inf) - self.begin_s

    @property
    def all_usable_s(self) -> float:
        """To the last picture; inf where one never is."""
        return max((f.usable_s for f in self.fates), default=np.inf) - self.begin_s

    @property
    def mean_usable_s(self) -> float:
        """Mean over the pictures that become usable, each from its own readiness; nan: none."""
        ages = [f.usable_s - f.file.ready_s for f in self.fates if np.isfinite(f.usable_s)]
        return float(np.mean(ages)) if ages else np.nan

    @property
    def usable(self) -> int:
        """Pictures that become usable."""
        return sum(bool(np.isfinite(f.usable_s)) for f in self.fates)
