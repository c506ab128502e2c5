"""Classical codecs on one thread: loss at their best on patches, and milliseconds on board."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from codec.ccsds122 import bands
from codec.training import classical
from codec.training.evaluate import loss_of

REPEATS = 10
COLOUR = {"ccsds122": True, "ccsds122_bands": False}  # whether after JPEG 2000's reversible colour transform
Figures = tuple[float, float, float]  # loss, bit/px, PSNR in dB


def classical_rivals(patches: np.ndarray, lambda_: float) -> tuple[dict[str, Figures], dict[str, float]]:
    """(figures, milliseconds of a patch), by codec, of patches uint8 [K, 3, P, P].

    JPEG 2000's milliseconds are those of OpenJPEG's search for a PSNR. CCSDS 122's are those of coding every
    band to a byte limit, which is what flies: the search for the best cut is a study's."""
    image = np.ascontiguousarray(patches[0].transpose(1, 2, 0))
    points = {"jpeg2000": classical.points(patches)}
    for name, colour in COLOUR.items():
        points[name] = bands.points(patches, bands.slopes_around([lambda_]), colour)
    found = {name: loss_of(classical.best(own, lambda_), lambda_) for name, own in points.items()}
    level_db = found["jpeg2000"][2]
    clocked = {"jpeg2000": milliseconds(lambda: classical.encode_jpeg2000(image, level_db))}
    for name, colour in COLOUR.items():
        size = int(found[name][1] * image[..., 0].size / 24)  # bytes of a band, at equal shares
        clocked[name] = milliseconds(
            lambda size=size, colour=colour: bands.encode_limited(image, size, colour)
        )
    return found, clocked


def milliseconds(encode: Callable[[], object]) -> float:
    """Of this thread, the mean of several after a first."""
    encode()
    started = time.thread_time()
    for _ in range(REPEATS):
        encode()
    return 1e3 * (time.thread_time() - started) / REPEATS
