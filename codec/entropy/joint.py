"""Several images coded side by side: one set of context vectors, one joint schedule, one matrix product per
layer and step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from codec.entropy.exact import ExactParameters
from codec.entropy.layouts import FILL, ContextLayout
from codec.entropy.schedule import coding_order, joint_schedule, layout_fault, neighbours, referred, resolve
from constellation.common.errors import BitstreamError

BATCH_ROWS = 2048  # rows of the 1x1 networks at a time, a bound on memory

Exchange = Callable[[np.ndarray, list[int], list[int], np.ndarray, slice], np.ndarray]


class JointRun:
    """A walk over the joint schedule of some images, from their hyper-latents alone; the decoder, and the
    encoder of the centred grid.

    layouts, known, z_symbols: per image its layout, vectors [K, M] given from outside (or None), and int32
    [N, h, w]. kind: dtype of vectors, int16 or float32. Raises BitstreamError for layouts and references that
    cannot be coded."""

    def __init__(
        self,
        prior: ExactParameters,
        family: str,
        layouts: Sequence[ContextLayout],
        known: Sequence[np.ndarray | None],
        z_symbols: Sequence[np.ndarray],
        kind: str,
    ) -> None:
        self._prior, self._family, self._layouts = prior, family, layouts
        known_counts = [0 if k is None else len(k) for k in known]
        for b in range(len(layouts)):
            fault = layout_fault(family, layouts, b, known_counts)
            if fault:
                raise BitstreamError(f"stream {b} of the batch: {fault}")
        self.orders = [coding_order(family, layout) for layout in layouts]
        self._pointers = pointers = resolve(layouts, known_counts)
        self._schedule = joint_schedule(family, layouts, self.orders, pointers, len(prior.passes))
        self._vectors = np.zeros((pointers.zero + 1, prior.m), dtype=kind)  # rows of `pointers`
        if any(k is not None for k in known):
            self._vectors[pointers.first[-1] : pointers.zero] = np.concatenate(
                [k for k in known if k is not None]
            )
        hyper, window = [np.zeros((0, 0))] * (not layouts), [np.zeros((0, 0), np.int64)] * (not layouts)
        for first, layout, z in zip(pointers.first, layouts, z_symbols, strict=False):
            hyper.append(prior.hyper(z, layout.height, layout.width))
            cells = neighbours(layout.height, layout.width, prior.passes[-1].offsets)
            window.append(pointers.row[np.where(cells < len(layout.source), first + cells, pointers.zero)])
        self._hyper = np.concatenate(hyper)  # [cells of all images, P]
        self._window = np.concatenate(window)  # [cells, 12], rows of each cell's context vectors
        self._side: dict[
            int, tuple[int, np.ndarray | None]
        ] = {}  # image -> elic's channel group, its channel context at kept positions

    @property
    def followers(self) -> np.ndarray:
        """bool [B, B], [b, c]: image b needs vectors of image c."""
        return self._schedule.followers

    def run(self, exchange: Exchange) -> None:
        """`exchange(parameters [n, 2 C], images, counts, rows, channels)` gives the vectors' values [n, C] of
        each step.

        counts[i] of the n rows belong to images[i]; rows: their cells, numbered through all images.
        """
        for step in self._schedule.steps:
            for number in sorted({g for _, g in step}) if self._family == "elic" else [0]:
                self._run_pass(
                    number, [(b, g) for b, g in step if self._family != "elic" or g == number], exchange
                )

    def context_map(self, b: int) -> np.ndarray:
        """What is known of image b: int32 or float32 [M, H, W]."""
        layout, first = self._layouts[b], self._pointers.first
        values = self._vectors[self._pointers.row[first[b] : first[b + 1]]].T.reshape(
            -1, layout.height, layout.width
        )
        return np.ascontiguousarray(values, dtype=np.float32 if values.dtype.kind == "f" else np.int32)

    def _run_pass(self, number: int, pairs: list[tuple[int, int]], exchange: Exchange) -> None:
        parity = number % 2
        groups = [
            self._pointers.first[b] + self.orders[b].group(parity if self._family == "elic" else g)
            for b, g in pairs
        ]
        rows = np.concatenate(groups)
        if not len(rows):
            return
        beside = [self._side_of(number, b) for b, _ in pairs]
        side = None if beside[0] is None else np.concatenate(beside)
        channels = self._prior.passes[number].step.channels
        parts = []
        for at in range(0, len(rows), BATCH_ROWS):
            some = rows[at : at + BATCH_ROWS]
            part = None if side is None else side[at : at + BATCH_ROWS]
            parts.append(
                self._prior.parameters(number, self._hyper[some], part, (self._vectors, self._window[some]))
            )
        parameters = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._vectors[rows, channels] = exchange(
            parameters, [b for b, _ in pairs], [len(group) for group in groups], rows, channels
        )

    def _side_of(self, number: int, b: int) -> np.ndarray | None:
        """Computed for anchors and non-anchors at once, when the earlier channel groups are complete."""
        order, layout, first = self.orders[b], self._layouts[b], self._pointers.first
        if b not in self._side or self._side[b][0] != number // 2:
            cells = self._pointers.row[first[b] : first[b + 1]]
            self._side[b] = (
                number // 2,
                self._prior.earlier(
                    number, self._vectors, cells.reshape(layout.height, layout.width), order.positions
                ),
            )
        side = self._side[b][1]
        return None if side is None else side[order.bounds[number % 2] : order.bounds[number % 2 + 1]]


def codable(
    family: str, layouts: Sequence[ContextLayout], known: Sequence[np.ndarray | None]
) -> tuple[list[ContextLayout], list[str]]:
    """The layouts, with those that cannot be coded replaced by ones that code nothing; and what is wrong with
    each of those ('' for the others).

    That is: layouts with a fault of their own, those that refer to one of them, and, if references go round
    in a circle, all in such a circle."""
    layouts, known_counts = list(layouts), [0 if k is None else len(k) for k in known]
    faults = [layout_fault(family, layouts, b, known_counts) for b in range(len(layouts))]
    names = referred(layouts)

    def drop_followers() -> None:
        for _ in layouts:
            for b in range(len(layouts)):
                bad = [c for c in np.flatnonzero(names[b]) if faults[c]]
                if bad and not faults[b]:
                    faults[b] = f"refers to stream {bad[0]}, which failed"
        for b, fault in enumerate(faults):
            if fault:
                layouts[b] = ContextLayout(
                    layouts[b].height, layouts[b].width, np.full(len(layouts[b].source), FILL)
                )

    drop_followers()
    try:
        orders = [coding_order(family, layout) for layout in layouts]
        joint_schedule(family, layouts, orders, resolve(layouts, known_counts), 2)
    except BitstreamError:
        reach = referred(layouts)
        for _ in layouts:
            reach = reach | (reach.astype(np.int64) @ reach.astype(np.int64) > 0)
        for b in np.flatnonzero(np.diagonal(reach)):
            faults[b] = faults[b] or "references go round in a circle"
        drop_followers()
    return layouts, faults
