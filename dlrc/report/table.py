"""What a run found: one summary of its records (`summary.json`), and the table that ends a run.

Sums come first, ratios last: bits per pixel are the bytes of all streams over all pixels, a saving is one
minus the ratio of two such sums, positions are counted over all views. Quality is the mean over images.
Nothing here measures: wall time and memory come in from outside and change no other field. The values are in
`ground/records.py`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from constellation.common.text import counted
from ground.metrics import bpp, mean_quality
from ground.records import (
    DecodePart,
    DlrcRate,
    DownlinkPart,
    IndependentRate,
    MeanMax,
    MeanQuality,
    ModelPart,
    Positions,
    QualityPart,
    Rates,
    RoundRecord,
    RunFacts,
    RunSummary,
    SatelliteRecord,
    Saving,
    ScenePart,
    SectionBytes,
    SyncPart,
)


def summarise(
    facts: RunFacts, records: Sequence[SatelliteRecord], rounds: Sequence[RoundRecord]
) -> RunSummary:
    """One `RunSummary` of a run; the order of the records does not matter. Raises `ValueError` without any
    record."""
    if not records:
        raise ValueError("a summary of no record")
    records = sorted(
        records, key=lambda record: (record.round, record.satellite)
    )  # so that float sums do not depend on arrival
    rounds = sorted(rounds, key=lambda record: record.round)
    heard = [record for record in records if record.heard]
    positions = _positions(heard)
    downlinks = [record.downlink_s for record in records if record.downlink_s is not None]
    return RunSummary(
        scenario=facts.scenario,
        seed=facts.seed,
        satellites=facts.satellites,
        rounds=facts.rounds,
        context=facts.context,
        model=ModelPart(name=facts.model, lambda_=facts.lambda_, weights_sha256=facts.weights_sha256),
        scene=ScenePart(source=facts.scene_source, real=facts.scene_real),
        bpp=_rates(heard, facts.context),
        saving_pct=_saving(heard, positions.oracle),
        quality=_quality(records),
        positions=positions,
        sync=SyncPart(
            payload_bytes=float(np.mean([record.payload_bytes for record in rounds])) if rounds else 0.0,
            noise=facts.noise,
            t_sync_s=_mean_max([time for record in rounds for time in record.t_sync_s]),
            t_round_s=_mean_max([record.t_round_s for record in rounds]),
        ),
        downlink=DownlinkPart(time_s=_mean_max(downlinks) if downlinks else None),
        decode=DecodePart(
            streams=len(records),
            exact=sum(record.exact for record in records),
            failed=sum(record.failed for record in records),
            resent_bytes=facts.resent_bytes,
        ),
        wall_s=facts.wall_s,
        peak_rss_mib=facts.peak_rss_mib,
    )


def _mean_max(values: Sequence[float]) -> MeanMax:
    return (
        MeanMax(mean=float(np.mean(values)), max=float(np.max(values)))
        if values
        else MeanMax(mean=0.0, max=0.0)
    )


def _sum(sections: Sequence[SectionBytes]) -> SectionBytes:
    return SectionBytes(
        *(sum(getattr(section, name) for section in sections) for name in ("y", "z", "map", "header"))
    )


def _rates(records: Sequence[SatelliteRecord], context: str) -> Rates:
    pixels = max(1, sum(record.pixels for record in records))
    dlrc, alone = _sum([record.dlrc for record in records]), _sum([record.independent for record in records])

    def of(section: SectionBytes) -> dict[str, float]:
        return {name: bpp(getattr(section, name), pixels) for name in ("y", "z", "header", "total")}

    return Rates(
        kind="estimate" if context == "open" else "real streams",
        independent=IndependentRate(**of(alone)),
        dlrc=DlrcRate(**of(dlrc), map=bpp(dlrc.map, pixels)),
    )


def _saving(records: Sequence[SatelliteRecord], oracle: float) -> Saving:
    dlrc, alone = _sum([record.dlrc for record in records]), _sum([record.independent for record in records])
    y = 100.0 * (1 - dlrc.y / alone.y) if alone.y else 0.0
    total = 100.0 * (1 - dlrc.total / alone.total) if alone.total else 0.0
    return Saving(y=y, total=total, y_of_oracle=y / oracle if oracle else None)


def _quality(records: Sequence[SatelliteRecord]) -> QualityPart:
    both = [
        (record.quality_independent, record.quality_dlrc)
        for record in records
        if record.quality_independent and record.quality_dlrc
    ]
    if not both:
        nothing = MeanQuality(psnr_db=None, ms_ssim=None)
        return QualityPart(independent=nothing, dlrc=nothing)
    alone, dlrc = (mean_quality([pair[side] for pair in both]) for side in (0, 1))
    return QualityPart(
        independent=MeanQuality(psnr_db=alone.psnr_db, ms_ssim=alone.ms_ssim),
        dlrc=MeanQuality(psnr_db=dlrc.psnr_db, ms_ssim=dlrc.ms_ssim),
    )


def _positions(records: Sequence[SatelliteRecord]) -> Positions:
    count = {
        name: sum(getattr(record, name) for record in records)
        for name in ("kept", "local_copy", "remote_copy", "oracle")
    }
    everything = count["kept"] + count["local_copy"] + count["remote_copy"]
    shares = {name: value / max(1, everything) for name, value in count.items()}
    return Positions(
        **shares, remote_of_oracle=count["remote_copy"] / count["oracle"] if count["oracle"] else None
    )


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
    summary: RunSummary, folder: Path | str, file: IO[str] | None = None, width: int | None = None
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
        (f"total {unit}", f"{alone.total:.4f}", f"{dlrc.total:.4f}", f"{-saving.total:+.1f} %"),
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
                (label, f"{before:.{digits}f}", f"{after:.{digits}f}", f"{after - before:+.{digits}f}")
            )
    return rows


def _facts(summary: RunSummary, folder: Path | str) -> list[tuple[str, str]]:
    where, sync, decode, saving = summary.positions, summary.sync, summary.decode, summary.saving_pct
    oracle = f"{100 * where.oracle:.1f} % of positions seen by an earlier satellite"
    if saving.y_of_oracle is not None:
        oracle += f", y saving {saving.y_of_oracle:.0f} % of it"
    failed = f", {decode.failed} FAILED" if decode.failed else ", none failed"
    resent = f", {decode.resent_bytes} bytes sent beyond the first attempt" if decode.resent_bytes else ""
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
            "not simulated" if summary.downlink.time_s is None else _seconds(summary.downlink.time_s),
        ),
        ("decoded", f"{decode.exact} of {decode.streams} streams exactly{failed}{resent}"),
        ("scene", summary.scene.source),
        ("cost", f"{summary.wall_s:.1f} s wall, {summary.peak_rss_mib:.0f} MiB peak in all processes"),
        ("files", f"{folder}{os.sep}"),
    ]
    if summary.bpp.kind == "estimate":
        rows.insert(
            0, ("NOTE", f"codec.context={summary.context}: rates are an estimate, not decodable streams")
        )
    return rows


def _seconds(times: MeanMax) -> str:
    return f"{_span(times.mean)} mean, {_span(times.max)} max"


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.2f} ms"
    return f"{seconds:.2f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
