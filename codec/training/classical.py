"""JPEG 2000 as the rival of a codec: at each patch's best quality for the loss that codecs train for.

OpenJPEG, irreversible 9/7 wavelet with the colour transform, bare codestream (a JP2 file adds boxes) without
its comment, one quality layer at a target PSNR. Through imagecodecs, which is optional."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
