"""A contact as a channel: how long units take, which of them arrive."""

from __future__ import annotations

import numpy as np

from constellation.common.frozen import value


@value
class Contact:
    """One satellite's way to one station while it lasts.

    edges_s: float64 [P + 1], pieces of constant rate; rate_bps, loss: float64 [P], loss being the chance that
    a unit is lost. delay_s: one way. relays: satellites in between, 0 for a pass of its own. up_loss: the
    chance that an answer is lost. downlinker: the satellite that the station's antenna follows."""

    satellite: int
    station: int
    downlinker: int
    edges_s: np.ndarray
    rate_bps: np.ndarray
    loss: np.ndarray
    delay_s: float
    up_loss: float
    relays: int = 0

    @property
    def begin_s(self) -> float:
        return float(self.edges_s[0])

    @property
    def end_s(self) -> float:
        return float(self.edges_s[-1])

    def from_time(self, time_s: float) -> Contact | None:
        """What is left of it after `time_s`; None where nothing is."""
        if time_s >= self.end_s:
            return None
        if time_s <= self.begin_s:
            return self
        first = int(np.searchsorted(self.edges_s, time_s, side="right")) - 1
        return Contact(
            self.satellite,
            self.station,
            self.downlinker,
            np.concatenate([[time_s], self.edges_s[first + 1 :]]),
            self.rate_bps[first:],
            self.loss[first:],
            self.delay_s,
            self.up_loss,
            self.relays,
        )


class Channel:
    """A contact in use: units go one after the other, each lost or not by a draw of its own."""

    def __init__(self, contact: Contact, draws: np.random.Generator) -> None:
        self.contact = contact
        self._draws = draws
        carried = np.diff(contact.edges_s) * contact.rate_bps / 8
        self._carried_bytes = np.concatenate([[0.0], np.cumsum(carried)])

    def burst_bytes(self, time_s: float, seconds: float) -> int:
        """What goes through in so many seconds from `time_s` on, before the contact ends."""
        until_s = min(time_s + seconds, self.contact.end_s)
        begin, end = np.interp([time_s, until_s], self.contact.edges_s, self._carried_bytes)
        return int(end - begin)

    def send(self, time_s: float, sizes_bytes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Units of these sizes from `time_s` on -> when the last bit of each leaves, float64 [n], of those
        that leave before the contact ends; and which of these are lost, bool [n]."""
        begin = float(np.interp(time_s, self.contact.edges_s, self._carried_bytes))
        upto = begin + np.cumsum(sizes_bytes)
        upto = upto[upto <= self._carried_bytes[-1]]
        # where nothing is carried for a while, the unit leaves at its end
        left_s = np.interp(upto, self._carried_bytes, self.contact.edges_s)
        piece = np.clip(np.searchsorted(self.contact.edges_s, left_s) - 1, 0, len(self.contact.loss) - 1)
        return left_s, self._draws.random(len(left_s)) < self.contact.loss[piece]

    def answered(self) -> bool:
        """Whether one answer of the ground arrives."""
        return bool(self._draws.random() >= self.contact.up_loss)
