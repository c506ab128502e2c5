"""How a run grows with satellites, patch and rounds: wall and CPU time, memory, bytes, each with the exponent
that fits it.

    dlrc bench growth scene.path=FOLDER                the whole table, about half an hour on two cores
    dlrc bench growth series=satellites satellites=8,16 table=growth.json

Each figure is of a whole command, `dlrc run`, with all its processes, in a folder that is thrown away. A
series varies one number and keeps the others: satellites (one patch size, one round, a window of fixed size,
so that neighbours grow with satellites), the side of a patch (8 satellites in a window twice as wide), rounds
(8 satellites, `dense`). An exponent p is the slope of a straight line through the logarithms, by least
squares: what is measured grows like size^p. A fixed cost, start-up for instance, makes it small; so that of
the last two sizes alone stands beside it."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

import dlrc
from benchmarks.scale.memory import taken
from constellation.common.cli import Command, Given, main_of
from constellation.common.files import write_text
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from constellation.scenario.load import SCENARIO
from dlrc.store.results import Run

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("wall_s", "cpu_s", "pss_mib", "rss_mib", "down_bytes", "exchanged_bytes", "disk_bytes")
HEADS = ("wall s", "CPU s", "PSS MiB", "sum of RSS", "down kB", "exchanged kB", "disk kB")
SMALL = 8  # satellites of the series of patches and rounds


class GrowthKeys(Knobs):
    """Keys of this benchmark."""

    series: Several[Literal["satellites", "patches", "rounds"]] = ("satellites", "patches", "rounds")
    """what is varied"""
    satellites: Several[Annotated[int, Field(ge=1, le=1024)]] = (8, 64, 256, 1000)
    """numbers of satellites"""
    patches: Several[Annotated[int, Field(ge=64, le=4096, multiple_of=64)]] = (256, 512, 1024, 2048)
    """sides of a patch, px"""
    rounds: Several[Annotated[int, Field(ge=1, le=1000)]] = (1, 2, 4, 8)
    """numbers of rounds"""
    window: Annotated[int, Field(ge=256, le=65536)] = 2048
    """side of the window of the series of satellites, px"""
    ranks: Annotated[int, Field(ge=1, le=64)] = 2
    """processes that fly satellites, beside the ground"""
    table: str = ""
    """a JSON file for the figures"""


@dataclass(frozen=True)
class Row:
    """One command. size: what the series varies. processes: at most at once. neighbours: mean number of
    others that a satellite heard. down_bytes: of DLRC streams; exchanged_bytes: of messages, once for each
    satellite that hears them; disk_bytes: of the run's folder."""

    series: str
    size: int
    processes: int
    neighbours: float
    wall_s: float
    cpu_s: float
    pss_mib: float
    rss_mib: float
    down_bytes: float
    exchanged_bytes: float
    disk_bytes: float


def bench(given: Given) -> None:
    """Print each series as a table, with its exponents."""
    own: GrowthKeys = given.own
    rows: list[Row] = []
    for series, cells in series_of(own).items():
        head = " | ".join((series, "neighbours", *HEADS))
        print(f"\n| {head} |\n|{' --- |' * (2 + len(HEADS))}", flush=True)
        some = []
        for size, words in watched(list(cells), series):
            some.append(measured(series, size, [f"scenario={given.name}", *given.words, *words], own.ranks))
            print(line_of(some[-1]), flush=True)
        for what, part in (("exponent", some), ("of the last two", some[-2:])):
            if len(part) > 1:
                print(f"| {what} | | {' | '.join(_shown(p) for p in exponents(part).values())} |", flush=True)
        rows += some
    if own.table:
        fits = {series: exponents([row for row in rows if row.series == series]) for series in series_of(own)}
        write_text(Path(own.table), json.dumps({"rows": [asdict(row) for row in rows], "exponents": fits}))


def series_of(own: GrowthKeys) -> dict[str, Iterator[tuple[int, list[str]]]]:
    """By name: sizes, and the words that make them."""
    few = [f"satellites={SMALL}"]
    found = {
        "satellites": (
            (n, [f"satellites={n}", "rounds=1", f"capture.window_px={own.window}"]) for n in own.satellites
        ),
        "patches": (
            (px, [*few, "rounds=1", f"capture.patch_px={px}", f"capture.window_px={2 * px}"])
            for px in own.patches
        ),
        "rounds": ((n, [*few, f"rounds={n}"]) for n in own.rounds),
    }
    return {name: found[name] for name in own.series}


def measured(series: str, size: int, words: Sequence[str], ranks: int) -> Row:
    """Fly a run and measure it. Raises `UserError` where it fails."""
    satellites = next(int(word.partition("=")[2]) for word in words if word.startswith("satellites="))
    with tempfile.TemporaryDirectory(prefix="dlrc_") as name:
        spread = [f"satellites_per_rank={-(-satellites // ranks)}", f"output={name}"]
        took = taken([sys.executable, str(ROOT / "launch.py"), *words, *spread])
        (folder,) = (path for path in Path(name).iterdir() if path.is_dir())
        disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        heard, exchanged, down = told(dlrc.open(folder))
    figures = took.wall_s, took.cpu_s, took.pss_mib, took.rss_mib
    return Row(series, size, took.processes, heard, *figures, down, exchanged, disk)


def told(run: Run) -> tuple[float, float, float]:
    """Of a run: the mean number of others that a satellite heard, the bytes of all messages by hearer, and of
    all DLRC streams."""
    others, exchanged, down = [], 0.0, 0.0
    for record in run.rounds:
        sent = {one.satellite: one.payload_bytes for one in record.satellites}
        for one in record.satellites:
            apart = [other for other in one.heard if other != one.satellite]
            others.append(len(apart))
            exchanged += sum(sent[other] for other in apart)
            down += one.dlrc.total
    return float(np.mean(others)), exchanged, down


def exponents(rows: Sequence[Row]) -> dict[str, float | None]:
    """By column, p of size^p, least squares of the logarithms; None where there is nothing to fit."""
    found: dict[str, float | None] = {}
    for column in COLUMNS:
        values = [getattr(row, column) for row in rows]
        if len(rows) < 2 or min(values) <= 0:
            found[column] = None
        else:
            sizes = [math.log(row.size) for row in rows]
            found[column] = float(np.polyfit(sizes, np.log(values), 1)[0])
    return found


def line_of(row: Row) -> str:
    """One row of the table."""
    bytes_ = [f"{value / 1000:.0f}" for value in (row.down_bytes, row.exchanged_bytes, row.disk_bytes)]
    host = f"{row.wall_s:.1f} | {row.cpu_s:.1f} | {row.pss_mib:.0f} | {row.rss_mib:.0f}"
    return f"| {row.size} | {row.neighbours:.1f} | {host} | {' | '.join(bytes_)} |"


def _shown(power: float | None) -> str:
    return "" if power is None else f"{power:.2f}"


COMMAND = Command(
    name="bench growth",
    about=__doc__,
    own=GrowthKeys,
    work=bench,
    subject=SCENARIO,
    honours=("seed", "scene", "codec", "dlrc", "priority", "orbit", "link", "topology", "sync", "timeout_s"),
    sets={
        "scenario": "",
        "capture.patch_px": "patches",
        "capture.window_px": "window",
        "satellites_per_rank": "ranks",
        "output": "",
    },
    default="dense",
    examples=("dlrc bench growth series=satellites satellites=8,64 sync.scope=overlap",),
)

if __name__ == "__main__":
    main_of(COMMAND)
