"""A map without a network: one index of a pixel, and the threshold that does best on the training folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlrc.tasks.scores import iou_of

STEPS = 200


def index_of(task: str, samples: np.ndarray) -> np.ndarray:
    """Float64 [H, W], larger where there is more to mark: reflectance for clouds (mean of the bands),
    darkness in the normalised burn ratio (B8 against B12) for burned area, brightness for buildings; of one
    band the band itself, for burned area too."""
    planes = samples.astype(np.float64)
    if task == "fire" and len(planes) >= 5:
        near, short = planes[3], planes[4]
        return -(near - short) / np.maximum(near + short, 1.0)
    return planes.mean(axis=0)


def best_threshold(task: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The threshold with the best IoU over pairs of samples and masks."""
    values = np.concatenate([index_of(task, samples).ravel() for samples, _ in pairs])
    truth = np.concatenate([mask.ravel() for _, mask in pairs])
    levels = np.quantile(values, np.linspace(0, 1, STEPS, endpoint=False))
    order = np.sort(values[truth]), np.sort(values[~truth])
    hits, wrong = (len(side) - np.searchsorted(side, levels) for side in order)
    return float(levels[int(np.argmax(iou_of(hits, wrong, len(order[0]) - hits)))])
