"""Arbitrary valid assignment maps for the tests of maps, their codings and the container."""

from __future__ import annotations

import numpy as np

from codec.entropy.order import rank
from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from codec.models.model import Cells, Pass

ORDERS = {
    "raster": (Pass(slice(0, 1), Cells.ALL, None, None, (), None),),
    "checkerboard": tuple(Pass(slice(0, 1), c, None, None, (), None) for c in (Cells.ANCHORS, Cells.OTHERS)),
}


def ranks(height: int, width: int, order: str = "raster") -> np.ndarray:
    """The order of coding of a codec with or without a checkerboard, int32 [height, width]."""
    return rank(ORDERS[order], height, width)


def arbitrary_map(
    rng: np.random.Generator, ranks: np.ndarray, satellite: int, participants: tuple[int, ...]
) -> AssignmentMap:
    """A map without geometry: fates, owners and sources at random, shares at random."""
    total = ranks.size
    others = [other for other in participants if other != satellite]
    fate, source = np.full(total, KEPT, np.uint8), np.full(total, -1, np.int32)
    owner, exact = np.full(total, -1, np.int16), np.zeros(total, bool)
    local_share, remote_share = rng.random(2) * rng.integers(0, 2, 2)
    representatives: list[int] = []
    for position in np.argsort(ranks.reshape(-1)):
        if representatives and rng.random() < local_share:
            fate[position], source[position] = LOCAL, rng.choice(representatives)
            continue
        representatives.append(int(position))
        if others and rng.random() < remote_share:
            fate[position], owner[position], source[position] = (
                REMOTE,
                rng.choice(others),
                rng.integers(total),
            )
            exact[position] = rng.random() < 0.8
    shape = ranks.shape
    return AssignmentMap(
        fate.reshape(shape), exact.reshape(shape), owner.reshape(shape), source.reshape(shape)
    )
