"""How a view was taken and which ground it shows, as a value that travels with it and is kept in records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ConfigDict

LATTICE = 5  # points a side by which a patch's ground is told, corners included
CELL_PX = 16  # of the common map grid: a latent position's side

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Geometry:
    """name: of the satellite in its constellation. time_s: simulated. target: what it was to look at.

    off_nadir_deg, incidence_deg, azimuth_deg: of the line of sight to the middle of the patch: at the
    satellite, at the ground, and from north to where the satellite is. gsd_along_m, gsd_across_m: what a
    pixel of the camera covers there. sun_elevation_deg, sun_azimuth_deg: at the ground. ground: longitude
    and latitude of LATTICE x LATTICE points of the patch, row by row, from corner to corner, as the satellite
    believes them; grid: (row, column) of the same on the common map grid, px, pixel edges at whole numbers.
    crs, origin: of that grid: its projection (PROJ), and x, y of its corner and its pixel, m."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    time_s: float
    target: str
    off_nadir_deg: float
    incidence_deg: float
    azimuth_deg: float
    gsd_along_m: float
    gsd_across_m: float
    sun_elevation_deg: float
    sun_azimuth_deg: float
    ground: Points
    grid: Points
    crs: str
    origin: tuple[float, float, float]

    @staticmethod
    def of(values: Mapping[str, Any] | None) -> Geometry | None:
        """From plain values, as JSON has them."""
        if values is None:
            return None
        points = {key: tuple(tuple(point) for point in values[key]) for key in ("ground", "grid")}
        return Geometry(**{**values, **points, "origin": tuple(values["origin"])})  # type: ignore[arg-type]

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Longitude and latitude of the patch's corners: upper left, upper right, lower right, lower left."""
        last = LATTICE - 1
        return [self.ground[at] for at in (0, last, LATTICE * LATTICE - 1, LATTICE * last)]

    @property
    def on_map(self) -> bool:
        """Whether the patch is a piece of the map grid: its pixels are the grid's."""
        rows, cols = np.array(self.grid).reshape(LATTICE, LATTICE, 2).transpose(2, 0, 1)
        straight = np.ptp(rows, axis=1).max() + np.ptp(cols, axis=0).max() < 1e-6
        return bool(straight and abs(rows[0, 0] - round(rows[0, 0])) < 1e-6)


def at_fractions(points: Points, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """What LATTICE x LATTICE points say of places between them, by the polynomials through all: fractions of
    the patch in [0, 1], float64 [...] twice -> float64 [..., 2]."""
    lattice = np.array(points, dtype=np.float64).reshape(LATTICE, LATTICE, 2)
    weights = [_lagrange(np.asarray(part, dtype=np.float64)) for part in (rows, cols)]
    return np.einsum("...i,...j,ijk->...k", *weights, lattice)


def _lagrange(fraction: np.ndarray) -> np.ndarray:
    """Weights of the points of one side, float64 [..., LATTICE]: the polynomial through all of them."""
    knots = np.linspace(0, 1, LATTICE)
    parts = []
    for at in range(LATTICE):
        others = np.delete(knots, at)
        parts.append(np.prod((fraction[..., None] - others) / (knots[at] - others), axis=-1))
    return np.stack(parts, axis=-1)


def cells_of(geometry: Geometry, shape: tuple[int, int]) -> np.ndarray:
    """Ids of the cells of the common map grid below the middles of a patch's latent positions, int64 [H, W];
    equal ids look at the same 16 x 16 px of the map."""
    rows, cols = ((np.arange(count) + 0.5) / count for count in shape)
    places = at_fractions(geometry.grid, *np.meshgrid(rows, cols, indexing="ij"))
    cell = np.floor(places / CELL_PX).astype(np.int64)
    return cell[..., 0] * (1 << 32) + cell[..., 1]
