"""What a program would do in a process of its own, without the seconds in which it would import everything
anew: a fork of this one."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its exit code, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def forked(work: Callable[[], object]) -> Ended:
    """Do `work` in a fork, as a program does: leaving with a code is `SystemExit`, a traceback code 1."""
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder) / "out", Path(folder) / "errors"
        process = os.fork()
        if not process:
            _be_program(work, out, errors)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return Ended(code, out.read_text(), errors.read_text())


def _be_program(work: Callable[[], object], out: Path, errors: Path) -> NoReturn:
    code = 1
    try:
        with open(out, "w", buffering=1) as said, open(errors, "w", buffering=1) as complained:
            os.dup2(said.fileno(), 1)
            os.dup2(complained.fileno(), 2)
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
                try:
                    work()
                    code = 0
                except SystemExit as left:
                    code = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        os._exit(code)
