"""Exact copies: where a decoded neighbour has the very vector that this satellite would code.

Two views of one ground that are digitally alike agree at one displacement of their grids. It is found by
content hashes of vectors that occur once in either, and every copy is then compared number by number: no hash
decides anything. Copies from positions at other displacements are left out, as an assignment map says them
dearly and prediction has them nearly for nothing (flat ground)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from codec.maps.assignment import KEPT, REMOTE, AssignmentMap, all_kept
from codec.maps.coding import encode_map
from constellation.common.frozen import value
from nodes.recognizer import content_hashes

_FRAME_BITS = 24  # estimate of what a map's checksum and participants take beside its bytes


@value
class Match:
    """What one neighbour has alike. same: bool [H, W]. shift: (rows, columns) from a position here to that of
    the neighbour's grid."""

    owner: int
    same: np.ndarray
    shift: tuple[int, int]


def matches(own: np.ndarray, others: Mapping[int, np.ndarray]) -> list[Match]:
    """What is alike in each of `others`, int [M, H, W] by satellite, the most first; none without any."""
    mine = content_hashes(own)
    found = []
    for satellite, theirs in others.items():
        shift = _displacement(mine, content_hashes(theirs), own.shape[2], theirs.shape[2])
        if shift is not None:
            same = _alike(own, theirs, shift)
            if same.any():
                found.append(Match(satellite, same, shift))
    return sorted(found, key=lambda one: -int(one.same.sum()))


def _displacement(
    mine: np.ndarray, theirs: np.ndarray, width: int, other_width: int
) -> tuple[int, int] | None:
    """The displacement that most vectors agree on which occur once in either grid; None below two."""
    (a, at, once_a), (b, there, once_b) = (
        np.unique(hashes, return_index=True, return_counts=True) for hashes in (mine, theirs)
    )
    _, i, j = np.intersect1d(a[once_a == 1], b[once_b == 1], return_indices=True)
    here, other = at[once_a == 1][i], there[once_b == 1][j]
    if len(here) < 2:
        return None
    steps = np.stack((other // other_width - here // width, other % other_width - here % width), axis=1)
    shifts, votes = np.unique(steps, axis=0, return_counts=True)
    if votes.max() < 2:
        return None
    row, col = shifts[votes.argmax()].tolist()
    return row, col


def _alike(own: np.ndarray, theirs: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Where own[:, r, c] == theirs[:, r + shift[0], c + shift[1]], bool [H, W]."""
    same = np.zeros(own.shape[1:], dtype=bool)
    spans = [
        (max(0, -step), min(size, other - step))
        for step, size, other in zip(shift, own.shape[1:], theirs.shape[1:], strict=True)
    ]
    if any(low >= high for low, high in spans):
        return same
    (top, bottom), (left, right) = spans
    there = theirs[:, top + shift[0] : bottom + shift[0], left + shift[1] : right + shift[1]]
    same[top:bottom, left:right] = (own[:, top:bottom, left:right] == there).all(axis=0)
    return same


def worth_a_map(found: Sequence[Match], bits: np.ndarray, satellite: int, coding: str) -> AssignmentMap:
    """The map of those copies that save more than it takes.

    bits: float [H, W], what coding each position takes without. Neighbours are added one after the other for
    as long as the sum falls."""
    chosen, price = all_kept(*bits.shape), 0.0
    for one in found:
        trial = _with(chosen, one)
        new = (trial.fate == REMOTE) & (chosen.fate == KEPT)
        members = tuple(sorted({satellite, *np.unique(trial.owner[trial.fate == REMOTE]).tolist()}))
        section = encode_map(trial, coding, participants=members, satellite=satellite)
        cost = 8 * len(section) + _FRAME_BITS
        if bits[new].sum() > cost - price:
            chosen, price = trial, cost
    return chosen


def _with(before: AssignmentMap, match: Match) -> AssignmentMap:
    """A map with what a neighbour has alike of the positions kept so far."""
    height, width = before.shape
    new = match.same & (before.fate == KEPT)
    rows, cols = np.mgrid[:height, :width]
    at = (rows + match.shift[0]) * width + cols + match.shift[1]
    return AssignmentMap(
        np.where(new, REMOTE, before.fate).astype(np.uint8),
        before.exact | new,
        np.where(new, match.owner, before.owner).astype(np.int16),
        np.where(new, at, before.source).astype(np.int32),
    )
