"""CSV and YAML that `dlrc.studies.paper.sync` leaves behind."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from constellation.scenario.scenario import Scenario
from constellation.sync.series import SyncSeries


def write_steps_csv(series: SyncSeries, path: Path) -> None:
    """One row per payload and instant: T_sync mean and T_round over the participants, hops, and the events
    since the instant before."""
    mean_s, round_s = series.t_sync_mean_s, series.t_round_s
    present = series.present
    rows = []
    for p, size in enumerate(series.payload_bytes):
        unheard = series.unheard_shares(p)
        for t, time_s in enumerate(series.times_s):
            event = series.events[t - 1] if t else None
            hops = series.hops[p, t, : present[t], : present[t]]
            rows.append(
                [
                    f"{time_s:.3f}",
                    f"{size:.0f}",
                    present[t],
                    _seconds(mean_s[p, t]),
                    _seconds(round_s[p, t]),
                    int(hops.max(initial=0)),
                    int((hops < 0).sum()),
                    _share(unheard[t]),
                    event.setups if event else "",
                    event.teardowns if event else "",
                    f"{event.omega_s:.6f}" if event else "",
                    series.noise,
                ]
            )
    write_csv(
        path,
        [
            "time_s",
            "payload_bytes",
            "participants",
            "t_sync_mean_s",
            "t_round_s",
            "max_hops",
            "unheard_pairs",
            "unheard_share",
            "setups",
            "teardowns",
            "omega_s",
            "noise",
        ],
        rows,
    )


def write_payloads_csv(series: SyncSeries, path: Path) -> None:
    """One row per payload: the printed table in seconds."""
    rows = []
    for p, size in enumerate(series.payload_bytes):
        figures = series.figures(p)
        rows.append(
            [
                f"{size:.0f}",
                series.noise,
                series.rule,
                series.schedule,
                series.contention,
                _seconds(figures.t_sync_mean_s),
                _seconds(figures.t_round_mean_s),
                _seconds(figures.t_round_max_s),
                _seconds(figures.t_round_std_s),
                _share(figures.control_share),
                _share(figures.direct_share),
                _share(figures.unheard_share),
                " ".join(f"{hops}:{count}" for hops, count in enumerate(series.hop_histogram(p)) if count),
                series.constellation,
            ]
        )
    write_csv(
        path,
        [
            "payload_bytes",
            "noise",
            "rule",
            "schedule",
            "contention",
            "t_sync_mean_s",
            "t_round_mean_s",
            "t_round_max_s",
            "t_round_std_s",
            "control_share",
            "direct_share",
            "unheard_share",
            "pairs_by_hops",
            "constellation",
        ],
        rows,
    )


def unheard_notes(series: SyncSeries) -> list[str]:
    """What a reader of the files must know: the constellation, and who is left out of the times."""
    shares = [
        f"{size / 1024:g} KiB {100 * series.figures(p).unheard_share:.1f} %"
        for p, size in enumerate(series.payload_bytes)
    ]
    return [series.constellation, f"pairs unheard, in no time: {', '.join(shares)}", *series.notes]


def write_scenario(scenario: Scenario, path: Path, notes: Sequence[str] = ()) -> None:
    """The scenario with every knob, loadable with scenario=<path>; notes: comments at its head."""
    head = "".join(f"# {' '.join(note.split())}\n" for note in notes)
    write_text(path, head + yaml.safe_dump(scenario.model_dump(mode="json", by_alias=True), sort_keys=False))


def percent(share: float, width: int) -> str:
    """`  12.3 %`, or a dash where the share is undefined."""
    return f"{100 * share:{width}.1f} %" if math.isfinite(share) else f"{'-':>{width + 2}}"


def _seconds(value: float) -> str:
    return f"{value:.9f}" if math.isfinite(value) else ""


def _share(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""


def write_csv(path: Path, header: list[str], rows: list[list]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
