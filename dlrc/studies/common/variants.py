"""Rounds flown several times over the same views: what a study needs that compares DLRC's variants on one set
of captures.

Capture, analysis and independent coding are done once per view; a variant (another signature, k,
deduplication rule or context) then only clusters, arbitrates, codes and decodes again. Streams and decoder
are those of a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from codec.bitstream import unpack
from codec.imagery.scene import open_scene
from codec.maps.assignment import LOCAL, REMOTE, AssignmentMap
from constellation.common.frozen import value
from constellation.network import SpaceSegment
from constellation.scenario.scenario import Scenario
from ground.metrics import psnr_db
from ground.reconstructor import reconstruct
from ground.round import Station
from nodes.capture import Capture, capture, look_of
from nodes.crew import Board, Crew, Look, Rules, Task, View
from nodes.encoder import alone_stream, analyse, view_of
from nodes.round import fly_round
from nodes.timeline import Watch
from nodes.wire.protocol import together

Looks = Callable[
    [Scenario, int, int], tuple[Capture, str]
]  # scenario, round, satellite -> capture, scene's name


@value
class Shared:
    """A view that variants share. alone: its independent stream; alone_image: the ground's image of that,
    uint8 [P, P, B]."""

    view: View
    alone: bytes
    alone_image: np.ndarray

    @property
    def look(self) -> Look:
        return self.view.look

    @property
    def y(self) -> np.ndarray:
        return self.view.y

    @property
    def alone_y_bytes(self) -> int:
        return len(self.view.alone.y_bytes)


@value
class Variant:
    """A variant's outcome in one round, per satellite. y_bytes, total_bytes, map_bytes: of the real streams;
    psnr_db against the satellite's own capture; images: None where a stream did not decode; tasks: none
    without DLRC; select_s: CPU time of Recognizer + Selector per satellite (mean)."""

    y_bytes: list[int]
    total_bytes: list[int]
    map_bytes: list[int]
    psnr_db: list[float]
    images: list[np.ndarray | None]
    assignments: list[AssignmentMap]
    tasks: Mapping[int, Task]
    select_s: float
    failed: int

    @property
    def remote_share(self) -> float:
        return float(np.mean([(a.fate == REMOTE).mean() for a in self.assignments]))

    @property
    def local_share(self) -> float:
        return float(np.mean([(a.fate == LOCAL).mean() for a in self.assignments]))


def nominal_look(scenario: Scenario, number: int, satellite: int) -> tuple[Capture, str]:
    """The capture of a run."""
    scene = open_scene(scenario.scene, scenario.seed, number, scenario.capture.window_px)
    return capture(scene, scenario.capture, scenario.seed, number, satellite), scene.name


def see(scenario: Scenario, board: Board, number: int, looks: Looks = nominal_look) -> list[Shared]:
    """All satellites' captures of a round, analysed, coded without DLRC, decoded."""
    rules = Rules.of(scenario, board.model)
    views = []
    for satellite in range(scenario.satellites):
        look = look_of(*looks(scenario, number, satellite))
        views.append(view_of(board, scenario.codec, look, analyse(board, look.padded, look.halo_px)))
    streams = {view.look.satellite: alone_stream(board, rules, view) for view in views}
    images = _images(Station(board), streams, number)
    return [Shared(view, streams[n], images[n]) for n, view in enumerate(views)]


def fly(
    scenario: Scenario, board: Board, number: int, views: Sequence[Shared], images: bool = True
) -> Variant:
    """One variant over views seen before: cluster, exchange, arbitrate, code, decode."""
    crew = Crew(
        tuple(range(len(views))),
        board,
        Rules.of(scenario, board.model),
        SpaceSegment(scenario),
        Watch(clock=time.thread_time),
        lambda _, satellites: [views[s].view for s in satellites],
    )
    flown = together({crew.numbers: fly_round(crew, number)})[crew.numbers]
    streams = {s: product.stream for s, product in flown.products.items()}
    made = _images(Station(board), streams, number) if images else {}
    pictures = [made.get(n) for n in crew.numbers] if images else []
    psnr = [
        psnr_db(shared.look.image, picture, shared.look.valid) if picture is not None else float("nan")
        for shared, picture in zip(views, pictures, strict=False)
    ]
    opened = [unpack(streams[n]) for n in crew.numbers]
    hashing_s = [span[2] for note in flown.notes.values() for span in note.spans if span[0] == "hash"]
    return Variant(
        [len(stream.y) for stream in opened],
        [len(streams[n]) for n in crew.numbers],
        [len(stream.map) for stream in opened],
        psnr,
        pictures,
        [flown.products[n].assignment for n in crew.numbers],
        flown.tasks,
        float(np.mean(hashing_s)) if hashing_s else 0.0,
        sum(picture is None for picture in pictures),
    )


def _images(station: Station, streams: Mapping[int, bytes], number: int) -> dict[int, np.ndarray]:
    decoded = station.decode({(satellite, number): data for satellite, data in streams.items()})
    (images,) = reconstruct(station.board.model, decoded.grids)
    return dict(images)
