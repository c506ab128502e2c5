"""What orbits have to do with what is saved: overlap, angles and bytes against altitude, size of the patch,
errors of pointing, and the distance of planes.

Each series changes one knob of a scenario with capture.mode=orbit and flies its first windows: who looks, how
much of a view an earlier one of the window has (cells of the common map grid), and the bytes of real streams,
all decoded. Writes runs/geometry-<digest>/: geometry.csv (a row a window), views.csv (a row a view),
geometry.png."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from codec.models.model import LATENT_STRIDE_PX
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from constellation.orbit.walker import parse_walker
from constellation.scenario.load import SCENARIO, changed
from constellation.scenario.scenario import Scenario
from constellation.sight.geometry import Geometry, cells_of
from dlrc.local import flights, sides_of
from dlrc.studies.common.figures import save
from dlrc.studies.common.terms import FLOWN, refuse_estimates, surveyed
from ground.records import RoundRecord, SatelliteRecord
from nodes.process.board import Board, load_board
from nodes.process.preflight import check_inputs

Altitude = Annotated[float, Field(ge=200, le=2000)]
Patch = Annotated[int, Field(ge=64, le=2048, multiple_of=64)]
Spacing = Annotated[float, Field(gt=0, le=180)]
Error = Annotated[float, Field(ge=0, le=10)]


class GeometryKeys(Knobs):
    """Keys of this study."""

    altitudes_km: Several[Altitude] = (450.0, 550.0, 700.0, 900.0)
    """of the orbits"""
    patches_px: Several[Patch] = (128, 256)
    """side of a view; its ground is that times sight.gsd_m"""
    pointings_deg: Several[Error] = (0.0, 0.05, 0.1)
    """by how much cameras point beside their target"""
    spacings_deg: Several[Spacing] = (2.0, 10.0, 90.0)
    """between the nodes of neighbouring planes"""
    windows: Annotated[int, Field(ge=1, le=10000)] = 2
    """of every setting"""


def study(given: Given) -> None:
    """Fly every setting, print, write."""
    base, own = given.subject, given.own
    refuse_estimates(base.codec)
    if base.capture.mode != "orbit" or base.orbit.source != "walker" or base.orbit.shells:
        raise UserError("study geometry: expected capture.mode=orbit and orbit.source=walker without shells")
    base = changed(base, rounds=own.windows)
    settings = list(settings_of(base, own))
    check_inputs(base)
    digest = hashlib.sha256(f"{base.digest} {own!r}".encode()).hexdigest()[:8]
    folder = make_folder(Path(base.output) / f"geometry-{digest}")
    board = load_board(base.codec)
    rows: list[dict[str, Any]] = []
    views: list[dict[str, Any]] = []
    for name, value, scenario in watched(settings, "settings"):
        for record in flown(scenario, board, own.windows):
            here = {"series": name, "value": value, "window": record.number}
            looks = view_rows(record, scenario.capture.patch_px)
            rows.append({**here, **window_row(record, looks)})
            views += [{**here, **look} for look in looks]
        write_records(folder / "geometry.csv", rows)
        write_records(folder / "views.csv", views)
    print(f"{base.name}, {surveyed(base.scene, own.windows)} a setting\n\n{table(rows)}\n\n{by_angle(rows)}")
    draw(rows, folder / "geometry.png")
    print(f"\nwrote {folder}/ (geometry.csv, views.csv, geometry.png)")


def settings_of(base: Scenario, own: GeometryKeys) -> Iterator[tuple[str, float, Scenario]]:
    """Series, value, scenario; a value that the scenario has already is flown once a series all the same."""
    for altitude_km in own.altitudes_km:
        yield "altitude_km", altitude_km, changed(base, orbit={"altitude_km": altitude_km})
    for patch_px in own.patches_px:
        capture = {"patch_px": patch_px, "window_px": max(2 * patch_px, base.capture.window_px)}
        yield "patch_px", float(patch_px), changed(base, capture=capture)
    for pointing_deg in own.pointings_deg:
        yield "pointing_deg", pointing_deg, changed(base, sight={"pointing_deg": pointing_deg})
    planes = parse_walker(base.orbit.pattern).planes
    for spacing_deg in own.spacings_deg if planes > 1 else ():
        if spacing_deg * planes > 360:
            raise UserError(
                f"spacings_deg={spacing_deg:g}: {planes} planes of orbit.pattern go beyond 360 deg"
            )
        spread = {"node_spread_deg": spacing_deg * planes}
        yield "spacing_deg", spacing_deg, changed(base, orbit=spread)


def flown(scenario: Scenario, board: Board, windows: int) -> Iterator[RoundRecord]:
    """The records of the first windows. Raises `UserError` where there are fewer."""
    for flight in flights(sides_of(scenario, board), windows):
        yield flight.landed.record


def view_rows(record: RoundRecord, patch_px: int) -> list[dict[str, Any]]:
    """A row a view, in the order of looking: how it differs from the first, what it shares with those
    before."""
    looks = sorted((one for one in record.satellites if one.geometry), key=lambda one: _time(one))
    before: set[int] = set()
    rows, side = [], patch_px // LATENT_STRIDE_PX
    for one in looks:
        geometry = one.geometry
        assert geometry is not None and looks[0].geometry is not None
        cells = set(cells_of(geometry, (side, side)).ravel().tolist())
        first = looks[0].geometry
        rows.append(
            {
                "satellite": one.satellite,
                "after_s": geometry.time_s - first.time_s,
                "off_nadir_deg": geometry.off_nadir_deg,
                "view_angle_deg": _between_deg(first, geometry),
                "sun_elevation_deg": geometry.sun_elevation_deg,
                "gsd_m": float(np.sqrt(geometry.gsd_along_m * geometry.gsd_across_m)),
                "shared": len(cells & before) / len(cells),
                "independent_bytes": one.independent.total,
                "dlrc_bytes": one.dlrc.total,
            }
        )
        before |= cells
    return rows


def _time(one: SatelliteRecord) -> float:
    assert one.geometry is not None
    return one.geometry.time_s


def _between_deg(first: Geometry, second: Geometry) -> float:
    """Between two lines of sight, at the ground."""
    rays = []
    for one in (first, second):
        away, round_ = np.radians([one.incidence_deg, one.azimuth_deg])
        rays.append([np.sin(away) * np.cos(round_), np.sin(away) * np.sin(round_), np.cos(away)])
    return float(np.degrees(np.arccos(np.clip(np.dot(*rays), -1, 1))))


def window_row(record: RoundRecord, looks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One window: means over all views but the first, bytes of all."""
    later = looks[1:]

    def mean(name: str) -> float:
        return float(np.mean([look[name] for look in later])) if later else float("nan")

    return {
        "looks": len(looks),
        "between_s": looks[-1]["after_s"] / max(1, len(later)) if looks else float("nan"),
        "shared": mean("shared"),
        "view_angle_deg": mean("view_angle_deg"),
        "independent_bytes": sum(look["independent_bytes"] for look in looks),
        "dlrc_bytes": sum(look["dlrc_bytes"] for look in looks),
        "exact": sum(one.exact for one in record.satellites),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line a setting: means over its windows, of those with a second view; bytes of all."""
    lines = [
        f"{'series':14}{'value':>8}  {'looks':>6} {'apart s':>8} {'shared':>7} {'angle deg':>10} {'saved':>8}"
        "   exact"
    ]
    for name, value in dict.fromkeys((row["series"], row["value"]) for row in rows):
        mine = [row for row in rows if (row["series"], row["value"]) == (name, value)]
        pairs = [row for row in mine if row["looks"] > 1]
        shared, angle, apart = (
            float(np.mean([row[key] for row in pairs])) if pairs else float("nan")
            for key in ("shared", "view_angle_deg", "between_s")
        )
        looks, exact = (sum(row[key] for row in mine) for key in ("looks", "exact"))
        saved = _saved(mine)
        lines.append(
            f"{name:14}{value:8g}  {looks / len(mine):6.1f} {apart:8.0f} {100 * shared:6.1f}% {angle:10.1f} "
            f"{saved:7.1f}%   {exact}/{looks}"
        )
    return "\n".join(lines)


def by_angle(rows: Sequence[dict[str, Any]]) -> str:
    """Windows by the angle between the lines of sight of their views: what is saved of the bytes of one view,
    beside what of it is shared. Which of two views refers to the other is priority.rule's to say."""
    lines = ["angle between views   windows   shared   saved of a view"]
    pairs = [row for row in rows if row["looks"] == 2]
    for low, high in ((0, 10), (10, 15), (15, 20), (20, 40), (40, 180)):
        mine = [row for row in pairs if low <= row["view_angle_deg"] < high]
        if mine:
            shared = 100 * float(np.mean([row["shared"] for row in mine]))
            lines.append(f"{low:5} to {high:3} deg {len(mine):12} {shared:7.1f}% {2 * _saved(mine):15.1f}%")
    return "\n".join(lines)


def _saved(rows: Sequence[dict[str, Any]]) -> float:
    independent = sum(row["independent_bytes"] for row in rows)
    return 100 - 100 * sum(row["dlrc_bytes"] for row in rows) / independent if independent else float("nan")


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel a series: what is shared and what is saved, percent."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["series"] for row in rows))
    figure = Figure(figsize=(3.4 * len(names), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        mine = [row for row in rows if row["series"] == name]
        values = sorted({row["value"] for row in mine})
        each = [[row for row in mine if row["value"] == value] for value in values]
        shared = [100 * float(np.nanmean([row["shared"] for row in one] or [np.nan])) for one in each]
        axes.plot(values, shared, "o-", label="of later views seen before")
        axes.plot(values, [_saved(one) for one in each], "s-", label="bytes saved, all views")
        axes.set_xlabel(name.replace("_", " "))
        axes.set_ylabel("%")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    save(figure, path)


COMMAND = Command(
    name="study geometry",
    about=__doc__ or "",
    own=GeometryKeys,
    work=study,
    subject=SCENARIO,
    honours=(*FLOWN, "sight"),
    default="orbit_pass",
    examples=(
        "dlrc study geometry windows=1 capture.patch_px=128",
        "dlrc study geometry spacings_deg=2,5,20",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
