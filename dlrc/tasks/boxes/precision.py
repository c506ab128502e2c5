"""Mean average precision of oriented boxes, at an overlap of one half.

Detections of a class, best score first, each take the box of their picture that they overlap most, if it is
free and the overlap is 0.5 or more; else they are wrong. One that overlaps a box most which is to be left out
counts neither way. Average precision is the area under the curve (VOC 2010), or the mean at eleven recalls
(VOC 2007, what the benchmarks of DOTA and STAR print)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from constellation.common.frozen import value
from dlrc.tasks.boxes.annotations import Box, Detection

OVERLAP = 0.5


@value
class Judged:
    """Of one class. pictures: int64 [n], which picture each detection is of, best score first. right: bool
    [n]. boxes: int64, boxes to be found in each picture."""

    pictures: np.ndarray
    right: np.ndarray
    boxes: np.ndarray


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two convex quadrilaterals, float [4, 2] each."""
    import cv2

    a, b = (np.ascontiguousarray(one, np.float32) for one in (first, second))
    apart = (a.min(axis=0) >= b.max(axis=0)).any() or (b.min(axis=0) >= a.max(axis=0)).any()
    common = 0.0 if apart else float(cv2.intersectConvexConvex(a, b)[0])
    union = float(cv2.contourArea(a)) + float(cv2.contourArea(b)) - common
    return common / union if union > 0 else 0.0


def judge(
    detections: Sequence[Detection], truth: Mapping[str, Sequence[Box]], left_out: Mapping[str, Sequence[Box]]
) -> dict[str, Judged]:
    """By class that has boxes in `truth`, by picture; `left_out`: boxes that count neither way."""
    places = {name: place for place, name in enumerate(sorted(truth))}
    kinds = sorted({box.kind for boxes in truth.values() for box in boxes})
    found = {}
    for kind in kinds:
        mine = sorted(
            (d for d in detections if d.kind == kind and d.picture in places), key=lambda d: -d.score
        )
        wanted = {name: [box for box in boxes if box.kind == kind] for name, boxes in truth.items()}
        rows = [row for row in _matched(mine, wanted, left_out) if row is not None]
        pictures = np.array([places[picture] for picture, _ in rows], np.int64)
        right = np.array([hit for _, hit in rows], bool)
        boxes = np.array([len(wanted[name]) for name in sorted(truth)], np.int64)
        found[kind] = Judged(pictures, right, boxes)
    return found


def _matched(mine: Sequence[Detection], wanted: Mapping, left_out: Mapping) -> list[tuple[str, bool] | None]:
    taken: set[tuple[str, int]] = set()
    rows: list[tuple[str, bool] | None] = []
    for one in mine:
        shares = [overlap(one.corners, box.corners) for box in wanted[one.picture]]
        aside = [overlap(one.corners, b.corners) for b in left_out.get(one.picture, ()) if b.kind == one.kind]
        best = int(np.argmax(shares)) if shares else -1
        share = shares[best] if shares else 0.0
        if max(aside, default=0.0) >= max(OVERLAP, share):
            rows.append(None)
            continue
        hit = share >= OVERLAP and (one.picture, best) not in taken
        if hit:
            taken.add((one.picture, best))
        rows.append((one.picture, hit))
    return rows


def average_precision(judged: Judged, times: np.ndarray | None = None, eleven: bool = False) -> float:
    """0..1; NaN where nothing is to be found. times: how often each picture was drawn; none: once."""
    weights = np.ones(len(judged.boxes)) if times is None else times
    total = float((judged.boxes * weights).sum())
    if not total:
        return float("nan")
    counted = weights[judged.pictures]
    hits, seen = np.cumsum(judged.right * counted), np.cumsum(counted)
    recall, precision = hits / total, hits / np.maximum(seen, 1e-12)
    if eleven:
        return float(
            np.mean([precision[recall >= level].max(initial=0.0) for level in np.linspace(0, 1, 11)])
        )
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())


def mean_average(
    judged: Mapping[str, Judged], times: np.ndarray | None = None, eleven: bool = False
) -> float:
    """Over the classes that have boxes; NaN where there are none."""
    each = np.array([average_precision(one, times, eleven) for one in judged.values()])
    each = each[np.isfinite(each)]
    return float(each.mean()) if each.size else float("nan")
