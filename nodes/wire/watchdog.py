"""A process's eye on the store: the current epoch twenty times a second, heartbeats once a second."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

LOOK_S = 0.05
HEARTBEAT_S = 1.0


class Lost(Exception):
    """The run cannot go on. The text says why; it is empty where somebody else has said so."""


class Watchdog:
    """This process's heartbeat, and its eye on the others'.

    A thread looks. It only notes what it finds: the main thread reads it while it waits, so that clean-up
    happens where the waiting is. A process that computes for minutes beats all the same (kernels and networks
    release the interpreter), so slow work is no fault. A child that hangs is its keeper's to end; heartbeats
    find what no keeper can: a machine, or the way to it, that is gone."""

    def __init__(self, store: Store, place: int, size: int) -> None:
        """store: a connection that nobody else uses. size: processes of the run."""
        self._store, self._place, self._size = store, place, size
        self.doing = "start-up"  # the line about a silent process quotes it
        self.epoch = ""  # as last seen at the store; "" before
        self.broken = ""  # why the store answers no more
        self.heard_s = time.monotonic()  # when it last answered
        self._seen: dict[int, tuple[Any, float]] = {}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def silent(self, places: list[int], silence_s: float) -> list[int]:
        """Those whose heartbeat is older than this, as seen by the thread."""
        now, seen = time.monotonic(), dict(self._seen)
        return [place for place in places if place in seen and now - seen[place][1] > silence_s]

    def doings(self, places: list[int]) -> str:
        """What processes were doing at their last heartbeat: " (last seen in ...)", or nothing."""
        said = sorted({json.loads(self._seen[place][0])["doing"] for place in places if place in self._seen})
        return f" (last seen in {', '.join(said)})" if said else ""

    def welcome(self) -> None:
        """All have just been heard of."""
        self._seen.clear()

    def finish(self) -> None:
        """Stop looking: nobody must be inside the store when the interpreter ends."""
        self._leaving.set()
        self._thread.join(timeout=HEARTBEAT_S)

    def _run(self) -> None:
        beats_s = 0.0
        while not self._leaving.wait(LOOK_S):
            try:
                self.epoch = self._store.get("epoch").decode()
                self.heard_s = now_s = time.monotonic()
                if now_s - beats_s > HEARTBEAT_S:
                    beats_s = now_s
                    self._beat()
            except RuntimeError as error:  # the store went away with the process that held it
                self.broken = str(error).splitlines()[0][:200] or "no answer"
                return

    def _beat(self) -> None:
        said = json.dumps({"at": time.monotonic_ns(), "doing": self.doing})
        self._store.set(f"beat/{self._place}", said)
        for place in range(self._size):
            if place != self._place and self._store.check([f"beat/{place}"]):
                told = self._store.get(f"beat/{place}")
                if place not in self._seen or self._seen[place][0] != told:
                    self._seen[place] = told, time.monotonic()
