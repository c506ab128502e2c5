"""Figure A2's findings: the gain over the downlink rate, as rows and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from constellation.common.files import replacing
from constellation.passes.downlink_gain import REGIMES, DownlinkDay, Method, downlink_gain, regime
from constellation.sync.series import Figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#1f5fa8", "#3a8f5c", "#d9822b", "#8a4fa3")  # of the models in order, again and again
DASHES = ("-", (0, (5, 3)))  # neighbours may lie on each other
RATES_BPS = np.geomspace(1e6, 1e10, 241)
COLUMNS = (
    "model",
    "windows",
    "windows_per_day",
    "duration_s",
    "rate_bps",
    "bits_per_day",
    "gain",
    "regime",
    "unheard_share",
)


@dataclass(frozen=True)
class Findings:
    """What was worked out. methods: by model, independent coding and DLRC; sync: the rounds' figures; given:
    N_w and tau_w of the left panel; computed: the average satellite's day from the orbits, over `station`;
    constellation, rates_from, processors: for titles; notes: what must stand beside it all."""

    methods: Mapping[str, tuple[Method, Method]]
    sync: Figures
    given: DownlinkDay
    computed: DownlinkDay
    station: str
    constellation: str
    rates_from: str
    processors: int
    notes: tuple[str, ...] = ()

    @property
    def defined(self) -> bool:
        """False where nobody hears anybody: without signatures there is no DLRC whose gain to measure."""
        return self.sync.unheard_share < 1

    @property
    def unheard(self) -> str:
        """`26.5 % of the pairs unheard`."""
        return f"{100 * self.sync.unheard_share:.1f} % of the pairs unheard"

    def gain(self, model: str, bits_per_day: np.ndarray) -> np.ndarray:
        """G_down, float64 [...]; nan where it is undefined."""
        gains = downlink_gain(*self.methods[model], bits_per_day)
        return gains if self.defined else np.full_like(gains, np.nan)


def rows_of(findings: Findings, day: DownlinkDay, label: str) -> list[list]:
    """CSV rows along the rate axis, and (orbits) one more at the rate that the link budget gives."""
    rows = []
    for model, (baseline, dlrc) in findings.methods.items():
        rates = RATES_BPS if label == "given" else np.sort(np.append(RATES_BPS, day.rate_bps))
        bits = rates * day.windows_per_day * day.duration_s
        gains, which = findings.gain(model, bits), regime(baseline, dlrc, bits)
        rows += [
            [
                model,
                label,
                f"{day.windows_per_day:.4f}",
                f"{day.duration_s:.2f}",
                f"{rate:.1f}",
                f"{volume:.1f}",
                f"{gain:.6f}" if math.isfinite(gain) else "",
                REGIMES[int(where)] if findings.defined else "undefined: nobody is heard",
                f"{findings.sync.unheard_share:.6f}",
            ]
            for rate, volume, gain, where in zip(rates, bits, gains, which, strict=True)
        ]
    return rows


def draw(findings: Findings, path: Path) -> None:
    """Two panels over the downlink rate: given windows, and windows computed from orbits with the link
    budget's rate marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, findings, findings.given, "given windows")
    _panel(right, findings, findings.computed, f"windows from orbits, {findings.station}")
    rate_mbps = findings.computed.rate_bps / 1e6
    right.axvline(rate_mbps, color="#444444", linewidth=1, linestyle=(0, (4, 3)))
    right.annotate(
        f"link budget: {rate_mbps:.0f} Mbit/s",
        (rate_mbps, 0.03),
        xycoords=("data", "axes fraction"),
        xytext=(-5, 0),
        textcoords="offset points",
        fontsize=9,
        rotation=90,
        ha="right",
        va="bottom",
        color="#444444",
    )
    left.set_ylabel("$G_{down}$, %", fontsize=10)
    figure.suptitle(title(findings), fontsize=10)
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(handles[0]), fontsize=9, frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def title(findings: Findings) -> str:
    """The figure's title, which stands alone."""
    return (
        f"End-to-end gain of DLRC, 256 px, {findings.processors} Titan V a satellite (Table 2); "
        f"{findings.rates_from}\n{findings.constellation}, {findings.unheard}"
    )


def _panel(axis: Axes, findings: Findings, day: DownlinkDay, heading: str) -> None:
    from matplotlib.ticker import FuncFormatter

    for place, model in enumerate(findings.methods):
        gain_pct = 100 * findings.gain(model, RATES_BPS * day.windows_per_day * day.duration_s)
        look = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}
        axis.plot(RATES_BPS / 1e6, gain_pct, linewidth=1.6, label=model, **look)
    if not findings.defined:
        axis.text(0.5, 0.5, "undefined: nobody hears anybody", transform=axis.transAxes, ha="center")
    axis.axhline(0, color="#8a8a8a", linewidth=0.8)
    axis.set_xlim(RATES_BPS[0] / 1e6, RATES_BPS[-1] / 1e6)  # there may be no curve to take limits from
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    windows = f"$N_w$ = {day.windows_per_day:.3g} a day, $\\tau_w$ = {day.duration_s:.0f} s"
    axis.set_title(f"{heading}: {windows}", fontsize=10, loc="left")
    axis.set_xlabel("downlink rate x, Mbit/s", fontsize=10)
    axis.grid(color="#e4e4e4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
