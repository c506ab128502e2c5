"""How samples of any depth become the counts that the codec sees: 8 bits a colour, or 16 bits a band.

A file decides alone (or the training pictures together do), so every window of it, on every satellite and at
the ground, is scaled alike:

* unsigned samples of 1 to 8 bits: their whole range becomes 0 to 255 (8-bit samples stay what they are);
* wider, signed and floating-point samples, rule `percentile`: the 2nd to 98th percentile of the used bands
  together become 0 to 255 linearly, clipped; colours keep their balance;
* integers, rule `full`: 0 to the largest value of their type or declared depth become 0 to 255.

A codec for other pictures than 8-bit RGB brings the scale of each of its bands along, fixed from the pictures
that it was trained on: then samples become 16-bit counts, 0 to 65535, and back, with nothing lost inside
the scale where it spans no more than 65535 steps of the sensor."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from constellation.common.errors import UserError

PERCENTILES = (2.0, 98.0)
WIDE = 65535  # the largest count of 16 bits
MAX_BANDS = 32
MAX_SCALE = 1e9
_SPANS = (0.1, 99.9)  # percentiles of the training pictures that a band's scale spans


@dataclass(frozen=True)
class Bands:
    """A linear scale for each of `count` bands: a sample of `offset` becomes 0, one of `offset + scale` 255.

    scale, offset: one float a band, in the samples' own unit; scale above 0."""

    count: int
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def of_text(cls, text: str) -> Bands:
        """Inverse of `text`. Raises `ValueError` for anything else."""
        try:
            rows = [(float(scale), float(offset)) for scale, offset in json.loads(text)]
        except (TypeError, RecursionError) as error:
            raise ValueError(f"no scales and offsets of bands ({error})") from None
        if not 1 <= len(rows) <= MAX_BANDS or max(abs(value) for row in rows for value in row) > MAX_SCALE:
            raise ValueError(f"{len(rows)} scales, expected 1 to {MAX_BANDS}, at most {MAX_SCALE:g}")
        return cls(len(rows), *zip(*rows, strict=True))

    @property
    def text(self) -> str:
        """Pairs of scale and offset, as JSON."""
        return json.dumps([list(pair) for pair in zip(self.scale, self.offset, strict=True)])

    @property
    def packed(self) -> bytes:
        """Scale and offset of each band, float32, little-endian."""
        pairs = np.array([self.scale, self.offset], dtype="<f4").T
        return np.ascontiguousarray(pairs).tobytes()

    @classmethod
    def unpacked(cls, data: bytes) -> Bands:
        """Inverse of `packed`. Raises `ValueError` for numbers that are no scales."""
        pairs = np.frombuffer(data, dtype="<f4").reshape(-1, 2).astype(np.float64)
        if not np.isfinite(pairs).all() or np.abs(pairs).max() > MAX_SCALE:
            raise ValueError("scales or offsets of bands are no numbers")
        return cls(len(pairs), tuple(pairs[:, 0].tolist()), tuple(pairs[:, 1].tolist()))

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

    def to_counts(self, samples: np.ndarray) -> np.ndarray:
        """np.uint16 of the shape [count, H, W] of `samples`: offset becomes 0, offset + scale 65535; clipped,
        rounded; what is not finite becomes 0."""
        if samples.shape[0] != self.count:
            raise ValueError(f"{samples.shape[0]} bands of samples, expected {self.count}")
        out = np.empty(samples.shape, dtype=np.uint16)
        for band, (scale, offset) in enumerate(zip(self.scale, self.offset, strict=True)):
            with np.errstate(over="ignore", invalid="ignore"):
                counts = (samples[band].astype(np.float64) - offset) * (WIDE / scale)
            out[band] = np.clip(np.rint(np.nan_to_num(counts, nan=0.0)), 0, WIDE)
        return out

    def from_counts(self, counts: np.ndarray) -> np.ndarray:
        """Float64 [count, H, W], in the samples' own unit, of counts np.uint16 of that shape."""
        shape = (-1, 1, 1)
        scale, offset = (np.array(of).reshape(shape) for of in (self.scale, self.offset))
        return counts.astype(np.float64) * (scale / WIDE) + offset


def bands_told(metadata: Mapping[str, str], label: str) -> Bands | None:
    """The scales that a checkpoint's metadata states; None for a codec of 8-bit RGB. Raises `UserError`."""
    bands, text = metadata.get("bands", "3"), metadata.get("scales")
    try:
        scaled = None if text is None else Bands.of_text(text)
    except ValueError as error:
        raise UserError(f"{label}: scales: {str(error)[:200]}") from None
    if scaled is not None and bands != str(scaled.count):
        raise UserError(f"{label}: scales of {scaled.count} bands, the codec has {bands}")
    return scaled


def of_training(pictures: Sequence[np.ndarray]) -> Bands:
    """The scale of each band from training pictures, [bands, H, W] each: from their 0.1st to their 99.9th
    percentile, in whole steps where samples are whole numbers. Raises `ValueError` for pictures of unlike
    band counts."""
    if len({len(picture) for picture in pictures}) != 1:
        raise ValueError("pictures of unlike numbers of bands")
    low, high = [], []
    whole = all(picture.dtype.kind in "iub" for picture in pictures)
    for band in zip(*pictures, strict=True):
        values = np.concatenate([plane.reshape(-1) for plane in band])
        least, most = np.percentile(values[np.isfinite(values)].astype(np.float64), _SPANS)
        low.append(float(np.floor(least) if whole else np.float32(least)))
        high.append(float(max(np.ceil(most), low[-1] + 1) if whole else max(most, low[-1] + 1e-6)))
    scale = tuple(float(np.float32(h - o)) for o, h in zip(low, high, strict=True))
    return Bands(len(scale), scale, tuple(low))


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
