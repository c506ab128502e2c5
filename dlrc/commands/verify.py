"""Check a run's folder against its manifest: every file there, none changed, every ledger adds up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError, naming
from constellation.common.knobs import Knobs
from constellation.common.text import counted
from dlrc.report.faults import accounts
from dlrc.store import manifest
from dlrc.store.folder import open as open_run


class VerifyKeys(Knobs):
    """Keys of this command."""

    folder: str
    """of a run, finished or cut short"""


def spelt_out(words: Sequence[str]) -> list[str]:
    """`verify FOLDER` is `verify folder=FOLDER`."""
    return [word if "=" in word or word.startswith("-") else f"folder={word}" for word in words]


def verify(given: Given) -> None:
    """Print what is wrong, a line a file, and leave with exit code 1; or that nothing is. Raises
    `UserError`."""
    folder = Path(given.own.folder)
    wrong = naming("folder")(manifest.verify)(folder)
    if not wrong:
        run = open_run(folder)
        wrong = accounts(run.rounds)
    for line in wrong:
        print(line)
    if wrong:
        raise SystemExit(1)
    told = list(manifest.lines(folder))
    files, rounds = (
        sum(len(line.files) for line in told),
        sum(isinstance(line, manifest.Committed) for line in told),
    )
    ended = "finished" if isinstance(told[-1], manifest.Closed) else "cut short; resume=true goes on"
    if not rounds:
        raise UserError(f"folder: {folder}: holds no round")
    print(
        f"{folder}: {counted(files, 'file')} as written, {counted(rounds, 'round')}, accounts add up, {ended}"
    )


COMMAND = Command(
    name="verify",
    about=__doc__ or "",
    own=VerifyKeys,
    work=verify,
    spell=spelt_out,
    examples=("dlrc verify runs/dense-0123abcd",),
)

if __name__ == "__main__":
    main_of(COMMAND)
