"""A run as lines, table, pictures and trace: drawn from a `Run`, which holds all that they say."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from constellation.common.files import replacing
from dlrc.report.mosaics import mosaics
from dlrc.report.owners import owners
from dlrc.report.table import table
from dlrc.report.trace import write_trace
from dlrc.store.results import PICTURED_ROUNDS, Run

__all__ = ["draw", "show", "table"]


def draw(run: Run, to: Path) -> list[Path]:
    """Write trace.json and two pictures of each of the first rounds into a folder, each file whole or not at
    all; returns their names. Raises `UserError` where the disk refuses."""
    written = [write_trace(to / "trace.json", run)]
    for record in run.rounds[:PICTURED_ROUNDS]:
        for name, picture in (("images", mosaics), ("owners", owners)):
            path = to / f"round{record.number:03d}_{name}.png"
            with replacing(path) as temporary:
                picture(run, record).save(temporary, format="PNG")
            written.append(path)
    return written


def show(run: Run) -> None:
    """Print the closing table; in a notebook, show the pictures of the first rounds below it."""
    print(table(run), flush=True)
    if "ipykernel" in sys.modules:
        display = import_module("IPython.display").display  # there is one where there is a kernel
        for record in run.rounds[:PICTURED_ROUNDS]:
            display(mosaics(run, record), owners(run, record))
