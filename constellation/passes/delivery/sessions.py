"""Time, and who talks to whom in it: passes that begin and end, antennas given and given back."""

from __future__ import annotations

import heapq
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from constellation.common.random import stream
from constellation.passes.delivery.antennas import Antennas, Passes
from constellation.passes.delivery.board import Craft, Transfer
from constellation.passes.delivery.cfdp import Unit
from constellation.passes.delivery.link import Channel, Contact
from constellation.passes.delivery.rules import Order, TransferKnobs, sort_key

_PURPOSE = 7341


class Sessions(ABC):
    """Satellites `numbers` and the stations that they pass. What goes over a contact is for whoever
    implements this."""

    order: Order
    transfers: dict[int, Transfer]

    def __init__(self, numbers: Iterable[int], passes: Passes, knobs: TransferKnobs, order: Order) -> None:
        self.passes, self.knobs, self.order = passes, knobs, order
        self.transfers = {}
        self.key = sort_key(order)
        self.crafts = {number: Craft(number) for number in sorted(numbers)}
        self.antennas = Antennas(passes)
        self.now_s, self.seed = 0.0, 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self._tick_due = False

    @abstractmethod
    def transmit(self, craft: Craft) -> None:
        """Give the link its next burst, if it has none."""

    @abstractmethod
    def answer(self, transfer: Transfer, answers: Sequence[Unit]) -> None:
        """Send answers up."""

    def at(self, time_s: float, do: Callable[..., None], *what: Any) -> None:
        """Do this at a time; of equal times in the order asked for."""
        heapq.heappush(self._events, (time_s, next(self._count), do, what))

    def play(self) -> None:
        """All passes and events until the passes end."""
        for place, contact in enumerate(self.passes.contacts):
            # without a relay nobody asks for the passes of satellites that hold nothing
            if contact.satellite in self.crafts or self.passes.relays:
                self.at(contact.begin_s, self.rise, place)
                self.at(contact.end_s, self.set, place, contact)
        while self._events and self._events[0][0] <= self.passes.end_s:
            self.now_s, _, do, what = heapq.heappop(self._events)
            do(*what)

    def rise(self, place: int) -> None:
        """A pass begins."""
        self.antennas.rise(place)
        self.assign()

    def set(self, place: int, contact: Contact) -> None:
        """A pass ends, and with it what went over it."""
        self.antennas.set(place)
        for craft in list(self.crafts.values()):
            used = craft.channel.contact if craft.channel else None
            if used and used.downlinker == contact.satellite and used.station == contact.station:
                self.hang_up(craft)
        self.assign()

    def assign(self) -> None:
        """Antennas to satellites that want one, in the order of their queues."""
        wanting = sorted(
            (craft for craft in self.crafts.values() if craft.held and craft.channel is None),
            key=lambda craft: (min(self.key(one.file) for one in craft.held.values()), craft.number),
        )
        alone = []
        for craft in wanting:
            mine = [one for one in self.antennas.free(self.now_s) if one.satellite == craft.number]
            if mine:
                longest = max(mine, key=lambda one: (one.end_s, -one.station))
                self.connect(craft, longest, self.knobs.handover_s)
            else:
                alone.append(craft)
        if self.passes.relays and alone:
            self.relay(alone)

    def relay(self, alone: list[Craft]) -> None:
        """Ways over other satellites, looked for again after a while."""
        assert self.passes.relays is not None
        free = self.antennas.free(self.now_s)
        ways = self.passes.relays(self.now_s, [craft.number for craft in alone], free) if free else {}
        for craft in alone:
            way = ways.get(craft.number)
            still = {one.satellite for one in self.antennas.free(self.now_s)}
            if way is not None and way.downlinker in still:
                self.connect(craft, way, 0.0)
        if not self._tick_due:
            self._tick_due = True
            self.at(self.now_s + self.passes.relay_s, self.tick)

    def tick(self) -> None:
        """Positions have changed: ways over other satellites are looked for again."""
        self._tick_due = False
        for craft in self.crafts.values():
            if craft.channel and craft.channel.contact.relays:
                self.hang_up(craft)
        self.assign()

    def connect(self, craft: Craft, contact: Contact, after_s: float) -> None:
        """A contact begins to be used, as soon as both have turned to each other."""
        left = contact.from_time(self.now_s + after_s)
        if left is None:
            return
        craft.session += 1
        craft.channel = Channel(left, stream(_PURPOSE, self.seed, craft.number, craft.session))
        craft.free_s, craft.sending = left.begin_s, False
        self.antennas.take(contact)
        self.at(left.begin_s, self.begin, craft, craft.session)
        if contact.relays:
            self.at(left.end_s, self.relay_ends, craft, craft.session)

    def begin(self, craft: Craft, session: int) -> None:
        """The link is up: whatever waits for an answer asks at once."""
        if session != craft.session or craft.channel is None:
            return
        for transfer in list(self.transfers.values()):
            if transfer.file.satellite == craft.number:
                transfer.sender.expire()
                if transfer.receiver.waits:
                    self.answer(transfer, transfer.receiver.expire())
        self.transmit(craft)

    def relay_ends(self, craft: Craft, session: int) -> None:
        if session == craft.session and craft.channel is not None:
            self.hang_up(craft)
            self.assign()

    def hang_up(self, craft: Craft) -> None:
        """The satellite and the antenna part."""
        if craft.channel is None:
            return
        self.antennas.give(craft.channel.contact)
        craft.channel, craft.sending = None, False
        craft.session += 1
