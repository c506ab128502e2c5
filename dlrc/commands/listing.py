"""Runs below a folder: what each flew, what it saved, how good the images are, when, and where it lies."""

from __future__ import annotations

from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs
from dlrc.store.shelf import Listed, listed


class ListKeys(Knobs):
    """Keys of this command."""

    output: str = "runs"
    """folder that runs were written below"""


def table(runs: list[Listed]) -> str:
    """A line each."""
    name_width = max([len("scenario"), *(len(run.scenario) for run in runs)]) + 2
    rows = [f"{'scenario':<{name_width}}{'saved':>9}{'PSNR':>11}  {'began (UTC)':<18}folder"]
    for run in runs:
        saved = "-" if run.saving_pct is None else f"{run.saving_pct:.1f} %"
        psnr = "-" if run.psnr_db is None else f"{run.psnr_db:.2f} dB"
        began = run.began[:16].replace("T", " ")
        rows.append(
            f"{run.scenario or '-':<{name_width}}{saved:>9}{psnr:>11}  {began:<18}{run.folder}{_mark(run)}"
        )
    return "\n".join(rows)


def _mark(run: Listed) -> str:
    if run.fault:
        return f"  (damaged: {run.fault})"
    if not run.finished:
        return f"  (not finished, rounds: {run.rounds})"
    return "  (an estimate)" if run.estimate else ""


def show(given: Given) -> None:
    """Print the table, or how to get a first run."""
    runs = listed(given.own.output)
    print(table(runs) if runs else f"no runs below {given.own.output}/; `dlrc run scenario=smoke` makes one")


COMMAND = Command(
    name="list",
    about=__doc__ or "",
    own=ListKeys,
    work=show,
    examples=("dlrc list", "dlrc list output=/data/runs"),
)

if __name__ == "__main__":
    main_of(COMMAND)
