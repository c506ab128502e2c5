"""One file's way to the ground by acknowledged transfer: the CCSDS File Delivery Protocol's class 2 (CCSDS
727.0-B-5, section 4.6), with lost segments asked for after the end of the file (deferred NAK).

Two machines without clock, loss or link: they are told what was heard and which timer ran out, and say what
to send. A run of file data stands for as many segments as it is long. Tests drive them and cfdp-py's through
the same losses and compare every unit that is sent."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

HEADER_BYTES = 10  # fixed part 4, two entity numbers and a transaction number of 2 bytes each
DATA_OVERHEAD_BYTES = HEADER_BYTES + 4  # the offset
MOST_REQUESTS = 64  # of one NAK


@dataclass(frozen=True)
class Metadata:
    """Begins a file: size, names of two bytes each."""

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + 1 + 5 + 2 * 3


@dataclass(frozen=True)
class Data:
    """Bytes [begin, end) of the file. again: on request."""

    begin: int
    end: int
    again: bool = False


@dataclass(frozen=True)
class Eof:
    """Everything was sent once: size and checksum."""

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + 1 + 1 + 4 + 4


@dataclass(frozen=True)
class Ack:
    """Of an `Eof`, or of a `Finished`."""

    of: type

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + 1 + 2


@dataclass(frozen=True)
class Nak:
    """What is missing: ranges of bytes; (0, 0) stands for the metadata."""

    requests: tuple[tuple[int, int], ...]

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + 1 + 8 + 8 * len(self.requests)


@dataclass(frozen=True)
class Finished:
    """The file is complete."""

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + 1 + 1


Unit = Metadata | Data | Eof | Ack | Nak | Finished


class Step(Enum):
    """Where a sender is."""

    SENDING = auto()
    EOF_SENT = auto()
    ACKNOWLEDGED = auto()
    DONE = auto()


class Sender:
    """The satellite's side of one file of `size` bytes in segments of `segment` bytes.

    first, again: file bytes sent, for the first time and on request."""

    def __init__(self, size: int, segment: int) -> None:
        self.size, self.segment = size, segment
        self.step = Step.SENDING
        self.first = self.again = 0
        self._metadata_due, self._eof_due, self._ack_due = True, False, False
        self._next = 0  # the first byte never sent
        self._asked: deque[tuple[int, int]] = deque()
        self._asked_set: set[tuple[int, int]] = set()

    @property
    def begun(self) -> bool:
        """Whether anything was ever sent."""
        return self._next > 0 or not self._metadata_due or self.step is not Step.SENDING

    @property
    def urgent(self) -> bool:
        """Whether an answer or a lost segment is due."""
        return self._ack_due or bool(self._asked) or self._eof_due or (self.begun and self._metadata_due)

    @property
    def ready(self) -> bool:
        """Whether there is anything to send now."""
        return self.urgent or self._metadata_due or self.step is Step.SENDING

    @property
    def waits(self) -> bool:
        """Whether the end of the file is sent and unacknowledged: the timer that runs."""
        return self.step is Step.EOF_SENT and not self._eof_due

    def take(self, limit: int) -> list[Unit]:
        """What to send next, in order: file data of at most about `limit` bytes, at least one unit if
        any is due."""
        units: list[Unit] = []
        if self._ack_due:
            self._ack_due = False
            units.append(Ack(Finished))
        if self._metadata_due:
            self._metadata_due = False
            units.append(Metadata())
        room = max(limit, self.segment)
        while self._asked and room >= self.segment:
            begin, end = self._asked.popleft()
            self._asked_set.discard((begin, end))
            upto = min(end, begin + room // self.segment * self.segment)
            if upto < end:
                self._ask_first(upto, end)
            units.append(Data(begin, upto, again=True))
            self.again += upto - begin
            room -= upto - begin
        if self.step is Step.SENDING and room >= self.segment and self._next < self.size:
            upto = min(self.size, self._next + room // self.segment * self.segment)
            units.append(Data(self._next, upto))
            self.first += upto - self._next
            self._next = upto
        if self.step is Step.SENDING and self._next >= self.size:
            self.step, self._eof_due = Step.EOF_SENT, True
        if self._eof_due and not self._asked:
            self._eof_due = False
            units.append(Eof())
        return units

    def give_back(self, units: Sequence[Unit]) -> None:
        """These, the last of what was taken, found no room on the link."""
        for unit in reversed(units):
            if isinstance(unit, Ack):
                self._ack_due = True
            elif isinstance(unit, Metadata):
                self._metadata_due = True
            elif isinstance(unit, Eof):
                self._eof_due = True
            elif isinstance(unit, Data) and unit.again:
                self.again -= unit.end - unit.begin
                self._ask_first(unit.begin, unit.end)
            elif isinstance(unit, Data):
                self.first -= unit.end - unit.begin
                self._next, self.step, self._eof_due = unit.begin, Step.SENDING, False

    def _ask_first(self, begin: int, end: int) -> None:
        self._asked.appendleft((begin, end))
        self._asked_set.add((begin, end))

    def hear(self, unit: Unit) -> None:
        """An answer from the ground; what does not fit the step is ignored, as the standard wants."""
        if isinstance(unit, Ack) and unit.of is Eof and self.step is Step.EOF_SENT:
            self.step, self._eof_due = Step.ACKNOWLEDGED, False
        elif isinstance(unit, Nak) and self.step is not Step.DONE:
            for begin, end in unit.requests:
                if (begin, end) == (0, 0):
                    self._metadata_due = True
                elif (begin, end) not in self._asked_set:
                    self._asked.append((begin, end))
                    self._asked_set.add((begin, end))
        elif isinstance(unit, Finished):
            self.step, self._ack_due = Step.DONE, True
            self._asked.clear()
            self._asked_set.clear()
            self._eof_due = self._metadata_due = False

    def expire(self) -> None:
        """The end of the file was not acknowledged in time."""
        if self.step is Step.EOF_SENT:
            self._eof_due = True


class Receiver:
    """The ground's side of one file. fresh, twice: file bytes that came, for the first time and again."""

    def __init__(self) -> None:
        self.fresh = self.twice = 0
        self.complete = self.closed = False
        self._size: int | None = None
        self._named = False
        self._begins: list[int] = []  # what came, disjoint ranges in order that do not touch
        self._ends: list[int] = []

    @property
    def waits(self) -> bool:
        """Whether something was asked for that has not come: the timer that runs."""
        return not self.closed and (self.complete or self._size is not None)

    def hear(self, unit: Unit, size: int = 0) -> list[Unit]:
        """A unit of the satellite (of an `Eof` the file's size as well) -> answers."""
        if isinstance(unit, Ack):
            self.closed = True
            return []
        if isinstance(unit, Eof):
            first, self._size = self._size is None, size
            return [Ack(Eof), *(self._next_step() if first else [])]
        if isinstance(unit, Metadata):
            self._named = True
        elif isinstance(unit, Data):
            self._add(unit.begin, unit.end)
        return self._next_step() if not self.complete and self._named and self.fresh == self._size else []

    def expire(self) -> list[Unit]:
        """Nothing came in time: asked again."""
        return self._next_step() if self.waits else []

    @property
    def missing(self) -> tuple[tuple[int, int], ...]:
        """Ranges that have not come, after the end of the file has; (0, 0): the metadata."""
        size = self._size or 0
        gaps = zip([0, *self._ends], [*self._begins, size], strict=True)
        return (() if self._named else ((0, 0),)) + tuple((a, b) for a, b in gaps if a < b)

    def _next_step(self) -> list[Unit]:
        missing = self.missing
        if not missing:
            self.complete = True
            return [Finished()]
        return [Nak(missing[at : at + MOST_REQUESTS]) for at in range(0, len(missing), MOST_REQUESTS)]

    def _add(self, begin: int, end: int) -> None:
        first, last = bisect_left(self._ends, begin), bisect_right(self._begins, end)
        known = sum(
            min(end, self._ends[i]) - max(begin, self._begins[i])
            for i in range(first, last)
            if min(end, self._ends[i]) > max(begin, self._begins[i])
        )
        self.fresh += end - begin - known
        self.twice += known
        if first < last:
            begin, end = min(begin, self._begins[first]), max(end, self._ends[last - 1])
        self._begins[first:last], self._ends[first:last] = [begin], [end]


def segments_of(unit: Unit, segment: int) -> int:
    """Units on the link that a unit stands for."""
    return -(-(unit.end - unit.begin) // segment) if isinstance(unit, Data) else 1
