"""Finished runs: what each flew, what it saved, how good the images are, when, and where it lies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs

MAX_SUMMARY_BYTES = 1 << 20


class ListKeys(Knobs):
    """Keys of this command."""

    output: str = "runs"
    """folder that runs were written below"""


@dataclass(frozen=True)
class Finished:
    """A run whose summary can be read. saving_pct, psnr_db: None where the summary has none."""

    scenario: str
    saving_pct: float | None
    psnr_db: float | None
    real_streams: bool
    finished: datetime
    folder: Path


def finished_runs(output: Path) -> list[Finished]:
    """The runs below a folder, the latest last; what is no run, or of another version, is skipped."""
    found = (_finished(path) for path in output.glob("*/summary.json"))
    return sorted((run for run in found if run is not None), key=lambda run: run.finished)


def table(runs: list[Finished]) -> str:
    """A line each."""
    name_width = max([len("scenario"), *(len(run.scenario) for run in runs)]) + 2
    lines = [f"{'scenario':<{name_width}}{'saved':>9}{'PSNR':>11}  {'finished':<18}folder"]
    for run in runs:
        saved = "-" if run.saving_pct is None else f"{run.saving_pct:.1f} %"
        psnr = "-" if run.psnr_db is None else f"{run.psnr_db:.2f} dB"
        mark = "" if run.real_streams else "  (an estimate)"
        figures = f"{run.scenario:<{name_width}}{saved:>9}{psnr:>11}"
        lines.append(f"{figures}  {run.finished:%Y-%m-%d %H:%M}  {run.folder}{mark}")
    return "\n".join(lines)


def show(given: Given) -> None:
    """Print the table, or how to get a first run."""
    runs = finished_runs(Path(given.own.output))
    print(
        table(runs)
        if runs
        else f"no finished runs below {given.own.output}/; `dlrc run scenario=smoke` makes one"
    )


def _finished(path: Path) -> Finished | None:
    try:
        if path.stat().st_size > MAX_SUMMARY_BYTES:
            return None
        summary = json.loads(path.read_text(encoding="utf-8"))
        finished = datetime.fromtimestamp(path.stat().st_mtime)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(summary, dict) or not isinstance(summary.get("scenario"), str):
        return None
    saving, psnr_db = _at(summary, "saving_pct", "total"), _at(summary, "quality", "dlrc", "psnr_db")
    kind = summary.get("bpp", {}).get("kind") if isinstance(summary.get("bpp"), dict) else None
    return Finished(summary["scenario"][:64], saving, psnr_db, kind != "estimate", finished, path.parent)


def _at(values: Mapping[str, Any], *keys: str) -> float | None:
    """The number that lies there, or None."""
    held: Any = values
    for key in keys:
        held = held.get(key) if isinstance(held, dict) else None
    return float(held) if isinstance(held, (int, float)) and not isinstance(held, bool) else None


COMMAND = Command(
    name="list",
    about=__doc__ or "",
    own=ListKeys,
    work=show,
    examples=("dlrc list", "dlrc list output=/data/runs"),
)

if __name__ == "__main__":
    main_of(COMMAND)
