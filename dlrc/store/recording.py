"""Rounds in, a run out: what a launched run and one in this process keep their rounds with.

    with Recording(scenario, stored=True, say=print) as run:
        run.begin(board)
        for ...: run.add(landed)
        run.finish(began_s)

Everything is committed before anything is drawn: a report that fails, or takes long, loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np

from codec.imagery.colours import false_colour, range_of
from codec.imagery.scene import open_scene
from constellation.common.files import make_folder
from constellation.scenario.scenario import Scenario
from dlrc.report import draw, table
from dlrc.report.lines import opening, progress
from dlrc.report.page import NAME as PAGE
from dlrc.report.page import RunPage, write_map, write_shelf
from dlrc.store.beside import Beside, versions
from dlrc.store.claim import now
from dlrc.store.cost import Mishap
from dlrc.store.folder import ENTRIES, Folder, Stored
from dlrc.store.folder import open as open_run
from dlrc.store.manifest import inputs_of, inputs_sha256
from dlrc.store.results import PICTURED_ROUNDS, Held, Images, Run
from dlrc.store.summary import Facts
from dlrc.version import __version__
from ground.account import Landed
from ground.records import RoundRecord
from nodes.process.board import Board
from nodes.process.device import peak_rss_mib


def _silent(_line: str) -> None:
    pass


class Recording(AbstractContextManager["Recording"]):
    """A run as it is flown.

    stored: below `scenario.output`, which is tried at once; else in memory. say: takes the lines that a
    console shows. back: this process goes on for one that was lost; it says less. Raises `UserError`."""

    def __init__(
        self, scenario: Scenario, stored: bool, say: Callable[[str], None] = _silent, back: bool = False
    ) -> None:
        self._stored, self._say, self._back, self._resumes = stored, say, back, scenario.resume
        self.scenario = scenario.model_copy(update={"resume": False})  # what is written is the same
        self._page = RunPage()
        self._beside = Beside(self.scenario)
        self._folder: Folder | None = None
        self._finished: Path | None = None  # it was, before this began
        self._rounds: list[RoundRecord] = []
        self._held: dict[tuple[int, int], Images] = {}
        self._rss_mib: dict[int, float] = {}  # of the ranks that fly the satellites
        if stored:
            make_folder(Path(scenario.output))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.leave()
            if folder.committed:
                self._say(
                    f"cut short: {folder.committed} of {self.scenario.rounds} rounds stay in {folder.part}"
                )

    def begin(self, board: Board) -> None:
        """Claim the folder, and say what is flown. board: the codec of the run. Raises `UserError`."""
        scenario = self.scenario
        fits_px = 1 if scenario.orbital else scenario.capture.window_px
        scene = open_scene(scenario.scene, scenario.seed, 0, fits_px, board.checkpoint.bands)
        self.facts = Facts(
            version=__version__,
            weights_sha256=board.weights_sha256,
            pictures_sha256=inputs_sha256(inputs_of(scenario)),
            scene_source=scene.source,
            scene_real=scene.real,
            began=now(),
            versions=versions(),
        )
        if self._stored:
            self._go_on(Folder(scenario, self.facts, self._resumes or self._back))
        if self._back:
            return
        for note in scene.notes:
            self._say(f"note: {note}")
        self._say(opening(scenario.network, scenario.codec, self.facts, board.model))

    def _go_on(self, folder: Folder) -> None:
        """With what is in the folder already."""
        if folder.finished is not None:
            self._finished = folder.finished
            self._rounds = list(open_run(folder.finished).rounds)
        else:
            self._folder, self._rounds = folder, list(folder.rounds)
        for record in self._rounds if folder.finished is None else ():
            self._beside.seen(record)
        if folder.cost is not None:
            starts = folder.cost.starts + (0 if self._back else 1)
            self.facts = self.facts.with_cost(folder.cost.model_copy(update={"starts": starts}))
        if self._resumes and not self._back:
            self._say(_resumed(folder, self.scenario.rounds))

    @property
    def next(self) -> int:
        """The first round that is not there."""
        return len(self._rounds)

    def add(self, landed: Landed) -> None:
        """A round is over. Raises `UserError` where the disk refuses."""
        arrived, record = landed.arrived, self._beside.noted(landed)
        for satellite, witness in arrived.witness.items():
            rank = satellite // self.scenario.satellites_per_rank
            self._rss_mib[rank] = max(self._rss_mib.get(rank, 0.0), witness.note.peak_rss_mib)
        came = {satellite: data for (satellite, _), data in arrived.streams.items()}
        alone = {satellite: data for (satellite, _), data in (arrived.spares | arrived.alone).items()}
        notes = [witness.note for witness in arrived.witness.values()]
        lists = {one.satellite: one.entries.encode() for one in notes if one.entries is not None}
        streams = {"dlrc": came, "independent": alone, ENTRIES[0]: lists}
        self.keep(record, streams, self._images(landed))

    def _images(self, landed: Landed) -> dict[int, Images]:
        """What is shown of a round: 8-bit RGB, of other pictures false colours between the same counts."""
        witness = landed.arrived.witness
        originals = {s: witness[s].original for s in landed.arrived.sends if s in witness}
        wide = [picture for picture in originals.values() if picture.dtype != np.uint8]
        between = range_of(np.stack(wide)) if wide else None
        show = partial(false_colour, choice=self.scenario.scene.colours, range_=between)
        kinds = originals, landed.images, landed.images_alone, landed.generated
        return {
            s: Images(*(show(held[s]) if s in held else None for held in kinds)) for s in landed.arrived.sends
        }

    def keep(
        self, record: RoundRecord, streams: dict[str, dict[int, bytes]], images: dict[int, Images]
    ) -> None:
        """A round by its parts; streams by kind and satellite."""
        images = images if record.number < PICTURED_ROUNDS else {}
        if self._folder is not None:
            self._folder.commit(record, streams, images)
        else:
            self._held |= {(record.number, satellite): view for satellite, view in images.items()}
        self._rounds.append(record)
        if self._folder is not None:
            part = self._folder.part
            self._page.follow(Run(self.scenario, self.facts, tuple(self._rounds), Stored(part)), part)
        self._say(progress(self.scenario, record, self.scenario.codec.context == "open"))

    def finish(self, began_s: float, processes: bool = True, accidents: Sequence[Mishap] = ()) -> Run:
        """All rounds are over: give the folder its name, print the table, then draw. began_s: on the
        monotonic clock. processes: ranks flew the satellites, each with
        memory of its own. accidents: of this start. Raises
        `UserError` where the disk refuses."""
        if self._finished is not None:
            run = open_run(self._finished)
            self._say(table(run))
            draw(run, self._finished)
            write_map(run, self._finished)
            self._page.write(run, self._finished)
            return run
        apart_mib = sum(self._rss_mib.values()) if processes else 0.0
        facts = self.facts.model_copy(
            update={
                "wall_s": time.monotonic() - began_s,
                "peak_rss_mib": apart_mib + peak_rss_mib(),
                "accidents": (*self.facts.accidents, *accidents),
            }
        )
        run = Run(self.scenario, facts, tuple(self._rounds), Held(self._held))
        folder, self._folder = self._folder, None
        if folder is not None:
            try:
                path = folder.close(facts, run.summary)
            except BaseException:
                self._folder = folder
                raise
            run = Run(self.scenario, facts, run.rounds, Stored(path))
            self._say(table(run))
            draw(run, path)
            drawn = write_map(run, path)
            self._page.write(run, path)
            write_shelf(path.parent)
            self._say(f"page      {path / PAGE}" + (f", {drawn}" if drawn else ""))
        return run


def _resumed(folder: Folder, rounds: int) -> str:
    if folder.finished is not None:
        return f"resume: {folder.finished} is finished; nothing is left to fly"
    if not folder.rounds:
        return f"resume: nothing to go on with in {folder.part}; the run begins"
    return f"resume: {folder.committed} of {rounds} rounds are in {folder.part}"
