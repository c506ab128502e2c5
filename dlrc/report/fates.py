"""What can become of a latent position, as data: pages and tables draw whatever stands here.

A class is a fate with what its map says beside it (whether a copy is exact). Another way of coding adds a
class and the condition that finds its positions; nothing else asks for fates by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE
from constellation.common.frozen import value
from ground.records import PREDICTED, Fates


@value
class FateClass:
    """One kind of position. label: for a legend; told: for one position, {owner} is the satellite that its
    vector, or what predicts it, comes from. mark: how it is drawn, over the colour of that satellite: solid,
    light, core (a light core), dark (a dark core), stripes. where: finds its positions, bool [H, W]."""

    key: str
    label: str
    told: str
    mark: str
    where: Callable[[Fates], np.ndarray]


CLASSES = (
    FateClass("kept", "coded here", "coded here", "solid", lambda f: f.fate == KEPT),
    FateClass(
        "local", "copy within the view", "copy of another position of this view", "light",
        lambda f: f.fate == LOCAL,
    ),
    FateClass(
        "remote", "copied from another satellite", "exact copy of satellite {owner}'s vector", "core",
        lambda f: (f.fate == REMOTE) & f.exact,
    ),
    FateClass(
        "inexact", "copied, nearly equal", "satellite {owner}'s vector, near this one", "dark",
        lambda f: (f.fate == REMOTE) & ~f.exact,
    ),
    FateClass(
        "predicted", "coded, predicted from another satellite", "coded, predicted from satellite {owner}",
        "stripes", lambda f: f.fate == PREDICTED,
    ),
)  # fmt: skip
OTHER = FateClass(
    "other", "otherwise", "otherwise, by satellite {owner}", "stripes", lambda f: f.fate > PREDICTED
)


def classes_of(fates: Fates) -> np.ndarray:
    """The place of each position's class in `CLASSES`, uint8 [H, W]; len(CLASSES) for what none finds."""
    found = np.full(fates.fate.shape, len(CLASSES), dtype=np.uint8)
    for place, kind in enumerate(CLASSES):
        found[kind.where(fates)] = place
    return found


def shares_of(fates: Fates) -> dict[str, float]:
    """Share of the positions by class; none that is empty."""
    counts = np.bincount(classes_of(fates).reshape(-1), minlength=len(CLASSES) + 1)
    kinds = (*CLASSES, OTHER)
    return {kind.key: float(n) / fates.fate.size for kind, n in zip(kinds, counts, strict=True) if n}
