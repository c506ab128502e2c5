"""What `dlrc study sync` leaves behind: CSV, YAML, and Figure 10 (one panel per payload, mean and
maximum over the participants along the window)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from constellation.common.files import replacing, write_csv
from constellation.sync.series import SyncSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MEAN, WORST, FIXED = "#1f5fa8", "#d9822b", "#8a8a8a"


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


def percent(share: float, width: int) -> str:
    """`  12.3 %`, or a dash where the share is undefined."""
    return f"{100 * share:{width}.1f} %" if math.isfinite(share) else f"{'-':>{width + 2}}"


def _seconds(value: float) -> str:
    return f"{value:.9f}" if math.isfinite(value) else ""


def _share(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""


def draw_figure10(series: SyncSeries, path: Path) -> None:
    """Small multiples with one common scale (logarithmic where the payloads differ more than fourfold),
    PNG. Where nobody hears anybody the curves have gaps, and a panel without any curve says so."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(series.payload_bytes)
    columns = min(2, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(5.2 * columns, 2.5 * rows + 1.1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    scale = _scale(series)
    for p, axis in enumerate(axes):
        axis.set_visible(p < count)
        if p < count:
            _panel(axis, series, p, scale)
            axis.tick_params(labelbottom=p + columns >= count)
            axis.set_xlabel("time, h" if p + columns >= count else "", fontsize=10)
            axis.set_ylabel("" if p % columns else "T_sync, ms", fontsize=10)
    figure.suptitle(
        f"Sync time of {series.participants.shape[1]} of {series.satellites} satellites, "
        f"{series.constellation}:\nnoise {series.noise}, rule {series.rule}, {series.schedule}, "
        f"{series.contention}",
        fontsize=11,
    )
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9, frameon=False
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _scale(series: SyncSeries) -> list[float]:
    """Ticks of a logarithmic axis, or none for a linear one."""
    times_ms = 1e3 * np.concatenate([series.t_sync_mean_s.ravel(), series.t_round_s.ravel()])
    times_ms = times_ms[np.isfinite(times_ms) & (times_ms > 0)]
    if not times_ms.size or times_ms.max() <= 4 * times_ms.min():
        return []
    return _round_ticks(max(series.control_s * 1e3, float(times_ms.min())), float(times_ms.max()))


def _panel(axis: Axes, series: SyncSeries, p: int, ticks: list[float]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    hours = series.times_s / 3600
    worst_ms, mean_ms = series.t_round_s[p] * 1e3, series.t_sync_mean_s[p] * 1e3
    axis.plot(hours, worst_ms, color=WORST, linewidth=0.9, label="maximum over satellites (T_round)")
    axis.plot(hours, mean_ms, color=MEAN, linewidth=0.9, label="mean over satellites")
    axis.axhline(
        series.control_s * 1e3,
        color=FIXED,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
        label=f"fixed t_ctrl = {series.control_s * 1e3:g} ms",
    )
    figures = series.figures(p)
    axis.set_title(panel_title(series, p), fontsize=10, loc="left")
    if figures.unheard_share == 1:
        axis.text(0.5, 0.5, "nobody hears anybody", transform=axis.transAxes, ha="center", color="#a02020")
    axis.grid(color="#e4e4e4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if ticks:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_yticks(ticks)


def panel_title(series: SyncSeries, payload: int) -> str:
    """`128 KiB   97 % direct links, 2.1 % unheard`."""
    figures = series.figures(payload)
    unheard = f", {100 * figures.unheard_share:.1f} % UNHEARD" if figures.unheard_share else ""
    size = f"{series.payload_bytes[payload] / 1024:g} KiB"
    return f"{size}   {100 * figures.direct_share:.0f} % direct links{unheard}"


def _round_ticks(low: float, high: float) -> list[float]:
    ticks = [mantissa * 10**power for power in range(-1, 7) for mantissa in (1, 2, 3, 5)]
    return [tick for tick in ticks if low * 0.99 <= tick <= high * 1.05] or [low, high]
