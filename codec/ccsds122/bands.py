"""Pictures of three bands as CCSDS 122.0-B-2 streams, cut where a slope asks for it.

The standard knows one band, so bands are streams of their own, one behind the other: as they are, which is
what missions fly, or after JPEG 2000's reversible colour transform (RCT), which is no part of the standard. A
stream is embedded: what a cut costs is known from decoding once. So each band is cut behind the stage of a
bit plane where R + slope MSE is least, R in bits per pixel and MSE in grey levels squared of all bands;
SegByteLimit says where, and so how long the stream is. Lossy pictures take the real transform, the picture
one segment."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np

from codec.ccsds122 import segment
from codec.ccsds122.header import Header, Settings, pack
from codec.ccsds122.stream import MIDDLE, decode_first, transformed
from codec.ccsds122.stream import encode as encode_band
from constellation.common.frozen import value
from constellation.common.progress import watched

_GREY, _SIGNED = Settings(pixel_bits=8), Settings(pixel_bits=9, signed=True)
# Settings of the bands, and what a squared error of each adds to that of the picture, by whether RCT is taken
_PLAIN = ((_GREY, 1 / 3), (_GREY, 1 / 3), (_GREY, 1 / 3))
_COLOUR = ((_GREY, 1.0), (_SIGNED, 11 / 48), (_SIGNED, 11 / 48))


def to_rct(image: np.ndarray) -> np.ndarray:
    """RCT, int32 [3, H, W] (grey in 0..255, two differences in -255..255), of uint8 [H, W, 3]."""
    red, green, blue = image.transpose(2, 0, 1).astype(np.int32)
    return np.stack([(red + 2 * green + blue) >> 2, blue - green, red - green])


def from_rct(components: np.ndarray) -> np.ndarray:
    """The picture again, uint8 [H, W, 3]; values out of range are clipped."""
    grey, to_blue, to_red = components.astype(np.int32)
    green = grey - ((to_blue + to_red) >> 2)
    return np.clip(np.stack([to_red + green, green, to_blue + green], axis=-1), 0, 255).astype(np.uint8)


@value
class Analysis:
    """A band coded to its last bit plane.

    header: its own; coded: its bits; sizes: bytes of the stream cut behind each stage, int64 [stops]; errors:
    mean squared error then, float64 [stops]."""

    header: Header
    coded: segment.Coded
    sizes: np.ndarray
    errors: np.ndarray

    def cut(self, slope: float, weight: float) -> bytes:
        """The stream at its best stage for a slope."""
        pixels = 64 * self.header.blocks
        best = int(np.argmin(8 * self.sizes / pixels + slope * weight * self.errors))
        return self.limited(int(self.sizes[best]))

    def limited(self, size: int) -> bytes:
        """The stream of at most `size` bytes."""
        settings = dataclasses.replace(self.header.settings, byte_limit=size)
        return (pack(dataclasses.replace(self.header, settings=settings)) + self.coded.payload)[:size]


def analysed(band: np.ndarray, settings: Settings = _GREY) -> Analysis:
    """A band [H, W] of whole numbers, coded with the real transform. Errors are those of coefficients, which
    the transform keeps to a few percent."""
    blocks, shifts = transformed(band, settings)
    coded = segment.encode(blocks, shifts, settings)
    header = Header(settings, band.shape[1], len(blocks), True, True, 0, coded.depth_dc, coded.depth_ac,
                    -band.shape[0] % 8)  # fmt: skip
    decoder, ends, errors = segment.Decoder(coded.payload, header, shifts), [], []
    for stop in decoder.stages():
        ends.append(stop.bits)
        errors.append(np.square(decoder.blocks(MIDDLE) - blocks).mean())
    return Analysis(header, coded, len(pack(header)) + (np.array(ends) + 7) // 8, np.array(errors))


@functools.lru_cache(maxsize=4)
def _analysed_picture(data: bytes, shape: tuple[int, ...], colour: bool) -> tuple[Analysis, ...]:
    image = np.frombuffer(data, dtype=np.uint8).reshape(shape)
    bands = to_rct(image) if colour else image.transpose(2, 0, 1)
    return tuple(
        analysed(band, settings)
        for band, (settings, _) in zip(bands, _COLOUR if colour else _PLAIN, strict=True)
    )


def encode(image: np.ndarray, slope: float, colour: bool = False) -> bytes:
    """Three streams of uint8 [H, W, 3], each cut where R + slope MSE is least. colour: after RCT."""
    weights = [weight for _, weight in (_COLOUR if colour else _PLAIN)]
    found = _analysed_picture(image.tobytes(), image.shape, colour)
    return b"".join(one.cut(slope, weight) for one, weight in zip(found, weights, strict=True))


def encode_limited(image: np.ndarray, size: int, colour: bool = False) -> bytes:
    """Three streams of at most `size` bytes each, as an encoder on board makes them: nothing is searched."""
    components = to_rct(image) if colour else image.transpose(2, 0, 1)
    settings = (dataclasses.replace(own, byte_limit=size) for own, _ in (_COLOUR if colour else _PLAIN))
    return b"".join(encode_band(band, own) for band, own in zip(components, settings, strict=True))


def decode(data: bytes, colour: bool = False) -> np.ndarray:
    """The picture, uint8 [H, W, 3], of three streams. Raises `ValueError`."""
    bands, at = [], 0
    for _ in range(3):
        band, end = decode_first(data[at:])
        bands.append(band)
        at += end
    if at < len(data) or any(band.shape != bands[0].shape for band in bands):
        raise ValueError("CCSDS 122: expected three bands of one size and nothing behind them")
    if colour:
        return from_rct(np.stack([band.astype(np.int32) for band in bands]))
    if any(band.dtype != np.uint8 for band in bands):
        raise ValueError("CCSDS 122: expected bands of 8 bits")
    return np.stack(bands, axis=-1)


def points(patches: np.ndarray, slopes: Sequence[float], colour: bool = False) -> np.ndarray:
    """Bits per pixel and mean squared error of values in 0..1, float64 [patches, slopes, 2], of patches uint8
    [K, 3, P, P]."""
    found = np.empty((len(patches), len(slopes), 2))
    for number, patch in enumerate(watched(patches, "CCSDS 122")):
        image = np.ascontiguousarray(patch.transpose(1, 2, 0))
        for column, slope in enumerate(slopes):
            stream = encode(image, slope, colour)
            error = (decode(stream, colour).astype(np.float64) - image) / 255
            found[number, column] = 8 * len(stream) / image[..., 0].size, np.square(error).mean()
    return found


def slopes_around(lambdas: Iterable[float]) -> tuple[float, ...]:
    """Slopes among which the best for each lambda is."""
    return tuple(lambda_ * factor for lambda_ in sorted(set(lambdas)) for factor in (0.8, 1.0, 1.25))
