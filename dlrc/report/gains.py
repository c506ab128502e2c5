"""What a run's streams saved, by what it was saved from: views of the same round, earlier views of the same
satellite, earlier views of others.

A position's saving is what its vector took in the independent stream less what it took here, and belongs to
the view that it was copied or predicted from; of an average, to the first of the two. What maps, guides and
headers take is what is left of the difference in bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from codec.earlier import Source, source_of_number
from codec.maps.assignment import REMOTE
from ground.records import PREDICTED, RoundRecord, SatelliteRecord

KINDS = ("within_round", "own_revisit", "others_revisit")


def saved_from(one: SatelliteRecord) -> dict[Source, float]:
    """Bytes that one view saved, by the view that it was copied or predicted from, (satellite, round)."""
    if one.cells is None or one.fates is None:
        return {}
    gain = (one.cells.bits_independent.astype(np.float64) - one.cells.bits) / 8
    copied = (one.fates.fate == REMOTE) | (one.fates.fate == PREDICTED)
    owner = np.where(copied, one.fates.owner, -1)
    return {
        source_of_number(number, one.round): float(gain[owner == number].sum())
        for number in np.unique(owner[owner >= 0]).tolist()
    }


def kind_of(one: SatelliteRecord, source: Source) -> str:
    """Which of `KINDS` a source is."""
    if source[1] == one.round:
        return KINDS[0]
    return KINDS[1] if source[0] == one.satellite else KINDS[2]


def saved_bytes(one: SatelliteRecord) -> dict[str, float]:
    """Of one view, by kind; and `side`, what was spent or saved beside it (hyper-latents, maps, guides)."""
    found: dict[str, float] = dict.fromkeys(KINDS, 0.0)
    for source, saved in saved_from(one).items():
        found[kind_of(one, source)] += saved
    total = float(one.independent.total - one.dlrc.total)
    return {**found, "side": total - sum(found.values())}


def view_row(one: SatelliteRecord) -> dict[str, Any]:
    """One view's bytes, what it saved by kind, and from whom: SATELLITE@ROUND:BYTES, the most first."""
    sources = sorted(saved_from(one).items(), key=lambda item: (-item[1], item[0]))
    return {
        "independent_bytes": one.independent.total,
        "dlrc_bytes": one.dlrc.total,
        **{f"{kind}_bytes": saved for kind, saved in saved_bytes(one).items()},
        "copied_from": " ".join(f"{s}@{number}:{saved:.0f}" for (s, number), saved in sources),
        "exact": one.exact,
    }


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
