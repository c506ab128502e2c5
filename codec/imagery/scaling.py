"""How samples of any depth become the 8-bit counts that the codec sees.

A file decides alone (or the training pictures together do), so every window of it, on every satellite and at
the ground, is scaled alike:

* unsigned samples of 1 to 8 bits: their whole range becomes 0 to 255 (8-bit samples stay what they are);
* wider, signed and floating-point samples, rule `percentile`: the 2nd to 98th percentile of the used bands
  together become 0 to 255 linearly, clipped; colours keep their balance;
* integers, rule `full`: 0 to the largest value of their type or declared depth become 0 to 255.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

PERCENTILES = (2.0, 98.0)


@dataclass(frozen=True)
class Bands:
    """A linear scale for each of `count` bands: a sample of `offset` becomes 0, one of `offset + scale` 255.

    scale, offset: one float a band, in the samples' own unit; scale above 0."""

    count: int
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def __post_init__(self) -> None:
        if not (
            len(self.scale) == len(self.offset) == self.count > 0
            and all(math.isfinite(value) for value in (*self.scale, *self.offset))
            and min(self.scale) > 0
        ):
            raise ValueError(f"{self}: expected {self.count} finite scales above 0 and as many offsets")

    @classmethod
    def alike(cls, count: int, low: float, high: float) -> Bands:
        """Every band from [low, high]."""
        return cls(count, (high - low,) * count, (low,) * count)

    def to_8bit(self, samples: np.ndarray) -> np.ndarray:
        """np.uint8 of the shape [count, H, W] of `samples`: linear, clipped, rounded; what is not finite
        becomes 0."""
        if samples.shape[0] != self.count:
            raise ValueError(f"{samples.shape[0]} bands of samples, expected {self.count}")
        if samples.dtype == np.uint8 and set(self.scale) == {255.0} and set(self.offset) == {0.0}:
            return samples
        out = np.empty(samples.shape, dtype=np.uint8)
        for band, (scale, offset) in enumerate(
            zip(self.scale, self.offset, strict=True)
        ):  # bounds the float64 copy
            with np.errstate(over="ignore"):
                counts = (samples[band].astype(np.float64) - offset) * 255.0 / scale
            out[band] = np.clip(np.rint(np.nan_to_num(counts, nan=0.0)), 0, 255)
        return out


def of_depth(count: int, bits: int) -> Bands:
    """Unsigned samples of `bits` bits over their whole range."""
    return Bands.alike(count, 0.0, float(2**bits - 1))


def of_percentiles(count: int, values: np.ndarray) -> Bands:
    """From samples that show something, any shape, of all bands together. Raises `ValueError` where their
    range is no number."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return Bands.alike(count, 0.0, 1.0)  # nothing to see: any scale will do
    low, high = (float(value) for value in np.percentile(values.astype(np.float64), PERCENTILES))
    if values.dtype.kind in "iu":
        high = max(
            high, low + 1.0
        )  # a flat picture: one step of the sensor, not its rounding errors, spans the range
    elif high <= low:
        high = low + max(1.0, abs(low))
    return Bands.alike(count, low, high)
