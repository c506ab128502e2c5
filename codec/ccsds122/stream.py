"""A band as a CCSDS 122.0-B-2 stream, and back."""

from __future__ import annotations

import numpy as np

from codec.ccsds122 import segment
from codec.ccsds122.bits import POSITION
from codec.ccsds122.blocks import SIZE_PX, shifts_of, to_blocks, to_pyramid
from codec.ccsds122.header import BLOCKS, LIMIT, Header, Settings, pack, parse
from codec.ccsds122.wavelet import SMALLEST_PX, forward, inverse

WIDEST_PX = (1 << 20) - 1
MOST_PIXELS = 1 << 24  # of a decoded picture: a header of 20 bytes may ask for any number
# Where a coefficient lies in what is not known of it, in its range: wavelet coefficients gather towards 0
MIDDLE = 0.4
REAL = Settings()


def transformed(image: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """(int32 or int64 blocks [K, 64] with their weights, shifts [64]) of an image [H, W], whose last row and
    column repeat up to multiples of 8. Raises `ValueError`."""
    check_image(image, settings)
    kind = _whole(settings)
    pads = tuple((0, -side % SIZE_PX) for side in image.shape)
    blocks = to_blocks(forward(np.pad(image.astype(kind), pads, mode="edge"), settings.integer))
    shifts = shifts_of(settings.used_weights)
    if not settings.integer:  # to the nearest, halves away from 0
        blocks = np.copysign(np.floor(np.abs(blocks) + 0.5), blocks)
    return blocks.astype(kind) << shifts.astype(kind), shifts


def _whole(settings: Settings) -> type[np.signedinteger]:
    """What whole numbers are counted in: pixels of 16 bits never come near 2^31 (`wavelet`), and half the
    memory is a sixth of the time."""
    return np.int32 if settings.pixel_bits <= 16 else np.int64


def check_image(image: np.ndarray, settings: Settings) -> None:
    """Raises `ValueError` for what the standard cannot carry."""
    if image.ndim != 2 or image.dtype.kind not in "iu":
        raise ValueError(f"CCSDS 122: expected whole numbers [H, W], found {image.dtype} {image.shape}")
    if min(image.shape) < SMALLEST_PX or image.shape[1] > WIDEST_PX:
        raise ValueError(f"CCSDS 122: sides have to be {SMALLEST_PX} px and more, found {image.shape}")
    low, high = pixel_range(settings)
    if image.min() < low or image.max() > high:
        raise ValueError(
            f"CCSDS 122: pixels have to lie in {low} to {high}, found {image.min()} to {image.max()}"
        )


def pixel_range(settings: Settings) -> tuple[int, int]:
    """The least and the largest pixel."""
    half = 1 << (settings.pixel_bits - 1)
    return (-half, half - 1) if settings.signed else (0, 2 * half - 1)


def encode(image: np.ndarray, settings: Settings = REAL) -> bytes:
    """The stream of an image [H, W] of whole numbers. Lossless with the integer transform where nothing stops
    it. Raises `ValueError`."""
    blocks, shifts = transformed(image, settings)
    per_segment = min(settings.segment_blocks or BLOCKS, len(blocks))
    out, starts = [], range(0, len(blocks), per_segment)
    for count, start in enumerate(starts):
        own = blocks[start : start + per_segment]
        coded = segment.encode(own, shifts, settings)
        first, last = start == 0, start + per_segment >= len(blocks)
        parts = (first, first or len(own) != per_segment, first)
        depths, pad_rows = (coded.depth_dc, coded.depth_ac), -image.shape[0] % SIZE_PX
        header = Header(settings, image.shape[1], len(own), first, last, count, *depths, pad_rows, parts)
        out.append(_limited(pack(header) + coded.payload, settings))
    return b"".join(out)


def _limited(data: bytes, settings: Settings) -> bytes:
    """A segment cut at its limit, or with zeros up to a whole code word or, if it is to be filled, the
    limit."""
    limit = settings.byte_limit or LIMIT
    if len(data) >= limit:
        return data[:limit]
    size = limit if settings.fill else len(data) + -len(data) % settings.codeword_bytes
    return data.ljust(size, b"\0")


def decode(data: bytes, middle: float = MIDDLE) -> np.ndarray:
    """The image of a stream: uint8, uint16, uint32, int8, int16 or int32 [H, W]. middle: 0 to 0.5, as of
    `segment.Decoder.blocks`. A segment may be cut at any byte behind its header, the last of the data
    anywhere. Raises `ValueError`."""
    image, end = decode_first(data, middle)
    if end < len(data):
        raise ValueError(f"CCSDS 122: {len(data) - end} bytes follow the picture")
    return image


def decode_first(data: bytes, middle: float = MIDDLE) -> tuple[np.ndarray, int]:
    """(the image, the byte behind it) of data that begins with a stream."""
    header, at, parts = None, 0, []
    while header is None or not header.last:
        start = at
        header, at = parse(data, start, header)
        _check_size(header, sum(map(len, parts)))
        shifts = shifts_of(header.settings.used_weights)
        limit = start + (header.settings.byte_limit or LIMIT)
        decoder = segment.Decoder(data[at:limit], header, shifts)
        for _ in decoder.stages():
            pass
        parts.append(decoder.blocks(middle))
        at = _end(decoder, start, at, min(limit, len(data)))
    return picture(np.concatenate(parts), header), at


def _end(decoder: segment.Decoder, start: int, at: int, end: int) -> int:
    """The byte behind a segment that began at byte `start`, its payload at byte `at`."""
    settings = decoder.header.settings
    if decoder.spent or settings.fill:
        return end
    size = at - start - (-int(decoder.state[POSITION]) // 8)
    return min(start + size + -size % settings.codeword_bytes, end)


def _check_size(header: Header, before: int) -> None:
    columns = -(-header.width // SIZE_PX)
    pixels = (before + header.blocks) * SIZE_PX**2
    if header.width < SMALLEST_PX or pixels > MOST_PIXELS:
        raise ValueError(f"CCSDS 122: a picture {header.width} px wide of {pixels} pixels is out of bounds")
    if header.last and ((before + header.blocks) % columns or pixels // columns < 3 * SIZE_PX**2):
        raise ValueError(f"CCSDS 122: {before + header.blocks} blocks do not fill lines of {columns}")


def picture(blocks: np.ndarray, header: Header) -> np.ndarray:
    """The image [H, W] of float64 coefficients [K, 64]. header: the last segment's."""
    settings, columns = header.settings, -(-header.width // SIZE_PX)
    if settings.integer:
        blocks = np.rint(blocks).astype(_whole(settings))
    image = inverse(to_pyramid(blocks, columns), settings.integer)
    image = image[: image.shape[0] - header.pad_rows, : header.width]
    low, high = pixel_range(settings)
    size = next(size for size in (1, 2, 4) if settings.pixel_bits <= 8 * size)
    return np.clip(np.rint(image), low, high).astype(f"{'i' if settings.signed else 'u'}{size}")
