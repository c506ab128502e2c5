"""What a run's streams saved, by what it was saved from: views of the same round, earlier views of the same
satellite, earlier views of others.

A position's saving is what its vector took in the independent stream less what it took here, and belongs to
the view that it was copied or predicted from; of an average, to the first of the two. What maps, guides and
headers take is what is left of the difference in bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from codec.earlier import SATELLITES
from codec.maps.assignment import REMOTE
from ground.records import PREDICTED, RoundRecord, SatelliteRecord

KINDS = ("within_round", "own_revisit", "others_revisit")


def saved_bytes(one: SatelliteRecord) -> dict[str, float]:
    """Of one view, by kind; and `side`, what was spent or saved beside it (hyper-latents, maps, guides)."""
    found = dict.fromkeys(KINDS, 0.0)
    total = float(one.independent.total - one.dlrc.total)
    if one.cells is not None and one.fates is not None:
        gain = (one.cells.bits_independent.astype(np.float64) - one.cells.bits) / 8
        owner = np.where((one.fates.fate == REMOTE) | (one.fates.fate == PREDICTED), one.fates.owner, -1)
        own = owner % SATELLITES == one.satellite
        for kind, where in zip(
            KINDS,
            ((owner >= 0) & (owner < SATELLITES), (owner >= SATELLITES) & own, (owner >= SATELLITES) & ~own),
            strict=True,
        ):
            found[kind] = float(gain[where].sum())
    return {**found, "side": total - sum(found.values())}


def gain_rows(rounds: Iterable[RoundRecord]) -> list[dict[str, Any]]:
    """A row a round, bytes; they add up to what the round saved."""
    rows = []
    for record in rounds:
        parts = [saved_bytes(one) for one in record.satellites]
        sums = {f"{kind}_bytes": sum(part[kind] for part in parts) for kind in (*KINDS, "side")}
        independent = sum(one.independent.total for one in record.satellites)
        referring = sum(bool(one.earlier) for one in record.satellites)
        told = {"round": record.number, "independent_bytes": independent, "referring_back": referring}
        rows.append({**told, **sums})
    return rows
