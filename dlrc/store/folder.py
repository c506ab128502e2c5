"""The folder of a run.

    runs/dense-0123abcd/                      named after what the run depends on (`key_of`)
        manifest.jsonl                        what was committed, with SHA-256 (`dlrc.store.manifest`)
        scenario.yaml                         every knob; scenario=<this file> repeats the run
        rounds/000/record.json                one round: numbers,
                   round000_satellite000_dlrc.bin, ..._independent.bin      streams as they came,
                   round000_satellite000_list.txt                           with dlrc.memory=rounds
                   round000_satellite000_captured.png, ..._dlrc.png, ...    images, of the first rounds
                   round000_satellite000_generated.png     where a net made one: no product of the codec
        summary.json                          written when all rounds are there
        trace.json, round000_*.png            drawn from the above
        cost.json                             wall time, memory, accidents of hosts (`dlrc.store.cost`)

While it is written, it is called runs/dense-0123abcd.part. A round is written aside, renamed, and then added
to the manifest, so whatever the manifest says is whole, and a run that was cut short goes on with the first
round that is not in it (`resume=true`)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import dlrc.store.manifest as manifest
from constellation.common.errors import UserError, terminations_wait
from constellation.common.files import make_folder, refused_by_disk
from constellation.common.frozen import value
from constellation.common.knobs import build
from constellation.common.yaml_values import read as read_yaml
from constellation.scenario.load import write_scenario
from constellation.scenario.scenario import Scenario
from dlrc.store.claim import NAME as WRITER
from dlrc.store.claim import Claim, put_in_place, take_back
from dlrc.store.cost import Cost, read_cost
from dlrc.store.manifest import Closed, Committed, Opened, sha256
from dlrc.store.results import NO_IMAGES, PICTURED_ROUNDS, Images, Run
from dlrc.store.summary import Facts, RunSummary
from ground.compensation.marks import marked
from ground.records import RoundRecord

KINDS = ("captured", "dlrc", "independent", "generated")
ENTRIES = "list", "txt"  # kind and suffix of what is remembered of a list
MAX_IMAGE_PIXELS = 1 << 26  # of a view, when read back


def key_of(digest: str, facts: Facts) -> str:
    """Eight hex digits: equal for two runs only if knobs, weights, pictures and program are. digest: of the
    scenario."""
    parts = [digest, facts.weights_sha256, facts.pictures_sha256, facts.version]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def folder_of(scenario: Scenario, facts: Facts) -> Path:
    """Where a run is kept once it is finished."""
    return Path(scenario.output) / f"{scenario.name}-{key_of(scenario.digest, facts)}"


class Folder:
    """A run's folder while it is written. resume: go on with what was committed. rounds: that are. finished:
    the folder of this run where it is whole already; nothing is written then.

    Raises `UserError` where it cannot be, or somebody else is at it."""

    def __init__(self, scenario: Scenario, facts: Facts, resume: bool = False) -> None:
        make_folder(Path(scenario.output))
        self.path = folder_of(scenario, facts)
        self.part = self.path.with_name(self.path.name + ".part")
        self.rounds: list[RoundRecord] = []
        self.finished: Path | None = None
        self.cost: Cost | None = None
        self._claim: Claim | None = None
        if resume:
            take_back(f".{self.path.name}.*.done", self.part, self.path)
            if self.path.is_dir() and not self.part.exists() and not manifest.verify(self.path):
                self.finished = self.path
                with refused_by_disk(str(self.path)):
                    for left in self.path.glob(".*.tmp*"):  # of whoever was killed while writing a page
                        left.unlink(missing_ok=True)
                return
        self._claim = Claim(self.part, keep=resume)
        try:
            kept = self._kept() if resume else []
            write_scenario(scenario, self.part / "scenario.yaml")
            with refused_by_disk(str(self.part)):
                (self.part / "rounds").mkdir(exist_ok=True)
                files = {"scenario.yaml": sha256(self.part / "scenario.yaml")}
            facts.with_cost(self.cost).cost.write(self.part)
            manifest.rewrite(self.part, [Opened(files=files, facts=facts), *kept])
        except BaseException:
            self.leave()
            raise

    @property
    def committed(self) -> int:
        """How many rounds are."""
        return len(self.rounds)

    def _kept(self) -> list[Committed]:
        """The first rounds, as far as they are whole; what else lies in the folder goes."""
        kept: list[Committed] = []
        with contextlib.suppress(UserError):  # a manifest that was not written, or a round that is not whole
            for line in manifest.lines(self.part):
                if isinstance(line, Opened):
                    continue
                if not isinstance(line, Committed) or line.number != len(kept):
                    break
                if manifest.changed(self.part, line.files.items()):
                    break
                self.rounds.append(_record(self.part, line))
                kept.append(line)
        self.cost = read_cost(self.part)
        rounds = {f"{line.number:03d}" for line in kept}
        with refused_by_disk(str(self.part)):
            for left in [*self.part.iterdir(), *(self.part / "rounds").glob("*")]:
                if left.name not in (WRITER, "rounds", *rounds):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        return kept

    def commit(
        self, record: RoundRecord, streams: Mapping[str, Mapping[int, bytes]], images: Mapping[int, Images]
    ) -> None:
        """Write a round, all of it or nothing. streams: by kind (dlrc, independent, or of `ENTRIES`) and
        satellite. Raises `UserError` where the disk refuses."""
        place = self.part / "rounds" / f"{record.number:03d}"
        aside = place.with_name(place.name + ".tmp")
        try:
            with terminations_wait(), refused_by_disk(str(place)):
                aside.mkdir()
                (aside / "record.json").write_text(record.to_json() + "\n", encoding="utf-8")
                for kind, sent in streams.items():
                    suffix = ENTRIES[1] if kind == ENTRIES[0] else "bin"
                    for satellite, data in sent.items():
                        (aside / name_of(record.number, satellite, kind, suffix)).write_bytes(data)
                for satellite, view in images.items():
                    _write_images(aside, record.number, satellite, view)
                files = {f"rounds/{place.name}/{path.name}": sha256(path) for path in sorted(aside.iterdir())}
                aside.rename(place)
                manifest.append(self.part, Committed(files=files, number=record.number))
        except BaseException:
            for left in (aside, place):
                shutil.rmtree(left, ignore_errors=True)
            raise
        self.rounds.append(record)

    def close(self, facts: Facts, summary: RunSummary) -> Path:
        """The run is finished: write its summary and give the folder its name, in place of an older run's.
        Raises `UserError` where the disk refuses; all rounds stay in the folder's other name then."""
        target = self.part / "summary.json"
        with refused_by_disk(str(self.part)):
            target.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
            files = {target.name: sha256(target)}
        facts.cost.write(self.part)
        manifest.append(self.part, Closed(files=files))
        with refused_by_disk(str(self.path)):
            aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.done")
            self.part.rename(aside)  # a name that nobody else claims
            try:
                put_in_place(aside, self.path)
            except BaseException:
                aside.rename(self.part)
                raise
        self.leave()
        (self.path / WRITER).unlink(missing_ok=True)
        return self.path

    def leave(self) -> None:
        """Stop, finished or not: committed rounds stay, else the folder goes."""
        if self._claim is not None:
            self._claim.leave(keep=self.committed > 0)
            self._claim = None


def name_of(number: int, satellite: int, kind: str, suffix: str) -> str:
    """Of a file of a round."""
    return f"round{number:03d}_satellite{satellite:03d}_{kind}.{suffix}"


def _write_images(folder: Path, number: int, satellite: int, images: Images) -> None:
    from PIL import Image

    for kind in KINDS:
        pixels = getattr(images, kind)
        if pixels is not None:
            path = folder / name_of(number, satellite, kind, "png")
            told = marked() if kind == "generated" else None
            Image.fromarray(np.ascontiguousarray(pixels)).save(path, compress_level=1, pnginfo=told)


# ---------------------------------------------------------------- reading


@value
class Stored:
    """A gallery in a run's folder; images are read when they are asked for."""

    folder: Path

    def images(self, number: int, satellite: int) -> Images:
        """As of any gallery."""
        if number >= PICTURED_ROUNDS:
            return NO_IMAGES
        round_ = self.folder / "rounds" / f"{number:03d}"
        return Images(**{kind: _image(round_ / name_of(number, satellite, kind, "png")) for kind in KINDS})


def _image(path: Path) -> np.ndarray | None:
    from PIL import Image

    if not path.is_file():
        return None
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS or image.mode != "RGB":
                raise ValueError(f"{image.width} x {image.height} px, {image.mode}")
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not an image of a run ({error})") from None


def open(path: str | Path) -> Run:
    """The run in a folder, finished or cut short: whatever its manifest says was committed.

    Raises `UserError`, one line, for what is no such folder, is damaged, or was changed."""
    folder = Path(path)
    facts, rounds, scenario = None, {}, None
    for line in manifest.lines(folder):
        if isinstance(line, Opened):
            facts, scenario = line.facts, _scenario(folder)
        elif isinstance(line, Committed):
            record = _record(folder, line)
            if rounds.setdefault(record.number, record) is not record:
                raise UserError(f"{folder / manifest.NAME}: round {record.number} stands there twice")
        elif facts is not None and line.wall_s is not None:
            ended = {"wall_s": line.wall_s, "peak_rss_mib": line.peak_rss_mib}
            facts = facts.model_copy(update=ended)
    facts = None if facts is None else facts.with_cost(read_cost(folder))
    if facts is None or scenario is None:
        raise UserError(f"{folder / manifest.NAME}: empty, expected the folder of a run")
    return Run(scenario, facts, tuple(rounds[number] for number in sorted(rounds)), Stored(folder))


def _scenario(folder: Path) -> Scenario:
    """As stored. A rule that runs code is read, too, but not trusted: to fly it takes priority.trust=true."""
    path = folder / "scenario.yaml"
    values = read_yaml(path)
    priority = values.get("priority")
    if not isinstance(priority, dict):
        raise UserError(f"{path}: expected every knob of a run, found no section priority")
    scenario = build(Scenario, {**values, "priority": {**priority, "trust": True}}, str(path))
    untrusted = scenario.priority.model_copy(update={"trust": False})
    return scenario.model_copy(update={"priority": untrusted})


def _record(folder: Path, line: Committed) -> RoundRecord:
    name = f"rounds/{line.number:03d}/record.json"
    data = manifest.read_bytes(folder / name)
    if hashlib.sha256(data).hexdigest() != line.files.get(name):
        raise UserError(f"{folder / name}: changed since it was written")
    try:
        record = RoundRecord.from_json(data)
    except UserError as error:
        raise UserError(f"{folder / name}: {error}") from None
    if record.number != line.number:
        raise UserError(f"{folder / name}: is of round {record.number}, expected {line.number}")
    return record
