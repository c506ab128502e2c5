"""Rounds of the rate-distortion study, one CSV row per satellite and round, written as they are flown and
never flown twice.

A row holds the bytes of every section of the two real streams (with and without DLRC), the fates of its
positions, the qualities of both images, and two checks beyond the stream's own digests: the decoded vectors
are compared with those that were coded."""

from __future__ import annotations

import csv
import functools
import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import cast

import numpy as np

from codec.fields import VERSION
from codec.maps.assignment import KEPT, LOCAL, REMOTE
from codec.models.storage import WEIGHTS_FOLDER
from constellation.common.errors import UserError
from constellation.common.progress import note, watched
from constellation.scenario.coding import CodecKnobs
from constellation.scenario.imaging import SceneKnobs
from constellation.scenario.load import load_scenario
from constellation.scenario.scenario import Scenario
from dlrc.local import Flight, fly, sides_of
from ground.records import Outcome, SatelliteRecord
from nodes.process.board import Board, load_board

CHUNK_WINDOWS = 10  # of one configuration before the next has its turn: an interrupted study is balanced


@dataclass(frozen=True)
class Configuration:
    """One line of the study's table. density: name of the scenario (`dense`, `sparse`)."""

    model: str
    lambda_: float
    density: str
    halo_px: int

    @property
    def name(self) -> str:
        return f"{self.model}-{self.lambda_:g}-{self.density}-halo{self.halo_px}"

    def scenario(self, overrides: Sequence[str]) -> Scenario:
        return load_scenario(
            self.density,
            [
                *overrides,
                f"codec.model={self.model}",
                f"codec.lambda={self.lambda_!r}",
                f"capture.halo_px={self.halo_px}",
            ],
        )


@dataclass(frozen=True)
class Row:
    """One satellite in one round. Bytes: `_d` with DLRC, `_i` independent. Qualities are NaN and `decoded` is
    0 where nothing was decoded. exact: decoded, and every coded vector came back as it was coded, in both
    streams. rank: place in the priority order, 0 the highest."""

    round: int
    satellite: int
    rank: int
    scene: str
    pixels: int
    positions: int
    kept: int
    local: int
    remote: int
    oracle: int
    y_d: float
    z_d: float
    map_d: float
    header_d: float
    y_i: float
    z_i: float
    header_i: float
    psnr_d: float
    psnr_i: float
    ms_ssim_d: float
    ms_ssim_i: float
    decoded: int
    exact: int
    failed: int


_loaded = functools.lru_cache(maxsize=16)(load_board)


def board_of(codec: CodecKnobs) -> Board:
    """The loaded checkpoint that the knobs name, shared by all configurations that use it."""
    return _loaded(cast(Hashable, codec))  # frozen by configuration, which its type does not show


def shipped_lambdas(model: str) -> list[float]:
    """The lambdas for which the project ships weights of `model`, ascending."""
    prefix = f"{model}_lambda"
    found = sorted(
        float(path.stem.removeprefix(prefix)) for path in WEIGHTS_FOLDER.glob(f"{prefix}*.safetensors")
    )
    if not found:
        raise UserError(
            f"models={model}: no shipped weights; there are: "
            + ", ".join(sorted(path.stem for path in WEIGHTS_FOLDER.glob("*.safetensors")))
        )
    return found


def lambdas_of(models: Sequence[str], wanted: Sequence[float] | str) -> dict[str, list[float]]:
    """Lambdas of each model's shipped checkpoints, those wanted. What is not shipped is named in a note.
    Raises `UserError` where nothing is left of a lambda or a model."""
    shipped = {model: shipped_lambdas(model) for model in models}
    if isinstance(wanted, str):
        return shipped
    lambdas = {model: [value for value in wanted if value in known] for model, known in shipped.items()}
    there = "; ".join(
        f"{model}: {', '.join(f'{value:g}' for value in known)}" for model, known in shipped.items()
    )
    nobody = [f"{value:g}" for value in wanted if not any(value in known for known in shipped.values())]
    if nobody or not all(lambdas.values()):
        what = f"{', '.join(nobody)} is of no model" if nobody else "none of them is of every model"
        raise UserError(f"lambdas={','.join(f'{value:g}' for value in wanted)}: {what}; shipped are {there}")
    for model, known in shipped.items():
        if missing := [f"{value:g}" for value in wanted if value not in known]:
            note(f"lambdas: {model} is not shipped at {', '.join(missing)} and has no such row")
    return lambdas


def pictures_digest(scene: SceneKnobs) -> str:
    """Tells the files behind `scene.path` apart by name, size and time of change; "" for the built-in
    scene."""
    path = Path(scene.path)
    if not scene.path:
        return ""
    files = sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]
    return hashlib.sha256(
        repr(
            [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
        ).encode()
    ).hexdigest()[:16]


class Logbook:
    """The rows of one configuration, in a file below the study's folder: other knobs, weights, pictures or
    another container, another file. overrides: words laid over its scenario."""

    def __init__(self, folder: Path, configuration: Configuration, overrides: Sequence[str]) -> None:
        self.configuration, self._scenario = configuration, configuration.scenario(overrides)
        scenario = self._scenario
        weights, pictures = board_of(scenario.codec).checkpoint.sha256, pictures_digest(scenario.scene)
        key = hashlib.sha256(f"{scenario.digest}/{weights}/{pictures}/{VERSION}".encode()).hexdigest()[:8]
        self.path = folder / "rows" / f"{configuration.name}-{key}.csv"

    def rows(self) -> list[Row]:
        """All rows so far, of whole rounds."""
        return read_rows(self.path, self._scenario.satellites)

    def fly(self, numbers: Sequence[int], decode: int) -> None:
        """Fly those of the windows `numbers` that have no rows yet; those before `decode` go through the
        ground's decoder."""
        have = {row.round for row in self.rows() if row.decoded or row.round >= decode}
        missing = [number for number in numbers if number not in have]
        if not missing:
            return
        sides = sides_of(self._scenario, board_of(self._scenario.codec))
        for number in missing:
            append_rows(self.path, rows_of(fly(sides, number, number < decode), number < decode))
        print(f"  {self.configuration.name}: windows {missing[0]} to {missing[-1]}", flush=True)


def fly_missing(logbooks: Sequence[Logbook], windows: int, decode: int) -> None:
    """Fly windows 0 .. `windows` - 1 of every configuration that have no rows yet; the first `decode` of them
    go through the ground's decoder."""
    for start in watched(range(0, windows, CHUNK_WINDOWS), "tens of windows"):
        for logbook in logbooks:
            logbook.fly(range(start, min(windows, start + CHUNK_WINDOWS)), decode)


def rows_of(flight: Flight, decoded: bool) -> list[Row]:
    """The rows of one round. decoded: whether the ground decoded it, or read containers and maps alone."""
    return [_row(flight, record, decoded) for record in flight.landed.record.satellites]


def _row(flight: Flight, record: SatelliteRecord, decoded: bool) -> Row:
    satellite, source = record.satellite, (record.satellite, record.round)
    note, assignment = flight.flown.notes[satellite], flight.landed.decoded.maps.get(source)
    counts = (
        [0, 0, 0] if assignment is None else np.bincount(assignment.fate.reshape(-1), minlength=3).tolist()
    )
    dlrc, alone = record.quality_dlrc, record.quality_independent
    good = (
        record.outcome in (Outcome.EXACT, Outcome.RESENT) if decoded else assignment is not None
    )  # one only read: its map
    return Row(
        record.round,
        satellite,
        note.order.index(satellite),
        note.scene,
        record.pixels,
        sum(counts),
        counts[KEPT],
        counts[LOCAL],
        counts[REMOTE],
        record.oracle,
        record.dlrc.y,
        record.dlrc.z,
        record.dlrc.map,
        record.dlrc.header,
        record.independent.y,
        record.independent.z,
        record.independent.header,
        float("nan") if dlrc is None else dlrc.psnr_db,
        float("nan") if alone is None else alone.psnr_db,
        float("nan") if dlrc is None else dlrc.ms_ssim,
        float("nan") if alone is None else alone.ms_ssim,
        int(decoded),
        int(decoded and good and _came_back(flight, source)),
        int(not good),
    )


def _came_back(flight: Flight, source: tuple[int, int]) -> bool:
    """Whether the ground's vectors are those that were coded: all of the independent stream, the kept ones of
    DLRC's."""
    landed, task = flight.landed, flight.flown.tasks.get(source[0])
    if task is None or landed.decoded.streams[source].header.settings.grid == "centred":
        return (
            True  # nothing but the independent stream, or vectors of its own, which the stream's digest knows
        )
    kept = landed.decoded.maps[source].fate == KEPT
    seen = task.observation
    return np.array_equal(landed.alone.latents[source], np.rint(seen.view.y)) and np.array_equal(
        landed.decoded.latents[source][:, kept], seen.selection.y_hat[:, kept]
    )


def append_rows(path: Path, rows: Sequence[Row]) -> None:
    """Append whole lines; the header first where the file is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        if file.tell() == 0:
            writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_rows(path: Path, satellites: int) -> list[Row]:
    """Rows of whole rounds of `satellites`, by round and satellite; a later row of the same round and
    satellite replaces an earlier one.

    Lines that were cut off by an interruption are dropped, and so are rounds that lack a satellite.
    """
    if not path.is_file():
        return []
    kinds = {field.name: {"int": int, "float": float, "str": str}[str(field.type)] for field in fields(Row)}
    found: dict[tuple[int, int], Row] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            try:
                row = Row(**{name: kind(line[name]) for name, kind in kinds.items()})
            except (ValueError, TypeError, KeyError):
                continue
            found[row.round, row.satellite] = row
    whole = {
        number for number, _ in found if all((number, satellite) in found for satellite in range(satellites))
    }
    return [found[key] for key in sorted(found) if key[0] in whole]
