"""The ground station: hears the satellites' streams, decodes a round by priority, rebuilds every image and
measures it.

The decoder sees the bytes of the streams and nothing else. Originals and telemetry reach the ground outside
the simulated link, and are used for quality, pictures and the trace alone."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from codec.imagery.scene import open_scene
from codec.maps.assignment import all_kept
from codec.models.checkpoint import load_weights
from constellation.clock import Span
from constellation.common.text import counted
from constellation.scenario.scenario import Scenario
from dlrc.folder import RunFolder
from dlrc.report.pictures import View
from dlrc.results import RunFacts
from ground.metrics import Quality, quality
from ground.records import Fates, Ledger, Outcome, Place, RoundRecord, SatelliteRecord, SectionBytes
from ground.repair import Repaired, RoundDecoder, RoundResult, arrive, decode_with_repair
from nodes.downlink import ACKNOWLEDGED, Downlink
from typing import Any as Channel
from nodes.process.device import device_of, one_thread, peak_rss_mib


class GroundStation:
    """Receives, decodes and records the rounds of one run."""

    def __init__(self, scenario: Scenario, channel: Channel, started: float) -> None:
        one_thread()
        self.scenario, self.channel, self.started = scenario, channel, started
        model, self.checkpoint = load_weights(
            scenario.codec.weights, scenario.codec.model, scenario.codec.lambda_
        )
        self.decoder = RoundDecoder(
            model,
            self.checkpoint,
            device_of("cpu" if scenario.codec.device == "cpu" else "auto"),
            scenario.codec.portable,
        )
        self.scene = open_scene(scenario.scene, scenario.seed, 0, scenario.capture.window_px)
        self.rounds: list[RoundRecord] = []
        self.folder = RunFolder(scenario)
        channel.on_failure(self.folder.discard)
        self.satellite_rss_mib = 0.0
        for note in self.scene.notes:
            print(f"note: {note}", flush=True)
        print(
            f"{scenario.name}: {counted(scenario.satellites, 'satellite')}, {counted(scenario.rounds, 'round')}, {scenario.codec.model} "
            f"lambda {scenario.codec.lambda_:g} (N={model.n}, M={model.m}); scene: {self.scene.source}",
            flush=True,
        )

    def hear_round(self, round_number: int) -> None:
        """Receive every satellite's message of a round, decode, measure, record, and write streams and
        pictures."""
        self.channel.stage(f"round {round_number}: waiting for streams")
        messages = [
            Downlink.from_bytes(self.channel.receive_bytes(s)) for s in range(self.scenario.satellites)
        ]
        silent = self.scenario.ground.silent_satellite
        messages = [replace(m, stream=b"") if m.telemetry.satellite == silent else m for m in messages]
        self.channel.stage(f"round {round_number}: decoding")
        repaired = self._decode(round_number, messages)
        results = {
            "dlrc": repaired.result,
            "independent": self.decoder.decode({m.telemetry.satellite: m.independent for m in messages}),
        }
        self.decoder.synthesise(results)
        records = [record_of(message, results, repaired, silent) for message in messages]
        self.rounds.append(_round_record(round_number, messages, records))
        self.folder.add_round(round_number, messages, [self._view(m, results) for m in messages])
        print(_progress(round_number, self.scenario, records, results, repaired), flush=True)

    def _decode(self, round_number: int, messages: Sequence[Downlink]) -> Repaired:
        """Decode what arrives, and ask the satellites for what does not."""
        knobs, streams = (
            self.scenario.ground,
            {message.telemetry.satellite: message.stream for message in messages},
        )

        def ask(satellite: int, verdict: bytes) -> bytes:
            self.channel.send_bytes(verdict, satellite)
            return b"" if verdict == ACKNOWLEDGED else self.channel.receive_bytes(satellite)

        arrived = arrive(streams, knobs, self.scenario.seed, round_number)
        return decode_with_repair(self.decoder, arrived, sorted(streams), knobs.silent_satellite, ask)

    def hear_farewells(self) -> None:
        """Each satellite's peak memory, after its last round."""
        for satellite in range(self.scenario.satellites):
            self.satellite_rss_mib += float(json.loads(self.channel.receive_bytes(satellite))["peak_rss_mib"])

    def report(self) -> None:
        """Write summary, trace and pictures, and print the closing table."""
        facts = RunFacts(
            scenario=self.scenario.name,
            seed=self.scenario.seed,
            satellites=self.scenario.satellites,
            rounds=self.scenario.rounds,
            context=self.scenario.codec.context,
            model=self.scenario.codec.model,
            lambda_=self.scenario.codec.lambda_,
            weights_sha256=self.checkpoint.sha256,
            scene_source=self.scene.source,
            scene_real=self.scene.real,
            noise=self.scenario.link.noise,
            wall_s=time.time() - self.started,
            peak_rss_mib=self.satellite_rss_mib + peak_rss_mib(),
        )
        self.folder.finish(facts, self.rounds)

    def _view(self, message: Downlink, results: dict[str, RoundResult]) -> View:
        satellite = message.telemetry.satellite
        assignment = results["dlrc"].maps.get(satellite)
        return View(
            satellite,
            int(message.telemetry.row),
            int(message.telemetry.col),
            message.original,
            results["dlrc"].images.get(satellite),
            results["independent"].images.get(satellite),
            assignment,
        )


def record_of(
    message: Downlink, results: dict[str, RoundResult], repaired: Repaired | None = None, silent: int = -1
) -> SatelliteRecord:
    """Outcome, rates, fates and qualities of one satellite in one round; bytes are those of the streams.

    repaired: which satellites were asked for something. silent: the one that never downlinks."""
    note, satellite = message.telemetry, message.telemetry.satellite
    dlrc, alone = results["dlrc"], results["independent"]
    outcome = _outcome(satellite, dlrc, repaired, silent)
    assignment = dlrc.maps.get(satellite)
    if outcome is Outcome.LOST:
        assignment = None
    elif outcome is Outcome.INDEPENDENT:
        assignment = all_kept(*dlrc.latents[satellite].shape[1:])
    fates = None if assignment is None else Fates.of(assignment)
    kept, local, remote = (0, 0, 0) if fates is None else fates.counts
    without = _sections(alone, satellite, len(message.independent), float("nan"))
    sent = _sections(dlrc, satellite, len(message.stream), note.open_y_bits)
    spans = tuple(Span(*span) for span in note.spans)
    return SatelliteRecord(
        round=note.round,
        satellite=satellite,
        outcome=outcome,
        ledger=_ledger(message, outcome, repaired),
        pixels=message.original.shape[0] * message.original.shape[1],
        dlrc=sent + without if outcome is Outcome.INDEPENDENT else sent,
        independent=without,
        kept=kept,
        local_copy=local,
        remote_copy=remote,
        oracle=int(note.oracle),
        quality_dlrc=_quality(message.original, dlrc.images.get(satellite)),
        quality_independent=_quality(message.original, alone.images.get(satellite)),
        fates=fates,
        place=Place(int(note.row), int(note.col), note.window_row, note.window_col, note.scene),
        heard=note.heard,
        payload_bytes=note.payload_bytes,
        t_sync_s=note.t_sync_s,
        transmission_s=None
        if outcome is Outcome.LOST
        else next((span.duration_s for span in spans if span.name == "downlink"), None),
        spans=spans,
        fault=str(dlrc.failures.get(satellite, "")),
    )


def _outcome(satellite: int, dlrc: RoundResult, repaired: Repaired | None, silent: int) -> Outcome:
    if satellite == silent or (satellite not in dlrc.latents and satellite in dlrc.failures):
        return Outcome.LOST
    if repaired is not None and satellite in repaired.replaced:
        return Outcome.INDEPENDENT
    if dlrc.unresolved.get(satellite, 0):
        return Outcome.INCOMPLETE
    return Outcome.RESENT if repaired is not None and satellite in repaired.resent else Outcome.EXACT


def _ledger(message: Downlink, outcome: Outcome, repaired: Repaired | None) -> Ledger:
    satellite, first = message.telemetry.satellite, len(message.stream)
    again = first if repaired is not None and satellite in repaired.resent else 0
    spare = len(message.independent) if repaired is not None and satellite in repaired.replaced else 0
    lost = first if again or outcome is Outcome.LOST else 0
    return Ledger(first, again + spare, first + again + spare - lost, lost)


def _sections(result: RoundResult, satellite: int, total: int, open_y_bits: float) -> SectionBytes:
    stream = result.streams.get(satellite)
    if stream is None:  # unreadable: its bytes count all the same
        return SectionBytes(y=0, z=0, map=0, header=total)
    y = len(stream.y) if np.isnan(open_y_bits) else open_y_bits / 8
    return SectionBytes(y=y, z=len(stream.z), map=len(stream.map), header=stream.framing_bytes)


def _quality(original: np.ndarray, decoded: np.ndarray | None) -> Quality | None:
    return None if decoded is None else quality(original, decoded)


def _round_record(
    round_number: int, messages: Sequence[Downlink], records: Sequence[SatelliteRecord]
) -> RoundRecord:
    notes = [message.telemetry for message in messages]
    return RoundRecord(round_number, tuple(records), notes[0].order, max(note.t_round_s for note in notes))


def _progress(
    round_number: int,
    scenario: Scenario,
    records: Sequence[SatelliteRecord],
    results: dict[str, RoundResult],
    repaired: Repaired,
) -> str:
    before, after = (
        sum(getattr(record, kind).total for record in records if record.outcome is not Outcome.LOST)
        for kind in ("independent", "dlrc")
    )
    good = sum(record.exact for record in records)
    kind = " (open-loop ESTIMATE)" if scenario.codec.context == "open" else ""
    line = f"round {round_number + 1}/{scenario.rounds}: {good} of {len(records)} streams decoded exactly, {before:.0f} -> {after:.0f} bytes{kind}"
    faults = [f"satellite {s}: {error}" for s, error in results["dlrc"].failures.items()]
    if repaired.resent:
        faults.append(f"damaged on arrival and sent again: satellite {', '.join(map(str, repaired.resent))}")
    if repaired.replaced:
        faults.append(
            f"owner lost, independent stream sent instead: satellite {', '.join(map(str, repaired.replaced))}"
        )
    return (
        line
        + (f" ({100 * (after / before - 1):+.1f} %)" if before else "")
        + "".join(f"\n  {fault}" for fault in faults)
    )
