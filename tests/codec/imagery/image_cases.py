"""Image files of every kind, as people have them: each with the pixels and the mask that a reader should
find."""

import struct
import zlib

import numpy as np
import rasterio
from PIL import Image

from codec.imagery.scene import open_scene
from constellation.scenario.imaging import SceneKnobs

SIDE = 64
ROWS, COLS = np.mgrid[:SIDE, :SIDE]
GREY = ((ROWS + COLS) * 2).astype(np.uint8)  # 0 to 252
RGB = np.dstack([GREY, GREY.T // 2 + 10, 255 - GREY]).astype(np.uint8)
HOLE = (ROWS > 40) & (COLS > 30)
HOLED = np.where(HOLE[:, :, None], 0, RGB).astype(np.uint8)
THREE = RGB.transpose(2, 0, 1)


def scene_at(path, **knobs):
    return open_scene(SceneKnobs(path=str(path), **knobs), 0, 0)


def pixels_of(source):
    return source.read(0, 0, source.height, source.width)


def write_tiff(path, bands, names=(), **options):
    """bands: [H, W] or [count, H, W]."""
    bands = bands if bands.ndim == 3 else bands[None]
    shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype=bands.dtype, **shape, **options) as dataset:
        dataset.write(bands)
        if names:
            dataset.descriptions = names


def write_png(path, bits, colour_type, samples, extra=b""):
    """samples: [H, W] or [H, W, bands] of `bits` bits; extra: chunks before the pixels."""
    height, width = samples.shape[:2]
    flat = samples.reshape(height, -1)
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in flat]
    else:
        rows = [np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :]).tobytes() for row in flat]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
        + chunk(b"IEND", b"")
    )


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def grey(counts):
    return np.repeat(np.asarray(counts, np.uint8)[:, :, None], 3, axis=2)


def stretched(samples, seen=None):
    """By the percentiles of what is seen, as the reader says that it does."""
    values = samples if seen is None else samples[seen]
    low, high = np.percentile(values.astype(np.float64), (2, 98))
    return np.clip(
        np.rint((np.nan_to_num(samples.astype(np.float64)) - low) * 255 / (high - low)), 0, 255
    ).astype(np.uint8)


def _few_bits(bits):
    return lambda path: write_png(path, bits, 0, GREY >> (8 - bits))


def _sixteen_bit_png(path):
    write_png(path, 16, 2, RGB.astype(np.uint16) * 257)


def _grey_and_alpha(path):
    Image.fromarray(np.dstack([GREY, np.where(HOLE, 0, 9).astype(np.uint8)])).save(path)


def _rgb_and_alpha(path):
    Image.fromarray(np.dstack([RGB, np.where(HOLE, 0, 200).astype(np.uint8)])).save(path)


def _deep_rgb_and_alpha(path):
    alpha = np.where(HOLE, 0, 1).astype(np.uint16)
    write_tiff(path, np.stack([*(THREE.astype(np.uint16) * 100), alpha]), photometric="RGB", alpha="yes")


def _transparent_colour(path):
    colours = np.where(HOLE[:, :, None], np.array([7, 8, 9], np.uint8), RGB)
    write_png(path, 8, 2, colours, chunk(b"tRNS", struct.pack(">HHH", 7, 8, 9)))


def _transparent_palette(path):
    numbers, colours = np.where(HOLE, 1, 2 + (GREY >> 5)).astype(np.uint8), bytes(range(48))
    write_png(path, 4, 3, numbers, chunk(b"PLTE", colours) + chunk(b"tRNS", bytes([0, 0, 255])))


def _palette(path):
    shape = {"count": 1, "height": SIDE, "width": SIDE, "dtype": "uint16", "photometric": "PALETTE"}
    with rasterio.open(path, "w", driver="GTiff", **shape) as dataset:
        dataset.write_colormap(1, {n * 200: tuple(int(v) for v in COLOURS[n]) for n in range(256)})
        dataset.write(GREY.astype(np.uint16) * 200, 1)


COLOURS = np.stack([np.arange(256), 255 - np.arange(256), np.arange(256) // 2, np.full(256, 255)], axis=1)


def _masked(path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_tiff(path, THREE)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(~HOLE)


def _float(kind):
    def write(path):
        write_tiff(path, np.where(HOLE, np.nan, GREY / 300 - 0.2).astype(kind))

    return write


def _cmyk(path):
    Image.fromarray(RGB).convert("CMYK").save(path, quality=100, subsampling=0)


def _bgrn(path):
    write_tiff(
        path,
        np.stack([*THREE[::-1], GREY]),
        photometric="MINISBLACK",
        alpha="no",
        names=("Blue", "Green", "B3 (red)", "Near infra red"),
    )


def _tagged_bgr(path):
    write_tiff(path, THREE[::-1], photometric="MINISBLACK")
    with rasterio.open(path, "r+") as dataset:
        kinds = rasterio.enums.ColorInterp
        dataset.colorinterp = (kinds.blue, kinds.green, kinds.red)


NO_DATA = np.where(HOLE, 255, THREE).astype(np.uint8)
SIGNED = np.where(HOLE, -9999, GREY.astype(np.int16) * 50 - 4000).astype(np.int16)
FLOATED = (GREY / 300 - 0.2).astype(np.float32)

CASES = {  # file name: (writer, pixels, where something is seen, largest difference)
    "1bit.png": (_few_bits(1), grey(GREY // 128 * 255), None, 0),
    "2bit.png": (_few_bits(2), grey(GREY // 64 * 85), None, 0),
    "4bit.png": (_few_bits(4), grey(GREY // 16 * 17), None, 0),
    "4bit.tif": (lambda path: write_tiff(path, GREY // 16, nbits=4), grey(GREY // 16 * 17), None, 0),
    "1bit.tif": (lambda path: write_tiff(path, GREY // 128, nbits=1), grey(GREY // 128 * 255), None, 0),
    "16bit.png": (_sixteen_bit_png, stretched(RGB), None, 0),
    "12bit.tif": (
        lambda path: write_tiff(path, GREY.astype(np.uint16) * 16, nbits=12),
        grey(stretched(GREY)),
        None,
        0,
    ),
    "white1.tif": (
        lambda path: write_tiff(path, GREY // 128, nbits=1, photometric="MINISWHITE"),
        grey(255 - GREY // 128 * 255),
        None,
        0,
    ),
    "white8.tif": (lambda path: write_tiff(path, GREY, photometric="MINISWHITE"), grey(255 - GREY), None, 0),
    "white16.tif": (
        lambda path: write_tiff(path, GREY.astype(np.uint16) * 9, photometric="MINISWHITE"),
        grey(255 - stretched(GREY)),
        None,
        0,
    ),
    "int8.tif": (
        lambda path: write_tiff(path, (GREY // 2).astype(np.int8) - 60),
        grey(stretched(GREY // 2)),
        None,
        0,
    ),
    "int16.tif": (
        lambda path: write_tiff(path, SIGNED, nodata=-9999),
        grey(np.where(HOLE, 0, stretched(SIGNED, ~HOLE))),
        ~HOLE,
        0,
    ),
    "uint32.tif": (
        lambda path: write_tiff(path, GREY.astype(np.uint32) * 70000),
        grey(stretched(GREY)),
        None,
        0,
    ),
    "float32.tif": (_float(np.float32), grey(np.where(HOLE, 0, stretched(FLOATED, ~HOLE))), ~HOLE, 1),
    "float64.tif": (_float(np.float64), grey(np.where(HOLE, 0, stretched(FLOATED, ~HOLE))), ~HOLE, 1),
    "nodata.tif": (lambda path: write_tiff(path, NO_DATA, nodata=255), HOLED, ~HOLE, 0),
    "mask.tif": (_masked, HOLED, ~HOLE, 0),
    "la.png": (_grey_and_alpha, grey(np.where(HOLE, 0, GREY)), ~HOLE, 0),
    "rgba.png": (_rgb_and_alpha, HOLED, ~HOLE, 0),
    "rgba.webp": (
        lambda path: Image.fromarray(np.dstack([RGB, np.where(HOLE, 0, 200).astype(np.uint8)])).save(
            path, lossless=True, exact=True
        ),
        HOLED,
        ~HOLE,
        0,
    ),
    "rgba16.tif": (
        _deep_rgb_and_alpha,
        np.where(HOLE[:, :, None], 0, stretched(RGB, ~HOLE)).astype(np.uint8),
        ~HOLE,
        0,
    ),
    "trns.png": (_transparent_colour, HOLED, ~HOLE, 0),
    "palette_trns.png": (
        _transparent_palette,
        np.where(HOLE[:, :, None], 0, np.arange(48).reshape(16, 3)[2 + (GREY >> 5)]).astype(np.uint8),
        ~HOLE,
        0,
    ),
    "palette16.tif": (_palette, COLOURS[GREY][:, :, :3].astype(np.uint8), None, 0),
    "cmyk.jpg": (_cmyk, RGB, None, 4),
    "bgrn.tif": (_bgrn, RGB, None, 0),
    "tagged_bgr.tif": (_tagged_bgr, RGB, None, 0),
}
