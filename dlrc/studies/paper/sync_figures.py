"""Figure 10 as a picture: one panel per payload, mean and maximum over the participants along the window."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from constellation.sync.series import SyncSeries

MEAN, WORST, FIXED = "#1f5fa8", "#d9822b", "#8a8a8a"


def draw_figure10(series: SyncSeries, path: Path) -> None:
    """Small multiples with one common scale (logarithmic where the payloads differ more than fourfold),
    PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    count = len(series.payload_bytes)
    columns = min(2, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(5.2 * columns, 2.5 * rows + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    hours = series.times_s / 3600
    mean_ms, worst_ms = series.t_sync_mean_s * 1e3, series.t_round_s * 1e3
    logarithmic = np.nanmax(worst_ms) > 4 * np.nanmin(mean_ms)
    for p, axis in enumerate(axes):
        if p >= count:
            axis.set_visible(False)
            continue
        axis.plot(hours, worst_ms[p], color=WORST, linewidth=0.9, label="maximum over satellites (T_round)")
        axis.plot(hours, mean_ms[p], color=MEAN, linewidth=0.9, label="mean over satellites")
        axis.axhline(
            series.control_s * 1e3,
            color=FIXED,
            linewidth=0.9,
            linestyle=(0, (4, 3)),
            label=f"fixed t_ctrl = {series.control_s * 1e3:g} ms",
        )
        axis.set_title(
            f"{series.payload_bytes[p] / 1024:g} KiB   {100 * series.direct_share(p):.0f} % direct links",
            fontsize=10,
            loc="left",
        )
        axis.grid(color="#e4e4e4", linewidth=0.6)
        axis.set_axisbelow(True)
        if p + columns >= count:
            axis.set_xlabel("time, h", fontsize=10)
            axis.tick_params(labelbottom=True)
        if p % columns == 0:
            axis.set_ylabel("T_sync, ms", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        if logarithmic:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.set_yticks(_round_ticks(series.control_s * 1e3, float(np.nanmax(worst_ms))))
    figure.suptitle(
        f"Sync time of {series.participants.shape[1]} satellites: noise {series.noise}, rule {series.rule}, "
        f"{series.schedule}, {series.contention}",
        fontsize=11,
    )
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9, frameon=False
    )
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    figure.savefig(temporary, format="png", dpi=150)
    temporary.replace(path)


def _round_ticks(low: float, high: float) -> list[float]:
    ticks = [mantissa * 10**power for power in range(-1, 7) for mantissa in (1, 2, 3, 5)]
    return [tick for tick in ticks if low * 0.99 <= tick <= high * 1.05] or [low, high]
