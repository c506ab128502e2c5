"""Fly a grid of scenarios, side by side on this machine, and put their figures into one table.

A key with commas between its values varies, in words or below `vary:` of a YAML file; every combination is a
run, and a run that is there already is not flown again, so the same command goes on after whatever ended it.
Writes OUTPUT/sweep-NAME-DIGEST/: table.csv, table.parquet and compare.html. Exit code 1 where a run failed;
the others are flown all the same. On a cluster give every task a part=, then run once without it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_text
from constellation.common.knobs import Knobs, Says
from constellation.scenario.load import SCENARIO
from dlrc.sweep.grid import GRID, Grid

COMPARED = 48  # runs on the page at most; the table has all


class SweepKeys(Knobs):
    """Keys of this command."""

    jobs: Annotated[int, Field(ge=0, le=1024)] = 0
    """runs flown at once; 0: one a CPU core"""
    part: Annotated[
        str, Field(pattern=r"^([1-9][0-9]{0,4}/[1-9][0-9]{0,4})?$"), Says("one of several, as 2/8")
    ] = ""
    """of the runs that this process flies, as 2/8: the second of eight; no table then; none: all"""


def spelt_out(words: Sequence[str]) -> list[str]:
    """The words of a sweep whose first word alone may name a grid's file, or a scenario."""
    if words and "=" not in words[0] and not words[0].startswith("-") and words[0] != "help":
        return [f"{SCENARIO.key}={words[0]}", *words[1:]]
    return list(words)


def sweep(given: Given) -> None:
    """Fly what is missing of a grid, then write its table. Raises `UserError`, and `SystemExit` with 1 where
    a run failed."""
    from dlrc.sweep.cells import cells_of
    from nodes.process.warm_up import warm_up

    grid, keys = given.subject, given.own
    cells, folders = cells_of(grid.combinations)
    output = make_folder(Path(grid.combinations[0].scenario.output))
    mine = _part(list(cells.values()), keys.part)
    missing = [cell for cell in mine if not cell.done]
    print(
        f"{len(grid.combinations)} combinations, {len(cells)} runs, {len(mine) - len(missing)} of "
        f"{len(mine)} here already",
        flush=True,
    )
    if missing:
        warm_up()
    faults = _fly(missing, keys.jobs or len(os.sched_getaffinity(0)))
    if not keys.part:
        print(f"table     {_written(grid, folders, faults, output)}")
    if faults:
        raise SystemExit(1)


def _part(cells: list, part: str) -> list:
    """Every n-th cell, from the m-th on, of m/n. Raises `UserError`."""
    if not part:
        return cells
    at, of = map(int, part.split("/"))
    if at > of:
        raise UserError(f"part={part}: expected the first number to be {of} at most")
    return cells[at - 1 :: of]


def _fly(missing: list, jobs: int) -> dict[Path, str]:
    """Fly cells, a line each; why some failed."""
    from dlrc.store.folder import open as open_run
    from dlrc.sweep.workers import fly_all

    faults: dict[Path, str] = {}
    began_s = time.monotonic()
    for number, ended in enumerate(fly_all(missing, min(jobs, max(1, len(missing)))), start=1):
        cell = ended.cell
        if ended.fault:
            faults[cell.folder] = ended.fault
            print(f"error: {cell.name}: {ended.fault}", file=sys.stderr, flush=True)
            continue
        saved = open_run(cell.folder).summary.saving_pct.total
        left_s = (time.monotonic() - began_s) / number * (len(missing) - number)
        print(
            f"run {number}/{len(missing)}: {cell.name}: {saved:.1f} % saved, {ended.seconds:.1f} s"
            + (f", about {left_s:.0f} s left" if number < len(missing) else ""),
            flush=True,
        )
    return faults


def _written(grid: Grid, folders: Sequence[Path], faults: Mapping[Path, str], output: Path) -> Path:
    """Write the table and the page; the folder that they are in."""
    from dlrc.report.exports import write_table
    from dlrc.report.page import comparison_page
    from dlrc.store.folder import open as open_run
    from dlrc.sweep.table import table_of

    said = json.dumps(
        [[one.words, folder.name] for one, folder in zip(grid.combinations, folders, strict=True)]
    )
    to = output / f"sweep-{grid.name}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
    write_table("table", table_of(grid, folders, faults), to)
    runs = [open_run(folder) for folder in dict.fromkeys(folders) if folder not in faults][:COMPARED]
    if len(runs) > 1:
        path = to / "compare.html"
        write_text(path, comparison_page(runs, path.resolve()))
    return to


COMMAND = Command(
    name="sweep",
    about=__doc__ or "",
    own=SweepKeys,
    work=sweep,
    subject=GRID,
    honours=tuple(GRID.model.model_fields),
    sets={"resume": "", "satellites_per_rank": ""},
    examples=(
        "dlrc sweep scenario=dense rounds=1 dlrc.k=4,8,20 priority.rule=id,link",
        "dlrc sweep grid.yaml jobs=2",
        "dlrc sweep grid.yaml part=$SLURM_ARRAY_TASK_ID/8",
    ),
    spell=spelt_out,
)

if __name__ == "__main__":
    main_of(COMMAND)
