"""sync_day.png: an exchange over the day and where its time goes, for papers and slides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from constellation.common.files import replacing
from constellation.sync.parts import NAMES
from dlrc.studies.lab.sync_day import Day

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HUES = {
    "control": "#aab3c5",
    "propagation": "#0072b2",
    "transmission": "#e69f00",
    "relay": "#00795a",
    "waiting": "#c2410c",
}


def draw(day: Day, path: Path) -> None:
    """One panel a payload, the scenario's own network: parts stacked over the day; white where undefined."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(day.payloads)
    figure = Figure(figsize=(9.0, 1.2 + 1.75 * count), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, 1, sharex=True, sharey=True, squeeze=False).ravel()
    for p, axis in enumerate(axes):
        _panel(axis, day, p)
    axes[-1].set_xlabel("time after the epoch, h")
    own = day.variants[0]
    figure.suptitle(
        f"One exchange among {day.setting.satellites} satellites, {day.setting.label}:\nnoise {own.noise}, "
        f"rule {own.rule}, {own.schedule}, {own.contention}",
        fontsize=11,
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(HUES), frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def _panel(axis: Axes, day: Day, p: int) -> None:
    hours = day.times_s / 3600
    step = hours[1] - hours[0] if len(hours) > 1 else 1.0
    base = np.zeros(len(hours))
    for name, hue in HUES.items():
        part_ms = np.nan_to_num(1e3 * day.parts_s[0, p, :, NAMES.index(name)])
        axis.bar(hours, part_ms, step, base, align="edge", color=hue, label=name)
        base += part_ms
    unheard = day.unheard[0, p]
    said = f", {100 * np.nanmean(unheard):.1f} % of pairs UNHEARD" if np.nansum(unheard) else ""
    axis.set_title(f"{day.payloads[p].label}{said}", fontsize=10, loc="left")
    if not np.isfinite(day.t_round_s[0, p]).any():
        axis.text(0.5, 0.5, "undefined: nobody hears anybody", transform=axis.transAxes, ha="center")
    axis.set_ylabel("ms")
    axis.spines[["top", "right"]].set_visible(False)
