"""What of a round's lists is worth keeping, and for whom, decided alike wherever it is.

Who heard everybody whom another heard knows which entries that other keeps: owners are a function of the
lists and the order. Of those it may remember the other's list; of all others it cannot tell what the ground
has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nodes.arbiter import decided_by
from nodes.crew import Known, Rules
from nodes.lists.entries import Entries


def kept_of(rules: Rules, order: Sequence[int], known: Known, numbers: Sequence[int]) -> dict[int, Entries]:
    """Of each list that somebody of the crew `numbers` may remember, the entries that its satellite answers
    for. order: satellites, highest priority first."""
    views = {known.by[s] for s in numbers if s in known.by}
    groups: dict[frozenset[int], list[int]] = {}
    for satellite in known.lists:
        heard = known.by.get(satellite, frozenset())
        if heard in groups or (heard <= known.lists.keys() and any(heard <= view for view in views)):
            groups.setdefault(heard, []).append(satellite)
    kept = {}
    for heard, satellites in groups.items():
        lists = {s: known.lists[s] for s in sorted(heard)}
        owners = decided_by(rules, order, known, heard, lists)
        for satellite in satellites:
            own = np.flatnonzero(owners[satellite][0] == satellite).astype(np.int32)
            one = known.lists[satellite]
            contents = one.signatures if one.contents is None else one.contents
            kept[satellite] = Entries(own, one.signatures[own], contents[own])
    return kept


def understood(by: Mapping[int, frozenset[int]]) -> dict[int, frozenset[int]]:
    """Receiver -> those of whom it knows what they keep. by: receiver -> whom it heard."""
    return {
        receiver: frozenset(s for s in heard if s in by and by[s] <= heard) for receiver, heard in by.items()
    }
