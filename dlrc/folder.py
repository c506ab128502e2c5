"""The folder of a run: written under a temporary name and renamed when complete, so that a failed run leaves
nothing half-written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from constellation.common.errors import UserError
from constellation.scenario.scenario import Scenario
from dlrc.report.pictures import View, draw_mosaics, draw_owners
from dlrc.report.table import print_table, write_summary
from dlrc.report.trace import write_trace
from dlrc.results import RunFacts, summarise
from ground.records import RoundRecord
from nodes.downlink import Downlink

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
        self._spans: dict[str, list[_TraceSpan]] = {}
        for satellite in range(scenario.satellites):
            self._spans |= {
                f"satellite {satellite}": [],
                f"satellite {satellite} (links)": [],
            }
        self._spans["ground"] = []
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
            self.discard()

    def discard(self) -> None:
        """Remove what has been written so far."""
        shutil.rmtree(self._work, ignore_errors=True)

    def add_round(self, round_number: int, messages: Sequence[Downlink], views: Sequence[View]) -> None:
        """Write a round's streams, draw the pictures of the first few rounds, and keep its spans for the
        trace."""
        for message in messages:
            stem = (
                self._work / "streams" / f"round{round_number:03d}_satellite{message.telemetry.satellite:03d}"
            )
            if message.stream:  # a silent satellite's never came
                stem.with_name(stem.name + "_dlrc.bin").write_bytes(message.stream)
            stem.with_name(stem.name + "_independent.bin").write_bytes(message.independent)
        self._keep_spans(round_number, messages)
        if round_number < MAX_PICTURED_ROUNDS:
            order = messages[0].telemetry.order
            window = self.scenario.capture.window_px
            draw_mosaics(
                self._work / f"round{round_number:03d}_images.png",
                views,
                window,
                order,
                ("captured", "rebuilt with DLRC", "rebuilt from independent streams"),
            )
            draw_owners(
                self._work / f"round{round_number:03d}_owners.png",
                views,
                window,
                order,
                f"round {round_number}: who codes what",
            )

    def _keep_spans(self, round_number: int, messages: Sequence[Downlink]) -> None:
        """Computing and links on tracks of their own, because they overlap; the ground receives from the
        first bit to the last."""
        downlinks = []
        for message in messages:
            name_of = f"satellite {message.telemetry.satellite}"
            for name, start_s, duration_s, category in message.telemetry.spans:
                span = _TraceSpan(name, start_s, start_s + duration_s, round_number)
                self._spans.setdefault(name_of + (" (links)" if category == "link" else ""), []).append(span)
                downlinks += [span] if name == "downlink" else []
        if downlinks:
            first, last = (
                min(span.start_s for span in downlinks),
                max(span.end_s for span in downlinks),
            )
            self._spans["ground"].append(_TraceSpan("receive", first, last, round_number))

    def finish(self, facts: RunFacts, rounds: Sequence[RoundRecord]) -> None:
        """Write summary and trace, move the folder to its name (replacing an older run of the same knobs),
        and print the table."""
        summary = summarise(facts, rounds)
        write_summary(summary, self._work / "summary.json")
        write_trace(self._work / "trace.json", self._spans)
        if self.path.exists():
            shutil.rmtree(self.path)
        os.replace(self._work, self.path)
        print_table(summary, self.path)
