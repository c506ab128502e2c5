"""Heartbeats between the processes of a run: who is silent is named by the first process that notices, and
all leave."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

HEARTBEAT_S = 1.0
LATE_S = (
    2.5 * HEARTBEAT_S
)  # after a broken connection: whoever's heartbeat is this old is the one who broke it


class Lost(Exception):
    """Another process of the run is gone. The text says which; it is empty where somebody else has said
    so."""


class Watchdog:
    """This process's heartbeat, and its eye on the others'.

    A thread writes a heartbeat into the store each second and reads the others'. It only notes what it finds:
    the main thread asks with `check` while it waits, so that clean-up happens where the waiting is. A process
    that computes for minutes beats all the same (kernels and networks release the interpreter), so slow work
    is no fault."""

    def __init__(self, store: Store, place: int, names: list[str], silence_s: float) -> None:
        """store: a connection that nobody else uses. names: of the processes, by place."""
        self._store, self._place, self._silence_s = store, place, silence_s
        self.names = names
        self.doing = "start-up"  # the line about a silent process quotes it
        self.family: Callable[[], str | None] = lambda: None  # more to look after: a child, a parent
        self._trouble: str | None = None
        self._seen: dict[int, tuple[Any, float]] = {}
        self._leaving = threading.Event()
        self._state = "running"
        self._beat()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `Lost` once another process is gone."""
        if self._trouble is not None:
            raise Lost(self._claimed(self._trouble))

    def explain(self, error: str) -> None:
        """Raise `Lost` for a connection that broke: wait for a few heartbeats, to see whose stop."""
        end = time.monotonic() + 2 * LATE_S
        while time.monotonic() < end:
            self.check()
            late = [place for place, age in self._ages().items() if age > LATE_S]
            if late:
                raise Lost(self._claimed(f"{self._those(late)} stopped answering"))
            time.sleep(HEARTBEAT_S / 10)
        raise Lost(self._claimed(f"{self.names[self._place]}: lost contact while in {self.doing}: {error}"))

    def finish(self, failed: bool = False) -> None:
        """Say goodbye and stop. failed: this process says itself why the run ends, so the others keep
        quiet."""
        if self._leaving.is_set():
            return
        self._leaving.set()
        self._thread.join(timeout=5 * HEARTBEAT_S)  # not inside the store when the interpreter ends
        self._state = "failed" if failed else "done"
        with contextlib.suppress(RuntimeError):
            self._beat()

    def _run(self) -> None:
        while not self._leaving.wait(HEARTBEAT_S):
            try:
                self._beat()
                silent = [place for place, age in self._ages().items() if age > self._silence_s]
                found = (
                    f"{self._those(silent)} silent for {self._silence_s:.0f} s" if silent else self.family()
                )
            except RuntimeError:  # the store went away with the process that held it
                found = ""
            self._trouble = found if self._trouble is None else self._trouble

    def _beat(self) -> None:
        beat = {"at": time.monotonic_ns(), "doing": self.doing, "state": self._state}
        self._store.set(str(self._place), json.dumps(beat))

    def _reports(self) -> dict[int, dict[str, Any]]:
        """The last heartbeats of those who have begun."""
        places = [place for place in range(len(self.names)) if self._store.check([str(place)])]
        return {place: json.loads(self._store.get(str(place))) for place in places}

    def _ages(self) -> dict[int, float]:
        """Seconds, on this process's clock, since each running process's heartbeat last changed."""
        now, ages = time.monotonic(), {}
        for place, report in self._reports().items():
            if place == self._place or report["state"] == "done":
                continue
            if report["state"] == "failed":
                self._trouble = self._trouble or ""
            if place not in self._seen or self._seen[place][0] != report["at"]:
                self._seen[place] = report["at"], now
            ages[place] = now - self._seen[place][1]
        return ages

    def _those(self, places: list[int]) -> str:
        reports = self._reports()
        doing = sorted({reports[place]["doing"] for place in places if place in reports})
        return ", ".join(self.names[place] for place in places) + (
            f" (last seen in {', '.join(doing)})" if doing else ""
        )

    def _claimed(self, line: str) -> str:
        """The line for the first process that has something to say, nothing for all others."""
        try:
            return f"{line}; the run is over" if line and self._store.add("said", 1) == 1 else ""
        except RuntimeError:
            return ""
