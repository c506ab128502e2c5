"""A process that has imported all that ranks need, and from which they are forked: what is imported is
computed once and lies in memory once, however many ranks there are.

It is forked from the launcher itself, once that has imported everything, and is the server of
multiprocessing's start method `forkserver`, by which torch's elastic launcher can start ranks. It has one
thread, while the launcher will have several, and CUDA perhaps: neither could be forked from it. It dies with
the launcher, and the ranks' keepers with it (`keeper.py`)."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from multiprocessing import connection, forkserver
from typing import NoReturn

METHOD = "forkserver"
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """A server for the time of the block, in which is imported what is imported here by now. This process
    must have one thread still."""
    server = forkserver._forkserver
    with socket.socket(socket.AF_UNIX) as listener:
        address = connection.arbitrary_address("AF_UNIX")  # pyright: ignore[reportAttributeAccessIssue]
        listener.bind(address)
        os.chmod(address, 0o600)
        listener.listen()
        asleep, awake = os.pipe()  # it leaves when nobody holds the end for writing
        process = _forked(listener, asleep, awake)
        os.close(asleep)
    vars(server).update(_forkserver_address=address, _forkserver_alive_fd=awake, _forkserver_pid=process)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        server._stop()  # pyright: ignore[reportAttributeAccessIssue]  # a later launch starts another


def _forked(listener: socket.socket, asleep: int, awake: int) -> int:
    """The process id of the server, which lives in here."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    gc.freeze()  # the pages of what is imported stay shared
    launcher = os.getpid()
    process = os.fork()
    if not process:
        _serve(listener, asleep, awake, launcher)
    gc.unfreeze()
    return process


def _serve(listener: socket.socket, asleep: int, awake: int, launcher: int) -> NoReturn:
    """Fork whom the launcher asks for, until it is gone."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == launcher:
            os.close(awake)
            forkserver.main(listener.detach(), asleep, [])
    finally:
        os._exit(0)
