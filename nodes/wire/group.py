"""The processes of a run as one transport: the only one that leaves the process.

    HEADERS, EXCHANGE   one all_gather among the satellites' processes: int64 [slots, 1 + words] each, slots
                        being the largest crew; Gloo, or NCCL where every process has a GPU of its own
    all other steps, and a sparse EXCHANGE: bytes from process to process, over Gloo

Every process hears what `together` would tell it, because both merge, apply faults and narrow by the same
functions. A frame says which stage it belongs to. So whoever waits for a stage that a peer has passed without
a word (its crew died, the request was cut) hears nothing from it and goes on.

No wait has a deadline: a peer that computes for an hour is no fault. Each runs in a thread of its own beside
a look at the watchdog, so an accident, or Ctrl-C, ends it within 50 ms. An accident raises `Disturbed`; then
all processes `meet` again, with new connections (`nodes.wire.meeting`), and begin the round again that the
ground is in."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch.distributed.distributed_c10d import PrefixStore, ProcessGroupGloo, Store

from nodes.wire.faults import NO_FAULTS, Faults
from nodes.wire.frames import Frames
from nodes.wire.gathering import messages_of, slots_of
from nodes.wire.meeting import LOOK_S, Accident, Disturbed, Epoch, Meeting, Member
from nodes.wire.protocol import narrowed
from nodes.wire.sparse import scattered
from nodes.wire.stages import GROUND, Heard, Send, Stage, Step
from nodes.wire.watchdog import Lost, Watchdog

MEETINGS = 12  # in one round, after which a run is given up
_NO_DEADLINE = timedelta(days=365)
_END = Stage(2**62, Step.HEADERS)  # after all rounds: who still waits for an earlier stage goes on


@dataclass(frozen=True, eq=False)
class Links:
    """How the processes of a run reach each other.

    connect: makes a new connection to the store where they meet. devices: Gloo's sockets, of an interface or
    an address of this machine. cuda: whether the satellites gather over NCCL, from the current GPU.
    timeout_s: how long a process may be silent."""

    connect: Callable[[], Store]
    devices: Callable[[], list[Any]]
    cuda: bool = False
    timeout_s: float = 45.0


class Group:
    """This process's place among `size` processes; a `Transport`, and a context manager that parts from the
    others.

    Raises `UserError` where the processes do not belong together, `Disturbed` when all have to `meet` again,
    `Lost` when the run cannot go on."""

    def __init__(
        self, place: int, size: int, member: Member, links: Links, faults: Faults = NO_FAULTS
    ) -> None:
        self._place, self._size, self._member, self._faults = place, size, member, faults
        self._own, self._links = member.nodes, links
        self._watch: Watchdog | None = None
        self._apart: list[Any] = []  # gatherings that were left
        self._gathering: Any = None
        self._frames: Frames | None = None
        self._meetings = (-1, 0)  # the round of the last meeting, and how many there were in it
        self._connect()

    def __enter__(self) -> Group:
        return self

    def __exit__(self, exc_type: type | None, exc: BaseException | None, traceback: object) -> None:
        with contextlib.suppress(RuntimeError, Disturbed):
            if exc_type is None and self._meeting.epoch is not None:
                self._part()
        self.watch.finish()

    @property
    def _post(self) -> Frames:
        """What carries frames, while this process is with the others."""
        if self._frames is None:
            raise ValueError("no frame goes before all have met")
        return self._frames

    @property
    def watch(self) -> Watchdog:
        """The eye on the others."""
        assert self._watch is not None
        return self._watch

    def meet(self, number: int | None = None) -> int | None:
        """Meet all others: at the start, and after `Disturbed`. number: the round that the ground is in; the
        ground alone says so. Returns it, or None when the run is over."""
        while True:
            try:
                self._leave()
                epoch = self._meeting.join(replace(self._member, number=number), self._check_store)
                if epoch is None:
                    return None
                self._form(epoch)
                return epoch.first
            except Disturbed:
                continue
            except RuntimeError:  # of the store
                self._connect()

    def close(self) -> None:
        """The ground has all rounds: the run is over for everybody."""
        self._meeting.close()

    def wait_until_over(self) -> None:
        """Stay until the ground has all rounds: it may ask for the last one again."""
        self.watch.doing = "goodbye"
        self._post.post(_END, {})
        while self.watch.epoch != "over":
            self._check()
            time.sleep(LOOK_S)

    def bury(self) -> None:
        """Give this place up for good."""
        self._meeting.bury(self._own)

    def record(self, accident: Accident) -> None:
        """Tell the others, for the report."""
        self._meeting.record(accident)

    def accidents(self) -> list[Accident]:
        """All so far, of all processes."""
        return self._meeting.accidents()

    def exchange(self, send: Send) -> Heard:
        """Deliver what this process sends at a stage, and return what its nodes hear."""
        stage, step = send.stage, send.stage.step
        self.watch.doing = f"round {stage.round}, {step.name.lower()}"
        self._check()
        speaks = not step.gathers and bool(step.senders(self._own))
        if stage.round > self._round:
            self._round = stage.round
            if not speaks:
                self._post.post(stage, {})
        messages = dict(send.messages)
        if step.gathers:
            messages = self._gather(send)
        elif speaks:
            self._post.post(stage, messages)
        else:
            messages = self._heard_from(self._grounds if step == Step.REQUEST else self._satellites, stage)
        alive = self._faults.alive(self._nodes, stage) - self._dead
        lost, self._known = self._known - alive, alive
        return narrowed(self._faults.apply(replace(send, messages=messages), alive), send, self._own, lost)

    def _heard_from(self, places: Sequence[int], stage: Stage) -> dict[int, bytes]:
        return {s: data for place in places for s, data in self._post.of(place, stage).items()}

    # ---- meeting and leaving

    def _connect(self) -> None:
        """Reach the store, for the first time or again. Raises `Lost` where nobody answers."""
        first = self._watch is None
        if self._watch is not None:
            self._watch.finish()
        epoch = None if first else self._meeting.epoch
        try:
            self._meeting = Meeting(self._store("meeting"), self._place, self._size, self._links.timeout_s)
            self._watch = Watchdog(self._store("meeting"), self._place, self._size)
        except (RuntimeError, OSError) as error:
            raise Lost(f"the store of the run answers no more ({str(error).splitlines()[0][:100]})") from None
        self._meeting.epoch = epoch

    def _store(self, name: str) -> Store:
        return PrefixStore(name, self._links.connect())

    def _leave(self) -> None:
        """Leave what this process waits for. Threads that wait inside Gloo are left to end by themselves."""
        self.watch.doing = "meeting"
        gathering, self._gathering = self._gathering, None
        self._frames = None
        if gathering is not None:
            self._apart.append(gathering)
            if hasattr(gathering, "abort") and self._links.cuda:
                gathering.abort()

    def _form(self, epoch: Epoch) -> None:
        """Connect with the members of an epoch."""
        same = epoch.first == self._meetings[0]
        self._meetings = epoch.first, self._meetings[1] + 1 if same else 1
        if self._meetings[1] > MEETINGS:
            line = (
                f"the processes met {MEETINGS} times in round {epoch.first}, and each time contact was lost"
            )
            raise Lost(self._meeting.claimed(line))
        self._epoch, self._round = epoch, -1
        self.watch.welcome()
        members = epoch.members
        self._dead = epoch.dead
        self._nodes = frozenset().union(*(one.nodes for one in members.values())) | epoch.dead
        self._known = self._nodes
        self._satellites = [at for at, one in members.items() if GROUND not in one.nodes]
        self._grounds = [at for at, one in members.items() if GROUND in one.nodes]
        if not self._satellites and epoch.dead:
            raise Lost(self._meeting.claimed("no satellite is left"))
        self._slots = max((len(members[at].nodes) for at in self._satellites), default=0)
        to = self._satellites if GROUND in self._own else self._grounds
        store = self._store(f"epoch {epoch.number}")
        places = sorted(members)
        self._frames = Frames(self._gloo(store, "everybody", places), places, to, self._wait)
        self._gathering = self._gatherers(store)

    def _gloo(self, store: Store, name: str, places: list[int]) -> Any:
        """Gloo among the processes at `places`, without torch's global group: another one may follow."""
        options = ProcessGroupGloo._Options()  # pyright: ignore
        options._devices, options._threads, options._timeout = (self._links.devices(), 1, _NO_DEADLINE)
        named, place = PrefixStore(name, store), places.index(self._place)
        return self._wait(lambda: ProcessGroupGloo(named, place, len(places), options))

    def _gatherers(self, store: Store) -> Any:
        """The group of the satellites' processes; None at the ground."""
        if self._place not in self._satellites:
            return None
        if not self._links.cuda:
            return self._gloo(store, "satellites", self._satellites)
        from torch.distributed import ProcessGroupNCCL  # absent where torch has no CUDA

        options, place = ProcessGroupNCCL.Options(), self._satellites.index(self._place)
        return ProcessGroupNCCL(PrefixStore("nccl", store), place, len(self._satellites), options)

    def _part(self) -> None:
        """Leave when all others leave too, or the run is over: nobody is cut off who still listens."""
        if self._frames is None or self.watch.epoch == "over":
            return
        key = f"{self._epoch.number}/parted"
        self._frames.post(_END, {})
        self._heard_from(self._frames.to, _END)  # what nobody waited for is taken, too
        self._meeting.count(key)
        while self.watch.epoch != "over" and self._meeting.count(key, 0) < len(self._epoch.members):
            self._check()
            time.sleep(LOOK_S / 5)
        self._frames.finish()

    # ---- gathering

    def _gather(self, send: Send) -> dict[int, bytes]:
        """Every satellite's message of a step that gathers."""
        if self._gathering is None:
            raise ValueError(f"{send.stage}: the ground takes no part in a step that gathers")
        crews = {place: sorted(self._epoch.members[place].nodes) for place in self._satellites}
        if send.sparse:
            return scattered(send, crews, self._place, self._post)
        everybody = self._all_gathered(slots_of(send, sorted(self._own), self._slots))
        return messages_of(send, everybody, list(crews.values()))

    def _all_gathered(self, mine: np.ndarray) -> np.ndarray:
        """int64 [processes, slots, 1 + words] from each process's int64 [slots, 1 + words]."""
        device = "cuda" if self._links.cuda else "cpu"
        own = torch.from_numpy(mine).to(device)
        shape = len(self._satellites) * mine.shape[0], mine.shape[1]
        every = torch.empty(shape, dtype=torch.int64, device=device)

        def gather() -> None:
            self._gathering._allgather_base(every, own).wait()

        self._wait(gather)
        return every.cpu().numpy().reshape(len(self._satellites), *mine.shape)

    def _wait(self, operation: Callable[[], Any]) -> Any:
        """The result of something that waits for other processes; raises `Disturbed` when it is in vain."""
        done, outcome = threading.Event(), {}

        def run() -> None:
            try:
                outcome["result"] = operation()
            except RuntimeError as error:
                outcome["error"] = str(error).splitlines()[0][:200]
            done.set()

        threading.Thread(target=run, daemon=True).start()
        while not done.wait(LOOK_S):
            self._check()
        if "error" in outcome:
            self._disturb(outcome["error"])
        return outcome["result"]

    def _check(self) -> None:
        """Raise `Disturbed` once this epoch is over, or somebody in it is silent."""
        self._check_store()
        seen, mine = self.watch.epoch, self._epoch.number
        if seen == "over" or (seen.isdecimal() and int(seen) > mine):
            raise Disturbed(seen)
        others = [place for place in self._epoch.members if place != self._place]
        if silent := self.watch.silent(others, self._links.timeout_s):
            names = ", ".join(self._epoch.members[place].name for place in silent)
            self._disturb(f"{names} silent for {self._links.timeout_s:g} s{self.watch.doings(silent)}")

    def _check_store(self) -> None:
        """Reach the store again where it has gone. Raises `Disturbed` then, `Lost` where nobody answers."""
        silent_s = time.monotonic() - self.watch.heard_s
        if self.watch.broken or silent_s > self._links.timeout_s:
            self._connect()
            self.record(Accident(self._member.name, f"lost contact in {self.watch.doing}"))
            self._meeting.disturb(self._epoch.number if self._meeting.epoch else -1)
            raise Disturbed("the store")

    def _disturb(self, why: str) -> None:
        """Open the next epoch, for which all meet again."""
        try:
            self._meeting.disturb(self._epoch.number)
        except RuntimeError:
            self._connect()
            self._meeting.disturb(self._epoch.number)
        raise Disturbed(why)
