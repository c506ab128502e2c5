"""A run as lines, table, pictures and trace: drawn from a `Run`, which holds all that they say."""

from __future__ import annotations

import base64
import html
import io
import sys
from importlib import import_module
from pathlib import Path

from dlrc.report.exports import alt_of, save_png, write_tables
from dlrc.report.mosaics import mosaics
from dlrc.report.owners import owners
from dlrc.report.table import table
from dlrc.report.trace import write_trace
from dlrc.store.results import PICTURED_ROUNDS, Run

__all__ = ["as_html", "draw", "show", "table"]


def draw(run: Run, to: Path) -> list[Path]:
    """Write trace.json, every table, and two pictures of each of the first rounds into a folder, each file
    whole or not at all; returns their names. Raises `UserError` where the disk refuses."""
    written = [write_trace(to / "trace.json", run), *write_tables(run, to / "tables")]
    for record in run.rounds[:PICTURED_ROUNDS]:
        for name, picture in (("images", mosaics), ("owners", owners)):
            path = to / f"round{record.number:03d}_{name}.png"
            save_png(picture(run, record), path, alt_of(name, run, record))
            written.append(path)
    return written


def show(run: Run) -> None:
    """Print the closing table; in a notebook, show the pictures of the first rounds below it."""
    loaded = sys.modules.get("IPython")  # of a notebook's kernel; that it is installed says nothing
    if loaded is not None and hasattr(loaded.get_ipython(), "kernel"):
        shown = import_module("IPython.display")
        shown.display(shown.HTML(as_html(run)))
    else:
        print(table(run), flush=True)


def as_html(run: Run) -> str:
    """The closing table and the pictures of the first rounds, with words for who cannot see them; needs
    nothing from elsewhere."""
    parts = [f"<pre>{html.escape(table(run))}</pre>"]
    for record in run.rounds[:PICTURED_ROUNDS]:
        for words, picture in (
            ("captured and rebuilt images", mosaics(run, record)),
            ("who codes what", owners(run, record)),
        ):
            held = io.BytesIO()
            picture.save(held, format="PNG")
            data = base64.b64encode(held.getvalue()).decode()
            alt = html.escape(f"{run.scenario.name}, round {record.number + 1}: {words}")
            parts.append(f'<img alt="{alt}" style="max-width:100%" src="data:image/png;base64,{data}">')
    return "\n".join(parts)
