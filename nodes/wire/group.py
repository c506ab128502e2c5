"""The processes of a run as one transport: the only one that leaves the process.

    HEADERS, EXCHANGE   one all_gather among the satellites' processes: int64 [slots, 1 + words] each, slots
                        being the largest crew; Gloo, or NCCL where every process has a GPU of its own
    all other steps     bytes from process to process, over Gloo

Every process hears what `together` would tell it, because both merge, apply faults and narrow by the same
functions. A frame says which stage it belongs to. So whoever waits for a stage that a peer has passed without
a word (its crew died, the request was cut) hears nothing from it and goes on.

No wait has a deadline: a peer that computes for an hour is no fault. Each runs in a thread of its own beside
a look at the watchdog, so a peer that is gone, or Ctrl-C, ends it within 50 ms."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch.distributed.distributed_c10d import PrefixStore, ProcessGroupGloo, Store

from constellation.common.errors import UserError
from nodes.wire.faults import NO_FAULTS, Faults
from nodes.wire.frames import Frames
from nodes.wire.protocol import narrowed
from nodes.wire.stages import GROUND, Heard, Send, Stage, Step
from nodes.wire.watchdog import Lost, Watchdog

LOOK_S = 0.05  # between two looks at the watchdog
_NO_DEADLINE = timedelta(days=365)
_END = Stage(2**62, Step.HEADERS)  # after all rounds


@dataclass(frozen=True, eq=False)
class Links:
    """How the processes of a run reach each other.

    connect: makes a new connection to the store where they meet. hosts: of Gloo's sockets, an interface or an
    address of this machine. cuda: whether the satellites gather over NCCL, from the current GPU. timeout_s:
    how long a process may be silent, or missing at the start."""

    connect: Callable[[], Store]
    devices: Callable[[], list[Any]]
    cuda: bool = False
    timeout_s: float = 45.0


@dataclass(frozen=True, eq=False)
class Member:
    """A process of the run: the nodes that it speaks for, the run that it means, and when it began (Unix
    time, s)."""

    nodes: frozenset[int]
    key: str = ""
    began_s: float = field(default_factory=time.time)


class Group:
    """This process's place among `size` processes; a `Transport`, and a context manager that says goodbye.

    Raises `UserError` where the processes do not belong together, `Lost` when one of them is gone.
    """

    def __init__(
        self, place: int, size: int, member: Member, links: Links, faults: Faults = NO_FAULTS
    ) -> None:
        self._place, self._size, self._own, self._faults = (place, size, member.nodes, faults)
        self._links, self._store = links, PrefixStore("group", links.connect())
        names = [f"process {other}" for other in range(size)]
        self.watch = Watchdog(PrefixStore("watch", links.connect()), place, names, links.timeout_s)
        self._round = -1
        try:
            self.members = self._join(member)
            self._nodes = self._known = frozenset().union(*(other.nodes for other in self.members))
            self._satellites = [at for at, other in enumerate(self.members) if GROUND not in other.nodes]
            self._grounds = [at for at, other in enumerate(self.members) if GROUND in other.nodes]
            self._slots = max(len(self.members[at].nodes) for at in self._satellites)
            to = self._satellites if GROUND in member.nodes else self._grounds
            self._frames = Frames(self._gloo("everybody", list(range(size))), to, self._wait)
            self._gathering = self._gatherers()
        except BaseException as error:
            self.watch.finish(failed=not isinstance(error, Lost))
            raise

    def __enter__(self) -> Group:
        return self

    def __exit__(self, exc_type: type | None, exc: BaseException | None, traceback: object) -> None:
        if exc_type is None:
            self._goodbye()
        self.watch.finish(failed=exc_type is not None and not issubclass(exc_type, Lost))

    @property
    def began_s(self) -> float:
        """When the first process of the run began (Unix time, seconds)."""
        return min(member.began_s for member in self.members)

    def exchange(self, send: Send) -> Heard:
        """Deliver what this process sends at a stage, and return what its nodes hear."""
        stage, step = send.stage, send.stage.step
        self.watch.doing = f"round {stage.round}, {step.name.lower()}"
        speaks = not step.gathers and bool(step.senders(self._own))
        if stage.round > self._round:
            self._round = stage.round
            if not speaks:
                self._frames.post(stage, {})
        messages = dict(send.messages)
        if step.gathers:
            messages = self._gather(send)
        elif speaks:
            self._frames.post(stage, messages)
        else:
            messages = self._heard_from(self._grounds if step == Step.REQUEST else self._satellites, stage)
        alive = self._faults.alive(self._nodes, stage)
        lost, self._known = self._known - alive, alive
        return narrowed(self._faults.apply(replace(send, messages=messages), alive), step, self._own, lost)

    def _heard_from(self, places: Sequence[int], stage: Stage) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for place in places:
            found |= self._frames.of(place, stage)
        return found

    # ---- the start and the end

    def _join(self, member: Member) -> list[Member]:
        """Say who this process is, and wait for all others to say so."""
        said = {"nodes": sorted(member.nodes), "key": member.key, "began_s": member.began_s}
        self._store.set(f"member/{self._place}", json.dumps(said))
        end = time.monotonic() + self._links.timeout_s
        missing = list(range(self._size))
        while missing := [place for place in missing if not self._store.check([f"member/{place}"])]:
            self.watch.check()
            if time.monotonic() > end:
                names = ", ".join(map(str, missing))
                raise UserError(
                    f"process {names} of {self._size} did not join within timeout_s={self._links.timeout_s:g}"
                )
            time.sleep(LOOK_S / 5)
        told = [json.loads(self._store.get(f"member/{place}")) for place in range(self._size)]
        members = [Member(frozenset(one["nodes"]), one["key"], one["began_s"]) for one in told]
        if len({one.key for one in members}) > 1:
            raise UserError("the processes of this run were started with different scenarios")
        if sum(len(one.nodes) for one in members) != len(frozenset().union(*(one.nodes for one in members))):
            raise UserError(
                f"processes speak for {[sorted(one.nodes) for one in members]}, expected every node once"
            )
        self.watch.names[:] = [_name(one.nodes) for one in members]
        return members

    def _gloo(self, name: str, places: list[int]) -> Any:
        """Gloo among the processes at `places`, without torch's global group: another one may follow."""
        options = ProcessGroupGloo._Options()  # pyright: ignore
        options._devices, options._threads, options._timeout = (self._links.devices(), 1, _NO_DEADLINE)
        store = PrefixStore(name, self._store)
        place = places.index(self._place)
        return self._wait(lambda: ProcessGroupGloo(store, place, len(places), options))

    def _gatherers(self) -> Any:
        """The group of the satellites' processes; None at the ground."""
        if self._place not in self._satellites:
            return None
        if not self._links.cuda:
            return self._gloo("satellites", self._satellites)
        from torch.distributed import ProcessGroupNCCL  # absent where torch has no CUDA

        options, place = ProcessGroupNCCL.Options(), self._satellites.index(self._place)
        store = PrefixStore("nccl", self._store)
        return ProcessGroupNCCL(store, place, len(self._satellites), options)

    def _goodbye(self) -> None:
        """Leave when all whom this process speaks with have nothing more to send. What nobody waited for is
        taken too, so no thread is left with it; a barrier would have a deadline."""
        self.watch.doing = "goodbye"
        self._frames.post(_END, {})
        self._heard_from(self._frames.to, _END)
        self._frames.finish()

    # ---- gathering

    def _gather(self, send: Send) -> dict[int, bytes]:
        """Every satellite's message of a step that gathers. A slot is led by 1, or 0 where nobody sends,
        beside a digest of what must be alike on every side."""
        if self._gathering is None:
            raise ValueError(f"{send.stage}: the ground takes no part in a step that gathers")
        words, mark = -(-send.size // 8), _mark(send)
        mine = np.zeros((self._slots, 1 + words), np.int64)
        mine[:, 0] = mark
        for slot, satellite in enumerate(sorted(self._own)):
            data = send.messages.get(satellite)
            if data is None:
                continue
            if len(data) != send.size:
                raise ValueError(
                    f"{send.stage}: satellite {satellite} sends {len(data)} of {send.size} bytes"
                )
            mine[slot, 0] |= 1
            mine[slot, 1:] = np.frombuffer(data.ljust(8 * words, b"\0"), np.int64)
        everybody = self._all_gathered(mine)
        if np.any(everybody[:, :, 0] & ~1 != mark):
            raise ValueError(f"{send.stage}: sides disagree about the size or the audience of its messages")
        return {
            satellite: everybody[at, slot, 1:].tobytes()[: send.size]
            for at, place in enumerate(self._satellites)
            for slot, satellite in enumerate(sorted(self.members[place].nodes))
            if everybody[at, slot, 0] & 1
        }

    def _all_gathered(self, mine: np.ndarray) -> np.ndarray:
        """int64 [processes, slots, 1 + words] from each process's int64 [slots, 1 + words]."""
        device = "cuda" if self._links.cuda else "cpu"
        own = torch.from_numpy(mine).to(device)
        every = torch.empty(
            (len(self._satellites) * mine.shape[0], mine.shape[1]), dtype=torch.int64, device=device
        )

        def gather() -> None:
            self._gathering._allgather_base(every, own).wait()

        self._wait(gather)
        return every.cpu().numpy().reshape(len(self._satellites), *mine.shape)

    def _wait(self, operation: Callable[[], Any]) -> Any:
        """The result of something that waits for other processes; raises `Lost` when one of them is gone."""
        done, outcome = threading.Event(), {}

        def run() -> None:
            try:
                outcome["result"] = operation()
            except RuntimeError as error:
                outcome["error"] = str(error).splitlines()[0][:200]
            done.set()

        threading.Thread(target=run, daemon=True).start()
        while not done.wait(LOOK_S):
            self.watch.check()
        if "error" in outcome:
            self.watch.explain(outcome["error"])
        return outcome["result"]


def _mark(send: Send) -> int:
    """63 bits that are alike where stage, size and audience are, shifted past the bit that says whether a
    slot is used."""
    audience = None if send.audience is None else sorted((s, sorted(r)) for s, r in send.audience.items())
    said = repr((send.stage.round, int(send.stage.step), send.stage.part, send.size, audience)).encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:7], "little") << 1


def _name(nodes: frozenset[int]) -> str:
    """`ground`, `satellite 3`, or `satellites 4 to 7`."""
    if GROUND in nodes:
        return "ground"
    first, last = min(nodes), max(nodes)
    return f"satellite {first}" if first == last else f"satellites {first} to {last}"
