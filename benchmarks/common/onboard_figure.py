"""Loss over milliseconds and joules on board: one point a codec, a broken axis where one loses far more than
all the others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.training.evaluate import PATCH_PX
from constellation.common.files import replacing

LABELS = {
    "jpeg2000": "JPEG 2000",
    "ccsds122": "CCSDS 122 after RCT",
    "ccsds122_bands": "CCSDS 122, bands alone",
}
BREAK = 0.5  # of the losses' range: a wider gap between two is left out
_SIDES = ((5, 4, "left"), (-5, 4, "right"), (5, -11, "left"), (-5, -11, "right"), (0, 8, "center"))


@dataclass(frozen=True)
class Point:
    """One codec: milliseconds and joules of a patch, and its loss. learned: which mark it gets."""

    label: str
    ms: float
    joules: float
    loss: float
    learned: bool


def points_of(
    rows: Sequence[Mapping[str, Any]], quality: Mapping[str, Mapping[str, float]], watts: float
) -> tuple[int, list[Point]]:
    """(the side of the patches, points of the codecs that ship and of their rivals): of the patches that
    quality is judged on, or, without rivals, of the smallest that there are."""
    shipped = [row for row in rows if row["widths"] == "shipped" and row["model"] in quality]
    sizes = {row["size_px"] for row in shipped}
    size = PATCH_PX if PATCH_PX in sizes or not sizes else min(sizes)
    ms = {row["model"]: row["on_board_ms"] for row in shipped if row["size_px"] == size}
    clocked = {name: one["on_board_ms"] for name, one in quality.items() if "on_board_ms" in one}
    rivals = clocked if size == PATCH_PX else {}
    return size, [
        Point(LABELS.get(name, name), took, 1e-3 * took * watts, quality[name]["loss"], name in ms)
        for name, took in {**ms, **rivals}.items()
    ]


def broken_at(losses: Sequence[float]) -> tuple[float, float] | None:
    """The widest gap between two losses, if it is more than half of their range."""
    ordered = sorted(losses)
    gap, low, high = max(
        ((high - low, low, high) for low, high in itertools.pairwise(ordered)), default=(0.0, 0.0, 0.0)
    )
    return (low, high) if gap > BREAK * (ordered[-1] - ordered[0]) else None


def draw(path: Path, size: int, points: Sequence[Point]) -> None:
    """Write the picture. Raises `UserError` where the disk refuses."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    gap = broken_at([point.loss for point in points])
    rows = 1 if gap is None else 2
    figure, axes = pyplot.subplots(
        rows, 2, figsize=(9.5, 4.4), sharex="col", sharey="row", squeeze=False,
        gridspec_kw={"height_ratios": [1, 4][-rows:], "hspace": 0.08, "wspace": 0.06},
    )  # fmt: skip
    for column, (name, label) in enumerate(
        (("ms", f"on board, ms a {size} px patch"), ("joules", "J a patch"))
    ):
        for axis in axes[:, column]:
            _marks(axis, name, points)
        axes[-1, column].set_xlabel(f"{label} (log scale)")
    _scales(axes, gap, points)
    figure.supylabel("R + lambda 255² MSE, less is better", fontsize=10, x=0.02)
    figure.subplots_adjust(left=0.09, right=0.985, top=0.97, bottom=0.13)
    for row, (low, high) in enumerate(_parts(gap, points)):
        for column, name in enumerate(("ms", "joules")):
            inside = [(n, one) for n, one in enumerate(points) if low <= one.loss <= high]
            _names(axes[row, column], name, inside)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    pyplot.close(figure)


def _parts(gap: tuple[float, float] | None, points: Sequence[Point]) -> list[tuple[float, float]]:
    """Ranges of losses, one a row of axes, from the top."""
    losses = [point.loss for point in points]
    whole = min(losses), max(losses)
    return [whole] if gap is None else [(gap[1], whole[1]), (whole[0], gap[0])]


def _marks(axis: Any, name: str, points: Sequence[Point]) -> None:
    from matplotlib.ticker import LogLocator

    for number, point in enumerate(points):
        mark = "o" if point.learned else "s"
        axis.plot(getattr(point, name), point.loss, mark, color=f"C{number}", markersize=6)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.grid(alpha=0.25)


def _scales(axes: Any, gap: tuple[float, float] | None, points: Sequence[Point]) -> None:
    """Limits with room for names, and strokes where the axis of losses is broken."""
    parts = _parts(gap, points)
    spread = parts[-1][1] - parts[-1][0] or 1.0
    for row, (low, high) in enumerate(parts):
        room = spread / (2.0 if gap and row == 0 else 10.0)
        axes[row, 0].set_ylim(low - room, high + room)
    for column, name in enumerate(("ms", "joules")):
        found = [getattr(point, name) for point in points]
        axes[0, column].set_xlim(min(found) / 1.35, 1.6 * max(found))
        if gap is None:
            continue
        above, below = axes[0, column], axes[1, column]
        above.spines["bottom"].set_visible(False)
        below.spines["top"].set_visible(False)
        above.tick_params(axis="x", which="both", bottom=False)
        stroke = {"marker": [(-1, -0.6), (1, 0.6)], "markersize": 9, "linestyle": "none", "color": "0.3"}
        above.plot([0, 1], [0, 0], transform=above.transAxes, clip_on=False, **stroke)
        below.plot([0, 1], [1, 1], transform=below.transAxes, clip_on=False, **stroke)


def _names(axis: Any, name: str, points: Sequence[tuple[int, Point]]) -> None:
    """A name beside every point (number, point), in its colour, where it covers neither a point nor another
    name, nor leaves the axis."""
    canvas, taken = axis.figure.canvas, []
    at = axis.transData.transform
    marks = [at((getattr(point, name), point.loss)) for _, point in points]
    edges = axis.get_window_extent()
    for (number, point), mark in sorted(zip(points, marks, strict=True), key=lambda pair: tuple(pair[1])):
        for dx, dy, side in _SIDES:
            text = axis.annotate(
                point.label, (getattr(point, name), point.loss), (dx, dy), textcoords="offset points",
                fontsize=8, ha=side, color=f"C{number}",
            )  # fmt: skip
            box = text.get_window_extent(canvas.get_renderer())
            hits = [box.overlaps(other) for other in taken]
            hits += [box.padded(3).contains(*other) for other in marks if tuple(other) != tuple(mark)]
            if not any(hits) and edges.x0 <= box.x0 and box.x1 <= edges.x1:
                break
            if (dx, dy, side) != _SIDES[-1]:
                text.remove()
        taken.append(box)
