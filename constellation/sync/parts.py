"""Where the time of one exchange goes: the chain of transfers that ends last, hop by hop.

The round is as long as its last arrival, and that one as the transfers before it: the chain is followed back
from the last arrival over what each transfer waited for. Its hops spend propagation and transmission, its
relays add theirs, the control time stands before all; what is left is waiting, for a transmitter or for the
share of a link. Under `parallel` nothing waits, so the waiting is 0 there up to rounding."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from constellation.common.frozen import value
from constellation.scenario.network import SyncKnobs
from constellation.sync.contention import Route
from constellation.sync.schedules import Transfer


@value
class Parts:
    """Seconds of the longest chain of a round; they add up to T_round. nan where nobody sends anything."""

    propagation_s: float
    transmission_s: float
    relay_s: float
    waiting_s: float
    control_s: float

    def seconds(self) -> tuple[float, ...]:
        """All of them, in the order of the fields."""
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))


NAMES = tuple(field.name.removesuffix("_s") for field in dataclasses.fields(Parts))
UNDEFINED = Parts(*[float("nan")] * len(NAMES))


def parts_of(
    plan: Sequence[Transfer],
    routes: Sequence[Route],
    sizes_bits: np.ndarray,  # float64 [M], by transfer
    finish_s: np.ndarray,  # float64 [M], arrivals by transfer
    knobs: SyncKnobs,
) -> Parts:
    """The parts of a round whose transfers arrived at `finish_s`; `UNDEFINED` for a round without any."""
    if not len(plan):
        return UNDEFINED
    propagation_s = transmission_s = relay_s = 0.0
    last = int(np.argmax(finish_s))
    index: int | None = last
    while index is not None:
        route = routes[index]
        propagation_s += float(route.distance_s.sum())
        transmission_s += float((sizes_bits[index] / route.rate_bps).sum())
        relay_s += (len(route.rate_bps) - 1) * knobs.relay_s
        index = max(plan[index].after, key=lambda i: float(finish_s[i]), default=None)
    spent_s = propagation_s + transmission_s + relay_s
    waiting_s = max(0.0, float(finish_s[last]) - spent_s)
    return Parts(propagation_s, transmission_s, relay_s, waiting_s, knobs.control_s)
