"""One round at the ground, from what arrives to a closed round, as a protocol: the side that
`nodes.round.fly_round` speaks with.

    DOWNLINK, WITNESS -> decode -> (REQUEST -> ANSWER -> decode)* -> REQUEST that closes the round -> images,
    record

The decoder sees the bytes of the link and nothing else. What travels outside it, the witnesses, gives
originals to measure by, independent streams to compare with, and simulated times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from constellation.common.frozen import value
from constellation.scenario.scenario import Scenario
from ground.account import Landed
from ground.compensation.apply import Compensator, compensator_of, told_by
from ground.decoder import NOTHING, Decoded, Source, decode
from ground.receive import Arrived, receive, wanted
from ground.reconstructor import reconstruct
from nodes.memory import GroundMemory, Reach
from nodes.messages import Orders
from nodes.process.board import Board
from nodes.wire.stages import GROUND, Send, Side, Stage, Step


@value
class Station:
    """The ground station of a run. memory: of earlier rounds, where streams refer to them. compensation: what
    makes generated pictures beside the decoded ones; None: nothing does."""

    board: Board
    memory: GroundMemory | None = None
    compensation: Compensator | None = None

    def decode(self, streams: Mapping[Source, bytes]) -> Decoded:
        """Streams of a round by source, with this station's checkpoint, and what it remembers."""
        if not streams:
            return NOTHING
        if self.memory is None:
            return decode(self.board, streams)
        return decode(self.board, streams, self.memory.before(max(number for _, number in streams)))

    def remember(self, number: int, orders: Orders, decoded: Decoded) -> None:
        """Keep what a closed round has accepted."""
        if self.memory is not None:
            self.memory.keep(number, {s: decoded.entries((s, number)) for s in orders.accepted})


def station_of(board: Board, scenario: Scenario) -> Station:
    """The station of a scenario's run. Raises `UserError`."""
    reach = Reach.of(scenario.dlrc, scenario.faults)
    compensation = compensator_of(scenario.ground, scenario.seed, board.checkpoint.ground)
    return Station(board, None if reach is None else GroundMemory(reach), compensation)


def hear_round(station: Station, number: int) -> Side[Landed]:
    """The ground's side of round `number`."""
    downlink = yield Send(Stage(number, Step.DOWNLINK))
    arrived = receive(number, downlink, (yield Send(Stage(number, Step.WITNESS))))
    asked: list[Orders] = []
    decoded = station.decode(arrived.streams)
    for part in count():
        orders = wanted(decoded, arrived, asked)
        told = yield Send(Stage(number, Step.REQUEST, part), {GROUND: orders.pack()})
        if orders.closed:
            station.remember(number, orders, decoded)
            break
        asked.append(orders)
        before = arrived.streams
        answers = yield Send(Stage(number, Step.ANSWER, part))
        arrived = arrived.plus(orders, answers, told.lost | answers.lost)
        if arrived.streams != before:  # independent streams change nothing that others refer to
            decoded = station.decode(arrived.streams)
    return land(station, arrived, decoded)


def land(station: Station, arrived: Arrived, decoded: Decoded) -> Landed:
    """The images of a closed round. decoded: of `arrived.streams`."""
    spares = station.decode(arrived.spares)
    same = arrived.alone == arrived.streams  # without DLRC, what is sent is the independent stream
    alone = decoded if same else station.decode(arrived.alone)
    images, images_alone = reconstruct(station.board, decoded.grids | spares.grids, alone.grids)
    landed = Landed(arrived, decoded, spares, alone, images, images_alone)
    return landed if station.compensation is None else _compensated(station.compensation, landed)


def _compensated(compensation: Compensator, landed: Landed) -> Landed:
    """With a generated picture beside each decoded one. What is known of a view comes from its orbit."""
    made = {}
    for satellite, decoded in landed.images.items():
        witness = landed.arrived.witness.get(satellite)
        geometry = None if witness is None else witness.note.geometry
        made[satellite] = compensation.picture(decoded, told_by(geometry))
    return replace(landed, generated=made, compensation=compensation.kind)
