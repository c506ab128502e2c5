"""Where the processes of a run meet, and meet again after an accident.

A run's processes live in *epochs*. Each says at the store that it joins the current one; when all are there,
or have been given up, the first who sees it writes down the members, and the round that the ground is in
begins. Whoever loses contact, or comes back, opens the next epoch: everybody leaves what it waits for, joins
again, and that round begins again. So an accident of a host is no fault of the simulation and leaves no trace
in the bytes. Nobody has to agree on who is lost stage by stage, which is unsafe: survivors may be a stage
apart.

    epoch              the current one, or `over`
    E/PLACE            who has joined epoch E
    E/members          their places, once
    dead/PLACE         given up by its keeper: its satellites are dead from then on
    beat/PLACE         of its watchdog: changes as long as it lives
    accident/N         what went wrong, in order, for the report"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from constellation.common.errors import UserError
from nodes.wire.stages import GROUND
from nodes.wire.watchdog import Lost

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

LOOK_S = 0.05  # between two looks at the store
LOADING_S = 60.0  # more than the time-out: without a sign of life of anybody who is missing
START_S = 600.0  # at the start, before whose first sign a busy machine imports for minutes
_OVER = "over"


class Disturbed(Exception):
    """Somebody was lost or has come back: all processes meet again, and the round begins again."""


@dataclass(frozen=True)
class Member:
    """A process of the run. nodes: that it speaks for. key: of the run that it means. number: the round that
    the ground is in; None of satellites."""

    nodes: frozenset[int]
    key: str = ""
    number: int | None = None

    @property
    def name(self) -> str:
        """`ground`, `satellite 3`, or `satellites 4 to 7`."""
        if GROUND in self.nodes:
            return "ground"
        first, last = min(self.nodes), max(self.nodes)
        return f"satellite {first}" if first == last else f"satellites {first} to {last}"


@dataclass(frozen=True)
class Epoch:
    """Who flies together until something happens. members: by place. dead: nodes of processes that were
    given up. first: the round that the ground is in."""

    number: int
    members: Mapping[int, Member]
    dead: frozenset[int]
    first: int


@dataclass(frozen=True)
class Accident:
    """What befell a process of the run. what: a line about it. cost_s: until it was back; 0 where it only
    lost contact."""

    who: str
    what: str
    cost_s: float = 0.0


class _Waiting:
    """For others: in vain, when nothing about them has changed for `limit_s`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._signs: object = None
        self._changed_s = self._looked_s = time.monotonic()

    def looks_again(self) -> bool:
        """Whether it is time to look for signs of life: once a second."""
        now_s = time.monotonic()
        if now_s - self._looked_s < min(1.0, self._limit_s / 4):
            return False
        self._looked_s = now_s
        return True

    def in_vain(self, signs: object) -> bool:
        """Whether these signs have been the same for too long."""
        if signs != self._signs:
            self._signs, self._changed_s = signs, self._looked_s
        return self._looked_s - self._changed_s > self._limit_s


class Meeting:
    """One process's view of the store where a run's processes meet. Not thread-safe: one connection, one
    thread."""

    def __init__(self, store: Store, place: int, size: int, patience_s: float) -> None:
        """patience_s: how long a process may be silent."""
        self._store, self._place, self._size, self._patience_s = store, place, size, patience_s
        self._me = uuid.uuid4().hex  # a child that comes back is another one
        self.epoch: Epoch | None = None
        self.names: dict[int, str] = {}
        store.compare_set("epoch", "", "0")

    def now(self) -> str:
        """The current epoch, or `over`."""
        return self._store.get("epoch").decode()

    @property
    def over(self) -> bool:
        """Whether the ground has all rounds."""
        return self.now() == _OVER

    def disturb(self, epoch: int) -> None:
        """Open the epoch after this one, if nobody has."""
        self._store.compare_set("epoch", str(epoch), str(epoch + 1))

    def close(self) -> None:
        """The ground has all rounds: who comes later has nothing to do."""
        while (found := self.now()) != _OVER:
            self._store.compare_set("epoch", found, _OVER)

    def join(self, member: Member, check: Callable[[], None] = lambda: None) -> Epoch | None:
        """Join the current epoch, and wait until all others have, or are given up; None when the run is over.
        check: is called while waiting, and may raise.

        Who is missing may take its time as long as it gives signs of life. Raises `UserError` where the
        processes do not belong together, `Lost` where one does not come."""
        said = {"nodes": sorted(member.nodes), "key": member.key, "number": member.number, "me": self._me}
        mine, waiting = json.dumps(said), _Waiting(self._limit_s)
        while (found := self.now()) != _OVER:
            epoch = int(found)
            if self._store.compare_set(f"{epoch}/{self._place}", "", mine).decode() != mine:
                self.disturb(epoch)  # an earlier child of the same place is part of this one
                continue
            while (agreed := self._agreed(epoch)) is None and self.now() == found:
                check()
                if waiting.looks_again() and waiting.in_vain(self._signs(epoch)):
                    self._miss(epoch)
                time.sleep(LOOK_S / 2)
            if agreed is None:
                continue
            if self._place not in agreed:  # given up meanwhile, by mistake: it is here
                self.disturb(epoch)
                continue
            self.epoch = self._checked(epoch, agreed)
            return self.epoch
        return None

    def _agreed(self, epoch: int) -> list[int] | None:
        """The places of an epoch's members; None as long as somebody is missing."""
        key = f"{epoch}/members"
        if not self._store.check([key]):
            here = list(range(self._size))
            if not self._store.check([f"{epoch}/{place}" for place in here]):
                if not self._store.add("buried", 0):
                    return None
                missing = self._missing(epoch)
                if not self._store.check([f"dead/{place}" for place in missing]):
                    return None
                here = [place for place in here if place not in missing]
            self._store.compare_set(key, "", json.dumps(here))
        return json.loads(self._store.get(key))

    def _missing(self, epoch: int) -> list[int]:
        return [place for place in range(self._size) if not self._store.check([f"{epoch}/{place}"])]

    @property
    def _limit_s(self) -> float:
        """How long nobody who is missing may give a sign of life."""
        return self._patience_s + LOADING_S if self.epoch is not None else max(START_S, self._patience_s)

    def _signs(self, epoch: int) -> dict[int, bytes]:
        """The last sign of life of everybody who is missing; nothing of one who has given none."""
        keys = {place: f"beat/{place}" for place in self._missing(epoch)}
        return {
            place: self._store.get(key) if self._store.check([key]) else b"" for place, key in keys.items()
        }

    def _miss(self, epoch: int) -> None:
        missing = [place for place in self._missing(epoch) if not self._store.check([f"dead/{place}"])]
        if self.epoch is None:
            places = ", ".join(map(str, missing))
            raise UserError(
                f"process {places} of {self._size} did not join, and has given no sign of life for "
                f"{self._limit_s:g} s"
            )
        names = ", ".join(self.names.get(place, f"process {place}") for place in missing)
        line = f"{names} did not come back, and gave no sign of life for {self._limit_s:g} s"
        raise Lost(self.claimed(line))

    def _checked(self, epoch: int, places: list[int]) -> Epoch:
        told = {place: json.loads(self._store.get(f"{epoch}/{place}")) for place in places}
        members = {
            place: Member(frozenset(one["nodes"]), one["key"], one["number"]) for place, one in told.items()
        }
        if len({one.key for one in members.values()}) > 1:
            raise UserError("the processes of this run were started with different scenarios")
        nodes = [node for one in members.values() for node in one.nodes]
        if len(nodes) != len(set(nodes)):
            spoken = [sorted(one.nodes) for one in members.values()]
            raise UserError(f"processes speak for {spoken}, expected every node once")
        self.names |= {place: one.name for place, one in members.items()}
        dead = [
            json.loads(self._store.get(f"dead/{place}")) for place in range(self._size) if place not in told
        ]
        first = max((one.number for one in members.values() if one.number is not None), default=0)
        return Epoch(epoch, members, frozenset(node for one in dead for node in one), first)

    # ---- what is said once

    def bury(self, nodes: frozenset[int]) -> None:
        """Give this place up: the run goes on without its nodes."""
        self._store.set(f"dead/{self._place}", json.dumps(sorted(nodes)))
        self._store.add("buried", 1)
        if (found := self.now()) != _OVER:
            self.disturb(int(found))

    def record(self, accident: Accident) -> None:
        """Keep it for the report."""
        number = self._store.add("accidents", 1)
        self._store.set(f"accident/{number}", json.dumps([accident.who, accident.what, accident.cost_s]))

    def accidents(self) -> list[Accident]:
        """All so far, in order."""
        keys = [f"accident/{number}" for number in range(1, self._store.add("accidents", 0) + 1)]
        return [Accident(*json.loads(self._store.get(key))) for key in keys if self._store.check([key])]

    def count(self, key: str, more: int = 1) -> int:
        """Add to a counter that all share; its value."""
        return self._store.add(key, more)

    def claimed(self, line: str) -> str:
        """The line for the first process that has something to say, nothing for all others."""
        return f"{line}; the run is over, resume=true goes on" if self._store.add("said", 1) == 1 else ""
