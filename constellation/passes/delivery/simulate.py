"""The delivery itself: events in simulated time, one satellite's store, queue and contact each, one antenna
or several at each station.

Whoever has something to send and sees a station with a free antenna is given the pass that lasts longest, in
the order of the queues; a satellite with nothing left to say gives the antenna back. What waits for an answer
when a contact begins asks at once. All stations are one receiver: parts of a file may come through
several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constellation.passes.delivery import cfdp
from constellation.passes.delivery.account import Account, Fate
from constellation.passes.delivery.antennas import Passes
from constellation.passes.delivery.board import Craft, Transfer, cut, sizes_of, surviving
from constellation.passes.delivery.cfdp import Sender, Unit
from constellation.passes.delivery.rules import File, Order, TransferKnobs, to_drop
from constellation.passes.delivery.sessions import Sessions

BURST_S = 1.0  # file data handed to the link at once: what is asked for again waits no longer


def deliver(files: Sequence[File], passes: Passes, knobs: TransferKnobs, order: Order, seed: int) -> Account:
    """Send the files down through the passes; the same for equal arguments."""
    return _Delivery(files, passes, knobs, order, seed).run()


class _Delivery(Sessions):
    def __init__(
        self, files: Sequence[File], passes: Passes, knobs: TransferKnobs, order: Order, seed: int
    ) -> None:
        super().__init__({file.satellite for file in files}, passes, knobs, order)
        self.files, self.seed = files, seed
        self.dropped: set[int] = set()
        self.control = {"sent": 0, "lost": 0, "received": 0}
        self.stored_bytes = 0

    def run(self) -> Account:
        """All events until the passes end."""
        for file in self.files:
            self.at(file.ready_s, self.store, file)
        self.play()
        return self.account()

    # ------------------------------------------------------------ on board

    def store(self, file: File) -> None:
        """A file is ready: keep it, or what the rule would rather keep."""
        craft = self.crafts[file.satellite]
        room = self.knobs.storage_mib * 2**20
        if room and file.size_bytes > room:
            self.dropped.add(file.index)
            return
        while room and craft.stored_bytes + file.size_bytes > room:
            waiting = [one.file for one in craft.held.values() if not one.sender.begun]
            loser = to_drop(waiting, file, self.knobs.drop, self.order)
            self.dropped.add(loser.index)
            if loser is file:
                return
            del craft.held[loser.index], self.transfers[loser.index]
        transfer = Transfer(file, Sender(file.size_bytes, self.knobs.segment_bytes))
        craft.held[file.index] = self.transfers[file.index] = transfer
        self.stored_bytes = max(self.stored_bytes, craft.stored_bytes)
        self.assign()
        self.transmit(craft)

    def transmit(self, craft: Craft) -> None:
        """Give the link its next burst, if it has none: answers and lost segments first, then the queue."""
        if craft.channel is None or craft.sending:
            return
        transfer = self.next_of(craft)
        if transfer is None:
            if not craft.held:
                self.hang_up(craft)
                self.assign()
            return
        start_s = max(self.now_s, craft.free_s)
        limit = craft.channel.burst_bytes(start_s, BURST_S)
        units = transfer.sender.take(max(limit, self.knobs.segment_bytes))
        self.burst(craft, transfer, units, start_s)

    def next_of(self, craft: Craft) -> Transfer | None:
        """The file that is sent next, if any has something to send."""
        ready = [one for one in craft.held.values() if one.sender.ready]
        return min(ready, key=lambda one: (not one.sender.urgent, self.key(one.file)), default=None)

    def burst(self, craft: Craft, transfer: Transfer, units: list[Unit], start_s: float) -> None:
        """Put units on the link; what finds no room before the contact ends goes back."""
        assert craft.channel is not None
        segment = self.knobs.segment_bytes
        sizes = np.concatenate([sizes_of(unit, segment) for unit in units])
        left_s, lost = craft.channel.send(start_s, sizes)
        if not len(left_s):
            transfer.sender.give_back(units)
            return
        transfer.begun_s = min(transfer.begun_s, start_s)
        if craft.channel.contact.relays:
            transfer.relayed += int(sizes[: len(left_s)].sum())
        place = 0
        for which, unit in enumerate(units):
            count = cfdp.segments_of(unit, segment)
            fits = min(count, len(left_s) - place)
            if fits < count:
                whole, rest = cut(unit, fits, segment)
                transfer.sender.give_back([*rest, *units[which + 1 :]])
                if whole is None:
                    break
                unit = whole
            part = slice(place, place + fits)
            self.carry(craft, transfer, unit, left_s[part], lost[part])
            place += fits
            if fits < count:
                break
        craft.free_s = float(left_s[-1])
        craft.sending = True
        self.antennas.busy_s[craft.channel.contact.station] += craft.free_s - start_s
        if transfer.sender.step is cfdp.Step.DONE and not transfer.sender.ready:
            craft.held.pop(transfer.file.index, None)
        elif transfer.sender.waits:
            self.start_up_timer(craft, transfer, craft.free_s)
        self.at(craft.free_s, self.sent, craft, craft.session)

    def sent(self, craft: Craft, session: int) -> None:
        """The burst has left."""
        if session == craft.session:
            craft.sending = False
            self.transmit(craft)

    def carry(
        self, craft: Craft, transfer: Transfer, unit: Unit, left_s: np.ndarray, lost: np.ndarray
    ) -> None:
        """One unit, or a run of them, over the link: what survives arrives."""
        assert craft.channel is not None
        contact = craft.channel.contact
        transfer.stations.add(contact.station)
        segment = self.knobs.segment_bytes
        sizes = sizes_of(unit, segment)
        data = isinstance(unit, cfdp.Data)
        overhead = cfdp.DATA_OVERHEAD_BYTES * len(left_s) if data else int(sizes.sum())
        overhead_lost = cfdp.DATA_OVERHEAD_BYTES * int(lost.sum()) if data else int(sizes[lost].sum())
        self.control["sent"] += overhead
        self.control["lost"] += overhead_lost
        self.control["received"] += overhead - overhead_lost
        if not data:
            if not lost[0]:
                self.at(float(left_s[0]) + contact.delay_s, self.arrive, transfer, unit)
            return
        for begin, end, when_s in surviving(unit, left_s, lost, segment):
            self.at(when_s + contact.delay_s, self.arrive, transfer, cfdp.Data(begin, end))
        transfer.lost += int((sizes[lost] - cfdp.DATA_OVERHEAD_BYTES).sum())

    # ------------------------------------------------------------ at the ground

    def arrive(self, transfer: Transfer, unit: Unit) -> None:
        """A unit is at the ground; its answers go up, where the satellite is still listening."""
        answers = transfer.receiver.hear(unit, transfer.file.size_bytes)
        if transfer.receiver.complete and not np.isfinite(transfer.done_s):
            transfer.done_s = self.now_s
        self.answer(transfer, answers)
        if transfer.receiver.waits and not answers:
            self.start_down_timer(transfer)  # what was asked for is coming

    def answer(self, transfer: Transfer, answers: Sequence[Unit]) -> None:
        """Send answers up, and watch for what they ask."""
        craft = self.crafts[transfer.file.satellite]
        if craft.channel is None or not answers:
            return
        for unit in answers:
            if craft.channel.answered():
                arrival_s = self.now_s + craft.channel.contact.delay_s
                self.at(arrival_s, self.heard, craft, transfer, unit, craft.session)
        self.start_down_timer(transfer)

    def heard(self, craft: Craft, transfer: Transfer, unit: Unit, session: int) -> None:
        """An answer is on board."""
        if session != craft.session or transfer.file.index not in craft.held:
            if isinstance(unit, cfdp.Finished) and session == craft.session:
                # the last acknowledgement was lost: the satellite, which has forgotten the file, repeats it
                self.repeat_last(craft, transfer)
            return
        transfer.sender.hear(unit)
        self.transmit(craft)

    def repeat_last(self, craft: Craft, transfer: Transfer) -> None:
        """Acknowledge once more that a file is finished."""
        transfer.sender.hear(cfdp.Finished())
        craft.held[transfer.file.index] = transfer
        self.transmit(craft)

    # ------------------------------------------------------------ timers

    def start_up_timer(self, craft: Craft, transfer: Transfer, from_s: float) -> None:
        transfer.up_timer += 1
        when_s = from_s + self.knobs.timer_s
        self.at(when_s, self.up_expired, craft, transfer, transfer.up_timer, craft.session)

    def up_expired(self, craft: Craft, transfer: Transfer, timer: int, session: int) -> None:
        if timer == transfer.up_timer and session == craft.session and transfer.sender.waits:
            transfer.sender.expire()
            self.transmit(craft)

    def start_down_timer(self, transfer: Transfer) -> None:
        transfer.down_timer += 1
        craft = self.crafts[transfer.file.satellite]
        when_s = max(self.now_s, craft.free_s) + self.knobs.timer_s
        self.at(when_s, self.down_expired, transfer, transfer.down_timer, craft.session)

    def down_expired(self, transfer: Transfer, timer: int, session: int) -> None:
        craft = self.crafts[transfer.file.satellite]
        if timer == transfer.down_timer and session == craft.session and craft.channel is not None:
            self.answer(transfer, transfer.receiver.expire())

    # ------------------------------------------------------------ the end

    def account(self) -> Account:
        """What became of everything; what is on the way when the passes end is lost."""
        done_s = {index: one.done_s for index, one in self.transfers.items()}
        fates = []
        for file in self.files:
            one = self.transfers.get(file.index) or Transfer(file, Sender(file.size_bytes, 1))
            usable_s = max([one.done_s, *(done_s.get(index, np.inf) for index in file.needs)])
            on_the_way = self.on_the_way.get(file.index, 0)
            fates.append(
                Fate(
                    file,
                    one.sender.first,
                    one.sender.again,
                    one.lost + on_the_way,
                    one.receiver.fresh,
                    one.receiver.twice,
                    one.begun_s,
                    one.done_s,
                    usable_s,
                    file.index in self.dropped,
                    tuple(sorted(one.stations)),
                    one.relayed,
                )
            )
        return Account(
            self.order,
            tuple(fates),
            self.control["sent"],
            self.control["lost"],
            self.control["received"],
            self.antennas.contacts,
            self.antennas.handovers,
            self.antennas.busy_s,
            self.stored_bytes,
            min(file.ready_s for file in self.files),
            self.passes.end_s,
        )

    @property
    def on_the_way(self) -> dict[int, int]:
        """File bytes that have left and not arrived when the passes end, by file."""
        found: dict[int, int] = {}
        for _, _, do, what in self._events:
            if do == self.arrive and isinstance(what[1], cfdp.Data):
                index = what[0].file.index
                found[index] = found.get(index, 0) + what[1].end - what[1].begin
        return found
