"""Whole rounds in one process: the same satellites and the same ground decoder as a run, without processes
and groups.

A study that flies hundreds of rounds shares one loaded model among its satellites. Every byte counted is a
byte of a real stream, and with `decode=True` the ground decoder sees nothing but those bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from constellation.network import SpaceSegment
from constellation.scenario.scenario import Scenario
from ground.records import SatelliteRecord
from ground.repair import RoundDecoder, RoundResult
from ground.station import record_of
from nodes.coding import Board, load_board
from nodes.downlink import Downlink
from nodes.satellite import Observation, Satellite


@dataclass(frozen=True)
class FlownRound:
    """One round of a study. observations: what each satellite saw and selected; messages: what it sent;
    results: what the ground made of it, under `dlrc` and `independent` (None without decoding); records:
    rates, fates and qualities per satellite."""

    round: int
    observations: list[Observation]
    messages: list[Downlink]
    results: dict[str, RoundResult] | None
    records: list[SatelliteRecord]


class Fleet:
    """All satellites of a scenario, and the ground decoder, in this process."""

    def __init__(self, scenario: Scenario, board: Board | None = None) -> None:
        self.scenario = scenario
        self.board = board or load_board(scenario)
        self.segment = SpaceSegment(scenario)
        self.satellites = [
            Satellite(scenario, number, self.board, self.segment) for number in range(scenario.satellites)
        ]
        self.decoder = RoundDecoder(
            self.board.coder.model, self.board.checkpoint, self.board.coder.device, scenario.codec.portable
        )

    def fly(self, round_number: int, decode: bool = True) -> FlownRound:
        """One round. `decode=False` counts bytes only: no images, no qualities, and outcomes that say nothing."""
        seen = [satellite.observe(round_number) for satellite in self.satellites]
        lists = [observation.own for observation in seen]
        messages = [
            satellite.conclude(own, lists) for satellite, own in zip(self.satellites, seen, strict=True)
        ]
        streams = {
            "dlrc": {m.telemetry.satellite: m.stream for m in messages},
            "independent": {m.telemetry.satellite: m.independent for m in messages},
        }
        if decode:
            results = {kind: self.decoder.decode(data) for kind, data in streams.items()}
            self.decoder.synthesise(results)
        else:
            results = {kind: self.decoder.parse(data) for kind, data in streams.items()}
        records = [record_of(message, results) for message in messages]
        return FlownRound(round_number, seen, messages, results if decode else None, records)

    def rounds(self, decode: bool = True) -> Iterator[FlownRound]:
        """All rounds of the scenario, one after the other."""
        for round_number in range(self.scenario.rounds):
            yield self.fly(round_number, decode)
