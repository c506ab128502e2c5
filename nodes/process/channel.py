"""The processes of a run and what travels between them: one rank per satellite, and the ground as rank N of
the same group.

Signatures travel by `all_gather` over a group of the satellites alone (NCCL when every rank has a GPU of its
own, else Gloo); bitstreams and verdicts over the Gloo group that the ground belongs to. Every wait has a
deadline, and a watchdog thread in each process reads the others' heartbeats from the rendezvous store: a
process that dies or hangs ends the run with one line naming it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

from constellation.common.errors import EXIT_USER_ERROR

HEARTBEAT_S = 1.0
SILENCE_S = 15.0  # a process whose heartbeat thread is silent this long is dead or stopped
MAX_MESSAGE_BYTES = 256 << 20
EXIT_LOST_PROCESS = 3


@dataclass(frozen=True)
class Rank:
    """Who this process is: `rank` in 0 .. satellites, where rank == satellites is the ground."""

    rank: int
    satellites: int

    @property
    def is_ground(self) -> bool:
        return self.rank == self.satellites

    @property
    def name(self) -> str:
        return "ground" if self.is_ground else f"satellite {self.rank}"


class Channel:
    """Collectives of one run. Use as a context manager: leaving it tears the process group down."""

    def __init__(
        self, who: Rank, timeout_s: float, device: str = "cpu", ground_process: subprocess.Popen | None = None
    ) -> None:
        self.who = who
        self.device = device
        self._timeout = timedelta(seconds=timeout_s)
        self._store = _store("dlrc", self._timeout)
        world = who.satellites + 1
        self._watchdog = _Watchdog(who, timeout_s, ground_process)
        dist.init_process_group(
            "gloo",
            store=dist.PrefixStore("group", self._store),
            rank=who.rank,
            world_size=world,
            timeout=self._timeout,
        )
        backend = "nccl" if device == "cuda" else "gloo"
        self._satellites = dist.new_group(list(range(who.satellites)), backend=backend, timeout=self._timeout)

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, exc_type: object, exc: BaseException | None, traceback: object) -> None:
        self._watchdog.finish()
        if exc_type is None and dist.is_initialized():
            dist.destroy_process_group()

    def on_failure(self, clean_up: Callable[[], None]) -> None:
        """What to do before this process leaves because of a failure, its own or another's (the launcher
        sends SIGTERM then)."""
        self._watchdog.on_failure = clean_up

        def leave(_signal: int, _frame: object) -> None:
            clean_up()
            os._exit(EXIT_LOST_PROCESS)

        signal.signal(signal.SIGTERM, leave)

    def stage(self, name: str) -> None:
        """Tell the watchdog what this process is doing; the line about a hung process quotes it."""
        self._watchdog.stage = name
        self._watchdog.steps += 1

    def all_gather_int64(self, payload: np.ndarray) -> list[np.ndarray]:
        """Every satellite's `payload`, int64 [n] of equal n, in satellite order (satellites only)."""
        mine = torch.from_numpy(np.ascontiguousarray(payload, dtype=np.int64)).to(self.device)
        everyone = [torch.empty_like(mine) for _ in range(self.who.satellites)]
        self._guard(lambda: dist.all_gather(everyone, mine, group=self._satellites))
        return [part.cpu().numpy() for part in everyone]

    def send_bytes(self, data: bytes, to: int) -> None:
        """Send a length and then `data` to rank `to` over the Gloo group."""
        size = torch.tensor([len(data)], dtype=torch.int64)
        self._guard(lambda: dist.send(size, to))
        if data:
            self._guard(lambda: dist.send(torch.frombuffer(bytearray(data), dtype=torch.uint8), to))

    def receive_bytes(self, source: int) -> bytes:
        """Receive what `send_bytes` sent; a size over 256 MiB is refused."""
        size = torch.zeros(1, dtype=torch.int64)
        self._guard(lambda: dist.recv(size, source))
        if not 0 <= int(size) <= MAX_MESSAGE_BYTES:
            raise RuntimeError(f"{self.who.name}: message of {int(size)} bytes from rank {source}")
        data = torch.empty(int(size), dtype=torch.uint8)
        if int(size):
            self._guard(lambda: dist.recv(data, source))
        return data.numpy().tobytes()

    def barrier(self) -> None:
        """Wait for all satellites and the ground."""
        self._guard(dist.barrier)

    def _guard(self, operation) -> None:
        """Run one collective; if a peer fails it, give the watchdog time to name the peer, then leave."""
        try:
            operation()
        except RuntimeError as error:
            self._watchdog.explain(str(error).splitlines()[0])


class _Watchdog:
    """Heartbeats through a store connection of its own; the first process to see a silent one says so and
    leaves."""

    def __init__(self, who: Rank, timeout_s: float, ground_process: subprocess.Popen | None) -> None:
        self.who = who
        self._ground = ground_process  # rank 0 started it and answers for it
        self._parent = int(os.environ.get("DLRC_PARENT", "0")) if who.is_ground else 0
        self.stage = "start-up"
        self.steps = 0
        self.on_failure: Callable[[], None] = lambda: None
        self._timeout_s = timeout_s
        self._store = _store("watch", timedelta(seconds=timeout_s))
        self._seen: dict[int, tuple[str, float]] = {}
        self._finished = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Say goodbye and stop: the thread must not be inside the store when the interpreter ends."""
        self._finished.set()
        self._thread.join(timeout=5 * HEARTBEAT_S)
        with contextlib.suppress(RuntimeError):
            self._beat()

    def explain(self, error: str) -> None:
        """A collective failed: name the process behind all others, or pass the error on; never returns."""
        time.sleep(3 * HEARTBEAT_S)
        reports = self._reports()
        missing = [
            rank for rank in range(self.who.satellites + 1) if self._age(rank, reports) > 2.5 * HEARTBEAT_S
        ]
        if not missing and reports:
            least = min(report["steps"] for report in reports.values())
            behind = [rank for rank, report in reports.items() if report["steps"] == least]
            missing = behind if len(behind) < len(reports) else []
        if missing:
            self._leave(
                f"{_names(missing, self.who.satellites)} stopped answering{_stages(missing, reports)}"
            )
        self._leave(f"{self.who.name}: lost contact while in stage {self.stage}: {error[:200]}")

    def _run(self) -> None:
        while not self._finished.wait(HEARTBEAT_S):
            self._check_family()
            try:
                self._beat()
                reports = self._reports()
            except RuntimeError:  # the store went away with the launcher
                if self._finished.is_set():
                    return
                self._leave(
                    f"{self.who.name}: the rendezvous store went away (another process or agent ended the run)"
                )
            silent = [rank for rank in reports if self._age(rank, reports) > SILENCE_S]
            if silent:
                self._leave(
                    f"{_names(silent, self.who.satellites)} silent for {SILENCE_S:.0f} s{_stages(silent, reports)}"
                )

    def _check_family(self) -> None:
        """The ground ends with the rank 0 that started it, and rank 0 with a ground that failed."""
        if self._parent and os.getppid() != self._parent:
            self.on_failure()
            os._exit(EXIT_LOST_PROCESS)
        code = self._ground.poll() if self._ground is not None else None
        if code in (EXIT_USER_ERROR, EXIT_LOST_PROCESS):  # it has said why
            os._exit(code)
        if code:
            self._leave(f"the ground process ended with exit code {code}")

    def _beat(self) -> None:
        report = {
            "beat": time.monotonic_ns(),
            "stage": self.stage,
            "steps": self.steps,
            "done": self._finished.is_set(),
        }
        self._store.set(str(self.who.rank), json.dumps(report))

    def _reports(self) -> dict[int, dict]:
        keys = [str(rank) for rank in range(self.who.satellites + 1)]
        present = [key for key in keys if self._store.check([key])]
        return {int(key): json.loads(self._store.get(key)) for key in present}

    def _age(self, rank: int, reports: dict[int, dict]) -> float:
        """Seconds, on this process's clock, since the heartbeat of `rank` last changed."""
        beat = str(reports[rank]["beat"]) if rank in reports else ""
        last, since = self._seen.get(rank, ("", time.monotonic()))
        if beat != last or rank not in self._seen:
            since = time.monotonic()
            self._seen[rank] = (beat, since)
        if rank in reports and reports[rank]["done"]:
            return 0.0
        return time.monotonic() - since

    def _leave(self, line: str) -> None:
        self.on_failure()
        print(f"error: {line}; the run is over", file=sys.stderr, flush=True)
        os._exit(EXIT_LOST_PROCESS)


def _names(ranks: list[int], satellites: int) -> str:
    return ", ".join("ground" if rank == satellites else f"satellite {rank}" for rank in ranks)


def _stages(ranks: list[int], reports: dict[int, dict]) -> str:
    stages = sorted({reports[rank]["stage"] for rank in ranks if rank in reports})
    return f" (in stage {', '.join(stages)})" if stages else ""


def _store(prefix: str, timeout: timedelta) -> dist.Store:
    """A connection to the store that torchrun's agent hosts (or, without an agent, that rank 0 hosts)."""
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    agent_hosts = os.environ.get("TORCHELASTIC_USE_AGENT_STORE", "False") == "True"
    is_master = not agent_hosts and os.environ.get("RANK") == "0" and prefix == "dlrc"
    store = dist.TCPStore(
        host, port, None, is_master, timeout=timeout, wait_for_workers=False, multi_tenant=True
    )
    run = (
        os.environ.get("TORCHELASTIC_RUN_ID", "run") + "/" + os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    )
    return dist.PrefixStore(f"{prefix}/{run}", store)
