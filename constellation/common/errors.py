"""Errors that a user can cause and mend.

Every entry point (`launch.py`, `codec/training/train.py`, each study) turns a `UserError` into one line on
stderr and exit code 2, through `user_errors_to_exit`. Anything else is a bug and keeps its traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator

EXIT_USER_ERROR = 2
EXIT_LOST_PROCESS = 3  # another process of the run is gone
EXIT_INTERRUPTED = 130
EXIT_OUTPUT_CLOSED = 141  # what a shell reports of a program that SIGPIPE ended
OF_THE_PLACE = {  # what a disk or the owner of a folder refuses, wherever a program meets it
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG,
}  # fmt: skip


@contextlib.contextmanager
def interrupts_leave_at_once() -> Iterator[None]:
    """While modules are loaded, Ctrl-C ends the program quietly: nothing is to be cleaned up yet, and some of
    what is imported swallows a KeyboardInterrupt. Where somebody else handles the signal, nothing changes."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(EXIT_INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def terminations_wait() -> Iterator[None]:
    """What is written now is written whole: SIGTERM, which elsewhere ends a process at once (it may wait for
    others in a library), ends it afterwards. Where somebody else handles the signal, nothing changes."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if came:
            os.kill(os.getpid(), signal.SIGTERM)


class UserError(Exception):
    """Bad input: one line that names the field or file, what was found, and what was expected."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(str(message).split()))


class BitstreamError(UserError):
    """A stream that is damaged, truncated, foreign, or decodes to something else than what its sender
    coded."""


@contextlib.contextmanager
def naming(key: str) -> Iterator[None]:
    """A fault of a file that a knob names begins with the knob, `orbit.path: some.tle: not a text file`; one
    that begins with a knob of the same section already stays as it is. So does a fault of the disk or of its
    owner.

    For a `with` block, or around a function: `naming("init")(load)(path)`."""
    section, _, last = key.rpartition(".")
    named = rf"{section}\.[a-z0-9_]+=|{re.escape(key)}[=: ]" if section else rf"([a-z_]+\.)?{last}[=: ]"
    try:
        yield
    except UserError as error:
        if re.match(named, str(error)):
            raise
        raise type(error)(f"{key}: {error}") from None
    except OSError as error:
        if error.errno not in OF_THE_PLACE or error.filename is None:
            raise
        raise UserError(f"{key}: {_name_of(error)}: {error.strerror}") from None


@contextlib.contextmanager
def user_errors_to_exit(delay_s: float = 0.0) -> Iterator[None]:
    """Print a `UserError` as one line and leave with exit code 2 (`raise SystemExit(2)`).

    delay_s: wait before printing. All ranks of a run meet the same faulty input; rank 0 speaks at once, and
    the launcher ends the others before they repeat it. A file that the disk or its owner refuses, met where
    nobody expected it, is such a line, too. Where whoever read our output has left (`| head`),
    leave quietly with exit code 141; after Ctrl-C with 130."""
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        time.sleep(delay_s)
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_USER_ERROR) from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        if not _reader_left(sys.stdout.fileno()):
            raise
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # nothing more to complain about at exit
        raise SystemExit(EXIT_OUTPUT_CLOSED) from None
    except OSError as error:
        if error.errno not in OF_THE_PLACE or error.filename is None:
            raise
        time.sleep(delay_s)
        print(f"error: {UserError(f'{_name_of(error)}: {error.strerror}')}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_USER_ERROR) from None


def _name_of(error: OSError) -> str:
    name = error.filename
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else str(name)


def _reader_left(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
