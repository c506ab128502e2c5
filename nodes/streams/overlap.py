"""Which of the streams heard predict a patch (`dlrc.references`, `dlrc.reference_rule`).

    overlap   of those before it in the round's order, the one that covers most of the patch, then the one
              that covers most of what is left, and so on
    bits      as overlap, but by the bits that each saves, tried out
    module:function   the user's own: function(own header, headers, seed, round) -> satellites, best first

Footprints are as headers say them: where satellites believe that they look. Nothing must be alike on all
satellites here, as each stream says what it refers to."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from constellation.common.errors import UserError
from nodes.messages import Header

_CELL_PX = 8  # footprints are counted on this grid


def ranked(own: Header, others: Iterable[Header], wanted: np.ndarray) -> list[int]:
    """Satellites whose footprints overlap the patch, the most useful first.

    wanted: bool [P, P] or coarser, square: what of the patch is still to be predicted. Each next one is that
    which covers most of it where none before does; ties, and all that add nothing, by their own overlap and
    then in the order given."""
    side = len(wanted)
    cells = {one.satellite: _seen(own, one, side) for one in others}
    left, order = wanted.copy(), []
    waiting = {s: seen for s, seen in cells.items() if (seen & wanted).any()}
    while waiting:
        best = max(waiting, key=lambda s: (int((waiting[s] & left).sum()), int(waiting[s].sum())))
        left &= ~waiting.pop(best)
        order.append(best)
    return order


def patch_cells(kept: np.ndarray) -> np.ndarray:
    """The latent positions `kept`, bool [H, W], on the grid that footprints are counted on."""
    fine = 16 // _CELL_PX
    return np.kron(kept, np.ones((fine, fine), dtype=bool)).astype(bool)


def _seen(own: Header, other: Header, side: int) -> np.ndarray:
    """What of the own patch another of its size covers, bool [side, side] in cells of `_CELL_PX`."""
    seen = np.zeros((side, side), dtype=bool)
    row, col = ((theirs - mine) / _CELL_PX for theirs, mine in zip(_place(other), _place(own), strict=True))
    top, left = max(0, round(row)), max(0, round(col))
    bottom, right = min(side, round(row + side)), min(side, round(col + side))
    seen[top : max(top, bottom), left : max(left, right)] = True
    return seen


def _place(header: Header) -> tuple[int, int]:
    if header.place is None:
        raise ValueError(f"satellite {header.satellite}: a header without a place")
    return header.place


def shift_px(own: Header, other: Header) -> tuple[int, int]:
    """(dy, dx) from pixels of the own patch to pixels of the other, as both believe."""
    (row, col), (other_row, other_col) = _place(own), _place(other)
    return row - other_row, col - other_col


def user_order(rule: str, own: Header, others: Mapping[int, Header], seed: int, number: int) -> list[int]:
    """What a rule of the user's says. Raises `UserError`, one line, where it fails or names a satellite that
    was not heard or does not come before."""
    function = user_function(rule)
    try:
        chosen = [int(s) for s in function(own, tuple(others[s] for s in sorted(others)), seed, number)]
    except Exception as error:  # the user's function may fail in any way
        raise UserError(f"dlrc.reference_rule={rule}: {type(error).__name__}: {error}") from None
    if len(set(chosen)) != len(chosen) or not set(chosen) <= others.keys():
        raise UserError(
            f"dlrc.reference_rule={rule}: returned {chosen} for satellite {own.satellite}, expected some of "
            f"the satellites {sorted(others)}"
        )
    return chosen


def user_function(rule: str) -> Callable[..., Sequence[int]]:
    """The function that a rule names. Raises `UserError`."""
    module, _, name = rule.partition(":")
    try:
        function: Callable[..., Sequence[int]] = getattr(importlib.import_module(module), name)
    except Exception as error:  # the user's module may fail in any way
        raise UserError(f"dlrc.reference_rule={rule}: {type(error).__name__}: {error}") from None
    if not callable(function):
        raise UserError(
            f"dlrc.reference_rule={rule}: found type {type(function).__name__}, expected a function of "
            "(own header, headers, seed, round)"
        )
    return function
