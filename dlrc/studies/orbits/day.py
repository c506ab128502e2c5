"""A day of a constellation over one place: who sees what when, and what is saved within a window, from a
satellite's own earlier views, and from those of others.

Every window of the day in which somebody looks is a round. It is flown in up to three ways: round, where
nobody remembers; memory, where a satellite remembers what it sent and heard as it looked; listen, where
satellites that do not look hear as well. Bytes are those of real streams against the independent codec of the
same run, all decoded. Writes a run a way (page, map.html, tables), and runs/day-<digest>/: looks.csv (a row a
look), windows.csv (a row a window), ways.csv."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from codec.imagery.scene import default_data_folder
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Several
from constellation.network import SpaceSegment
from constellation.scenario.load import SCENARIO, changed
from constellation.scenario.scenario import Scenario
from constellation.sight.looks import windows_of
from constellation.sight.targets import targets_of
from dlrc.local import kept
from dlrc.report.gains import KINDS, saved_bytes
from dlrc.report.tables import link_bytes, tables
from dlrc.store.results import Run
from dlrc.studies.common.terms import FLOWN, refuse_estimates
from ground.records import RoundRecord

SCENE = "scenes/coast_ocean_dg_flame_georef.tif"  # of the folder of real images, where the scenario looks
WAYS: dict[str, dict[str, Any]] = {
    "round": {"memory": "none", "listen": False},
    "memory": {"memory": "rounds", "listen": False},
    "listen": {"memory": "rounds", "listen": True},
}


class DayKeys(Knobs):
    """Keys of this study."""

    ways: Several[Literal["round", "memory", "listen"]] = ("listen",)
    """that the day is flown in"""
    windows: Annotated[int, Field(ge=1, le=10000)] = 1000
    """the first ones of the day only"""


def study(given: Given) -> None:
    """Fly the day, print, write. Raises `UserError`."""
    own: DayKeys = given.own
    base = day_of(given.subject, own.windows)
    digest = hashlib.sha256(f"{base.digest} {own!r}".encode()).hexdigest()[:8]
    folder = make_folder(Path(base.output) / f"day-{digest}")
    flown: dict[str, Run] = {}
    for way in own.ways:
        print(f"\n{way}: dlrc.memory={WAYS[way]['memory']} dlrc.listen={str(WAYS[way]['listen']).lower()}")
        flown[way] = kept(changed(base, dlrc=WAYS[way]), say=print)
    looks = [{"way": way, **row} for way, run in flown.items() for row in look_rows(run)]
    windows = [{"way": way, **window_row(record)} for way, run in flown.items() for record in run.rounds]
    ways = [way_row(way, run) for way, run in flown.items()]
    for name, rows in (("looks", looks), ("windows", windows), ("ways", ways)):
        write_records(folder / f"{name}.csv", rows)
    last = flown[own.ways[-1]]
    print(f"\nwho saw what when ({own.ways[-1]})\n{looks_told(last)}")
    print(f"\nwindows ({own.ways[-1]})\n{windows_told(last)}\n\nthe day\n{ways_told(ways)}")
    print(f"\nwrote {folder}/ (looks.csv, windows.csv, ways.csv); maps: map.html in the folders of the runs")


def day_of(base: Scenario, most: int) -> Scenario:
    """The scenario with as many rounds as its day has windows, `most` at most; over a real scene where there
    is one. Raises `UserError`."""
    refuse_estimates(base.codec)
    if not base.orbital or not base.dlrc.streams:
        raise UserError("study day: expected capture.mode=orbit and dlrc.exchange=streams")
    data = default_data_folder()
    if not base.scene.path and data is not None and (data / SCENE).is_file() and base.name == "orbit_day":
        base = changed(base, scene={"path": str(data / SCENE)})
    space, targets = SpaceSegment(base), targets_of(base.sight.targets, base.region)
    found = windows_of(space.constellation, targets, base.region, base.sight, base.orbit.duration_s)
    count = len(list(islice(found, most)))
    return changed(base, rounds=max(1, count))


# ---------------------------------------------------------------- rows


def look_rows(run: Run) -> list[dict[str, Any]]:
    """A row a look: the table `looks` of a run."""
    columns = tables(run).get("looks", {})
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def window_row(record: RoundRecord) -> dict[str, Any]:
    """A row a window: who looked, who listened, bytes down, what they were saved by, bytes over links."""
    times = [one.geometry.time_s for one in record.satellites if one.geometry]
    return {
        "round": record.number,
        "begin_s": min(times, default=None),
        "end_s": max(times, default=None),
        "looked": len(record.satellites),
        "listened": len(record.listened),
        **_sums((record,)),
    }


def way_row(way: str, run: Run) -> dict[str, Any]:
    """A row a way: sums over the day."""
    looks = sum(len(record.satellites) for record in run.rounds)
    folder = "" if run.gallery.folder is None else run.gallery.folder.name
    return {"way": way, "windows": len(run.rounds), "looks": looks, **_sums(run.rounds), "run": folder}


def _sums(records: Sequence[RoundRecord]) -> dict[str, Any]:
    views = [one for record in records for one in record.satellites]
    parts = [saved_bytes(one) for one in views]
    independent, dlrc = (sum(getattr(one, side).total for one in views) for side in ("independent", "dlrc"))
    return {
        "exact": sum(one.exact for one in views),
        "independent_bytes": independent,
        "dlrc_bytes": dlrc,
        "saved_pct": 100 - 100 * dlrc / independent if independent else None,
        **{f"{kind}_bytes": sum(part[kind] for part in parts) for kind in (*KINDS, "side")},
        "link_bytes": sum(map(link_bytes, records)),
    }


# ---------------------------------------------------------------- words


def looks_told(run: Run) -> str:
    """A line a look."""
    lines = [
        "window   time      satellite  off-nadir  Sun deg    alone     sent  copied from (round: bytes saved)"
    ]
    for row in sorted(look_rows(run), key=lambda row: row["time_s"]):
        lines.append(
            f"{row['round'] + 1:6}   {clock(row['time_s'])} {row['satellite']:9} {row['off_nadir_deg']:8.1f} "
            f"{row['sun_elevation_deg']:9.0f} {row['independent_bytes']:8.0f} {row['dlrc_bytes']:8.0f}  "
            f"{_sources(row['copied_from'])}"
        )
    return "\n".join(lines)


def _sources(text: str, most: int = 3) -> str:
    """Of `copied_from`, the first ones in words."""
    said = []
    for part in text.split()[:most]:
        source, saved = part.split(":")
        satellite, number = source.split("@")
        said.append(f"{satellite} ({int(number) + 1}: {saved})")
    return ", ".join(said) or "nobody"


def windows_told(run: Run) -> str:
    """A line a window; percent of the bytes of independent streams."""
    lines = ["window   from      looked  listened    alone     sent   saved   within    own   others   links"]
    for record in run.rounds:
        row = window_row(record)
        lines.append(
            f"{row['round'] + 1:6}   {clock(row['begin_s'])} {row['looked']:6} {row['listened']:9} "
            f"{row['independent_bytes']:8.0f} {row['dlrc_bytes']:8.0f} {_shares(row)}"
        )
    return "\n".join(lines)


def ways_told(rows: Iterable[dict[str, Any]]) -> str:
    """A line a way."""
    lines = ["way       exact          alone     sent   saved   within    own   others   links"]
    for row in rows:
        exact = f"{row['exact']} of {row['looks']}"
        spent = f"{row['independent_bytes']:9.0f} {row['dlrc_bytes']:8.0f}"
        lines.append(f"{row['way']:8}  {exact:10} {spent} {_shares(row)}")
    return "\n".join(lines)


def _shares(row: dict[str, Any]) -> str:
    whole = row["independent_bytes"] or float("nan")
    within, own, others = (100 * row[f"{kind}_bytes"] / whole for kind in KINDS)
    saved = float("nan") if row["saved_pct"] is None else row["saved_pct"]
    return f"{saved:6.1f}% {within:7.1f}% {own:5.1f}% {others:7.1f}% {row['link_bytes'] / 1e6:6.2f} MB"


def clock(seconds: float | None) -> str:
    """Hours, minutes and seconds of the day."""
    if seconds is None:
        return "--:--:--"
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


COMMAND = Command(
    name="study day",
    about=__doc__ or "",
    own=DayKeys,
    work=study,
    subject=SCENARIO,
    honours=(*FLOWN, "sight", "faults", "clock"),
    default="orbit_day",
    examples=(
        "dlrc study day windows=2 capture.patch_px=128",
        "dlrc study day ways=round,memory,listen scene.path=SCENE.tif",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
