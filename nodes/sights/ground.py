"""The scene on the Earth, the terrain below it, and the map grid that all satellites of a run share."""

from __future__ import annotations

import functools

import numpy as np

from codec.imagery.georeference import Georeference, Terrain, georeference_of, laid_around, terrain_of
from codec.imagery.noise import octave_sum
from codec.imagery.scene import Scene
from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.scenario.sight import SightKnobs
from constellation.sight.targets import Target

RELIEF_PX = 90.0  # of the built-in terrain, m
_RELIEF_SEED = 0x7E22A
MAX_RELIEF_CELLS = 4096


@value
class Ground:
    """What cameras look at. scene: its pixels lie where `where` says. grid: the common map grid, whose pixels
    are `sight.gsd_m` wide and cover the scene. terrain: None: the ellipsoid. level_m: the height that
    satellites take the ground to have."""

    scene: Scene
    where: Georeference
    grid: Georeference
    terrain: Terrain | None
    level_m: float

    def holds(self, target: Target) -> bool:
        """Whether the scene shows a target."""
        rows, cols = self.where.pixels(np.array([target.longitude_deg]), np.array([target.latitude_deg]))
        return bool(-0.5 <= rows[0] <= self.where.height - 0.5 and -0.5 <= cols[0] <= self.where.width - 0.5)

    def height_m(self, longitude_deg: float, latitude_deg: float) -> float:
        """Of the terrain at a point."""
        if self.terrain is None:
            return 0.0
        return float(self.terrain(np.array([longitude_deg]), np.array([latitude_deg]))[0])


def ground_of(scene: Scene, sight: SightKnobs, place: tuple[float, float], seed: int) -> Ground:
    """place: longitude and latitude around which a scene lies that does not say where it is. Raises
    `UserError`."""
    where = None if scene.path is None else georeference_of(scene.path)
    if where is None:
        where = laid_around(place, (scene.height, scene.width), sight.scene_gsd_m or sight.gsd_m)
    gsd_m = where.gsd_m
    if not 0.01 <= gsd_m / sight.gsd_m <= 16:
        raise UserError(
            f"sight.gsd_m={sight.gsd_m:g}: scene {scene.name} has pixels of {gsd_m:.3g} m, expected "
            f"{gsd_m / 16:.3g} "
            f"to {gsd_m * 100:.3g}"
        )
    sides = (int(np.ceil(side * gsd_m / sight.gsd_m)) for side in (where.height, where.width))
    grid = laid_around(where.middle, (next(sides), next(sides)), sight.gsd_m)
    terrain = terrain_of(sight.dem) if sight.dem else _relief(where, gsd_m, sight.relief_m, seed)
    lon, lat = where.middle
    level_m = 0.0 if terrain is None else float(terrain(np.array([lon]), np.array([lat]))[0])
    return Ground(scene, where, grid, terrain, level_m)


def _relief(where: Georeference, gsd_m: float, relief_m: float, seed: int) -> Terrain | None:
    """The built-in terrain: hills of a tenth of the scene's width and smaller ones on them."""
    if relief_m <= 0:
        return None
    sides = [int(np.ceil(1.5 * side * gsd_m / RELIEF_PX)) + 8 for side in (where.height, where.width)]
    coarser = max(1.0, max(sides) / MAX_RELIEF_CELLS)
    height, width = (int(side / coarser) for side in sides)
    heights = _hills(seed, height, width)
    return Terrain(relief_m * heights, laid_around(where.middle, (height, width), RELIEF_PX * coarser))


@functools.lru_cache(maxsize=2)
def _hills(seed: int, height: int, width: int) -> np.ndarray:
    spacing = max(4.0, max(height, width) / 15)
    field = octave_sum(_RELIEF_SEED + seed, np.arange(height), np.arange(width), spacing, 5).astype(
        np.float64
    )
    return (field - field.min()) / max(1e-9, float(np.ptp(field)))
