"""Pictures of the rate-distortion study: R-D curves (the paper's Figure 6 and our baselines) and where the
bits go (Figure 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, zip_longest
from pathlib import Path

import numpy as np

from codec.models import registry
from dlrc.studies.common.baselines import LABELS, Point
from dlrc.studies.common.comparison import measured_codecs, model_points
from dlrc.studies.common.figures import save
from dlrc.studies.common.statistics import Line, Triple, curve, pooled
from dlrc.studies.paper.rd_rounds import Configuration, Row

HUES = ("#1f5fa8", "#3a8f5c", "#d9822b", "#8a4fa3", "#b03a5b", "#2b8fa8")
COLOURS = dict(zip(registry.names(), HUES, strict=True))
BASELINES = {
    "jpeg2000": ("#222222", "-"),
    "jpegxl": ("#8a8a8a", "--"),
    "avif": ("#8a8a8a", "-."),
    "webp": ("#8a8a8a", ":"),
    "ccsds122": ("#c8102e", "-"),
    "ccsds122_bands": ("#c8102e", ":"),
}
KINDS = (  # of models' points: label, marker, line, whether filled
    ("independent", "without DLRC", "o", (0, (4, 2)), False),
    ("sparse", "with DLRC, sparse overlap", "s", "-", True),
    ("dense", "with DLRC, dense overlap", "D", "-", True),
)
PARTS = (("y", "#4477aa"), ("z", "#ccbb44"), ("map", "#cc4455"), ("header", "#999999"))


def draw(
    folder: Path,
    where: str,
    lines: Mapping[Configuration, Line],
    rows: Mapping[Configuration, Sequence[Row]],
    points: Sequence[Point],
) -> None:
    """Both figures. The curves show satellite 0's patches where baselines were measured, scaled by each
    density's measured saving. where: the scenes, in words."""
    models: dict[tuple[str, float], dict[str, Triple]] = {}
    for configuration, found in rows.items():
        if configuration.halo_px or not any(row.decoded for row in found):
            continue
        line, key = lines[configuration], (configuration.model, configuration.lambda_)
        base = list(model_points(found, points).values())
        if configuration.density == "dense":
            models.setdefault(key, {})["independent"] = pooled(base)
        if "independent" in models.get(key, {}):
            rate, psnr, similarity = models[key]["independent"]
            models[key][configuration.density] = (
                rate * (1 - line.total_saved.value / 100),
                psnr + line.d_psnr.value,
                similarity + line.d_ms_ssim.value,
            )
    if models:
        baselines = {codec: curve(points, codec) for codec in measured_codecs(points)}
        draw_curves(
            models,
            baselines,
            f"Rate and quality with and without DLRC (up and left is better), no halo; {where}",
            folder / "curves.png",
        )
    shown = {c: line for c, line in lines.items() if c.lambda_ == 0.013} or dict(lines)
    draw_breakdown(
        shown,
        f"Bits per pixel: pale without DLRC, full with DLRC; {where}, lambda {next(iter(shown)).lambda_:g}",
        folder / "breakdown.png",
    )


def _figure(width: float, height: float):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(axis) -> None:
    axis.grid(color="#e4e4e4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def draw_curves(
    models: Mapping[tuple[str, float], Mapping[str, Triple]],
    baselines: Mapping[str, np.ndarray],
    note: str,
    path: Path,
) -> None:
    """Rate against PSNR and MS-SSIM. models: by (model, lambda), `independent`, `dense`, `sparse` -> (bpp,
    PSNR of the mean MSE, mean MS-SSIM). All sides choose by MSE; nothing in the right panel was optimised for
    MS-SSIM."""
    figure = _figure(10.4, 4.8)
    panels = figure.subplots(1, 2)
    rates = [values[0] for kinds in models.values() for values in kinds.values()]
    for axis, column, label in zip(panels, (1, 2), ("PSNR of the mean MSE, dB", "MS-SSIM")):
        for codec, points in baselines.items():
            colour, line = BASELINES[codec]
            axis.plot(points[:, 0], points[:, column], color=colour, linestyle=line, linewidth=1.4)
        for model, colour in _colours(models).items():
            _model_curves(axis, column, [kinds for key, kinds in models.items() if key[0] == model], colour)
        floor = min(values[column] for kinds in models.values() for values in kinds.values())
        axis.set_xlim(0.8 * min(rates), 1.7 * max(rates))
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "235" else "")
        if column == 1:
            reached = [values[1] for kinds in models.values() for values in kinds.values()]
            reached += [
                np.interp(np.log(max(rates)), np.log(points[:, 0]), points[:, 1])
                for points in baselines.values()
            ]
            axis.set_ylim(floor - 1.0, max(reached) + 0.7)
        else:
            axis.set_ylim(floor - 0.03, 1.0)
        axis.set_xlabel("bits per pixel, all sections", fontsize=10)
        axis.set_ylabel(label, fontsize=10)
        _plain(axis)
    _legend(figure, models, baselines)
    figure.suptitle(note, fontsize=11)
    save(figure, path)


def _colours(models: Mapping[tuple[str, float], Mapping]) -> dict[str, str]:
    """Of models by name: a family's own, else those that no family here has."""
    names = list(dict.fromkeys(model for model, _ in models))
    spare = cycle([hue for name, hue in COLOURS.items() if name not in names] or HUES)
    return {name: COLOURS.get(name) or next(spare) for name in names}


def _model_curves(axis, column: int, kinds: Sequence[Mapping[str, Triple]], colour: str) -> None:
    """A model's points, one line for each of KINDS. kinds: of its lambdas."""
    for kind, _, marker, line, filled in KINDS:
        points = np.array(sorted(values[kind] for values in kinds if kind in values))
        if len(points):
            axis.plot(
                points[:, 0],
                points[:, column],
                color=colour,
                marker=marker,
                markersize=5,
                linewidth=1.1,
                linestyle=line,
                markerfacecolor=colour if filled else "white",
            )


def _legend(figure, models: Mapping[tuple[str, float], Mapping], baselines: Mapping) -> None:
    """Learned codecs in the first row, the others in the second; only what is drawn."""
    from matplotlib.lines import Line2D

    drawn = {kind for kinds in models.values() for kind in kinds}
    names = _colours(models).items()
    learned = [Line2D([], [], color=colour, linewidth=2, label=name) for name, colour in names]
    learned += [
        Line2D(
            [],
            [],
            color="#222222",
            marker=marker,
            markersize=5,
            linewidth=1,
            linestyle=line,
            markerfacecolor="#222222" if filled else "white",
            label=text,
        )
        for kind, text, marker, line, filled in KINDS
        if kind in drawn
    ]
    others = [
        Line2D([], [], color=BASELINES[c][0], linestyle=BASELINES[c][1], linewidth=1.6, label=LABELS[c])
        for c in baselines
    ]
    blank = Line2D([], [], color="none", label=" ")
    columns = list(zip_longest(learned, others, fillvalue=blank)) if others else [(one,) for one in learned]
    entries = [entry for column in columns for entry in column]  # a legend is filled column by column
    figure.legend(
        handles=entries, loc="outside lower center", ncols=len(columns), fontsize=8.5, frameon=False
    )


def draw_breakdown(lines: Mapping[Configuration, Line], note: str, path: Path) -> None:
    """Stacked bars: bits per pixel by section, without and with DLRC, one panel per density and halo; the
    saving written above."""
    panels_of: dict[tuple[str, bool], list[tuple[Configuration, Line]]] = {}
    for configuration, line in lines.items():
        panels_of.setdefault((configuration.density, configuration.halo_px > 0), []).append(
            (configuration, line)
        )
    figure = _figure(2.6 + 2.6 * len(panels_of), 4.4)
    panels = np.atleast_1d(figure.subplots(1, len(panels_of), sharey=True))
    for axis, ((density, halo), entries) in zip(panels, panels_of.items()):
        _bars(axis, entries)
        axis.set_title(f"{density}, {'halo' if halo else 'no halo'}", fontsize=10, loc="left")
    panels[0].set_ylabel("bits per pixel", fontsize=10)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9, frameon=False
    )
    figure.suptitle(note, fontsize=11)
    save(figure, path)


def _bars(axis, entries: Sequence[tuple[Configuration, Line]]) -> None:
    labels, centres = [], []
    for place, (configuration, line) in enumerate(entries):
        for shift, suffix in ((-0.2, "i"), (0.2, "d")):
            base = 0.0
            for part, colour in PARTS:
                height = line.bpp.get(f"{part}_{suffix}", 0.0)
                axis.bar(
                    place + shift,
                    height,
                    0.36,
                    bottom=base,
                    color=colour,
                    label=part if not labels and suffix == "d" else None,
                    alpha=0.55 if suffix == "i" else 1.0,
                )
                base += height
        axis.annotate(
            f"{-line.total_saved.value:+.1f} %", (place + 0.2, base), ha="center", va="bottom", fontsize=8
        )
        several = len({c.lambda_ for c, _ in entries}) > 1
        halo = f"\n{configuration.halo_px} px" if configuration.halo_px else ""
        labels.append(configuration.model + (f"\n{configuration.lambda_:g}" if several else "") + halo)
        centres.append(place)
    axis.set_xticks(centres, labels, fontsize=8)
    _plain(axis)
