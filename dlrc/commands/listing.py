"""Runs below a folder: what each flew, what it saved, how good the images are, when, and where it lies."""

from __future__ import annotations

from pathlib import Path

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.common.knobs import Knobs
from dlrc.store.manifest import NAME, Closed, Committed, Opened, lines, read_bytes
from dlrc.store.summary import RunSummary


class ListKeys(Knobs):
    """Keys of this command."""

    output: str = "runs"
    """folder that runs were written below"""


@value
class Listed:
    """A run. began: UTC, ISO 8601. rounds: that were committed. saving_pct: of all bytes; psnr_db: with DLRC;
    None where there is none, or the run is not finished. estimate: its rates are of no real streams. fault:
    why the run cannot be read, or empty."""

    folder: Path
    scenario: str = ""
    began: str = ""
    rounds: int = 0
    finished: bool = False
    saving_pct: float | None = None
    psnr_db: float | None = None
    estimate: bool = False
    fault: str = ""


def listed(output: str | Path) -> list[Listed]:
    """The runs below a folder, the latest last; those that were cut short and those that are damaged are
    among them."""
    found = [path.parent for path in Path(output).glob(f"*/{NAME}")]
    runs = [_listed(folder) for folder in found if not folder.name.startswith(".")]
    return sorted(runs, key=lambda run: (run.began, run.folder.name))


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


def _listed(folder: Path) -> Listed:
    try:
        told = list(lines(folder))
        if not told or not isinstance(told[0], Opened):
            raise UserError("its manifest is empty")
        began, rounds = told[0].facts.began[:20], sum(isinstance(line, Committed) for line in told)
        if not isinstance(told[-1], Closed):
            name = folder.name.removesuffix(".part").rpartition("-")[0]
            return Listed(folder, name, began, rounds)
        summary = RunSummary.model_validate_json(read_bytes(folder / "summary.json"))
    except UserError as error:
        return Listed(folder, fault=str(error).removeprefix(f"{folder}/"))
    except ValueError:
        return Listed(folder, fault="summary.json is none")
    return Listed(
        folder,
        summary.scenario,
        began,
        rounds,
        finished=True,
        saving_pct=summary.saving_pct.total,
        psnr_db=summary.quality.dlrc.psnr_db,
        estimate=summary.bpp.kind == "estimate",
    )


COMMAND = Command(
    name="list",
    about=__doc__ or "",
    own=ListKeys,
    work=show,
    examples=("dlrc list", "dlrc list output=/data/runs"),
)

if __name__ == "__main__":
    main_of(COMMAND)
