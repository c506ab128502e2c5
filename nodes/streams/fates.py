"""Where the vectors of a predicted patch come from, position by position."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from codec.maps.assignment import KEPT, AssignmentMap
from codec.prediction.values import LATENT_PX, ROOT_PX, Guide

PLAIN = -1


def source_of(guide: Guide, assignment: AssignmentMap) -> np.ndarray:
    """The satellite that each kept position is predicted from, int16 [H, W]; of an average the first of the
    two; PLAIN where it is coded plainly, or copied."""
    pairs = list(combinations(range(len(guide.sources)), 2))
    first = [PLAIN, *guide.sources, *(guide.sources[a] for a, _ in pairs)]
    cells = ROOT_PX // LATENT_PX
    by_root = np.array(first, dtype=np.int16)[guide.roots]
    by_cell = np.where(guide.levels > 0, by_root.repeat(cells, axis=0).repeat(cells, axis=1), PLAIN)
    return np.where(assignment.fate == KEPT, by_cell, PLAIN).astype(np.int16)


def bits_by_source(
    guide: Guide, assignment: AssignmentMap, bits: np.ndarray
) -> tuple[tuple[int, float], ...]:
    """Bits of the kept positions by where they are predicted from: (satellite or PLAIN, bits)."""
    source, kept = source_of(guide, assignment), assignment.fate == KEPT
    return tuple((int(one), float(bits[kept & (source == one)].sum())) for one in np.unique(source[kept]))
