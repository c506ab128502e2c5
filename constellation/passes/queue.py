"""The downlink queue of each satellite: first in, first out, through its contact windows; no byte is lost or
made up.

A queue drains a *service curve*, the bits that the link could have carried since the beginning: pieces of
constant rate (a pass cut into steps, its rate following the distance). What is ready before a pass waits for
it; a message may be spread over several passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from constellation.common.errors import UserError
from constellation.orbit.orbits import Constellation
from constellation.passes.contacts import ContactWindows, downlink_rate_bps
from constellation.scenario.network import GroundKnobs

PIECE_S = (
    10.0  # the rate is taken at the middle of such pieces of a pass: within 0.05 % of the integral at 550 km
)


@dataclass(frozen=True, eq=False)
class Service:
    """When a link is up and how fast: begin_s, end_s, rate_bps float64 [P], pieces in order, not
    overlapping."""

    begin_s: np.ndarray
    end_s: np.ndarray
    rate_bps: np.ndarray
    _carried: np.ndarray = field(init=False, repr=False)  # bytes until each piece begins, and in all

    def __post_init__(self) -> None:
        begin, end, rate = (
            np.asarray(getattr(self, name), dtype=np.float64) for name in ("begin_s", "end_s", "rate_bps")
        )
        if not (begin.shape == end.shape == rate.shape and begin.ndim == 1):
            raise UserError(
                f"downlink windows: shapes {begin.shape}, {end.shape}, {rate.shape}, expected three "
                f"lists of one length"
            )
        if not (
            np.isfinite([begin, end, rate]).all()
            and (end >= begin).all()
            and (begin[1:] >= end[:-1]).all()
            and (rate >= 0).all()
        ):
            raise UserError(
                "downlink windows: expected finite windows in order of time that do not overlap, with "
                "rates of at least 0 bit/s"
            )
        for name, value in (("begin_s", begin), ("end_s", end), ("rate_bps", rate)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_carried", np.concatenate([[0.0], np.cumsum((end - begin) * rate / 8)]))

    @property
    def capacity_bytes(self) -> float:
        return float(self._carried[-1])

    def carried_bytes(self, time_s: float) -> float:
        """What the link could have carried until `time_s`."""
        piece = int(np.searchsorted(self.begin_s, time_s, side="right")) - 1
        if piece < 0:
            return 0.0
        return float(
            self._carried[piece]
            + (min(time_s, self.end_s[piece]) - self.begin_s[piece]) * self.rate_bps[piece] / 8
        )

    def time_s(self, carried_bytes: float) -> float:
        """The earliest time by which so much could have been carried; inf where it never can."""
        if carried_bytes > self._carried[-1]:
            return np.inf
        piece = max(0, int(np.searchsorted(self._carried, carried_bytes, side="left")) - 1)
        if not len(self.rate_bps) or carried_bytes <= 0:
            return -np.inf
        return float(self.begin_s[piece] + (carried_bytes - self._carried[piece]) * 8 / self.rate_bps[piece])


@dataclass(frozen=True)
class Delivery:
    """What became of one message: sent_bytes of its size_bytes until the windows ended; finish_s of its last
    byte (inf: not all sent)."""

    ready_s: float
    size_bytes: float
    sent_bytes: float
    finish_s: float


class DownlinkQueue:
    """One satellite's queue over one service curve; messages are pushed in order of time and sent in that
    order."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._free_s = -np.inf  # when the last message pushed leaves the link
        self._served_bytes = 0.0  # how much of the curve is used up or has gone by
        self.deliveries: list[Delivery] = []

    def push(self, ready_s: float, size_bytes: float) -> Delivery:
        """Queue a message. Raises `ValueError` where it is ready before the one pushed last, or has no
        size."""
        if self.deliveries and ready_s < self.deliveries[-1].ready_s:
            raise ValueError(
                f"ready_s: {ready_s}, expected at least {self.deliveries[-1].ready_s}, when the message "
                f"before was ready"
            )
        if not (np.isfinite([ready_s, size_bytes]).all() and size_bytes >= 0):
            raise ValueError(
                f"message of {size_bytes} bytes at {ready_s} s: expected a finite time and a size of at "
                f"least 0"
            )
        begin = max(self._served_bytes, self.service.carried_bytes(ready_s))
        end = begin + size_bytes
        sent = min(end, max(begin, self.service.capacity_bytes)) - begin
        finish_s = (
            max(ready_s, self._free_s, self.service.time_s(end)) if size_bytes else max(ready_s, self._free_s)
        )
        self._served_bytes, self._free_s = end, finish_s
        self.deliveries.append(Delivery(float(ready_s), float(size_bytes), float(sent), float(finish_s)))
        return self.deliveries[-1]

    @property
    def pushed_bytes(self) -> float:
        return sum(delivery.size_bytes for delivery in self.deliveries)

    @property
    def sent_bytes(self) -> float:
        return sum(delivery.sent_bytes for delivery in self.deliveries)

    @property
    def left_bytes(self) -> float:
        """Still on board when the windows end."""
        return sum(delivery.size_bytes - delivery.sent_bytes for delivery in self.deliveries)

    @property
    def last_byte_s(self) -> float:
        """When everything pushed is on the ground; -inf where nothing was, inf where it never is."""
        return max((delivery.finish_s for delivery in self.deliveries), default=-np.inf)


def service_of(
    constellation: Constellation, windows: ContactWindows, satellite: int, ground: GroundKnobs
) -> Service:
    """The service curve of one satellite's windows, each cut into pieces of about `PIECE_S` with the rate at
    their middles."""
    mine = windows.of(satellite)
    begins, ends = [], []
    for rise_s, set_s in zip(mine.rise_s, mine.set_s):
        edges = np.linspace(rise_s, set_s, max(1, round((set_s - rise_s) / PIECE_S)) + 1)
        begins.append(edges[:-1])
        ends.append(edges[1:])
    if not begins:
        return Service(np.zeros(0), np.zeros(0), np.zeros(0))
    begin_s, end_s = np.concatenate(begins), np.concatenate(ends)
    rates = [
        downlink_rate_bps(constellation, satellite, (b + e) / 2, ground) for b, e in zip(begins, ends)
    ]  # pass by pass: no orbit between
    return Service(begin_s, end_s, np.concatenate(rates))


def last_byte_times_s(
    services: Mapping[int, Service], sizes_bytes: Mapping[int, float], ready_s: float = 0.0
) -> dict[int, float]:
    """When each satellite's last byte is on the ground, for one message each, all ready at `ready_s`; inf
    where the windows do not suffice."""
    times = {}
    for satellite, size in sizes_bytes.items():
        queue = DownlinkQueue(services[satellite])
        queue.push(ready_s, size)
        times[satellite] = queue.last_byte_s
    return times


def messages_through(
    service: Service, ready_s: Sequence[float], sizes_bytes: Sequence[float]
) -> DownlinkQueue:
    """A queue with these messages pushed, in order of readiness."""
    queue = DownlinkQueue(service)
    for i in np.argsort(np.asarray(ready_s, dtype=np.float64), kind="stable"):
        queue.push(float(ready_s[i]), float(sizes_bytes[i]))
    return queue
