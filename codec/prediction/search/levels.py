"""Which levels and which references cost least, from the bits of every position under each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from codec.prediction.search.costs import Costs
from codec.prediction.values import LATENT_PX, LEVELS, ROOT_PX, Prediction

DISAGREEMENT_BITS = 0.6  # of a root's level that differs from a neighbour's
PARTED_BITS = 8.0  # of four levels of a root instead of one
HEADER_BITS = 80.0  # about what a reference costs beside its motion


def of_roots(positions: np.ndarray) -> np.ndarray:
    """Sums over roots, [..., P/32, P/32] of [..., H, W]."""
    side = ROOT_PX // LATENT_PX
    *more, h, w = positions.shape
    return positions.reshape(*more, h // side, side, w // side, side).sum(axis=(-3, -1))


def of_positions(roots: np.ndarray) -> np.ndarray:
    """What is said of roots, told to their positions."""
    side = ROOT_PX // LATENT_PX
    return roots.repeat(side, 0).repeat(side, 1)


def bits_of_levels(costs: Costs, first: Prediction) -> np.ndarray:
    """Bits of every level at every position, float64 [LEVELS - 1, H, W], each as if all had it; `first`: a
    prediction with any levels."""
    each = (replace(first, levels=np.full_like(first.levels, level)) for level in range(1, LEVELS))
    return np.stack([costs.predicted(one) for one in each])


def agreed(offers: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(levels [H, W], bits of each root [P/32, P/32]) that cost least of float64 [LEVELS, H, W], with a price
    on a root that is predicted at all, on roots that differ from their neighbours, and on positions of one
    root that differ."""
    whole = of_roots(offers)
    whole[1:] += price
    levels = whole.argmin(axis=0)
    for _ in range(2):
        around = np.pad(levels, 1, mode="edge")
        sides = around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]
        differing = np.stack([sum((side != level) for side in sides) for level in range(len(offers))])
        levels = (whole + DISAGREEMENT_BITS * differing).argmin(axis=0)
    bits = np.take_along_axis(whole, levels[None], axis=0)[0]
    each = offers.argmin(axis=0)
    parted = of_roots(offers.min(axis=0)) + price * (of_roots(each) > 0) + PARTED_BITS
    return np.where(of_positions(parted < bits), each, of_positions(levels)), np.minimum(bits, parted)


def chosen(
    plain: np.ndarray, offered: Sequence[np.ndarray], members: Sequence[tuple[int, ...]]
) -> np.ndarray:
    """Which of what is offered (from 1) each root takes, int64 [P/32, P/32], or nothing (0): one after the
    other, each where what it saves pays for the headers that it needs.

    plain: float64 [P/32, P/32], bits. offered: those under each offer. members: the references of each."""
    best, choice = plain, np.zeros(plain.shape, np.int64)
    left, paid = set(range(len(offered))), set()
    while left:
        gains = {
            k: (best - np.minimum(best, offered[k])).sum() - HEADER_BITS * len(set(members[k]) - paid)
            for k in sorted(left)
        }
        k = max(gains, key=lambda one: (gains[one], -one))
        if gains[k] <= 0:
            break
        left.remove(k)
        paid |= set(members[k])
        choice = np.where(offered[k] < best, k + 1, choice)
        best = np.minimum(best, offered[k])
    return choice
