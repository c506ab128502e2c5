"""The journal of a run's folder, `manifest.jsonl`: what was committed, with the SHA-256 of every file.

One line when the run begins, one a round, one when it is finished. Lines are only ever added, each by one
write that is on the disk before the next thing happens; a last line without its end was never written. A file
that a crash of the machine left incomplete has another SHA-256 than its line; a run that is resumed flies
such a round again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from constellation.common.errors import UserError
from constellation.common.files import refused_by_disk, write_bytes
from constellation.common.text import shown
from constellation.scenario.scenario import Scenario
from dlrc.store.summary import OF_THE_HOST, Facts
from ground.compensation import FOLDER

NAME = "manifest.jsonl"
MAX_LINE_BYTES = 1 << 24
MAX_FILE_BYTES = 1 << 28  # of a file of the folder that is read whole
_FILE = r"^(?:rounds/[0-9]{3,6}/)?\w[\w.-]{0,99}$"  # below the folder, wherever a foreign manifest points

Digests = dict[
    Annotated[str, Field(pattern=_FILE)], Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
]  # by name in the folder


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
    files: Digests


class Opened(_Line):
    """A run begins. format: of the folder; in 1, wall time stood in these lines."""

    kind: Literal["opened"] = "opened"
    format: Literal[1, 2] = 2
    facts: Facts


class Committed(_Line):
    """A round is on the disk."""

    kind: Literal["round"] = "round"
    number: Annotated[int, Field(ge=0, lt=10**6)]


class Closed(_Line):
    """A run is finished."""

    kind: Literal["closed"] = "closed"
    wall_s: float | None = None
    peak_rss_mib: float | None = None


Line = Opened | Committed | Closed
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def append(folder: Path, line: Line) -> None:
    """Add a line, or nothing. Raises `UserError` where the disk refuses."""
    data = _packed(line)
    with refused_by_disk(str(folder / NAME)):
        descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            before = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError("No space left on device")
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


def rewrite(folder: Path, lines: Sequence[Line]) -> None:
    """These lines alone, in place of what is there; whole, or nothing has changed. Raises `UserError`."""
    write_bytes(folder / NAME, b"".join(map(_packed, lines)))


def _packed(line: Line) -> bytes:
    """Without wall time: a run's manifest is that of the same run flown again."""
    hidden: Any = {"facts": set(OF_THE_HOST)} if isinstance(line, Opened) else None
    return line.model_dump_json(exclude=hidden, exclude_none=True).encode() + b"\n"


def lines(folder: Path | str) -> Iterator[Line]:
    """What was committed, in order. Raises `UserError` where there is no manifest, or it is damaged."""
    path = Path(folder) / NAME
    for number, text in enumerate(read_bytes(path).split(b"\n")[:-1], start=1):
        if len(text) > MAX_LINE_BYTES:
            raise UserError(f"{path}: line {number} is longer than {MAX_LINE_BYTES} bytes")
        try:
            line = _LINE.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"{path}: line {number}: {where}: {shown(first['msg'])[1:-1]}") from None
        if (number == 1) != isinstance(line, Opened):
            raise UserError(f"{path}: line {number} is {line.kind}, expected a run to be opened first, once")
        yield line


def read_bytes(path: Path) -> bytes:
    """A file of a folder, whole. Raises `UserError` for what is missing, no file, or too large."""
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise UserError(f"{path}: no such file; expected the folder of a run")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UserError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def sha256(path: Path) -> str:
    """Of a file's contents, hex. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def inputs_of(scenario: Scenario) -> dict[str, str]:
    """Paths of what a run reads beside the codec's checkpoint, by knob: of the nets that ship, their
    folder."""
    if scenario.ground.compensation == "none":
        return scenario.files
    return {
        **scenario.files,
        "ground.compensation_weights": scenario.ground.compensation_weights or str(FOLDER),
    }


def inputs_sha256(files: Mapping[str, str]) -> str:
    """Of what a run reads beside its checkpoint. files: paths by knob (`NetworkScenario.files`), each a file
    or a folder, of which names and contents count; empty where there are none. Raises `UserError`."""
    found = {}
    for knob, path in files.items():
        place = Path(path).expanduser()
        try:
            if place.is_dir():
                inside = sorted(file for file in place.iterdir() if file.is_file())
                found[knob] = _of([(file.name, sha256(file)) for file in inside])
            else:
                found[knob] = sha256(place)
        except OSError as error:
            raise UserError(f"{knob}={path}: cannot be read ({error.strerror})") from None
    return found.get("scene.path", "") if found.keys() <= {"scene.path"} else _of(found)


def _of(told: object) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def verify(folder: Path | str) -> list[str]:
    """What is not as it was written: a line for each file that is missing or changed, and one where the
    manifest of a finished run has lost its end. Raises `UserError` where the manifest itself is damaged."""
    told = list(lines(folder))
    wrong = changed(folder, (item for line in told for item in line.files.items()))
    place = Path(folder).resolve()
    finished = place.suffix != ".part" and (place / "summary.json").exists()
    if finished and not (told and isinstance(told[-1], Closed)):
        wrong.append(f"{NAME}: has lost its end, as the run is finished; summary.json is there")
    return wrong


def changed(folder: Path | str, files: Iterable[tuple[str, str]]) -> list[str]:
    """Of these files, by name and SHA-256: a line for each that is missing or changed."""
    faults = []
    for name, digest in files:
        path = Path(folder) / name
        try:
            if not path.is_file():
                faults.append(f"{name}: missing")
            elif sha256(path) != digest:
                faults.append(f"{name}: changed since it was written")
        except OSError as error:
            faults.append(f"{name}: cannot be read ({error.strerror})")
    return faults
