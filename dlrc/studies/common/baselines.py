"""JPEG 2000, JPEG XL, AVIF, WebP and CCSDS 122 on the very patches that the models coded.

Each at its best for PSNR. JPEG 2000: OpenJPEG, irreversible 9/7 wavelet with the colour transform, bare
codestream (a JP2 file adds boxes) without its comment, one quality layer at a target PSNR. JPEG XL: libjxl,
lossy, effort 9, bare codestream. AVIF: libaom through libavif, 4:4:4, speed 4 (slower ones gain under 2 % and
take seconds a patch), the AV1 picture without the boxes around it. WebP: libwebp, lossy, method 6, without
spatial noise shaping and segments (both serve the eye and cost 0.3 dB of PSNR), with its RIFF container,
which the format cannot do without; like every WebP it halves the colour planes. Through imagecodecs; WebP is
written by GDAL, whose driver has these settings. CCSDS 122.0-B-2 is ours (codec/ccsds122): real 9/7 wavelet,
each band one segment, cut behind the stage of a bit plane that a slope asks for, after the reversible colour
transform of JPEG 2000, which the standard does not have; and each band by itself, as missions code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codec.ccsds122 import bands
from codec.training.classical import LEVELS_DB, encode_jpeg2000
from constellation.common.errors import UserError
from constellation.common.files import write_csv, write_text
from constellation.common.progress import note, watched
from dlrc.studies.common.sights import Sights
from ground.metrics import bpp, quality

_CCSDS_SLOPES = tuple(float(f"{slope:.3g}") for slope in np.geomspace(0.0004, 0.6, 16))
QUALITIES = {
    "jpeg2000": LEVELS_DB,
    "jpegxl": (0.5, 0.8, 1.2, 1.8, 2.5, 3.5, 5.0, 7.0, 10.0, 15.0, 25.0),  # Butteraugli distance
    "avif": (0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 82),
    "webp": (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90),
    "ccsds122": _CCSDS_SLOPES,
    "ccsds122_bands": _CCSDS_SLOPES,
}
LABELS = {
    "jpeg2000": "JPEG 2000",
    "jpegxl": "JPEG XL",
    "avif": "AVIF",
    "webp": "WebP",
    "ccsds122": "CCSDS 122 after a colour transform",
    "ccsds122_bands": "CCSDS 122, bands alone",
}
_COLOUR = {"ccsds122": True, "ccsds122_bands": False}  # whether after RCT
FIELDS = ["codec", "quality", "round", "satellite", "bpp", "psnr_db", "ms_ssim"]


@dataclass(frozen=True)
class Point:
    """One patch, coded once."""

    codec: str
    quality: float
    round: int
    satellite: int
    bpp: float
    psnr_db: float
    ms_ssim: float


def encode(codec: str, image: np.ndarray, level: float) -> bytes:
    """Bytes of uint8 [H, W, 3] at a level of QUALITIES."""
    if codec in _COLOUR:
        return bands.encode(image, level, _COLOUR[codec])
    import imagecodecs

    if codec == "jpeg2000":
        return encode_jpeg2000(image, level)
    if codec == "jpegxl":
        options = {"lossless": False, "effort": 9, "usecontainer": False, "numthreads": 1}
        return bytes(imagecodecs.jpegxl_encode(image, distance=level, **options))
    if codec == "avif":
        return bytes(imagecodecs.avif_encode(image, level=int(level), speed=4, numthreads=1))
    return _webp(image, level)


def _webp(image: np.ndarray, level: float) -> bytes:
    import warnings

    import rasterio
    import rasterio.shutil
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import MemoryFile

    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_PAM_ENABLED=False),
        MemoryFile() as source,
        MemoryFile(ext=".webp") as target,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with source.open(
            driver="GTiff", height=image.shape[0], width=image.shape[1], count=3, dtype="uint8"
        ) as raster:
            raster.write(image.transpose(2, 0, 1))
        with source.open() as raster:
            rasterio.shutil.copy(
                raster,
                target.name,
                driver="WEBP",
                QUALITY=f"{level:g}",
                METHOD="6",
                SNS_STRENGTH="0",
                SEGMENTS="1",
            )
        return target.read()


def decode(codec: str, data: bytes) -> np.ndarray:
    """uint8 [H, W, 3]."""
    if codec in _COLOUR:
        return bands.decode(data, _COLOUR[codec])
    import imagecodecs

    return {
        "jpeg2000": imagecodecs.jpeg2k_decode,
        "jpegxl": imagecodecs.jpegxl_decode,
        "avif": imagecodecs.avif_decode,
        "webp": imagecodecs.webp_decode,
    }[codec](data)[:, :, :3]


def coded_bytes(codec: str, data: bytes) -> int:
    """What counts of a coded picture: all, but of AVIF its boxes, which a bare picture does without."""
    return len(data) - (data.index(b"mdat") + 4 if codec == "avif" else 0)


def container_overhead(image: np.ndarray) -> dict[str, int]:
    """Bytes around the coded picture: JP2's boxes and comment (not counted in the curves), JPEG XL's (not
    counted), AVIF's boxes (not counted), WebP's RIFF header (counted)."""
    import imagecodecs

    jp2 = imagecodecs.jpeg2k_encode(image, level=30, codecformat="jp2", mct=True, reversible=False)
    jxl = imagecodecs.jpegxl_encode(image, distance=3.0, lossless=False, usecontainer=True)
    return {
        "jpeg2000": len(jp2) - len(encode("jpeg2000", image, 30)),
        "jpegxl": len(jxl)
        - len(imagecodecs.jpegxl_encode(image, distance=3.0, lossless=False, usecontainer=False)),
        "avif": encode("avif", image, 40).index(b"mdat") + 4,
        "webp": 20,
    }


Seen = tuple[np.ndarray, np.ndarray | None]  # uint8 [P, P, 3]; what of it shows anything, bool, or all


def seen_in(sights: Sights) -> Callable[[int], Seen]:
    """Satellite 0's patch of a window."""

    def look(number: int) -> Seen:
        view, _ = sights.look(number, 0)
        return view.image, view.valid

    return look


def measure(
    look: Callable[[int], Seen],
    count: int,
    path: Path,
    pictures: str,
    codecs: Sequence[str] = tuple(QUALITIES),
) -> list[Point]:
    """Codecs at all their qualities on `count` patches, or windows; kept in a CSV file, so that only what is
    missing is coded. A patch that shows nothing but hidden cells has no points.

    The file beside it says for which pictures and settings (QUALITIES, this module's text) its points are;
    for others they are measured anew. Raises `UserError` where the table has been changed."""
    key = path.with_suffix(".key")
    settings = repr(QUALITIES).encode() + Path(__file__).read_bytes()
    wanted_key = f"{pictures} {hashlib.sha256(settings).hexdigest()}"
    points = []
    if key.is_file() and key.read_text(encoding="utf-8") == wanted_key:
        points = _read(path)
    else:
        key.unlink(missing_ok=True)  # before the points: they are never taken for those of other settings
    have = {(point.round, point.codec, point.quality) for point in points}
    missing = {
        number: wanted
        for number in range(count)
        if (
            wanted := [
                (codec, level)
                for codec in codecs
                for level in QUALITIES[codec]
                if (number, codec, level) not in have
            ]
        )
    }
    for number, wanted in watched(missing.items(), "classical codecs"):
        image, valid = look(number)
        if valid is None or valid.any():
            points += [_point(number, (image, valid), codec, level) for codec, level in wanted]
        else:
            note(f"baselines: window {number} is left out: its patch has no data")
        write_csv(path, FIELDS, [[getattr(point, name) for name in FIELDS] for point in points])
        write_text(key, wanted_key)
    return [point for point in points if point.round < count and point.codec in codecs]


def _point(number: int, seen: Seen, codec: str, level: float) -> Point:
    """Rate and quality over the pixels that show anything, as the models' are."""
    image, valid = seen
    data = encode(codec, image, level)
    measured = quality(image, np.ascontiguousarray(decode(codec, data)), valid)
    assert measured is not None, "a view that shows nothing is left out"
    pixels = image[:, :, 0].size if valid is None else int(valid.sum())
    rate = bpp(coded_bytes(codec, data), pixels)
    return Point(codec, level, number, 0, rate, measured.psnr_db, measured.ms_ssim)


def _read(path: Path) -> list[Point]:
    import csv

    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                Point(
                    line["codec"],
                    float(line["quality"]),
                    int(line["round"]),
                    int(line["satellite"]),
                    float(line["bpp"]),
                    float(line["psnr_db"]),
                    float(line["ms_ssim"]),
                )
                for line in csv.DictReader(file)
            ]
    except (KeyError, ValueError, TypeError, csv.Error):
        raise UserError(
            f"{path}: not the table that was written; remove it, and it is measured anew"
        ) from None
