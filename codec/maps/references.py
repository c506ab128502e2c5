"""Who codes each vector of a round (paper section 3.5): references between assignment maps, followed to their
ends.

A remote copy names (owner, index in the owner's transmitted list); the owner may itself have dropped the
vector in favour of a satellite that the copier did not hear. So references are followed until they end at a
kept position. In a sound round they point up the priority order and end; where they do not, it is said of
each cell."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap, signature_positions
from constellation.common.frozen import value

NOWHERE = -1  # nobody here codes the vector: its owner's map is missing, or has no such entry
CIRCLE = -2  # references lead round in a circle


@value
class References:
    """The cell that codes each cell's vector; cells of all maps are numbered through.

    satellites: keys of the maps. first: int64 [S + 1], each map's first cell, then their number. cell: int64
    [cells], the coding cell (a kept cell: itself), NOWHERE or CIRCLE."""

    satellites: tuple[Hashable, ...]
    first: np.ndarray
    cell: np.ndarray

    def of(self, place: int) -> np.ndarray:
        """`cell` of one map, int64 [H * W]."""
        return self.cell[self.first[place] : self.first[place + 1]]

    def place(self, cells: np.ndarray) -> np.ndarray:
        """Index of the map that each cell number belongs to."""
        return np.searchsorted(self.first, cells, side="right") - 1

    @property
    def circles(self) -> tuple[Hashable, ...]:
        """Satellites with references that go round in a circle, or lead into one."""
        return tuple(s for place, s in enumerate(self.satellites) if (self.of(place) == CIRCLE).any())

    def copied(self, coded: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Every vector from where it is coded, [M, H, W] for each of `coded`, [M, H, W] (read at kept
        positions); zero where nobody codes it."""
        if not coded:
            return []
        rows = np.concatenate([values.reshape(len(values), -1).T for values in coded])
        out = []
        for place, values in enumerate(coded):
            cell = self.of(place)
            found = np.where((cell >= 0)[:, None], rows[np.maximum(cell, 0)], 0)
            out.append(np.ascontiguousarray(found.T.reshape(values.shape)))
        return out


def follow(maps: Mapping[int, AssignmentMap]) -> References:
    """Follow every reference of a set of maps (satellite -> map, of any shapes) to the kept position it ends
    at."""
    first = np.concatenate(([0], np.cumsum([one.fate.size for one in maps.values()]))).astype(np.int64)
    start = dict(zip(maps, first.tolist(), strict=False))
    pointer = _pointers(maps, start)
    for _ in range(len(pointer).bit_length() + 1):  # each turn halves what is left of a chain
        further = np.where(pointer >= 0, pointer[np.maximum(pointer, 0)], NOWHERE)
        if np.array_equal(further, pointer):
            break
        pointer = further
    kept = np.concatenate([np.zeros(0, bool), *(one.fate.reshape(-1) == KEPT for one in maps.values())])
    ends = pointer >= 0
    ends[ends] = kept[pointer[ends]]
    return References(tuple(maps), first, np.where(ends, pointer, np.where(pointer >= 0, CIRCLE, NOWHERE)))


def _pointers(maps: Mapping[int, AssignmentMap], start: Mapping[int, int]) -> np.ndarray:
    """One step of every reference, int64 [cells]: a kept cell's own number, or NOWHERE."""
    lists = {satellite: start[satellite] + signature_positions(one) for satellite, one in maps.items()}
    parts = [np.zeros(0, dtype=np.int64)]
    for satellite, one in maps.items():
        fate, owner, source = (array.reshape(-1) for array in (one.fate, one.owner, one.source))
        pointer = start[satellite] + np.arange(len(fate), dtype=np.int64)
        pointer[fate == LOCAL] = start[satellite] + source[fate == LOCAL]
        for other in np.unique(owner[fate == REMOTE]).tolist():
            at = np.flatnonzero((fate == REMOTE) & (owner == other))
            entries = lists.get(other, np.zeros(0, dtype=np.int64))
            inside = source[at] < len(entries)
            pointer[at] = NOWHERE
            pointer[at[inside]] = entries[source[at[inside]]]
        parts.append(pointer)
    return np.concatenate(parts)
