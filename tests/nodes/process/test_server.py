"""The server that ranks are forked from."""

import multiprocessing
import os
from multiprocessing import forkserver
from pathlib import Path

from nodes.process.server import METHOD, serving


def forked_from():
    """A process's parent, told by its exit code; 0 where it is who started it."""
    os._exit(int("forkserver" in Path(f"/proc/{os.getppid()}/cmdline").read_text()))


def test_a_server_is_there_for_the_block_alone():
    with serving("nodes.process.server"):
        child = multiprocessing.get_context(METHOD).Process(target=forked_from)
        child.start()
        child.join(60)
        assert child.exitcode == 1
        server = forkserver._forkserver._forkserver_pid
        assert Path(f"/proc/{server}").exists()
    assert not Path(f"/proc/{server}").exists()
    assert "PYTHONSAFEPATH" not in os.environ
