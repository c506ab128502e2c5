"""The server that ranks are forked from."""

import multiprocessing
import os
import signal
import sys
import time
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType

from nodes.process.server import METHOD, serving


def parent_process(said):
    """The process that started this one, told through a pipe; and what it had imported."""
    said.send((os.getppid(), "imported_by_the_launcher" in sys.modules))


def test_a_server_is_there_for_the_block_alone_and_has_what_the_launcher_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "imported_by_the_launcher", ModuleType("imported_by_the_launcher"))
    context = multiprocessing.get_context(METHOD)
    heard, said = context.Pipe(duplex=False)
    with serving():
        child = context.Process(target=parent_process, args=(said,))
        child.start()
        child.join(60)
        server = forkserver._forkserver._forkserver_pid
        assert child.exitcode == 0 and heard.recv() == (server, True)
        assert Path(f"/proc/{server}").exists()
    assert not Path(f"/proc/{server}").exists()


def test_a_server_does_not_outlive_its_launcher():
    """Not even one that is killed."""
    heard, said = os.pipe()
    launcher = os.fork()
    if not launcher:
        with serving():
            os.write(said, str(forkserver._forkserver._forkserver_pid).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    server = Path(f"/proc/{os.read(heard, 20).decode()}")
    os.waitpid(launcher, 0)
    until = time.monotonic() + 30
    while server.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not server.exists()
