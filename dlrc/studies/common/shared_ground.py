"""Classical codecs with what the whole constellation sees coded once: the rivals of deduplication.

Each satellite is told by footprint which of its cells a satellite before it sees too, and codes its patch
with those pixels filled in smoothly, so that they cost next to nothing; the ground takes them from the
other's decoded picture. Each patch takes the quality with the least bpp + lambda 255^2 MSE, alone and so;
both are bytes of real streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlrc.studies.common.baselines import QUALITIES, coded_bytes, decode, encode
from dlrc.studies.common.sights import Sights
from nodes.capture import LATENT_PX, Capture, covered_by_earlier

SIDES = (2, 2)  # of a cell of the pyramid that fills


@dataclass(frozen=True)
class Shared:
    """One lambda: means over all satellites of all windows."""

    lambda_: float
    bpp_alone: float
    mse_alone: float
    bpp: float
    mse: float

    @property
    def saved_pct(self) -> float:
        """Of the bytes of coding alone."""
        return 100 * (1 - self.bpp / self.bpp_alone)

    @property
    def d_psnr_db(self) -> float:
        """PSNR of the mean error against coding alone."""
        return float(-10 * np.log10(self.mse / self.mse_alone))


def smooth_fill(image: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """uint8 [P, P, 3] whose pixels outside `keep` [P, P] go smoothly from what is kept around them: coarser
    and coarser means of what is there (a pyramid), brought back where a finer level knows nothing."""
    weight = keep.astype(np.float64)[..., None]
    return np.round(_filled(image * weight, weight)).astype(np.uint8)


def _filled(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mean = total / np.maximum(weight, 1e-9)
    if min(total.shape[:2]) < SIDES[0] or weight.min() > 0:
        return np.where(weight > 0, mean, 127.5)
    blocks = (total.shape[0] // 2, 2, total.shape[1] // 2, 2)
    coarse = _filled(*(part.reshape(*blocks, -1).mean((1, 3)) for part in (total, weight)))
    return np.where(weight > 0, mean, coarse.repeat(2, 0).repeat(2, 1))


def share_ground(
    sights: Sights, satellites: int, windows: int, lambdas: Sequence[float], codec: str = "jpeg2000"
) -> list[Shared]:
    """A codec of QUALITIES alone and by footprint, of `satellites` in the first windows, highest priority
    first."""
    alone, shared = [], []
    for number in range(windows):
        views = [sights.look(number, satellite)[0] for satellite in range(satellites)]
        covered = covered_by_earlier([view.footprint for view in views], range(satellites))
        pairs = list(zip(views, covered, strict=True))
        alone.append([_points(codec, view, np.zeros_like(mask)) for view, mask in pairs])
        shared.append([_points(codec, view, mask) for view, mask in pairs])
    return [_at(lambda_, np.array(alone), np.array(shared)) for lambda_ in lambdas]


def _points(codec: str, view: Capture, covered: np.ndarray) -> list[tuple[float, float, float]]:
    """(bits, squared error over the own pixels, own pixels) of a patch at every quality; nothing where all is
    covered."""
    keep = ~covered.repeat(LATENT_PX, 0).repeat(LATENT_PX, 1)
    if not keep.any():
        return [(0.0, 0.0, 0.0)] * len(QUALITIES[codec])
    image = view.image if keep.all() else smooth_fill(view.image, keep)
    found = []
    for level in QUALITIES[codec]:
        data = encode(codec, np.ascontiguousarray(image), level)
        error = (decode(codec, data).astype(np.float64) - view.image)[keep] / 255
        found.append((8.0 * coded_bytes(codec, data), float(np.square(error).sum()) / 3, float(keep.sum())))
    return found


def _at(lambda_: float, alone: np.ndarray, shared: np.ndarray) -> Shared:
    """Means at one lambda of [windows, satellites, qualities, 3]. A pixel that another codes has the mean
    error of those that are coded: what is seen together is coded once, at one quality."""
    found = []
    for table in (alone, shared):
        cost = table[..., 0] + lambda_ * 255**2 * table[..., 1]
        best = np.take_along_axis(table, cost.argmin(2)[..., None, None], 2)[:, :, 0]
        pixels = alone[..., 0, 2].sum()
        found += [best[..., 0].sum() / pixels, best[..., 1].sum() / best[..., 2].sum()]
    return Shared(lambda_, *(float(value) for value in found))
