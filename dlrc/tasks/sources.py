"""Labelled pictures of three tasks, and folds of them by place, scene or fire.

The pictures are `shared/data/segmentation`: cloud masks of three scenes (Sentinel-2, Landsat 7 and 5; the
automatic labels of a Landsat 8 scene are left out), burned area of 16 fires (a proxy: no flames), buildings
of six places. Tiles of one source show the same ground or neighbouring ground, at several zooms even, so a
fold holds whole sources: no tile of a source is tested that another of its tiles trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codec.imagery.reader import open_image, read_samples
from constellation.common.errors import UserError
from constellation.common.frozen import value

LARGEST_PX = 384  # of a tile's side: larger pictures give their middle
KAMPALA_WEST = 309606  # column of the western place at zoom 19


@value
class Task:
    """One kind of map. folder: below the data. single: the band (1-based) of its one-band cell; 0: grey.
    label: what each of its lines must say. folds: as many as its sources are good for. series: bands of the
    12-band Sentinel-2 series (0-based) that are those of its pictures; none: it has no such bands."""

    name: str
    folder: str
    single: int
    single_name: str
    label: str
    folds: int
    series: tuple[int, ...] = ()


TASKS = {
    task.name: task
    for task in (
        Task("cloud", "clouds", 4, "NIR", "clouds, reflected light", 3, (1, 2, 3, 7, 10, 11)),
        Task("fire", "burned_area", 5, "SWIR (B12)", "proxy: burned area, not flames", 2, (1, 2, 3, 7, 11)),
        Task("building", "buildings", 0, "grey", "proxy: buildings, aerial RGB of 8 bits", 2),
    )
}


@value
class Tile:
    """A labelled picture. samples: [bands, H, W] as the file has them. mask: bool [H, W]. source: which it is
    one of; tiles of one source are never in two folds."""

    name: str
    source: str
    samples: np.ndarray
    mask: np.ndarray


def load(task: Task, root: Path, bands: str) -> list[Tile]:
    """Tiles of a task, sorted by name. bands: all, or one. Raises `UserError` where there are none."""
    folder = root / "segmentation" / task.folder
    found = []
    for path in sorted(folder.glob("*_mask.png")):
        name = path.name.removesuffix("_mask.png")
        picture = _picture_of(folder, root, name)
        source = source_of(task.name, name)
        if picture is None or not source:
            continue
        label = f"data {picture.name}"
        samples = read_samples(picture, label)
        mask = open_image(path, f"data {path.name}").read(0, 0, *samples.shape[1:])[:, :, 0]
        positive = mask == 4 if task.name == "cloud" else mask > 0
        found.append(Tile(name, source, *_middle(_chosen(task, samples, bands), positive)))
    if not found:
        raise UserError(f"data={root}: no labelled pictures in segmentation/{task.folder}")
    return found


def series(task: Task, root: Path, bands: str) -> list[np.ndarray]:
    """Samples int16 [bands, H, W] of the 12-band Sentinel-2 series (three places, four dates each) in this
    task's bands; none where it has none of them, or there is no series below `root`."""
    found = []
    for path in sorted((root / "multispectral").glob("s2l2a_*.tif")) if task.series else ():
        samples = read_samples(path, f"data {path.name}")
        if len(samples) > max(task.series):
            found.append(_chosen(task, samples[list(task.series)], bands))
    return found


def _picture_of(folder: Path, root: Path, name: str) -> Path | None:
    places = [folder / f"{name}_img.tif", folder / f"{name}_img.png"]
    if name == "massachusetts_22978945":
        places.append(root / "scenes" / f"suburb_{name}_georef.tif")
    return next((path for path in places if path.is_file()), None)


def source_of(task: str, name: str) -> str:
    """The scene, fire or place of a tile; "" for one that is left out."""
    if task == "cloud":
        scene = name.partition("_")[0]
        return scene if scene in ("sentinel2", "landsat5", "landsat7") else ""
    if task == "building":
        tile = re.fullmatch(r"oam_kampala-(\d+)-(\d+)-(\d+)", name)
        if tile is None:
            return name
        column, zoom = int(tile[1]), int(tile[3])
        return "kampala west" if column >> (zoom - 19) == KAMPALA_WEST else "kampala east"
    return name


def _chosen(task: Task, samples: np.ndarray, bands: str) -> np.ndarray:
    if bands == "all":
        return samples
    if task.single:
        return samples[task.single - 1 : task.single]
    return np.rint(samples.mean(axis=0, keepdims=True)).astype(samples.dtype)


def _middle(samples: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    top, left = (max(0, (side - LARGEST_PX) // 2) for side in mask.shape)
    rows, cols = slice(top, top + LARGEST_PX), slice(left, left + LARGEST_PX)
    return np.ascontiguousarray(samples[:, rows, cols]), np.ascontiguousarray(mask[rows, cols])


def folds(tiles: Sequence[Tile], count: int) -> list[tuple[list[Tile], list[Tile]]]:
    """(training, test) of each fold: whole sources take turns, in the order of their names. Raises
    `UserError` for more folds than sources."""
    sources = sorted({tile.source for tile in tiles})
    if not 2 <= count <= len(sources):
        raise UserError(f"folds={count}: expected 2 to {len(sources)}, as many as there are sources")
    fold_of = {source: place % count for place, source in enumerate(sources)}
    return [
        (
            [tile for tile in tiles if fold_of[tile.source] != fold],
            [tile for tile in tiles if fold_of[tile.source] == fold],
        )
        for fold in range(count)
    ]


def thinned(tiles: Sequence[Tile], most: int) -> list[Tile]:
    """At most so many tiles of each source, spread evenly over their names."""
    found = []
    for source in dict.fromkeys(tile.source for tile in tiles):
        mine = [tile for tile in tiles if tile.source == source]
        count = min(most, len(mine))
        found += [mine[place * len(mine) // count] for place in range(count)]
    return found
