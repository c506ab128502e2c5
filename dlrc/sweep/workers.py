"""Processes that fly cells, one after another each, and die with the process that started them.

Workers of our own rather than a pool: joblib's loky and `concurrent.futures` take the whole pool down where
one worker is lost (out of memory, a crash of a native library), and here the other cells go on. Machines
share a grid by `part=`, which every scheduler can count, so none of their libraries is needed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from constellation.common.errors import UserError
from dlrc.store.claim import Busy
from dlrc.sweep.cells import Cell

RETRY_S = 1.0  # until a cell that another sweep flies is looked at again
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ended:
    """A cell that ended. fault: why it failed, in a line; empty where it did not. seconds: that it took;
    0 where it was there already. busy: somebody else flies it."""

    cell: Cell
    fault: str = ""
    seconds: float = 0.0
    busy: bool = False


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    cell: Cell | None = None
    began_s: float = 0.0


def fly_all(cells: Sequence[Cell], jobs: int) -> Iterator[Ended]:
    """Fly cells, `jobs` at once; each as it ends. A cell that somebody else flies is waited for."""
    waiting, busy = deque(cells), deque[tuple[float, Cell]]()
    workers: list[_Worker] = []
    try:
        while waiting or busy or any(worker.cell for worker in workers):
            while busy and busy[0][0] < time.monotonic():
                again = busy.popleft()[1]
                if again.done:
                    yield Ended(again)
                else:
                    waiting.append(again)
            _give_work(workers, waiting, jobs)
            at_work = {worker.pipe: worker for worker in workers if worker.cell is not None}
            for pipe in wait(list(at_work), timeout=RETRY_S if busy else None) if at_work else _pause(busy):
                ended = _heard(at_work[pipe], workers)  # type: ignore[index]
                if ended.busy:
                    busy.append((time.monotonic() + RETRY_S, ended.cell))
                else:
                    yield ended
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()


def _pause(busy: deque[tuple[float, Cell]]) -> list[Connection]:
    if busy:
        time.sleep(max(0.0, busy[0][0] - time.monotonic()))
    return []


def _give_work(workers: list[_Worker], waiting: deque[Cell], jobs: int) -> None:
    while waiting:
        free = next((worker for worker in workers if worker.cell is None), None)
        if free is None:
            if len(workers) >= jobs:
                return
            free = _started()
            workers.append(free)
        free.cell, free.began_s = waiting.popleft(), time.monotonic()
        free.pipe.send(free.cell.scenario)


def _started() -> _Worker:
    spawned = multiprocessing.get_context("spawn")  # a fork of a process with torch's threads may hang
    mine, its = spawned.Pipe()
    process = spawned.Process(target=_work, args=(its, os.getpid()), daemon=True, name="cells")
    process.start()
    its.close()
    return _Worker(process, mine)


def _heard(worker: _Worker, workers: list[_Worker]) -> Ended:
    cell, worker.cell = worker.cell, None
    assert cell is not None
    seconds = time.monotonic() - worker.began_s
    try:
        kind, text = worker.pipe.recv()
    except (EOFError, OSError):  # it is gone, and only its cell with it
        workers.remove(worker)
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"was ended by signal {-code}" if code < 0 else f"left with code {code}"
        return Ended(cell, f"its process {how}", seconds)
    return Ended(cell, "" if kind == "done" else text, seconds, kind == "busy")


def _work(pipe: Connection, parent: int) -> None:
    """In a process of its own: fly what comes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent has it from the terminal, too
    if os.getppid() != parent:
        return
    from dlrc.local import run

    while True:
        try:
            scenario = pipe.recv()
        except EOFError:
            return
        try:
            run(scenario, output=scenario.output, resume=True)
            pipe.send(("done", ""))
        except Busy as error:
            pipe.send(("busy", str(error)))
        except UserError as error:
            pipe.send(("fault", str(error)))
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)
            pipe.send(("fault", f"{type(error).__name__}: {error}".splitlines()[0]))
