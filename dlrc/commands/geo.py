"""Write a run's footprints and pictures as GeoJSON and GeoTIFF, for QGIS and whatever reads GDAL's formats.

    looks.geojson            a polygon a view, with time, angles, Sun, outcome and bytes
    map.html                 with page=true: what a run's folder has, too
    round000_rebuilt.tif     the patches of a round on one grid, first priority on top; transparent elsewhere

Of runs with capture.mode=orbit. Views of the map grid are laid as they are; views of a sensor's grid are
resampled (cubic) by the 5 x 5 points of their footprint. Pictures are kept of the first rounds alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError, naming
from constellation.common.files import make_folder, replacing, write_text
from constellation.common.knobs import Knobs
from constellation.common.text import counted
from constellation.formats.footprints import rings
from constellation.sight.geometry import LATTICE, Geometry
from dlrc.report.page import write_map
from dlrc.report.sheet import by_priority
from dlrc.report.tables import look_row
from dlrc.store.folder import open as open_run
from dlrc.store.results import Run
from ground.records import RoundRecord, SatelliteRecord

KINDS = {"captured": "captured", "rebuilt": "dlrc", "independent": "independent"}
MAX_PIXELS = 1 << 28
Grid = tuple[str, tuple[float, float, float], tuple[int, int, int, int]]  # crs, origin, top left bottom right


class GeoKeys(Knobs):
    """Keys of this command."""

    run: str
    """folder of a run"""
    out: str = ""
    """folder that is written; none: geo in the run's own"""
    pictures: Literal["captured", "rebuilt", "independent", "none"] = "rebuilt"
    """what was seen, what the ground has, or what it would have of independent streams"""
    page: bool = False
    """write map.html too: footprints and tracks on maps, with a slider through time"""
    rounds: Annotated[int, Field(ge=1, le=100000)] = 100000
    """the first ones only"""


def write(given: Given) -> None:
    """Write the files, say what they are. Raises `UserError`."""
    own: GeoKeys = given.own
    run = naming("run")(open_run)(own.run)
    records = run.rounds[: own.rounds]
    looks = list(features(records))
    if not looks:
        raise UserError(f"run={own.run}: no view says where it is, expected a run with capture.mode=orbit")
    folder = make_folder(Path(own.out or Path(own.run) / "geo"), "out")
    rows = ",\n".join(json.dumps(one, separators=(",", ":")) for one in looks)
    write_text(folder / "looks.geojson", '{"type":"FeatureCollection","features":[\n' + rows + "\n]}\n")
    print(f"{folder / 'looks.geojson'}: {counted(len(looks), 'footprint')}")
    if own.page and (path := write_map(run, folder)):
        print(f"{path}: a map with a slider through the run's time")
    for record in records if own.pictures != "none" else ():
        path = folder / f"round{record.number:03d}_{own.pictures}.tif"
        if (laid := mosaic(run, record, KINDS[own.pictures])) is not None:
            image, grid = laid
            write_geotiff(path, image, grid)
            print(f"{path}: {image.shape[1]}x{image.shape[0]} px of {grid[1][2]:g} m")


def features(records: tuple[RoundRecord, ...]) -> Iterator[dict[str, Any]]:
    """A GeoJSON feature a view (RFC 7946)."""
    for record in records:
        for one in record.satellites:
            if one.geometry is None:
                continue
            corners = np.array([*one.geometry.corners[::-1]])  # counter-clockwise
            row = look_row(record.number, one.satellite, one.geometry)
            told = {key: value for key, value in row.items() if not key.endswith("itude_deg")}
            told |= {"outcome": one.outcome.value, "dlrc_bytes": one.dlrc.total}
            yield {
                "type": "Feature",
                "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings(corners)]},
                "properties": {**told, "independent_bytes": one.independent.total},
            }


def mosaic(run: Run, record: RoundRecord, kind: str) -> tuple[np.ndarray, Grid] | None:
    """The pictures of a round on one grid, uint8 [H, W, 4], the last band where there is one; None without
    any."""
    placed = []
    for one in by_priority(record):
        image = getattr(run.gallery.images(record.number, one.satellite), kind)
        if image is not None and one.geometry is not None:
            placed.append((one, one.geometry, image))
    if not placed:
        return None
    first = placed[0][1]
    points = np.concatenate([np.array(geometry.grid) for _, geometry, _ in placed])
    (top, left), (bottom, right) = np.floor(points.min(axis=0) + 1e-6), np.ceil(points.max(axis=0) - 1e-6)
    grid = first.crs, first.origin, (int(top), int(left), int(bottom), int(right))
    if (bottom - top) * (right - left) > MAX_PIXELS:
        raise UserError(
            f"round {record.number}: its views span {right - left:g}x{bottom - top:g} px, too far apart"
        )
    out = np.zeros((int(bottom - top), int(right - left), 4), np.uint8)
    for one, geometry, image in reversed(placed):
        _lay(out, grid, (one, geometry), image)
    return out, grid


def _lay(out: np.ndarray, grid: Grid, view: tuple[SatelliteRecord, Geometry], image: np.ndarray) -> None:
    """One view over what is there."""
    geometry = view[1]
    shown = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    if geometry.on_map:
        row, col = (round(part) for part in geometry.grid[0])
        row, col = row - grid[2][0], col - grid[2][1]
        out[row : row + image.shape[0], col : col + image.shape[1]] = shown
        return
    laid = np.zeros_like(out)
    _reprojected(shown, geometry, laid, grid)
    there = laid[:, :, 3] > 127
    out[there] = laid[there]
    out[there, 3] = 255


def _reprojected(image: np.ndarray, geometry: Geometry, into: np.ndarray, grid: Grid) -> None:
    from rasterio.control import GroundControlPoint
    from rasterio.warp import Resampling, reproject

    side = np.linspace(0, 1, LATTICE)
    rows, cols = np.meshgrid(side * image.shape[0], side * image.shape[1], indexing="ij")
    x0, y0, gsd_m = geometry.origin
    points = [
        GroundControlPoint(float(r), float(c), x0 + col * gsd_m, y0 - row * gsd_m)
        for r, c, (row, col) in zip(rows.ravel(), cols.ravel(), geometry.grid, strict=True)
    ]
    bands = np.zeros((4, *into.shape[:2]), np.uint8)
    reproject(
        np.ascontiguousarray(image.transpose(2, 0, 1)), bands, gcps=points, src_crs=geometry.crs,
        dst_transform=transform_of(grid), dst_crs=grid[0], resampling=Resampling.cubic,
    )  # fmt: skip
    into[:] = bands.transpose(1, 2, 0)


def transform_of(grid: Grid) -> Any:
    """The affine transform of a grid's pixel corners."""
    from rasterio.transform import from_origin

    (x0, y0, gsd_m), (top, left, _, _) = grid[1], grid[2]
    return from_origin(x0 + left * gsd_m, y0 - top * gsd_m, gsd_m, gsd_m)


def write_geotiff(path: Path, image: np.ndarray, grid: Grid) -> None:
    """uint8 [H, W, 4], red, green, blue, alpha. Raises `UserError` where the disk refuses."""
    import rasterio

    height, width, count = image.shape
    with replacing(path) as temporary, rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(
        temporary, "w", driver="GTiff", height=height, width=width, count=count, dtype="uint8",
        crs=grid[0], transform=transform_of(grid), photometric="RGB", alpha="yes", compress="deflate",
        tiled=True, blockxsize=256, blockysize=256,
    ) as file:  # fmt: skip
        file.write(image.transpose(2, 0, 1))


COMMAND = Command(
    name="geo",
    about=__doc__ or "",
    own=GeoKeys,
    work=write,
    examples=(
        "dlrc geo run=runs/orbit_pass-0123abcd",
        "dlrc geo run=runs/orbit_pass-0123abcd pictures=captured",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
