"""Which satellite talks to which station: passes in view, antennas taken, ways over other satellites."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from constellation.common.frozen import value
from constellation.passes.delivery.link import Contact

Relays = Callable[[float, Sequence[int], Sequence[Contact]], dict[int, Contact]]
"""At a time, for satellites that see no free antenna, over those that do: a contact each."""


@value
class Passes:
    """Who sees whom. contacts: of all satellites with all stations. antennas: of each station, 0: as many as
    are wanted. relays: finds ways over other satellites, asked again every `relay_s`; None: none."""

    contacts: tuple[Contact, ...]
    antennas: tuple[int, ...]
    end_s: float
    relays: Relays | None = None
    relay_s: float = 60.0


class Antennas:
    """Those of all stations while a delivery goes on. busy_s: float64 [S], how long each station carried
    data. contacts, handovers: how often one was taken, and how often by a satellite that had talked to
    another station before."""

    def __init__(self, passes: Passes) -> None:
        self.passes = passes
        self.busy_s = np.zeros(len(passes.antennas))
        self.contacts = self.handovers = 0
        self._up: dict[int, Contact] = {}
        self._serving: dict[int, int] = {}  # whose data a satellite sends, by the satellite
        self._taken = [0] * len(passes.antennas)
        self._last: dict[int, int] = {}

    def rise(self, place: int) -> None:
        """A pass begins."""
        self._up[place] = self.passes.contacts[place]

    def set(self, place: int) -> None:
        """A pass ends."""
        self._up.pop(place, None)

    def free(self, now_s: float) -> list[Contact]:
        """Passes in view whose satellite and station could talk."""
        limits = self.passes.antennas
        return [
            contact
            for contact in self._up.values()
            if contact.satellite not in self._serving
            and (not limits[contact.station] or self._taken[contact.station] < limits[contact.station])
            and contact.end_s > now_s
        ]

    def take(self, contact: Contact) -> None:
        """A contact begins to be used."""
        self._serving[contact.downlinker] = contact.satellite
        self._taken[contact.station] += 1
        self.contacts += 1
        before = self._last.get(contact.satellite)
        self.handovers += before is not None and before != contact.station
        self._last[contact.satellite] = contact.station

    def give(self, contact: Contact) -> None:
        """A contact is used no more."""
        self._serving.pop(contact.downlinker, None)
        self._taken[contact.station] -= 1
