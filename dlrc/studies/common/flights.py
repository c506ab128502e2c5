"""Rounds flown several times over the same views: what a study needs that compares DLRC's variants on one set
of captures.

Capture, analysis and independent coding are done once per view; a variant (another signature, k,
deduplication rule or context) then only clusters, arbitrates, codes and decodes again. Streams and decoder
are those of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from codec.imagery.scene import open_scene
from codec.maps.assignment import LOCAL, REMOTE, AssignmentMap
from constellation.scenario.load import changed
from constellation.scenario.scenario import Scenario
from dlrc.studies.common.rounds import Fleet
from ground.metrics import psnr_db
from ground.repair import RoundDecoder, RoundResult
from nodes.arbiter import signature_list
from nodes.capture import Capture, capture
from nodes.coding import Board
from nodes.satellite import Observation

Look = Callable[[Scenario, int, int], tuple[Capture, str]]


@dataclass(frozen=True)
class View:
    """A capture, the name of its scene, its latents y float32 [M, H, W], its independent stream and the
    ground's image of that."""

    capture: Capture
    scene: str
    y: np.ndarray
    alone: bytes
    alone_y_bytes: int
    alone_image: np.ndarray


@dataclass(frozen=True)
class Variant:
    """A variant's outcome in one round, per satellite. y_bytes, total_bytes: of the real streams; psnr_db
    against the satellite's own capture; select_s: CPU time of Recognizer + Selector per satellite (mean)."""

    y_bytes: list[int]
    total_bytes: list[int]
    map_bytes: list[int]
    psnr_db: list[float]
    images: list[np.ndarray]
    assignments: list[AssignmentMap]
    observations: list[Observation]
    select_s: float
    failed: int

    @property
    def remote_share(self) -> float:
        return float(np.mean([(a.fate == REMOTE).mean() for a in self.assignments]))

    @property
    def local_share(self) -> float:
        return float(np.mean([(a.fate == LOCAL).mean() for a in self.assignments]))


def nominal_look(scenario: Scenario, round_number: int, satellite: int) -> tuple[Capture, str]:
    """The capture of a run."""
    scene = open_scene(scenario.scene, scenario.seed, round_number, scenario.capture.window_px)
    return capture(scene, scenario.capture, scenario.seed, round_number, satellite), scene.name


def see(scenario: Scenario, board: Board, round_number: int, look: Look = nominal_look) -> list[View]:
    """All satellites' captures of a round, analysed, coded without DLRC, decoded."""
    fleet = Fleet(scenario, board)
    seen = [look(scenario, round_number, satellite.number) for satellite in fleet.satellites]
    latents = [board.coder.analyse(view.padded, scenario.capture.halo_px) for view, _ in seen]
    observed = [
        _observe(fleet, n, round_number, view, name, y)
        for n, ((view, name), y) in enumerate(zip(seen, latents, strict=True))
    ]
    lists = [observation.own for observation in observed]
    streams = {}
    for satellite, one in zip(fleet.satellites, observed, strict=True):
        streams[satellite.number] = satellite.code(
            round_number, one.y, np.rint(one.y).astype(np.int32), None, satellite.agree(one, lists)
        )[0]
    result = _decode(fleet.decoder, streams)
    return [
        View(view, name, latents[n], streams[n], len(result.streams[n].y), result.images[n])
        for n, (view, name) in enumerate(seen)
    ]


def fly(
    scenario: Scenario, board: Board, round_number: int, views: Sequence[View], images: bool = True
) -> Variant:
    """One variant over views seen before: cluster, exchange, arbitrate, code, decode."""
    fleet = Fleet(scenario, board)
    started = time.thread_time()
    observed = [
        _observe(fleet, n, round_number, view.capture, view.scene, view.y) for n, view in enumerate(views)
    ]
    select_s = (time.thread_time() - started) / len(views)
    lists = [one.own for one in observed]
    streams, maps = {}, []
    for satellite, one in zip(fleet.satellites, observed, strict=True):
        exchange = satellite.agree(one, lists)
        maps.append(satellite.arbitrate(one.selection, exchange, one.y.shape[1:]))
        streams[satellite.number] = satellite.code(
            round_number, one.selection.y, one.selection.y_hat, maps[-1], exchange
        )[0]
    result = _decode(fleet.decoder, streams) if images else fleet.decoder.parse(streams)
    pictures = [result.images.get(n) for n in range(len(views))] if images else []
    psnr = [
        psnr_db(view.capture.image, x) if x is not None else float("nan")
        for view, x in zip(views, pictures, strict=False)
    ]
    return Variant(
        [len(result.streams[n].y) for n in streams],
        [len(data) for data in streams.values()],
        [len(result.streams[n].map) for n in streams],
        psnr,
        pictures,
        maps,
        observed,
        select_s,
        sum(picture is None for picture in pictures),
    )


def _observe(
    fleet: Fleet, number: int, round_number: int, view: Capture, scene: str, y: np.ndarray
) -> Observation:
    satellite = fleet.satellites[number]
    selection = satellite.recognise(y, view)
    instant = satellite.segment.at(round_number)
    own = signature_list(
        number, round_number, satellite.segment.metric(instant, number), selection, satellite.with_contents
    )
    return Observation(round_number, view, scene, y, selection, own, instant, 0.0, 0.0)


def _decode(decoder: RoundDecoder, streams: dict[int, bytes]) -> RoundResult:
    result = decoder.decode(streams)
    decoder.synthesise({"streams": result})
    return result


def with_knobs(scenario: Scenario, **sections: dict) -> Scenario:
    """A copy with some knobs of some sections replaced, for instance `with_knobs(s, dlrc={"k": 8},
    capture={"halo_px": 32})`."""
    return changed(scenario, **sections)
