"""The table that ends a run, and its summary as a file; drawn from `dlrc.results.RunSummary` alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from constellation.common.text import counted
from dlrc.results import MeanMax, RunSummary


def write_summary(summary: RunSummary, path: Path) -> None:
    """Write `summary` as JSON to `path`, through a temporary name; raises `OSError` where that fails."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_summary(path: Path) -> RunSummary:
    """The summary at `path`. Raises `pydantic.ValidationError` for anything else."""
    return RunSummary.model_validate_json(path.read_bytes())


# ---------------------------------------------------------------- the table


def print_table(
    summary: RunSummary,
    folder: Path | str,
    file: IO[str] | None = None,
    width: int | None = None,
) -> None:
    """Print the run's result as one table on `file` (default stdout): plain text when piped, at most the
    terminal's width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(file=file or sys.stdout, width=width, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for heading in ("independent", "DLRC", "change"):
        table.add_column(heading, justify="right")
    for row in _rate_rows(summary) + [None] + _quality_rows(summary):
        table.add_section() if row is None else table.add_row(*row)
    console.print(_title(summary), style="bold", markup=False, soft_wrap=True)
    console.print(table)
    for label, text in _facts(summary, folder):
        console.print(f"{label:<9} {text}", markup=False, soft_wrap=True)


def _title(summary: RunSummary) -> str:
    model = summary.model
    return (
        f"{summary.scenario}: {counted(summary.satellites, 'satellite')}, {counted(summary.rounds, 'round')}, {model.name} at lambda {model.lambda_:g}, "
        f"seed {summary.seed}"
    )


def _rate_rows(summary: RunSummary) -> list[tuple[str, str, str, str]]:
    alone, dlrc, saving = summary.bpp.independent, summary.bpp.dlrc, summary.saving_pct
    unit = "bpp" if summary.bpp.kind == "real streams" else "bpp (estimate)"
    return [
        (f"y {unit}", f"{alone.y:.4f}", f"{dlrc.y:.4f}", f"{-saving.y:+.1f} %"),
        (f"z {unit}", f"{alone.z:.4f}", f"{dlrc.z:.4f}", ""),
        (f"map {unit}", "-", f"{dlrc.map:.4f}", ""),
        (f"header {unit}", f"{alone.header:.4f}", f"{dlrc.header:.4f}", ""),
        (
            f"total {unit}",
            f"{alone.total:.4f}",
            f"{dlrc.total:.4f}",
            f"{-saving.total:+.1f} %",
        ),
    ]


def _quality_rows(summary: RunSummary) -> list[tuple[str, str, str, str]]:
    alone, dlrc = summary.quality.independent, summary.quality.dlrc
    rows = []
    for label, before, after, digits in (
        ("PSNR dB", alone.psnr_db, dlrc.psnr_db, 3),
        ("MS-SSIM", alone.ms_ssim, dlrc.ms_ssim, 4),
    ):
        if before is None or after is None:
            rows.append((label, "-", "-", ""))
        else:
            rows.append(
                (
                    label,
                    f"{before:.{digits}f}",
                    f"{after:.{digits}f}",
                    f"{after - before:+.{digits}f}",
                )
            )
    return rows


def _facts(summary: RunSummary, folder: Path | str) -> list[tuple[str, str]]:
    where, sync, decode, saving = (
        summary.positions,
        summary.sync,
        summary.decode,
        summary.saving_pct,
    )
    oracle = f"{100 * where.oracle:.1f} % of positions seen by an earlier satellite"
    if saving.y_of_oracle is not None:
        oracle += f", y saving {saving.y_of_oracle:.0f} % of it"
    failed = f", {decode.failed} FAILED" if decode.failed else ", none failed"
    stood_in = f", {decode.independent} replaced by independent streams" if decode.independent else ""
    resent = f", {decode.resent_bytes} bytes sent again (in no rate)" if decode.resent_bytes else ""
    rows = [
        (
            "positions",
            f"kept {100 * where.kept:.1f} %, local copies {100 * where.local_copy:.1f} %, "
            f"remote copies {100 * where.remote_copy:.1f} %",
        ),
        ("oracle", oracle),
        (
            "sync",
            f"round {_seconds(sync.t_round_s)}, {sync.payload_bytes:.0f} B per satellite, noise {sync.noise}",
        ),
        (
            "downlink",
            "not simulated"
            if summary.downlink.time_s is None
            else f"{_seconds(summary.downlink.time_s)}, transmission alone",
        ),
        (
            "decoded",
            f"{decode.exact} of {decode.streams} streams exactly{stood_in}{failed}{resent}",
        ),
        ("scene", summary.scene.source + _hidden(summary.scene.hidden_pct)),
        (
            "cost",
            f"{summary.wall_s:.1f} s wall, {summary.peak_rss_mib:.0f} MiB peak in all processes",
        ),
        ("files", f"{folder}{os.sep}"),
    ]
    if summary.bpp.kind == "estimate":
        rows.insert(
            0,
            (
                "NOTE",
                f"codec.context={summary.context}: rates are an estimate, not decodable streams",
            ),
        )
    return rows


def _hidden(percent: float) -> str:
    return f"; {percent:.2f} % of the pixels are hidden (no data) and not counted" if percent else ""


def _seconds(times: MeanMax) -> str:
    return f"{_span(times.mean)} mean, {_span(times.max)} max"


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.2f} ms"
    return f"{seconds:.2f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
