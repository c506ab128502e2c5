"""The table that ends a run."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections import Counter

from constellation.common.text import counted
from constellation.sync.series import constellation_label
from dlrc.report.faults import accidents_row, account_row, faults_row, missing
from dlrc.report.lines import generated_words
from dlrc.report.tables import link_bytes
from dlrc.store.parts import MeanMax
from dlrc.store.results import Run
from dlrc.store.summary import Facts, RunSummary
from ground.records import Outcome

# ---------------------------------------------------------------- the table


def table(run: Run, width: int | None = None) -> str:
    """A run's result, at most `width` columns (default: the terminal's): bold where a terminal shows it,
    else plain text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not run.rounds:
        return f"{run.scenario.name}: no round is finished"
    summary, text = run.summary, io.StringIO()
    width = width or shutil.get_terminal_size().columns
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    console = Console(file=text, width=width, highlight=False, force_terminal=bold)
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column("")
    for heading in ("independent", "DLRC", "change"):
        rows.add_column(heading, justify="right")
    for row in [*_rate_rows(summary), None, *_quality_rows(summary)]:
        rows.add_section() if row is None else rows.add_row(*row)
    console.print(_title(run), style="bold", markup=False, soft_wrap=True)
    console.print(rows)
    for label, words in _facts(run):
        console.print(f"{label:<9} {words}", markup=False, soft_wrap=True)
    return text.getvalue().rstrip("\n")


def _title(run: Run) -> str:
    scenario, done = run.scenario, len(run.rounds)
    rounds = counted(done, "round") if done == scenario.rounds else f"{done} of {scenario.rounds} rounds"
    return (
        f"{scenario.name}: {counted(scenario.satellites, 'satellite')} of "
        f"{constellation_label(scenario.orbit)}, {rounds}, {scenario.codec.model} at lambda "
        f"{scenario.codec.lambda_:g}, seed {scenario.seed}"
    )


def _rate_rows(summary: RunSummary) -> list[tuple[str, str, str, str]]:
    alone, dlrc, saving = summary.bpp.independent, summary.bpp.dlrc, summary.saving_pct
    unit = "bpp" if summary.bpp.kind == "real streams" else "bpp (estimate)"
    return [
        (f"y {unit}", f"{alone.y:.4f}", f"{dlrc.y:.4f}", f"{-saving.y:+.1f} %"),
        (f"z {unit}", f"{alone.z:.4f}", f"{dlrc.z:.4f}", ""),
        (f"map {unit}", "-", f"{dlrc.map:.4f}", ""),
        *([(f"prediction {unit}", "-", f"{dlrc.prediction:.4f}", "")] if summary.streams else []),
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


def _facts(run: Run) -> list[tuple[str, str]]:
    summary, scenario = run.summary, run.scenario
    where, saving = summary.positions, summary.saving_pct
    oracle = f"{100 * where.oracle:.1f} % of positions seen by an earlier satellite"
    if saving.y_of_oracle is not None:
        oracle += f", y saving {saving.y_of_oracle:.0f} % of it"
    positions = (
        f"kept {100 * where.kept:.1f} %, local copies {100 * where.local_copy:.1f} %, "
        f"remote copies {100 * where.remote_copy:.1f} %"
    )
    if summary.streams is not None:
        positions = (
            f"kept plain {100 * (where.kept - where.predicted):.1f} %, predicted {100 * where.predicted:.1f} "
            f"%, copied {100 * where.remote_copy:.1f} %"
        )
    time_s = summary.downlink.time_s
    downlink = "not simulated" if time_s is None else f"{_seconds(time_s)}, transmission alone"
    note = f"codec.context={summary.context}: rates are an estimate, not decodable streams"
    rows = [
        ("NOTE", note if summary.bpp.kind == "estimate" else ""),
        ("positions", positions),
        ("oracle", oracle if scenario.satellites > 1 else ""),
        ("looks", _looks(run)),
        ("bits", _fates(summary)),
        ("sync", _sync(run)),
        ("downlink", downlink),
        ("decoded", _decoded(summary)),
        ("outcomes", _outcomes(run)),
        ("generated", generated_words(run.rounds)),
        ("faults", faults_row(run)),
        ("account", account_row(run)),
        ("accidents", accidents_row(run)),
        ("scene", summary.scene.source + _hidden(summary.scene.hidden_pct)),
        ("cost", _cost(run.facts)),
        ("files", f"{run.gallery.folder}{os.sep}" if run.gallery.folder else "none, the run is in memory"),
    ]
    return [(label, words) for label, words in rows if words]


def _fates(summary: RunSummary) -> str:
    """Where streams are exchanged: what the bits of y, and the bytes beside them, went to."""
    streams = summary.streams
    if streams is None:
        return ""
    y = max(1.0, streams.plain_bits + streams.predicted_bits)
    return (
        f"{100 * streams.plain_bits / y:.1f} % of y plain, {100 * streams.predicted_bits / y:.1f} % "
        f"predicted ({streams.predicting} of {summary.decode.streams} streams); predictions and map "
        f"{streams.side_pct:.1f} % of all bytes; on board {_seconds(streams.onboard_s)} after the exchange"
    )


def _sync(run: Run) -> str:
    sync = run.summary.sync
    if run.scenario.satellites == 1:
        return "none, there is one satellite"
    if not run.scenario.dlrc.enabled:
        return "none, dlrc.enabled=false"
    padded = [one.gathered_bytes for number in run.rounds for one in number.satellites if one.gathered_bytes]
    what = "stream" if run.scenario.dlrc.streams else "list"
    gathered = f" ({sum(padded) / len(padded):.0f} B as padded to the longest {what})" if padded else ""
    sent = f"{sync.payload_bytes:.0f} B per satellite{gathered}"
    return f"round {_seconds(sync.t_round_s)}, {sent}, noise {sync.noise}"


def _looks(run: Run) -> str:
    """Where orbits decide: how many looked and how many listened, and what the exchange took over links."""
    if not any(record.bystanders for record in run.rounds):
        return ""
    away = sum(len(record.looked_away) for record in run.rounds)
    chances = run.scenario.satellites * len(run.rounds)
    listened = sum(len(record.listened) for record in run.rounds)
    heard = f", {listened} of {away} listened" if run.scenario.dlrc.listen else ""
    carried = sum(link_bytes(record) for record in run.rounds)
    return f"{chances - away} of {chances} looked{heard}; {carried:.0f} B over links, each hop counted"


def _decoded(summary: RunSummary) -> str:
    decode = summary.decode
    failed = f", {decode.failed} FAILED" if decode.failed else ", none failed"
    stood_in = f", {decode.independent} replaced by independent streams" if decode.independent else ""
    resent = f", {decode.resent_bytes} bytes sent again (in no rate)" if decode.resent_bytes else ""
    return f"{decode.exact} of {decode.streams} streams exactly{stood_in}{failed}{resent}"


def _outcomes(run: Run) -> str:
    """How many of each kind, where any image came otherwise than exactly."""
    found = Counter(one.outcome for record in run.rounds for one in record.satellites)
    silent = missing(run)
    if set(found) <= {Outcome.EXACT} and not silent:
        return ""
    parts = [f"{found[outcome]} {outcome.value}" for outcome in Outcome if found[outcome]]
    return ", ".join([*parts, f"{silent} of whom there was no word"] if silent else parts)


def _cost(facts: Facts) -> str:
    if facts.wall_s is None or facts.peak_rss_mib is None:
        return "unknown, the run was cut short"
    return f"{facts.wall_s:.1f} s wall, {facts.peak_rss_mib:.0f} MiB peak in all processes"


def _hidden(percent: float) -> str:
    return f"; {percent:.2f} % of the pixels are hidden (no data) and not counted" if percent else ""


def _seconds(times: MeanMax) -> str:
    return f"{_span(times.mean)} mean, {_span(times.max)} max"


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.2f} ms"
    return f"{seconds:.2f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
