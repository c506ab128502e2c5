"""JPEG 2000 as the rival of a codec: at each patch's best quality for the loss that codecs train for.

OpenJPEG, irreversible 9/7 wavelet with the colour transform, bare codestream (a JP2 file adds boxes) without
its comment, one quality layer at a target PSNR. Through imagecodecs, which is optional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from codec.imagery.scaling import WIDE
from constellation.common.errors import UserError
from constellation.common.progress import watched

LEVELS_DB = tuple(float(level) for level in np.arange(20, 52, 1))


def encode_jpeg2000(image: np.ndarray, level_db: float) -> bytes:
    """A codestream of uint8 [H, W, 3] whose PSNR is about `level_db`."""
    import imagecodecs

    return without_comment(
        imagecodecs.jpeg2k_encode(
            image, level=level_db, codecformat="j2k", mct=True, reversible=False, numthreads=1
        )
    )


def without_comment(codestream: bytes) -> bytes:
    """A JPEG 2000 codestream without the COM segments of its main header (OpenJPEG signs its work: 39
    bytes)."""
    out, at = [codestream[:2]], 2
    while (marker := codestream[at : at + 2]) != b"\xff\x90":  # SOT, the first tile
        length = 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
        if marker != b"\xff\x64":
            out.append(codestream[at : at + length])
        at += length
    return b"".join(out) + codestream[at:]


def points(patches: np.ndarray, levels_db: Sequence[float] = LEVELS_DB) -> np.ndarray:
    """Bits per pixel and mean squared error of values in 0..1, float64 [patches, levels, 2], of patches uint8
    [K, 3, P, P]. Raises `UserError` where imagecodecs is not installed."""
    try:
        from imagecodecs import jpeg2k_decode
    except ImportError:
        raise UserError("JPEG 2000: needs the package imagecodecs, which is not installed") from None
    found = np.empty((len(patches), len(levels_db), 2))
    for number, patch in enumerate(watched(patches, "JPEG 2000")):
        image = np.ascontiguousarray(patch.transpose(1, 2, 0))
        for column, level in enumerate(levels_db):
            stream = encode_jpeg2000(image, level)
            error = (jpeg2k_decode(stream).astype(np.float64) - image) / 255
            found[number, column] = 8 * len(stream) / image[..., 0].size, np.square(error).mean()
    return found


def best(found: np.ndarray, lambda_: float) -> np.ndarray:
    """The point of each patch with the least R + lambda 255^2 MSE, float64 [patches, 2], of `points`."""
    losses = found[..., 0] + lambda_ * 255**2 * found[..., 1]
    return np.take_along_axis(found, losses.argmin(1)[:, None, None], axis=1)[:, 0]


# ---------------------------------------------------------------- any number of bands


@dataclass(frozen=True)
class BandTransform:
    """A Karhunen-Loeve transform over the bands, fixed from training pictures and known at both ends (its
    bytes are in no stream). mean: float64 [bands]; covariance: float64 [bands, bands]."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, pictures: Sequence[np.ndarray]) -> BandTransform:
        """Of samples or counts [bands, H, W] each."""
        values = np.concatenate([one.reshape(len(one), -1) for one in pictures], axis=1).astype(np.float64)
        return cls(values.mean(axis=1), np.cov(values, bias=True).reshape(len(values), -1))

    @cached_property
    def vectors(self) -> np.ndarray:
        """Orthonormal float64 [bands, bands], a component a row, the strongest first."""
        vectors = np.linalg.eigh(self.covariance)[1][:, ::-1].T
        return vectors * np.sign(vectors.sum(axis=1, keepdims=True) + 1e-12)

    def differences(self, samples: np.ndarray) -> np.ndarray:
        """Int32 [bands, H, W]: each band less its best prediction from the bands before it, rounded. A
        Karhunen-Loeve transform of whole numbers is not reversible; this triangular one is."""
        centred, out = samples.astype(np.float64) - self.mean[:, None, None], samples.astype(np.int32)
        for band in range(1, len(samples)):
            before = self.covariance[:band, :band] + 1e-9 * np.eye(band)
            weights = np.linalg.solve(before, self.covariance[:band, band])
            predicted = np.tensordot(weights, centred[:band], axes=1) + self.mean[band]
            out[band] -= np.rint(predicted).astype(np.int32)
        return out

    def forward(self, counts: np.ndarray) -> np.ndarray:
        """Components, int32 [bands, H, W]: rounded, so that JPEG 2000 can carry them."""
        centred = counts.reshape(len(counts), -1) - self.mean[:, None]
        return np.rint(self.vectors @ centred).astype(np.int32).reshape(counts.shape)

    def backward(self, components: np.ndarray) -> np.ndarray:
        """np.uint16 counts of components [bands, H, W]."""
        flat = self.vectors.T @ components.reshape(len(components), -1).astype(np.float64)
        counts = np.clip(np.rint(flat + self.mean[:, None]), 0, WIDE)
        return counts.astype(np.uint16).reshape(components.shape)


MIDDLE = 1 << 17  # is added to components, which JPEG 2000 then carries as unsigned numbers of 18 bits
COMPONENT_PEAK = (1 << 18) - 1


def code_bands(
    counts: np.ndarray, level_db: float, transform: BandTransform | None = None
) -> tuple[int, np.ndarray]:
    """(bytes, decoded np.uint16 [bands, H, W]) of counts np.uint16 [bands, H, W]: each band, or with
    `transform` each component, is a codestream of its own, all at one error, so at one slope.

    level_db: target PSNR of the bands, peak 65535. A component is coded to the same mean squared error as a
    band would be: the transform is orthonormal. Raises `UserError` where imagecodecs is not installed."""
    encode, decode = _jpeg2000()
    planes = counts if transform is None else (transform.forward(counts) + MIDDLE).astype(np.uint32)
    size, out = 0, np.empty(planes.shape, np.int64)
    level = level_db if transform is None else level_db + 20 * math.log10(COMPONENT_PEAK / WIDE)
    more = {} if transform is None else {"bitspersample": 18}
    for number, plane in enumerate(planes):
        coded = encode(plane, level=level, codecformat="j2k", reversible=False, numthreads=1, **more)
        stream = without_comment(coded)
        size += len(stream)
        out[number] = decode(stream)
    if transform is None:
        return size, np.clip(out, 0, WIDE).astype(np.uint16)
    return size, transform.backward(out - MIDDLE)


def code_losslessly(samples: np.ndarray, transform: BandTransform | None = None) -> int:
    """Bytes of samples of at most 16 bits, [bands, H, W], each band a reversible codestream; with
    `transform` its differences from what the bands before it predict. Raises `UserError`, and `ValueError`
    where they do not come back."""
    encode, decode = _jpeg2000()
    planes = samples if transform is None else (transform.differences(samples) + MIDDLE).astype(np.uint32)
    more = {} if transform is None else {"bitspersample": 18}
    size = 0
    for plane in planes:
        stream = encode(plane, codecformat="j2k", reversible=True, numthreads=1, **more)
        if not np.array_equal(decode(stream), plane):
            raise ValueError("JPEG 2000 is not lossless here")
        size += len(without_comment(stream))
    return size


def _jpeg2000() -> tuple[Any, Any]:
    try:
        from imagecodecs import jpeg2k_decode, jpeg2k_encode
    except ImportError:
        raise UserError("JPEG 2000: needs the package imagecodecs, which is not installed") from None
    return jpeg2k_encode, jpeg2k_decode
