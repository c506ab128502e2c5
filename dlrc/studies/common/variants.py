"""Rounds flown several times over the same views: what a study needs that compares DLRC's variants on one set
of captures.

Capture, analysis and independent coding are done once per view; a variant (another signature, k,
deduplication rule or context) then only clusters, arbitrates, codes and decodes again. Streams and decoder
are those of a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from codec.bitstream import unpack
from codec.maps.assignment import LOCAL, REMOTE, AssignmentMap
from constellation.common.frozen import value
from constellation.common.progress import note
from constellation.network import SpaceSegment
from constellation.scenario.load import changed
from constellation.scenario.scenario import Scenario
from dlrc.studies.common.sights import Sights
from ground.metrics import psnr_db
from ground.reconstructor import reconstruct
from ground.round import Station
from nodes.capture import Capture, look_of
from nodes.crew import Crew, Look, Rules, Task, View
from nodes.encoder import alone_stream, analyse, view_of
from nodes.messages import Note
from nodes.process.board import Board
from nodes.round import fly_round
from nodes.timeline import Watch
from nodes.wire.protocol import together

Looks = Callable[[Sights, int, int], tuple[Capture, str]]  # sights, round, satellite -> capture, scene's name


@value
class Trial:
    """What a study flies, variant after variant: a scenario, held here once, and its codec, loaded."""

    scenario: Scenario
    board: Board

    def under(self, **knobs: Any) -> Trial:
        """The same codec under other knobs, as of `changed`. Raises `UserError`."""
        return Trial(changed(self.scenario, **knobs), self.board)

    @property
    def sights(self) -> Sights:
        """What its satellites see."""
        return Sights(self.scenario.scene, self.scenario.capture, self.scenario.seed)

    @property
    def rules(self) -> Rules:
        """What its satellites agree on."""
        return Rules.of(self.scenario, self.board.model)


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
    """A variant's outcome in one round, per satellite. order: by priority, the highest first. y_bytes,
    total_bytes, map_bytes: of the real streams; psnr_db against the satellite's own capture, NaN where that
    shows nothing; images: None where a stream did not decode; tasks: none without DLRC; select_s: CPU time
    of Recognizer + Selector per satellite (mean); streams, notes: as the satellites sent and wrote them."""

    order: tuple[int, ...]
    y_bytes: list[int]
    total_bytes: list[int]
    map_bytes: list[int]
    psnr_db: list[float]
    images: list[np.ndarray | None]
    assignments: list[AssignmentMap]
    tasks: Mapping[int, Task]
    select_s: float
    failed: int
    streams: Mapping[int, bytes]
    notes: Mapping[int, Note]

    @property
    def remote_share(self) -> float:
        return float(np.mean([(a.fate == REMOTE).mean() for a in self.assignments]))

    @property
    def local_share(self) -> float:
        return float(np.mean([(a.fate == LOCAL).mean() for a in self.assignments]))


def see(trial: Trial, number: int, looks: Looks = Sights.look) -> list[Shared]:
    """All satellites' captures of a round, analysed, coded without DLRC, decoded."""
    board, rules, views = trial.board, trial.rules, []
    for satellite in range(trial.scenario.satellites):
        look = look_of(*looks(trial.sights, number, satellite))
        views.append(view_of(board, rules.codec, look, analyse(board, look.padded, look.halo_px)))
    streams = {view.look.satellite: alone_stream(board, rules, view) for view in views}
    images = _images(Station(board), streams, number)
    return [Shared(view, streams[n], images[n]) for n, view in enumerate(views)]


def fly(trial: Trial, number: int, views: Sequence[Shared], images: bool = True) -> Variant:
    """One variant over views seen before: cluster, exchange, arbitrate, code, decode."""
    board = trial.board
    crew = Crew(
        tuple(range(len(views))),
        board,
        trial.rules,
        SpaceSegment(trial.scenario),
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
        flown.accord.order,
        [len(stream.y) for stream in opened],
        [len(streams[n]) for n in crew.numbers],
        [len(stream.map) for stream in opened],
        psnr,
        pictures,
        [flown.products[n].assignment for n in crew.numbers],
        flown.tasks,
        float(np.mean(hashing_s)) if hashing_s else 0.0,
        sum(picture is None for picture in pictures),
        streams,
        flown.notes,
    )


@value
class Compared:
    """PSNR, dB, of the views that show anything, one entry each: alone of the independent images, change by a
    variant."""

    alone: np.ndarray
    change: np.ndarray

    @classmethod
    def of(cls, views: Sequence[Shared], flown: Variant) -> Compared:
        """A variant against independent coding of the same views."""
        shown = [n for n, view in enumerate(views) if view.look.pixels]
        alone = np.array([alone_psnr_db(views[n]) for n in shown])
        return cls(alone, np.array([flown.psnr_db[n] for n in shown]) - alone)


def alone_psnr_db(view: Shared) -> float:
    """PSNR of a view's independent image; NaN where the view shows nothing."""
    return psnr_db(view.look.image, view.alone_image, view.look.valid)


def shown(views: Sequence[Shared], window: int) -> bool:
    """Whether a round shows anything to compare; where all is hidden, a note says so."""
    if any(view.look.pixels for view in views):
        return True
    note(f"window {window} is left out: no satellite sees anything but hidden cells (no data)")
    return False


def _images(station: Station, streams: Mapping[int, bytes], number: int) -> dict[int, np.ndarray]:
    decoded = station.decode({(satellite, number): data for satellite, data in streams.items()})
    (images,) = reconstruct(station.board, decoded.grids)
    return dict(images)
