"""The commands of `dlrc`, by name: what each does in a line, and where it is. Nothing heavy is imported until
a command is called."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from constellation.common.cli import Command, Given, read
from constellation.common.commands import first_sentence
from constellation.common.errors import UserError, interrupts_leave_at_once
from constellation.common.knobs import Knobs
from constellation.scenario.load import SCENARIO

HERE = Path(__file__).resolve().parents[1]
CHECKOUT = HERE.parent
STUDY_FOLDERS = (
    "studies.paper",
    "studies.questions",
    "studies.downstream",
    "studies.faults",
    "studies.encoders",
    "studies.orbits",
)
BENCH_FOLDERS = ("benchmarks", "benchmarks.priors", "benchmarks.scale")
_OURS = {"constellation", "codec", "nodes", "ground", "dlrc", "benchmarks"}
_OF_STUDIES = {"imagecodecs", "bjontegaard"}  # the rest of what is optional comes with the codec


@dataclass(frozen=True)
class Entry:
    """A command that is not loaded yet. module: has COMMAND. brief: what it does, in a line."""

    name: str
    module: str
    brief: str


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "run",
            "dlrc.commands.table",
            "fly a scenario, satellites in processes of their own, and report what was saved",
        ),
        Entry("sweep", "dlrc.commands.sweep", "fly a grid of scenarios: dlrc.k=4,8,20 priority.rule=id,link"),
        Entry("decode", "ground.files", "turn stored streams into images"),
        Entry("train", "codec.training.train", "train a codec on pictures of your own"),
        Entry(
            "train-prediction",
            "codec.training.prediction.train",
            "train the fusion of cross-view coding for a codec",
        ),
        Entry(
            "train-compensation",
            "ground.compensation.train",
            "train a net that adds detail to decoded pictures on the ground",
        ),
        Entry(
            "evaluate",
            "codec.training.evaluate",
            "loss of checkpoints on held-out pictures, beside JPEG 2000",
        ),
        Entry("export", "dlrc.commands.export", "contact plans, OEM, OMM, CZML, GeoJSON of a constellation"),
        Entry("geo", "dlrc.commands.geo", "footprints and pictures of a run as GeoJSON and GeoTIFF"),
        Entry("verify", "dlrc.commands.verify", "check every file of a run against its manifest"),
        Entry("list", "dlrc.commands.listing", "finished runs: scenario, saving, quality, date, folder"),
        Entry("compare", "dlrc.commands.compare", "one page of several runs: what differs, what follows"),
        Entry("serve", "dlrc.commands.serve", "pages of runs on 127.0.0.1, following those being flown"),
    )
}
FAMILIES = {"study": "a figure or table, or a question", "bench": "measurements"}


class RunKeys(Knobs):
    """A run has no keys beside its scenario's."""


def _started_elsewhere(given: Given) -> None:
    raise AssertionError("dlrc.main.fly starts a run, which takes options of torchrun too")


COMMAND = RUN = Command(
    name="run",
    about="""Fly a scenario: every satellite is a process (or satellites_per_rank of them are) that captures,
    compresses, exchanges signatures and downlinks; the ground decodes, rebuilds the images, and reports what
    was saved.

Writes OUTPUT/NAME-DIGEST/: summary.json, streams, pictures, trace.json. Words that come first and begin
with -- are torchrun's (--nproc 8). A scenario of your own is a .yaml file.""",
    own=RunKeys,
    work=_started_elsewhere,
    subject=SCENARIO,
    honours=tuple(SCENARIO.model.model_fields),
    examples=("dlrc run smoke", "dlrc run scenario=dense scene.path=FOLDER codec.model=elic rounds=2"),
)


def spelt_out(words: Sequence[str]) -> list[str]:
    """The words of a run whose first word alone may name the scenario: `smoke` is `scenario=smoke`."""
    if words and words[0] != "help" and "=" not in words[0] and not words[0].startswith("-"):
        return [f"{SCENARIO.key}={words[0]}", *words[1:]]
    return list(words)


def scenario_of(words: Sequence[str]) -> Any:
    """The scenario that the words of a run describe. Raises `UserError`."""
    return read(RUN, words).subject


@cache
def studies() -> dict[str, Entry]:
    """The studies by name, with the first sentence of each; found by looking at the files."""
    return {
        path.stem: Entry(f"study {path.stem}", f"dlrc.{folder}.{path.stem}", brief)
        for folder in STUDY_FOLDERS
        for path in sorted((HERE / folder.replace(".", "/")).glob("*.py"))
        if (brief := _brief_of(path))
    }


@cache
def benches() -> dict[str, Entry]:
    """The benchmarks of a checkout by name; none where the package is installed."""
    return {
        path.stem: Entry(f"bench {path.stem}", f"{folder}.{path.stem}", brief)
        for _, path, folder in sorted(
            (path.stem, path, folder)
            for folder in BENCH_FOLDERS
            for path in (CHECKOUT / folder.replace(".", "/")).glob("*.py")
        )
        if (brief := _brief_of(path))
    }


def loaded(entry: Entry) -> Command:
    """The command itself. Raises `UserError` where a package that it needs is not installed."""
    if entry.module.startswith("benchmarks.") and str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
    with naming_extras(entry.name), interrupts_leave_at_once():
        return import_module(entry.module).COMMAND


@contextlib.contextmanager
def naming_extras(what: str) -> Iterator[None]:
    """Turn the import of a package that is not installed into a `UserError` that names the extra which brings
    it. what: the command or function that needs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OURS:
            raise
        extra = "studies" if missing in _OF_STUDIES else "codec"
        raise UserError(
            f"{what}: needs the package {missing}, which is not installed; pip install 'dlrc[{extra}]' "
            "brings it"
        ) from None


def _brief_of(path: Path) -> str:
    """The first sentence of a module that has a COMMAND; "" for any other."""
    text = path.read_text(encoding="utf-8")
    if "\nCOMMAND = Command(" not in text:
        return ""
    return first_sentence(ast.get_docstring(ast.parse(text)) or path.stem)
