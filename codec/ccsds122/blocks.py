"""From subbands to blocks of 64 coefficients and back, sections 3.4 and 4.1.

A block is one DC coefficient and 63 AC ones: three families (HL, LH, HH), each a parent of level 3, four
children of level 2 and sixteen grandchildren of level 1, these by quadrant. Column 0 is DC; family f starts
in column 1 + 21 f: parent, children, grandchildren of quadrants 0 to 3."""

from __future__ import annotations

import numpy as np

from codec.ccsds122.wavelet import Level, Pyramid

SIZE_PX = 8
FAMILY = 21  # coefficients
# The powers of two by which the integer transform's subbands are multiplied, in the order of part 4 of a
# header
SUBBANDS = ("HH1", "HL1", "LH1", "HH2", "HL2", "LH2", "HH3", "HL3", "LH3", "LL3")
WEIGHTS = (0, 1, 1, 1, 2, 2, 2, 3, 3, 3)
UNWEIGHTED = (0,) * 10


def shifts_of(weights: tuple[int, ...]) -> np.ndarray:
    """The shift of every column of a block, int64 [64], of weights in the order of SUBBANDS."""
    by_name: dict[str, int] = dict(zip(SUBBANDS, weights, strict=True))
    out = [by_name["LL3"]]
    for family in ("HL", "LH", "HH"):
        out += [by_name[f"{family}3"]] + 4 * [by_name[f"{family}2"]] + 16 * [by_name[f"{family}1"]]
    return np.array(out, dtype=np.int64)


def to_blocks(pyramid: Pyramid) -> np.ndarray:
    """Coefficients [K, 64] by blocks in raster order, of the subbands' type."""
    rows, columns = pyramid.ll.shape
    parts = [pyramid.ll.reshape(-1, 1)]
    for family in range(3):
        third, second, first = (level[family] for level in pyramid.levels)
        parts.append(third.reshape(-1, 1))
        parts.append(second.reshape(rows, 2, columns, 2).transpose(0, 2, 1, 3).reshape(-1, 4))
        quadrants = first.reshape(rows, 2, 2, columns, 2, 2).transpose(0, 3, 1, 4, 2, 5)
        parts.append(quadrants.reshape(-1, 16))
    return np.concatenate(parts, axis=1)


def to_pyramid(blocks: np.ndarray, columns: int) -> Pyramid:
    """Subbands of blocks [K, 64], `columns` of them in a line."""
    rows, families = len(blocks) // columns, []
    for family in range(3):
        own = blocks[:, 1 + FAMILY * family :][:, :FAMILY]
        second = own[:, 1:5].reshape(rows, columns, 2, 2).transpose(0, 2, 1, 3)
        first = own[:, 5:].reshape(rows, columns, 2, 2, 2, 2).transpose(0, 2, 4, 1, 3, 5)
        families.append(
            (
                own[:, 0].reshape(rows, columns),
                second.reshape(2 * rows, 2 * columns),
                first.reshape(4 * rows, 4 * columns),
            )
        )
    levels = tuple(Level(*(family[depth] for family in families)) for depth in range(3))
    return Pyramid(blocks[:, 0].reshape(rows, columns), levels)
