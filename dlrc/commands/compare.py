"""One page that compares runs, differences first: which knobs differ, and which figures follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError, naming
from constellation.common.files import check_target, write_text
from constellation.common.knobs import Knobs
from dlrc.report.page import comparison_page
from dlrc.report.page.several import differing_knobs, figures
from dlrc.store.folder import open as open_run
from dlrc.store.results import Run

MOST = 12
_LINES = 12


class CompareKeys(Knobs):
    """Keys of this command."""

    runs: str
    """folders of runs, or their names below `output`, with commas between them; the first is the measure"""
    output: str = "runs"
    """folder that runs were written below"""
    out: str = ""
    """file of the page; none: compare.html in `output`"""


def spelt_out(words: Sequence[str]) -> list[str]:
    """The words of the command where runs stand by themselves: `A B` is `runs=A,B`."""
    plain = [word for word in words if "=" not in word and not word.startswith("-") and word != "help"]
    return [*([f"runs={','.join(plain)}"] if plain else []), *(word for word in words if word not in plain)]


def compare(given: Given) -> None:
    """Write the page, and print what it begins with."""
    keys = given.own
    names = [name for name in keys.runs.split(",") if name]
    if not 2 <= len(names) <= MOST:
        raise UserError(f"runs={keys.runs}: {len(names)} runs, expected 2 to {MOST}")
    path = check_target(Path(keys.out or Path(keys.output) / "compare.html"))
    runs = [_opened(name, keys.output) for name in names]
    write_text(path, comparison_page(runs, path.resolve()))
    print("\n".join([*_said(names, runs), f"page  {path}"]))


def _opened(name: str, output: str) -> Run:
    folder = Path(name) if Path(name).is_dir() else Path(output) / name
    run = naming("runs")(open_run)(folder.resolve())
    if not run.rounds:
        raise UserError(f"runs: {folder}: no round of it is finished")
    return run


def _said(names: Sequence[str], runs: Sequence[Run]) -> list[str]:
    knobs = differing_knobs(runs)
    lines = [f"{len(knobs)} knobs differ" if knobs else "no knob differs"]
    lines += [f"  {row['key']:<28}{'  '.join(text or 'none' for text in row['values'])}" for row in knobs]
    lines.append("figures, those that differ most first")
    for row in figures(runs)[:_LINES]:
        if row["apart"]:
            shown = ["-" if v is None else f"{v:.{row['digits']}f}" for v in row["values"]]
            lines.append(
                f"  {row['label'] + (', ' + row['unit'] if row['unit'] else ''):<44}{'  '.join(shown)}"
            )
    return lines


COMMAND = Command(
    name="compare",
    about=__doc__ or "",
    own=CompareKeys,
    work=compare,
    examples=("dlrc compare runs/dense-0123abcd runs/dense-4567cdef", "dlrc compare runs=a,b out=ab.html"),
    spell=spelt_out,
)

if __name__ == "__main__":
    main_of(COMMAND)
