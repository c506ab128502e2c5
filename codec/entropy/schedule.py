"""Order of coding: which positions go together, and in which step a round's streams are decoded side by side.

Design choices:
* An image's own order depends on its own layout alone, so that its encoder knows it. Its kept positions fall
  into *groups* coded one after the other in one stream; inside a group positions follow in raster order and
  channels vary fastest.
  - bmshj: one group.  elic: ten passes, (channel group, anchors), (channel group, non-anchors), ...
  - mbt, cheng: groups by depth of dependence (a wavefront): depth = 1 + the largest depth among the 12 cells
    of the 5x5 causal window, where a local copy has its representative's depth and cells known beforehand,
    fills and cells outside have depth 0. Everything kept: 61 groups for 16 x 16.
* Between images only a decoder has dependences: an exact remote copy in a context window needs the group that
  codes it, in another stream. The joint schedule gives every group the earliest step that allows it; streams
  that refer to each other follow one another at a distance of some steps instead of waiting for each other's
  end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from codec.entropy.layouts import FILL, KNOWN, ContextLayout
from constellation.common.errors import BitstreamError

RASTER_WINDOW = tuple(
    (row, column) for row in (-2, -1, 0) for column in range(-2, 3) if (row, column) < (0, 0)
)  # mask A, 5 x 5


@dataclass(frozen=True)
class CodingOrder:
    """The kept positions of one image in coding order, in groups.

    positions: int64 [n]. bounds: int64 [groups + 1], group g is positions[bounds[g] : bounds[g + 1]]. For
    elic the groups are anchors and non-anchors, which every channel group goes through in turn."""

    positions: np.ndarray
    bounds: np.ndarray

    def group(self, g: int) -> np.ndarray:
        return self.positions[self.bounds[g] : self.bounds[g + 1]]

    @property
    def groups(self) -> int:
        return len(self.bounds) - 1


def neighbours(height: int, width: int, offsets: Sequence[tuple[int, int]] | np.ndarray) -> np.ndarray:
    """Flat positions of each position's window cells, int64 [H * W, cells]; H * W where the cell is
    outside."""
    rows, columns = np.divmod(np.arange(height * width, dtype=np.int64), max(1, width))
    offsets = np.asarray(offsets, dtype=np.int64)
    r, c = rows[:, None] + offsets[:, 0], columns[:, None] + offsets[:, 1]
    outside = (r < 0) | (r >= height) | (c < 0) | (c >= width)
    return np.where(outside, height * width, r * width + c)


@numba.njit("void(int32[::1], int64[:,::1], int32[::1])", cache=True, nogil=True)
def _depths(source, window, depth):  # depth of every cell as seen by later ones; window: [H * W, 12]
    cells = len(source)
    for p in range(cells):
        s = source[p]
        if s == p:
            deepest = 0
            for k in range(window.shape[1]):
                c = window[p, k]
                if c < cells and depth[c] > deepest:
                    deepest = depth[c]
            depth[p] = deepest + 1
        elif s >= 0:
            depth[p] = depth[s]
        else:
            depth[p] = 0


def is_anchor(height: int, width: int) -> np.ndarray:
    """bool [H * W]: (row + column) even, CompressAI's checkerboard."""
    rows, columns = np.divmod(np.arange(height * width), max(1, width))
    return (rows + columns) % 2 == 0


def coding_order(family: str, layout: ContextLayout) -> CodingOrder:
    """The order in which the kept positions of one image are coded. Raises ValueError if a representative
    comes after its copy."""
    cells = len(layout.source)
    rank = np.arange(cells, dtype=np.int64)
    if family == "elic":
        rank = rank + cells * ~is_anchor(layout.height, layout.width)
    copies = np.flatnonzero(layout.local)
    if (rank[layout.source[copies]] >= rank[copies]).any():
        raise ValueError("layout: a local copy comes before its representative in coding order")
    kept = np.flatnonzero(layout.kept)
    if family == "bmshj":
        return CodingOrder(kept, np.array([0, len(kept)], dtype=np.int64))
    if family == "elic":
        anchor = is_anchor(layout.height, layout.width)[kept]
        return CodingOrder(
            np.concatenate((kept[anchor], kept[~anchor])),
            np.array([0, anchor.sum(), len(kept)], dtype=np.int64),
        )
    depth = np.zeros(cells, dtype=np.int32)
    _depths(layout.source, neighbours(layout.height, layout.width, RASTER_WINDOW), depth)
    order = kept[np.argsort(depth[kept], kind="stable")]
    return CodingOrder(
        order, np.searchsorted(depth[order], np.arange(1, depth[kept].max(initial=0) + 2)).astype(np.int64)
    )


@dataclass(frozen=True)
class Pointers:
    """Where the vectors of a batch of images lie in one array of rows: all cells of all images, then all
    known vectors, then a zero row.

    first: int64 [B + 1], row of each image's first cell (last entry: first known vector).  zero: the zero row.
    row: int64 [rows], the row that holds the vector wanted at each cell, its own where kept.
    """

    first: np.ndarray
    zero: int
    row: np.ndarray

    def image_of(self, rows: np.ndarray) -> np.ndarray:
        """Index of the image a row belongs to; B or more for known vectors and the zero row."""
        return np.searchsorted(self.first, rows, side="right") - 1


def layout_fault(family: str, layouts: Sequence[ContextLayout], b: int, known_counts: Sequence[int]) -> str:
    """'' if layout b of a batch can be coded, else what is wrong with it by itself: its order, or references
    that lead nowhere."""
    layout = layouts[b]
    try:
        coding_order(family, layout)
    except ValueError as error:
        return str(error)
    away = np.flatnonzero(layout.source == KNOWN)
    if not len(away):
        return ""
    if layout.reference is None:
        return f"refers to {len(away)} vectors of other satellites, but no references were given"
    item, at = layout.reference[away].astype(np.int64).T
    sizes = np.array([len(other.source) for other in layouts])
    size = np.where(item < 0, known_counts[b], sizes[np.clip(item, 0, len(layouts) - 1)])
    if ((item < -1) | (item >= len(layouts)) | (at < 0) | (at >= size)).any():
        return "refers to a vector that does not exist"
    return ""


def referred(layouts: Sequence[ContextLayout]) -> np.ndarray:
    """bool [B, B], [b, c]: some exact remote copy of image b names image c (copies of copies are not
    followed)."""
    names = np.zeros((len(layouts), len(layouts)), dtype=bool)
    for b, layout in enumerate(layouts):
        if layout.reference is not None:
            item = layout.reference[layout.source == KNOWN, 0]
            names[b, item[(item >= 0) & (item < len(layouts))]] = True
    return names


def resolve(layouts: Sequence[ContextLayout], known_counts: Sequence[int]) -> Pointers:
    """Follow every local and remote reference of a batch to the row that holds its vector.

    Layouts must have no `layout_fault`. Raises BitstreamError where references go round in a circle.
    """
    first = np.concatenate(([0], np.cumsum([len(layout.source) for layout in layouts]))).astype(np.int64)
    known = first[-1] + np.concatenate(([0], np.cumsum(known_counts))).astype(np.int64)
    zero = int(known[-1])
    row = np.arange(zero + 1, dtype=np.int64)
    for b, layout in enumerate(layouts):
        target = first[b] + layout.source.astype(np.int64)
        target[layout.source == FILL] = zero
        away = np.flatnonzero(layout.source == KNOWN)
        if len(away):
            item, at = layout.reference[away].astype(np.int64).T
            target[away] = np.where(item < 0, known[b], first[np.maximum(item, 0)]) + at
        row[first[b] : first[b + 1]] = target
    for _ in range(max(1, zero).bit_length() + 1):
        row = row[row]
    if (row[row] != row).any() or not _terminal(layouts, first, row).all():
        raise BitstreamError("references between streams go round in a circle")
    return Pointers(first, zero, row)


def _terminal(layouts: Sequence[ContextLayout], first: np.ndarray, row: np.ndarray) -> np.ndarray:
    ends = np.ones(len(row), dtype=bool)
    for b, layout in enumerate(layouts):
        ends[first[b] : first[b + 1]] = layout.kept
    return ends[row]


@dataclass(frozen=True)
class JointSchedule:
    """steps: per step, the (image, group) pairs decoded together. followers: bool [B, B], [b, c]: image b
    needs vectors of image c."""

    steps: list[list[tuple[int, int]]]
    followers: np.ndarray


def joint_schedule(
    family: str,
    layouts: Sequence[ContextLayout],
    orders: Sequence[CodingOrder],
    pointers: Pointers,
    passes: int = 1,
) -> JointSchedule:
    """The earliest step of every group of every image. `passes`: groups per image for elic (two per channel
    group).

    Raises BitstreamError where streams wait for each other in a circle.
    """
    count = len(layouts)
    needs = np.zeros((count, count), dtype=bool)
    for b in range(count):
        image = pointers.image_of(pointers.row[pointers.first[b] : pointers.first[b + 1]])
        needs[b, image[image < count]] = True
        needs[b, b] = False
    groups = [passes if family == "elic" else order.groups for order in orders]
    start = np.concatenate(([0], np.cumsum(groups))).astype(np.int64)
    waits: list[list[int]] = [[] for _ in range(int(start[-1]))]
    if family == "elic":
        for b, c, parity in _checkerboard_needs(layouts, pointers, needs):
            for p in range(
                1,
                passes,
                # Anchors: all of the other image's earlier groups; others: also its anchors, or its non-anchors
            ):
                waits[start[b] + p].append(int(start[c]) + (p - 1 + parity if p % 2 else p - 1))
    elif family != "bmshj" and needs.any():
        for node, other in _window_pairs(layouts, orders, pointers, start):
            waits[node].append(other)
    for b in range(count):
        for node in range(start[b] + 1, start[b + 1]):
            waits[node].append(node - 1)
    step = _longest_paths(waits)
    steps: list[list[tuple[int, int]]] = [[] for _ in range(max(step, default=-1) + 1)]
    for b in range(count):
        for g in range(groups[b]):
            steps[step[start[b] + g]].append((b, g))
    return JointSchedule(steps, needs)


def _checkerboard_needs(layouts, pointers: Pointers, needs: np.ndarray) -> list[tuple[int, int, int]]:
    """(image, image it needs, whether an anchor of the first is a copy of a non-anchor of the second)."""
    out = []
    for b, layout in enumerate(layouts):
        rows = pointers.row[pointers.first[b] : pointers.first[b + 1]][is_anchor(layout.height, layout.width)]
        for c in np.flatnonzero(needs[b]).tolist():
            at = rows[(rows >= pointers.first[c]) & (rows < pointers.first[c + 1])] - pointers.first[c]
            out.append((b, c, int((~is_anchor(layouts[c].height, layouts[c].width)[at]).any())))
    return out


def _window_pairs(layouts, orders, pointers: Pointers, start: np.ndarray) -> list[tuple[int, int]]:
    """(node, node it waits for in another image), without duplicates; a node is a group of an image, numbered
    through."""
    node_of = np.full(pointers.zero + 1, -1, dtype=np.int64)
    for b, order in enumerate(orders):
        node_of[pointers.first[b] + order.positions] = start[b] + np.repeat(
            np.arange(order.groups), np.diff(order.bounds)
        )
    pairs = []
    for b, (layout, order) in enumerate(zip(layouts, orders, strict=True)):
        window = neighbours(layout.height, layout.width, RASTER_WINDOW)[order.positions]
        cells = np.where(window < len(layout.source), pointers.first[b] + window, pointers.zero)
        other = node_of[pointers.row[cells]]
        mine = np.broadcast_to(node_of[pointers.first[b] + order.positions][:, None], other.shape)
        away = (other >= 0) & ((other < start[b]) | (other >= start[b + 1]))
        if away.any():
            pairs.append(np.unique(np.stack((mine[away], other[away]), axis=1), axis=0))
    return [tuple(pair) for pair in np.concatenate(pairs).tolist()] if pairs else []


def _longest_paths(waits: list[list[int]]) -> list[int]:
    """Kahn's algorithm: step of each node = 1 + the largest step it waits for, from 0."""
    step, missing = [0] * len(waits), [len(w) for w in waits]
    after: list[list[int]] = [[] for _ in waits]
    for node, others in enumerate(waits):
        for other in others:
            after[other].append(node)
    ready = [node for node, count in enumerate(missing) if not count]
    done = 0
    while ready:
        node = ready.pop()
        done += 1
        for later in after[node]:
            step[later] = max(step[later], step[node] + 1)
            missing[later] -= 1
            if not missing[later]:
                ready.append(later)
    if done != len(waits):
        raise BitstreamError("streams of the batch wait for each other in a circle")
    return step
