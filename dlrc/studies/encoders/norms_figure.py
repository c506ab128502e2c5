"""Equal vectors by depth and bytes saved, norm by norm, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codec.models.encoders.lsconv import NORMS
from dlrc.studies.common.figures import save

EqualRow = tuple[str, int, np.ndarray]
"""codec and norm, halo in px, shares of equal vectors by depth and of all"""
STYLES = ("-", "--")
COLOURS = {norm: f"C{number}" for number, norm in enumerate(NORMS)}


def draw(equal: Sequence[EqualRow], saved: Sequence[dict[str, Any]], path: Path) -> None:
    """Left: shares by depth, dashed with a halo. Right: y bits saved, a group of bars an overlap and halo."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    figure.suptitle("Equal ground under an encoder's norm: shifted patches, and satellites that overlap")
    left, right = figure.subplots(1, 2)
    halos, labels = list(dict.fromkeys(row[1] for row in equal)), list(dict.fromkeys(row[0] for row in equal))
    for number, label in enumerate(labels):
        for style, halo in zip(STYLES, halos, strict=False):
            shares = next(row[2] for row in equal if row[:2] == (label, halo))
            named = label if style == STYLES[0] else None
            left.plot(
                1 + np.arange(len(shares) - 1),
                100 * shares[:-1],
                style,
                color=_colour(label, number),
                label=named,
            )
    left.set(xlabel="latent cells from the nearer border", ylabel="equal vectors, %", ylim=(0, 102))
    left.set_title(f"no halo; dashed: {halos[-1]} px", fontsize=10)
    left.legend(fontsize=8)
    norms = list(dict.fromkeys(row["norm"] for row in saved))
    cases = list(dict.fromkeys((row["overlap"], row["halo_px"]) for row in saved))
    for number, norm in enumerate(norms):
        heights = [row["y_saved_pct"] for case in cases for row in saved if _is(row, norm, case)]
        right.bar(
            np.arange(len(cases)) + 0.2 * (number - len(norms) / 2 + 0.5),
            heights,
            0.2,
            color=COLOURS[norm],
            label=norm,
        )
    if saved:
        right.set_xticks(np.arange(len(cases)), [f"{overlap}\nhalo {halo} px" for overlap, halo in cases])
        right.set(ylabel="y bits saved, %", title="real streams, trained norms")
        right.legend(fontsize=8)
    else:
        right.set_axis_off()
    left.grid(alpha=0.3)
    right.grid(alpha=0.3, axis="y")
    save(figure, path)


def _colour(label: str, number: int) -> str:
    """Of a trained norm its own, as in the bars."""
    _, norm, *more = [*label.split(", "), ""]
    return COLOURS[norm] if more[:1] == ["trained"] else f"C{len(COLOURS) + number % 6}"


def _is(row: dict[str, Any], norm: str, case: tuple[str, int]) -> bool:
    return row["norm"] == norm and (row["overlap"], row["halo_px"]) == case
