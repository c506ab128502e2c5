"""Order of coding of one image: which positions go together, and after which others. It follows from the
codec's passes and from what is known of each position, so that encoder and decoder agree.

Kept positions fall into *groups*, coded one after the other in one stream; inside a group positions follow in
raster order and channels vary fastest. A pass is one group (bmshj's one pass; elic's anchors and others of
each channel group), unless its window sees cells that it codes itself. Then its groups are a wavefront, by
depth of dependence: 1 + the largest depth in the window, where a local copy has its representative's depth
and what is not coded in this stream has depth 0. With everything kept mbt's 5 x 5 window gives 61 groups for
16 x 16 positions."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from codec.models.model import Cells, Pass
from constellation.common.frozen import value


@value
class Order:
    """The kept positions of one image in coding order, in groups; a position is in a group of each pass over
    its cells.

    positions: int64 [n]. bounds: int64 [groups + 1], group g is positions[bounds[g] : bounds[g + 1]]. passes:
    int64 [groups], the pass of each group, ascending."""

    positions: np.ndarray
    bounds: np.ndarray
    passes: np.ndarray

    @property
    def groups(self) -> int:
        """Their number."""
        return len(self.passes)

    def group(self, g: int) -> np.ndarray:
        """Flat positions, int64 [n]."""
        return self.positions[self.bounds[g] : self.bounds[g + 1]]

    def of_pass(self, number: int) -> np.ndarray:
        """Flat positions of all groups of a pass, int64 [n]."""
        first, last = np.searchsorted(self.passes, (number, number + 1))
        return self.positions[self.bounds[first] : self.bounds[last]]


def is_anchor(height: int, width: int) -> np.ndarray:
    """bool [H * W]: (row + column) even, CompressAI's checkerboard."""
    rows, columns = np.divmod(np.arange(height * width), max(1, width))
    return (rows + columns) % 2 == 0


def rank(passes: Sequence[Pass], height: int, width: int) -> np.ndarray:
    """Rank of every position in the order in which vectors are first coded, int32 [H, W]: the order of the
    assignment map too."""
    first = {cells: number for number, cells in reversed(list(enumerate(step.cells for step in passes)))}
    number = np.full(height * width, first.get(Cells.ALL, len(passes)), dtype=np.int64)
    anchor = is_anchor(height, width)
    for cells, chosen in ((Cells.ANCHORS, anchor), (Cells.OTHERS, ~anchor)):
        number[chosen] = np.minimum(number[chosen], first.get(cells, len(passes)))
    out = np.empty(height * width, dtype=np.int32)
    out[np.argsort(number, kind="stable")] = np.arange(height * width, dtype=np.int32)
    return out.reshape(height, width)


def neighbours(height: int, width: int, offsets: np.ndarray) -> np.ndarray:
    """Flat positions of each position's window cells, int64 [H * W, cells]; H * W where the cell is outside.

    offsets: int64 [cells, 2], (row, column) from the position."""
    rows, columns = np.divmod(np.arange(height * width, dtype=np.int64), max(1, width))
    r, c = rows[:, None] + offsets[:, 0], columns[:, None] + offsets[:, 1]
    outside = (r < 0) | (r >= height) | (c < 0) | (c >= width)
    return np.where(outside, height * width, r * width + c)


def groups(passes: Sequence[Pass], known: np.ndarray) -> Order:
    """The order in which the kept positions of one image are coded.

    known: int32 [H, W] (`AssignmentMap.known`). Raises ValueError for a local copy that comes before its
    representative, or whose representative is one."""
    height, width = known.shape
    source = np.array(known, dtype=np.int32).reshape(-1)
    kept = np.flatnonzero(source == np.arange(len(source)))
    copies = np.flatnonzero((source >= 0) & (source != np.arange(len(source))))
    if len(copies):
        _check_copies(source, copies, rank(passes, height, width).reshape(-1))
    chosen = {Cells.ALL: kept}
    if any(step.cells is not Cells.ALL for step in passes):
        anchor = is_anchor(height, width)[kept]
        chosen |= {Cells.ANCHORS: kept[anchor], Cells.OTHERS: kept[~anchor]}
    parts, sizes, numbers = [np.zeros(0, np.int64)], [0], []
    for number, step in enumerate(passes):
        positions, counts = chosen[step.cells], np.array([len(chosen[step.cells])])
        if _sees_itself(step):
            positions, counts = _wavefront(source, neighbours(height, width, step.offsets))
        parts.append(positions)
        sizes.extend(counts.tolist())
        numbers.extend([number] * len(counts))
    bounds = np.cumsum(np.array(sizes, dtype=np.int64))
    return Order(np.concatenate(parts), bounds, np.array(numbers, dtype=np.int64))


def _check_copies(source: np.ndarray, copies: np.ndarray, ranks: np.ndarray) -> None:
    if source[copies].max() >= len(source):
        raise ValueError(f"known: a representative at {source[copies].max()} of {len(source)} positions")
    behind = source[source[copies]]
    if ((behind >= 0) & (behind != source[copies])).any():
        raise ValueError("known: a local copy's representative is itself a local copy")
    if (ranks[source[copies]] >= ranks[copies]).any():
        raise ValueError("known: a local copy comes before its representative in coding order")


def _sees_itself(step: Pass) -> bool:
    """Whether the window of a pass holds cells that the pass codes."""
    sees = (
        len(step.offsets) > 0 if step.cells is Cells.ALL else bool((step.offsets.sum(axis=1) % 2 == 0).any())
    )
    if sees and (step.cells is not Cells.ALL or not _precedes(step.offsets)):
        raise ValueError("a window that sees its own pass must look back in raster order, over all cells")
    return sees


def _precedes(offsets: np.ndarray) -> bool:
    return bool(((offsets[:, 0] < 0) | ((offsets[:, 0] == 0) & (offsets[:, 1] < 0))).all())


def _wavefront(source: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kept positions by depth, and how many there are of each depth from 1 on."""
    depth = np.zeros(len(source), dtype=np.int32)
    _depths(source, window, depth)
    kept = np.flatnonzero(source == np.arange(len(source)))
    return kept[np.argsort(depth[kept], kind="stable")], np.bincount(depth[kept], minlength=1)[1:]


@numba.njit("void(int32[::1], int64[:,::1], int32[::1])", cache=True, nogil=True)
def _depths(source, window, depth):  # depth of every cell as seen by later ones; window: [H * W, cells]
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
