"""Where on the Earth the pixels of a scene are: from a file's projection and transform, or by laying it
around a point.

Pixels are counted from the middle of the first one, (0, 0), so that its corner is at (-0.5, -0.5)."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from codec.imagery.reader import opened
from constellation.common.errors import UserError
from constellation.common.frozen import value

FEW = 256  # points beyond which a polynomial is fitted instead
_DEGREE = 4
_WGS84 = "EPSG:4326"


@value
class Georeference:
    """crs: any that PROJ reads. transform: (a, b, c, d, e, f) with x = a col + b row + c and y = d col + e
    row + f, of pixel corners. height, width: px."""

    crs: str
    transform: tuple[float, float, float, float, float, float]
    height: int
    width: int

    def pixels(self, longitude_deg: np.ndarray, latitude_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows, columns) of points, float64 of their shape. Of many points by a polynomial of both angles
        through exact ones around them, to 1e-4 px over the size of a scene."""
        lon, lat = np.asarray(longitude_deg, np.float64), np.asarray(latitude_deg, np.float64)
        if lon.size <= FEW:
            return self._exact_pixels(lon, lat)
        (west, east), (south, north) = ((np.nanmin(a), np.nanmax(a)) for a in (lon, lat))
        knots = np.cos(np.pi * (np.arange(9) + 0.5) / 9)
        at_lon, at_lat = (part.ravel() for part in np.meshgrid(knots, knots))
        half = max((east - west) / 2, 1e-9), max((north - south) / 2, 1e-9)
        middle = (east + west) / 2, (north + south) / 2
        exact = np.stack(
            self._exact_pixels(middle[0] + half[0] * at_lon, middle[1] + half[1] * at_lat), axis=1
        )
        fit = np.linalg.lstsq(_terms(at_lon, at_lat), exact, rcond=None)[0]
        found = _terms((lon - middle[0]) / half[0], (lat - middle[1]) / half[1]) @ fit
        return found[..., 0], found[..., 1]

    def _exact_pixels(self, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from rasterio.warp import transform

        x, y = transform(_WGS84, self.crs, lon.ravel().tolist(), lat.ravel().tolist())[:2]
        a, b, c, d, e, f = self.transform
        dx, dy = np.array(x).reshape(lon.shape) - c, np.array(y).reshape(lon.shape) - f
        scale = a * e - b * d
        cols, rows = (e * dx - b * dy) / scale, (a * dy - d * dx) / scale
        return rows - 0.5, cols - 0.5

    def places(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(longitude, latitude) of pixels, degrees, float64 of their shape."""
        from rasterio.warp import transform

        rows, cols = np.asarray(rows, np.float64) + 0.5, np.asarray(cols, np.float64) + 0.5
        a, b, c, d, e, f = self.transform
        x, y = a * cols + b * rows + c, d * cols + e * rows + f
        lon, lat = transform(self.crs, _WGS84, x.ravel().tolist(), y.ravel().tolist())[:2]
        return np.array(lon).reshape(rows.shape), np.array(lat).reshape(rows.shape)

    @property
    def middle(self) -> tuple[float, float]:
        """Longitude and latitude of the middle."""
        lon, lat = self.places(np.array((self.height - 1) / 2), np.array((self.width - 1) / 2))
        return float(lon), float(lat)

    @property
    def gsd_m(self) -> float:
        """Of a pixel in the middle, mean of both directions."""
        row, col = (self.height - 1) / 2, (self.width - 1) / 2
        lon, lat = self.places(np.array([row, row, row + 1]), np.array([col, col + 1, col]))
        metres = 111_320.0 * np.stack([(lon - lon[0]) * np.cos(np.radians(lat[0])), lat - lat[0]])
        return float(np.hypot(*metres)[1:].mean())


def _terms(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Products of powers up to `_DEGREE`, float64 [..., terms]."""
    return np.stack([x**i * y**j for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)], axis=-1)


def laid_around(place: tuple[float, float], size_px: tuple[int, int], gsd_m: float) -> Georeference:
    """North-up pixels of one size around a longitude and latitude, in a transverse Mercator projection of
    their own."""
    (lon, lat), (height, width) = place, size_px
    crs = f"+proj=tmerc +lat_0={lat:.9f} +lon_0={lon:.9f} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
    return Georeference(crs, (gsd_m, 0.0, -gsd_m * width / 2, 0.0, -gsd_m, gsd_m * height / 2), height, width)


def georeference_of(path: Path) -> Georeference | None:
    """Of a file; None where it does not say where it is. Raises `UserError`."""
    return _georeference_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _georeference_of(path: Path, _stamp: int) -> Georeference | None:
    with opened(path, f"scene.path={path}") as dataset:
        if dataset.crs is None or dataset.transform.is_identity:
            return None
        found = Georeference(
            dataset.crs.to_wkt(), tuple(dataset.transform)[:6], dataset.height, dataset.width
        )
    a, b, _, d, e, _ = found.transform
    if not np.isfinite(found.transform).all() or abs(a * e - b * d) < 1e-18:
        raise UserError(f"scene.path={path}: a transform {found.transform} without area, expected one with")
    try:
        inside = np.isfinite(found.middle).all()
    except Exception as error:  # PROJ says what it cannot do in its own ways
        raise UserError(f"scene.path={path}: its place on the Earth cannot be told ({error})") from None
    if not inside:
        raise UserError(f"scene.path={path}: its place on the Earth cannot be told")
    return found


@value
class Terrain:
    """Heights in m on a grid that lies on the Earth: what rays meet."""

    heights_m: np.ndarray
    georeference: Georeference

    def __call__(self, longitude_deg: np.ndarray, latitude_deg: np.ndarray) -> np.ndarray:
        """Heights at points, bilinear; at the nearest edge beyond it."""
        from scipy.ndimage import map_coordinates

        rows, cols = self.georeference.pixels(np.nan_to_num(longitude_deg), np.nan_to_num(latitude_deg))
        return map_coordinates(self.heights_m, [rows, cols], order=1, mode="nearest")


@functools.lru_cache(maxsize=4)
def terrain_of(path: str) -> Terrain:
    """From a raster of heights; cells without data are the mean. Raises `UserError`."""
    file, label = Path(path), f"sight.dem={path}"
    if not file.is_file():
        raise UserError(f"{label}: no such file")
    with opened(file, label) as dataset:
        if dataset.count != 1 or dataset.height * dataset.width > 1 << 26:
            raise UserError(
                f"{label}: {dataset.count} bands of {dataset.width}x{dataset.height}, expected one band"
            )
        heights = dataset.read(1, masked=True).astype(np.float64)
    where = georeference_of(file)
    if where is None:
        raise UserError(f"{label}: does not say where on the Earth it is, expected a georeferenced raster")
    filled = heights.filled(float(heights.mean()) if heights.count() else 0.0)
    if not (np.isfinite(filled).all() and np.abs(filled).max() < 12_000):
        raise UserError(f"{label}: heights up to {np.abs(filled).max():g}, expected metres")
    return Terrain(filled, where)
