"""A rank is a keeper: it starts the satellite as its child, rank 0's the ground as well, and looks after
them.

A child is forked from a keeper that has imported everything, so nothing is imported twice and a child that
comes back is there in a moment; the keeper has no thread and no GPU, else it could not fork. What a child is:

    ended by a signal   restarted, twice; then given up: the run goes on without that satellite
    stopped             ended by its keeper, and so restarted: one that wakes later is one process too many
    silent              the same, when its heartbeat, a byte a moment through a pipe, has stopped
    ended with a code   above 0, it has said why: all others end, and the keeper passes the code on

Nobody outlives the one who started it: a child dies with its keeper, a keeper leaves with its launcher, and
where one is stopped, what hangs on it ends after `timeout_s`."""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from constellation.common.errors import EXIT_LOST_PROCESS

RESTARTS = 2
BEAT_S = 0.5
LOOK_S = 0.25  # at most, between two looks; a child that ends is seen at once, as its pipe closes
GRACE_S = 2.0  # of a stopped child: whoever stops all processes of a terminal lets them go on together
LEAVING_S = 5.0  # for children to clean up
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


@dataclass(frozen=True)
class Return:
    """Which child this is of its kind. attempt: 0, or how many were lost before it. why: what befell the last
    one. lost_s: when that was noticed, on the monotonic clock."""

    attempt: int = 0
    why: str = ""
    lost_s: float = 0.0


@dataclass(frozen=True)
class Charge:
    """A child to look after. name: at most 15 letters, also that of its process. work: what it does; returns
    when all is done, or raises. give_up: called, in a process of its own, when it is lost for good; None: the
    run cannot go on without it. serves: it is done when the others are."""

    name: str
    work: Callable[[Return], None]
    give_up: Callable[[Return], None] | None = None
    serves: bool = False


@dataclass
class _Child:
    charge: Charge
    back: Return = field(default_factory=Return)
    pid: int = 0
    pipe: int = -1
    silent_s: float = 0.0  # while the keeper was awake: who stops both lets both go on
    stopped_s: float = 0.0
    fenced: str = ""
    done: bool = False


class Keeper:
    """Looks after children until all are done. silence_s: of a heartbeat, before its child is ended.
    launcher: the process that started the ranks, though a server of its own may have forked this one."""

    def __init__(self, charges: Sequence[Charge], silence_s: float, launcher: int) -> None:
        self._silence_s = silence_s
        self._children = [_Child(charge) for charge in charges]
        self._launcher = launcher
        self._launcher_stopped_s = 0.0
        self._looked_s = time.monotonic()
        self._ending = False

    def run(self) -> int:
        """Start the children, and see them through: 0, or the exit code of the one that failed."""
        _die_with_parent(signal.SIGTERM, os.getppid())
        name_process("keeper")
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the children have it from the terminal, too
        gc.collect()
        gc.freeze()  # pages of what is imported stay shared with the children
        for child in self._children:
            self._start(child)
        code = 0
        while not code and any(not child.done for child in self._children if not child.charge.serves):
            self._listen()
            code = self._look()
        self._end_children()
        return code or (EXIT_LOST_PROCESS if self._ending else 0)

    def _end(self, _signal: int, _frame: object) -> None:
        self._ending = True

    # ---- starting

    def _start(self, child: _Child) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        child.pipe, writing = os.pipe()
        keeper, child.silent_s, child.stopped_s, child.fenced = os.getpid(), 0.0, 0.0, ""
        child.pid = os.fork()
        if not child.pid:
            os.close(child.pipe)
            _be_child(child.charge, child.back, writing, keeper, self._silence_s)
        os.close(writing)

    def _again(self, child: _Child, why: str) -> int:
        """Start a child again, or give it up."""
        _say(f"{child.charge.name} {why}")
        lost = child.back.attempt + 1
        if lost <= RESTARTS:
            child.back = Return(lost, why, time.monotonic())
            self._start(child)
            return 0
        child.done = True
        if child.charge.give_up is None:
            _say(f"error: {child.charge.name} was lost {lost} times; the run is over, resume=true goes on")
            return EXIT_LOST_PROCESS
        _say(f"{child.charge.name} was lost {lost} times; the run goes on without it")
        undertaker, aside = Charge("undertaker", child.charge.give_up), os.fork()
        if not aside:
            _be_child(undertaker, Return(lost, why), -1, os.getppid())
        return _code_of(os.waitpid(aside, 0)[1])

    # ---- looking

    def _listen(self) -> None:
        """Take the heartbeats that have come, or wait a moment for one."""
        there = {child.pipe: child for child in self._children if child.pipe >= 0}
        poll = select.poll()
        for pipe in there:
            poll.register(pipe, select.POLLIN)
        for pipe, _ in poll.poll(1000 * LOOK_S):
            if os.read(pipe, 4096):
                there[pipe].silent_s = 0.0
            else:
                os.close(pipe)
                there[pipe].pipe = -1
                time.sleep(0.02)  # it is ending

    def _look(self) -> int:
        """What has become of each child; the exit code to leave with, or 0."""
        now_s = time.monotonic()
        awake_s, self._looked_s = min(now_s - self._looked_s, 2 * LOOK_S), now_s
        if self._ending or self._launcher_is_stopped(awake_s):
            return EXIT_LOST_PROCESS
        for child in self._children:
            if not child.done and (code := self._look_at(child, awake_s)):
                return code
        return 0

    def _look_at(self, child: _Child, awake_s: float) -> int:
        ended, status = os.waitpid(child.pid, os.WNOHANG)
        if ended:
            if child.pipe >= 0:
                os.close(child.pipe)
                child.pipe = -1
            if os.WIFSIGNALED(status):
                return self._again(child, child.fenced or f"was ended by signal {os.WTERMSIG(status)}")
            child.done = True
            return os.WEXITSTATUS(status)
        stopped = _stopped(child.pid)
        child.stopped_s = child.stopped_s + awake_s if stopped else 0.0
        child.silent_s += 0.0 if stopped else awake_s
        if child.stopped_s > GRACE_S:
            self._fence(child, "was stopped, and has been ended")
        elif child.silent_s > self._silence_s:
            self._fence(child, f"was silent for {self._silence_s:g} s, and has been ended")
        return 0

    def _fence(self, child: _Child, why: str) -> None:
        child.fenced, child.silent_s, child.stopped_s = why, 0.0, 0.0
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)

    def _launcher_is_stopped(self, awake_s: float) -> bool:
        """Whether it has been for too long; where it is dead, we are, too."""
        stopped = _stopped(self._launcher)
        self._launcher_stopped_s = self._launcher_stopped_s + awake_s if stopped else 0.0
        if self._launcher_stopped_s <= self._silence_s:
            return False
        if os.environ.get("RANK") == "0":
            _say("error: the launcher is stopped; the run is over, resume=true goes on")
        return True

    # ---- ending

    def _end_children(self) -> None:
        """Ask those who are left to leave, and end those who do not."""
        left = [child for child in self._children if not child.done]
        for child in left:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
                os.kill(child.pid, signal.SIGCONT)
        until = time.monotonic() + LEAVING_S
        while left and time.monotonic() < until:
            left = [child for child in left if not os.waitpid(child.pid, os.WNOHANG)[0]]
            time.sleep(LOOK_S / 5)
        for child in left:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)


def _be_child(charge: Charge, back: Return, pipe: int, keeper: int, silence_s: float = 0.0) -> NoReturn:
    """In the new process: do the work, and leave without whatever the keeper has still to do."""
    code = 1
    try:
        _die_with_parent(signal.SIGKILL, keeper)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        name_process(charge.name)
        if pipe >= 0:
            threading.Thread(target=_beat, args=(pipe, keeper, silence_s), name="heart", daemon=True).start()
        charge.work(back)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)  # threads may wait for processes that are gone


def _beat(pipe: int, keeper: int, silence_s: float) -> None:
    """Tell the keeper that this child lives; a keeper that is stopped for long ends here, and the run with
    it."""
    os.set_blocking(pipe, False)
    stopped = 0.0
    while True:
        with suppress(BlockingIOError):
            os.write(pipe, b".")
        time.sleep(BEAT_S)
        stopped = stopped + BEAT_S if _stopped(keeper) else 0.0
        if stopped > silence_s:
            os.kill(keeper, signal.SIGKILL)


def name_process(name: str) -> None:
    """The name that /proc/PID/comm and `ps -o comm` show."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _die_with_parent(how: int, parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how, 0, 0, 0)
    if os.getppid() != parent:  # it was faster
        os._exit(EXIT_LOST_PROCESS)


def _stopped(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except OSError:
        return False


def _code_of(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else EXIT_LOST_PROCESS


def _say(line: str) -> None:
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
