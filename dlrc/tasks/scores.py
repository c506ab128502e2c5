"""How good a map is: IoU, F1, precision and recall, pooled over sources, with intervals from drawing whole
sources anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from constellation.common.frozen import value

RESAMPLES, LEVEL = 2000, 0.95
Measure = Callable[[Any, Any, Any], np.ndarray]  # of hits, wrong, missed


@value
class Counts:
    """Pixels of one source: rightly marked, wrongly marked, missed."""

    hits: int
    wrong: int
    missed: int


def counts_of(marked: np.ndarray, truth: np.ndarray) -> Counts:
    """Of bool [H, W] each."""
    hits = int((marked & truth).sum())
    return Counts(hits, int(marked.sum()) - hits, int(truth.sum()) - hits)


def added(parts: list[Counts]) -> Counts:
    """Their sum."""
    return Counts(*(sum(getattr(one, name) for one in parts) for name in ("hits", "wrong", "missed")))


@value
class Score:
    """NaN where nothing is marked or to be marked. low, high: of iou, 95 %, over sources."""

    iou: float
    f1: float
    precision: float
    recall: float
    low: float
    high: float
    sources: int


def score(by_source: Mapping[str, Counts]) -> Score:
    """Of all sources' pixels together."""
    table = np.array([[one.hits, one.wrong, one.missed] for _, one in sorted(by_source.items())], np.float64)
    hits, wrong, missed = table.sum(axis=0)
    drawn = iou_of(*(_draws(len(table)) @ table).T)
    drawn = drawn[np.isfinite(drawn)]
    edges = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = np.quantile(drawn, edges) if drawn.size else (np.nan, np.nan)
    ratios = (hits, hits + wrong + missed), (2 * hits, 2 * hits + wrong + missed), (hits, hits + wrong)
    iou, f1, precision = (a / b if b else float("nan") for a, b in ratios)
    recall = hits / (hits + missed) if hits + missed else float("nan")
    return Score(float(iou), float(f1), float(precision), float(recall), float(low), float(high), len(table))


def difference(
    first: Mapping[str, Counts], second: Mapping[str, Counts], of: Measure | None = None
) -> tuple[float, float, float]:
    """IoU (or another measure) of the second less that of the first, with its interval: the same sources are
    drawn for both."""
    of = of or iou_of
    tables = [
        np.array([[one.hits, one.wrong, one.missed] for _, one in sorted(some.items())], np.float64)
        for some in (first, second)
    ]
    draws = _draws(len(tables[0]))
    values = of(*(draws @ tables[1]).T) - of(*(draws @ tables[0]).T)
    change = float(of(*tables[1].sum(axis=0)) - of(*tables[0].sum(axis=0)))
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) if values.size else (np.nan, np.nan)
    return change, float(low), float(high)


def iou_of(hits, wrong, missed):
    """Intersection over union of numbers or arrays of pixels."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(hits / (hits + wrong + missed))


def f1_of(hits, wrong, missed):
    """Harmonic mean of precision and recall, of numbers or arrays of pixels."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * hits / (2 * hits + wrong + missed))


def _draws(count: int) -> np.ndarray:
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([0x5E67, count])))
    return random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
