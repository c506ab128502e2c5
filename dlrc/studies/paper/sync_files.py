"""CSV and YAML that `dlrc.studies.paper.sync` leaves behind."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import yaml

from constellation.scenario.scenario import Scenario
from constellation.sync.series import SyncSeries


def write_steps_csv(series: SyncSeries, path: Path) -> None:
    """One row per payload and instant: T_sync mean and T_round over the participants, hops, and the events
    since the instant before."""
    mean_s, round_s = series.t_sync_mean_s, series.t_round_s
    present = (series.participants >= 0).sum(axis=1)
    rows = []
    for p, size in enumerate(series.payload_bytes):
        for t, time_s in enumerate(series.times_s):
            event = series.events[t - 1] if t else None
            hops = series.hops[p, t, : present[t], : present[t]]
            rows.append(
                [
                    f"{time_s:.3f}",
                    f"{size:.0f}",
                    present[t],
                    f"{mean_s[p, t]:.9f}",
                    f"{round_s[p, t]:.9f}",
                    int(hops.max(initial=0)),
                    int((hops < 0).sum()),
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
        t_round_s = series.t_round_s[p]
        rows.append(
            [
                f"{size:.0f}",
                series.noise,
                series.rule,
                series.schedule,
                series.contention,
                f"{np.nanmean(series.t_sync_s[p]):.9f}",
                f"{np.nanmean(t_round_s):.9f}",
                f"{np.nanmax(t_round_s):.9f}",
                f"{np.nanstd(t_round_s):.9f}",
                f"{series.control_share(p):.6f}",
                f"{series.direct_share(p):.6f}",
                " ".join(f"{hops}:{count}" for hops, count in enumerate(series.hop_histogram(p)) if count),
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
            "pairs_by_hops",
        ],
        rows,
    )


def write_scenario(scenario: Scenario, path: Path) -> None:
    """The scenario with every knob, loadable with scenario=<path>."""
    write_text(path, yaml.safe_dump(scenario.model_dump(mode="json", by_alias=True), sort_keys=False))


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
