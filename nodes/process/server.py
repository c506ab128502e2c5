"""A process that has imported all that ranks need, and from which they are forked: what is imported is
computed once and lies in memory once, however many ranks there are.

It is the server of multiprocessing's start method `forkserver`, by which torch's elastic launcher can start
ranks. It has one thread, else nothing could be forked from it. It dies with the launcher, and the ranks'
keepers with it (`keeper.py`)."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
from collections.abc import Iterator
from multiprocessing import forkserver, set_forkserver_preload
from pathlib import Path

METHOD = "forkserver"
_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def serving(module: str) -> Iterator[None]:
    """A server for the time of the block. module: what it imports at once, beside the caller's own work; it
    ends with `ready`."""
    set_forkserver_preload([module])
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with _environment(PYTHONPATH=path, PYTHONSAFEPATH="1"):  # not what lies in the user's folder
        forkserver.ensure_running()
    try:
        yield
    finally:
        server = forkserver._forkserver
        with contextlib.suppress(ProcessLookupError, TypeError):  # TypeError: nobody is there
            os.kill(server._forkserver_pid, signal.SIGKILL)  # pyright: ignore[reportAttributeAccessIssue]
        server._stop()  # pyright: ignore[reportAttributeAccessIssue]  # a later launch starts another


def die_with_launcher() -> None:
    """First thing in the server: whoever ends the launcher ends it, even while it imports."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def ready() -> None:
    """Last thing in the server: the pages of what is imported stay shared."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, text in before.items():
            if text is None:
                del os.environ[name]
            else:
                os.environ[name] = text
