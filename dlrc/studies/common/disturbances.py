"""What makes two views of one ground differ, one at a time: shifts, rotation, gain, noise."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

from codec.training.data import CropSampler, open_pictures
from constellation.common.frozen import value

MARGIN_PX = 24  # of a crop around the patch


@value
class Disturbance:
    """shift, px; turn, degrees; gain; noise, counts of standard deviation."""

    shift: float = 0.0
    turn: float = 0.0
    gain: float = 1.0
    noise: float = 0.0


DISTURBANCES = {
    "identical": Disturbance(),
    "shift 0.25 px": Disturbance(shift=0.25),
    "shift 0.5 px": Disturbance(shift=0.5),
    "shift 2.3 px": Disturbance(shift=2.3),
    "rotation 0.5 deg": Disturbance(turn=0.5),
    "gain 1 %": Disturbance(gain=1.01),
    "gain 5 %": Disturbance(gain=1.05),
    "noise 1": Disturbance(noise=1.0),
    "noise 4": Disturbance(noise=4.0),
    "shift 0.5 px, gain 5 %, noise 2": Disturbance(shift=0.5, gain=1.05, noise=2.0),
}


def crops_of(folder: Path, count: int, side_px: int) -> list[np.ndarray]:
    """Random crops of the pictures there, uint8 [P + 2 MARGIN_PX, P + 2 MARGIN_PX, 3] each, always the
    same."""
    size = side_px + 2 * MARGIN_PX
    pictures = [p for p in open_pictures(folder, "scenes") if min(p.height, p.width) >= size]
    sampler = CropSampler(pictures, size, 4242)
    return [np.ascontiguousarray(crop.transpose(1, 2, 0)) for crop in sampler.batch(0, range(count))]


def disturbed(crop: np.ndarray, name: str, side_px: int) -> np.ndarray:
    """The patch in the crop's middle as a satellite with this disturbance sees it, uint8 [P, P, 3]."""
    from scipy.ndimage import map_coordinates

    d = DISTURBANCES[name]
    line = np.arange(side_px) - (side_px - 1) / 2
    y, x = np.meshgrid(line, line, indexing="ij")
    c, s = math.cos(math.radians(d.turn)), math.sin(math.radians(d.turn))
    middle = (len(crop) - 1) / 2
    at = np.stack((c * y + s * x + middle + d.shift, c * x - s * y + middle + d.shift))
    seen = np.stack(
        [map_coordinates(crop[..., k].astype(np.float64), at, order=3, mode="mirror") for k in range(3)], -1
    )
    random = np.random.default_rng(zlib.crc32(crop.tobytes()))
    return np.clip(np.rint(seen * d.gain + random.normal(0, 1, seen.shape) * d.noise), 0, 255).astype(
        np.uint8
    )
