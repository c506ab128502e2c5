"""The curve of a training run: a table and a picture of rate and PSNR against steps."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import numpy as np

COLUMNS = (
    *("step", "minutes", "lr", "train_loss", "train_bpp", "train_psnr_db"),
    *("val_bpp", "val_psnr_db", "val_loss"),
)

Row = Sequence[float]
"""One validation, a number for each of COLUMNS."""


def psnr_db(mse: float) -> float:
    """Of a mean squared error of values in 0..1; NaN where that is not finite."""
    return -10 * math.log10(max(mse, 1e-10)) if math.isfinite(mse) else math.nan


def table(curve: Sequence[Row]) -> bytes:
    """The curve as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([f"{value:.6g}" for value in row] for row in curve)
    return text.getvalue().encode()


def picture(curve: Sequence[Row], title: str) -> bytes:
    """The curve as PNG: rate and PSNR against steps, training dotted."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = dict(zip(COLUMNS, np.array(curve, dtype=np.float64).T, strict=True))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title)
    for axes, key, label in zip(
        figure.subplots(1, 2), ("bpp", "psnr_db"), ("rate, bit/px (estimate)", "PSNR, dB"), strict=True
    ):
        axes.plot(columns["step"], columns[f"train_{key}"], ":", color="0.5", label="training crops")
        axes.plot(columns["step"], columns[f"val_{key}"], "o-", markersize=3, label="held-out crops")
        axes.set(xlabel="optimiser steps", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
