"""The folder of a run: written under a temporary name and renamed when complete, so that a failed run leaves
nothing half-written."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codec.imagery.scene import open_scene
from constellation.common.errors import UserError
from constellation.scenario.scenario import Scenario
from dlrc.report import lines
from dlrc.report.pictures import View, draw_mosaics, draw_owners
from dlrc.report.table import print_table, write_summary
from dlrc.report.trace import write_trace
from dlrc.results import RunFacts, summarise
from ground.account import Landed
from ground.records import RoundRecord
from nodes.crew import Board
from nodes.process.device import peak_rss_mib

MAX_PICTURED_ROUNDS = 4


@dataclass(frozen=True)
class _TraceSpan:
    name: str
    start_s: float
    end_s: float
    round: int


def _alive(pid: str) -> bool:
    """Whether a process of this number runs on this machine."""
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except OSError:
        return False
    return True


class RunFolder:
    """`<output>/<scenario>-<digest>/` with summary.json, streams/, pictures and trace.json."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.path = Path(scenario.output) / f"{scenario.name}-{scenario.digest}"
        self._work = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self._rounds: list[RoundRecord] = []
        self._satellites_mib: dict[int, float] = {}
        for stale in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            if not _alive(stale.suffixes[-2][1:]):  # of a run that was killed
                shutil.rmtree(stale, ignore_errors=True)
        try:
            (self._work / "streams").mkdir(parents=True)
        except OSError as error:
            raise UserError(f"output={scenario.output}: cannot write there ({error.strerror})") from None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, exc_type: object, exc: BaseException | None, traceback: object) -> None:
        if exc_type is not None:
            shutil.rmtree(self._work, ignore_errors=True)

    def begin(self, board: Board) -> None:
        """Say what is about to fly. board: the ground's codec."""
        knobs = self.scenario
        self._checkpoint = board.checkpoint
        self._scene = open_scene(knobs.scene, knobs.seed, 0, knobs.capture.window_px)
        print(lines.opening(knobs, board.model, self._scene), flush=True)

    def add(self, landed: Landed) -> None:
        """Write a round's streams, draw the pictures of the first few rounds, and say how it went."""
        record, arrived = landed.record, landed.arrived
        for (satellite, number), data in arrived.streams.items():
            self._stream(number, satellite, "dlrc").write_bytes(data)
        for (satellite, number), data in arrived.alone.items():
            self._stream(number, satellite, "independent").write_bytes(data)
        self._satellites_mib |= {s: witness.note.peak_rss_mib for s, witness in arrived.witness.items()}
        self._rounds.append(record)
        if record.number < MAX_PICTURED_ROUNDS:
            self._draw(landed)
        print(lines.progress(record, self.scenario), flush=True)

    def finish(self, began_s: float) -> None:
        """Write summary and trace, move the folder to its name (replacing an older run of the same knobs),
        and print the table. began_s: when the run began, Unix time."""
        summary = summarise(self._facts(began_s), self._rounds)
        write_summary(summary, self._work / "summary.json")
        write_trace(self._work / "trace.json", _tracks(self.scenario.satellites, self._rounds))
        if self.path.exists():
            shutil.rmtree(self.path)
        os.replace(self._work, self.path)
        print_table(summary, self.path)

    def _stream(self, number: int, satellite: int, kind: str) -> Path:
        return self._work / "streams" / f"round{number:03d}_satellite{satellite:03d}_{kind}.bin"

    def _draw(self, landed: Landed) -> None:
        record, witnesses = landed.record, landed.arrived.witness
        views = [
            View(
                one.satellite,
                one.place.row,
                one.place.col,
                witnesses[one.satellite].original,
                landed.images.get(one.satellite),
                landed.images_alone.get(one.satellite),
                one.fates,
            )
            for one in record.satellites
            if one.place is not None
        ]
        if not views:
            return
        stem, window = self._work / f"round{record.number:03d}", self.scenario.capture.window_px
        captions = ("captured", "rebuilt with DLRC", "rebuilt from independent streams")
        draw_mosaics(Path(f"{stem}_images.png"), views, window, record.order, captions)
        title = f"round {record.number}: who codes what"
        draw_owners(Path(f"{stem}_owners.png"), views, window, record.order, title)

    def _facts(self, began_s: float) -> RunFacts:
        knobs = self.scenario
        return RunFacts(
            scenario=knobs.name,
            seed=knobs.seed,
            satellites=knobs.satellites,
            rounds=knobs.rounds,
            context=knobs.codec.context,
            model=knobs.codec.model,
            lambda_=knobs.codec.lambda_,
            weights_sha256=self._checkpoint.sha256,
            scene_source=self._scene.source,
            scene_real=self._scene.real,
            noise=knobs.link.noise,
            wall_s=time.time() - began_s,
            peak_rss_mib=sum(self._satellites_mib.values()) + peak_rss_mib(),
        )


def _tracks(satellites: int, rounds: Sequence[RoundRecord]) -> dict[str, list[_TraceSpan]]:
    """Computing and links on tracks of their own, because they overlap; the ground receives from the first
    bit to the last."""
    tracks: dict[str, list[_TraceSpan]] = {}
    for satellite in range(satellites):
        tracks |= {f"satellite {satellite}": [], f"satellite {satellite} (links)": []}
    tracks["ground"] = []
    for record in rounds:
        downlinks = []
        for one in record.satellites:
            for span in one.spans:
                drawn = _TraceSpan(span.name, span.start_s, span.start_s + span.duration_s, record.number)
                links = " (links)" if span.category in ("network", "link") else ""
                tracks[f"satellite {one.satellite}{links}"].append(drawn)
                downlinks += [drawn] if span.name == "downlink" else []
        if downlinks:
            first, last = min(span.start_s for span in downlinks), max(span.end_s for span in downlinks)
            tracks["ground"].append(_TraceSpan("receive", first, last, record.number))
    return tracks
