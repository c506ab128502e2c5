"""When the groups of a round's streams are decoded: side by side, each as early as what it needs allows.

An image's own order (codec/entropy/order.py) depends on its own map alone, so that its encoder knows it.
Between images only a decoder has dependences: an exact remote copy in a context window needs the group that
codes it, in another stream. Every group gets the earliest step that allows it; streams that refer to each
other follow one another at a distance of some steps instead of waiting for each other's end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from codec.entropy.order import Order, neighbours
from codec.maps.assignment import KNOWN
from codec.models.model import Pass
from constellation.common.frozen import value


@value
class Rows:
    """Where the vectors of a batch of images lie in one array: the cells of all images numbered through, then
    a zero row.

    first: int64 [B + 1], each image's first cell; the last entry is the zero row. row: int64 [rows], the row
    that holds the vector known at each cell, its own where kept. shapes: (H, W) of each image."""

    first: np.ndarray
    row: np.ndarray
    shapes: tuple[tuple[int, int], ...]

    @property
    def zero(self) -> int:
        """The row of what is not known."""
        return int(self.first[-1])

    def of(self, b: int) -> np.ndarray:
        """Rows of image b's cells, int64 [H, W]."""
        return self.row[self.first[b] : self.first[b + 1]].reshape(self.shapes[b])

    def window(self, b: int, offsets: np.ndarray) -> np.ndarray:
        """Rows of the cells in the window of each of image b's, int64 [H * W, cells]."""
        cells = neighbours(*self.shapes[b], offsets)
        inside = cells < self.shapes[b][0] * self.shapes[b][1]
        return self.row[np.where(inside, self.first[b] + cells, self.zero)]

    def image_of(self, rows: np.ndarray) -> np.ndarray:
        """The image that each row belongs to; B for the zero row."""
        return np.searchsorted(self.first, rows, side="right") - 1

    @cached_property
    def needs(self) -> np.ndarray:
        """bool [B, B], [b, c]: image b has vectors of image c in its context."""
        count = len(self.shapes)
        out = np.zeros((count, count), dtype=bool)
        for b in range(count):
            image = self.image_of(self.of(b))
            out[b, image[image < count]] = True
        np.fill_diagonal(out, False)
        return out


def rows_of(knowns: Sequence[np.ndarray], cell: np.ndarray | None) -> Rows:
    """The rows of a batch from what is known of each image, int32 [H, W] each (`AssignmentMap.known`).

    cell: int64 [cells of all images], the cell that codes what a KNOWN one refers to; negative or None:
    nobody, which counts as zero."""
    shapes = tuple((known.shape[0], known.shape[1]) for known in knowns)
    first = np.concatenate(([0], np.cumsum([known.size for known in knowns]))).astype(np.int64)
    zero = int(first[-1])
    row = np.full(zero + 1, zero, dtype=np.int64)
    for b, known in enumerate(knowns):
        source, mine = known.reshape(-1).astype(np.int64), row[first[b] : first[b + 1]]
        kept = source == np.arange(len(source))
        mine[kept] = first[b] + source[kept]
        away = source == KNOWN
        if cell is not None and away.any():
            coded = cell[first[b] : first[b + 1]][away]
            mine[away] = np.where(coded >= 0, coded, zero)
        local = (source >= 0) & ~kept
        mine[local] = mine[source[local]]
    return Rows(first, row, shapes)


@value
class Schedule:
    """steps: per step, the (image, group) pairs decoded together. stuck: images whose groups wait for each
    other in a circle, none of whose groups are in the steps."""

    steps: tuple[tuple[tuple[int, int], ...], ...]
    stuck: frozenset[int]


def schedule(passes: Sequence[Pass], orders: Sequence[Order], rows: Rows) -> Schedule:
    """The earliest step of every group of every image."""
    start = np.concatenate(([0], np.cumsum([order.groups for order in orders]))).astype(np.int64)
    pairs = waits(passes, orders, rows)
    step = _longest_paths(int(start[-1]), pairs)
    stuck = frozenset((np.searchsorted(start, _circular(pairs, step), side="right") - 1).tolist())
    steps: list[list[tuple[int, int]]] = [[] for _ in range(int(step.max(initial=-1)) + 1)]
    for b, order in enumerate(orders):
        for g, at in enumerate(step[start[b] : start[b + 1]].tolist()):
            if b not in stuck and at >= 0 and g < order.groups:
                steps[at].append((b, g))
    return Schedule(tuple(map(tuple, steps)), stuck)


def waits(passes: Sequence[Pass], orders: Sequence[Order], rows: Rows) -> np.ndarray:
    """int64 [pairs, 2]: a group, and one that must be decoded before it. Groups are numbered through all
    images."""
    start = np.concatenate(([0], np.cumsum([order.groups for order in orders]))).astype(np.int64)
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for b in range(len(orders)):
        inner = np.arange(start[b] + 1, start[b + 1])
        pairs.append(np.stack((inner, inner - 1), axis=1))
    needs = rows.needs
    if needs.any():
        pairs.append(_earlier_pairs(passes, orders, needs, start))
        for channels in {
            step.channels.start: step.channels for step in passes if step.window is not None
        }.values():
            pairs += _window_pairs(passes, orders, rows, (channels, start))
    return np.concatenate(pairs)


def _earlier_pairs(passes, orders, needs: np.ndarray, start: np.ndarray) -> np.ndarray:
    """A network over earlier channels sees the whole map: it needs them of every image that this one copies
    from."""
    pairs = []
    for b, c in np.argwhere(needs).tolist():
        for number, step in enumerate(passes):
            if step.earlier is None or (number and passes[number - 1].earlier is step.earlier):
                continue  # the first pass of those that share a network waits for all
            before = sum(part.channels.stop <= step.channels.start for part in passes[:number])
            mine, last = (
                np.searchsorted(orders[b].passes, number),
                np.searchsorted(orders[c].passes, before) - 1,
            )
            if mine < orders[b].groups and last >= 0:
                pairs.append((start[b] + mine, start[c] + last))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _window_pairs(passes, orders, rows: Rows, of: tuple[slice, np.ndarray]) -> list[np.ndarray]:
    """What windows over the same channels see of other images, pairs without duplicates. of: those channels,
    and the first group of each image."""
    channels, start = of
    group_of = np.full(rows.zero + 1, -1, dtype=np.int64)  # the group that codes each row in these channels
    for b, order in enumerate(orders):
        numbers = np.repeat(
            np.arange(order.groups), np.diff(order.bounds)
        )  # the group at each place of `positions`
        same = np.array([step.channels == channels for step in passes])[order.passes[numbers]]
        group_of[rows.first[b] + order.positions[same]] = start[b] + numbers[same]
    pairs = []
    for b, order in enumerate(orders):
        for number, step in enumerate(passes):
            positions = order.of_pass(number)
            if step.window is None or step.channels != channels or not len(positions):
                continue
            other = group_of[rows.window(b, step.offsets)[positions]]
            mine = np.broadcast_to(group_of[rows.first[b] + positions][:, None], other.shape)
            away = (other >= 0) & ((other < start[b]) | (other >= start[b + 1]))
            if away.any():
                pairs.append(np.unique(np.stack((mine[away], other[away]), axis=1), axis=0))
    return pairs


def _longest_paths(count: int, pairs: np.ndarray) -> np.ndarray:
    """Kahn's algorithm: step of each group, int64 [count] = 1 + the largest step it waits for, from 0; -1 for
    those that wait for a circle."""
    step, missing = [0] * count, np.bincount(pairs[:, 0], minlength=count).tolist()
    after: list[list[int]] = [[] for _ in range(count)]
    for node, other in pairs.tolist():
        after[other].append(node)
    ready = [node for node, number in enumerate(missing) if not number]
    while ready:
        node = ready.pop()
        for later in after[node]:
            step[later] = max(step[later], step[node] + 1)
            missing[later] -= 1
            if not missing[later]:
                ready.append(later)
    return np.where(np.array(missing, dtype=np.int64) > 0, -1, np.array(step, dtype=np.int64))


def _circular(pairs: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Groups that wait for themselves, through others."""
    if (step >= 0).all():
        return np.zeros(0, dtype=np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(step), len(step)))
    _, label = connected_components(graph, connection="strong")
    return np.flatnonzero(np.bincount(label)[label] > 1)
