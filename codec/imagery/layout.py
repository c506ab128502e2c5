"""What the header of an image file says about its samples, and which of its bands are red, green and blue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_SIDE_PX = 1 << 20
MAX_PIXELS = 4 << 30  # of a format that is decoded from its top down; STAR's largest picture has 0.9e9
MAX_WHOLE_PIXELS = 1 << 27  # of a format that cannot be read in windows (WebP): 384 MiB as RGB
MAX_BLOCK_BYTES = 1 << 28  # of one tile or strip, which is decoded whole
COLOURS = ("red", "green", "blue")
SAMPLES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


class UnreadableError(Exception):
    """Why this project cannot or should not read a file: what was found, what was expected."""


@dataclass(frozen=True)
class Layout:
    """Of one image file.

    dtype: of its samples. bits: the depth that it declares, at most that of dtype. bands: the 1-based bands
    that are read, one or three (red, green, blue). palette: samples are numbers of colours. inverted: 0 is
    white. masked: cells may be hidden (alpha, mask, no-data value, or no number). notes: what is left out or
    done otherwise, for the report."""

    driver: str
    height: int
    width: int
    dtype: str
    bits: int
    bands: tuple[int, ...]
    palette: bool
    inverted: bool
    masked: bool
    notes: tuple[str, ...] = ()


def layout_of(dataset: Any, chosen: tuple[int, ...] = ()) -> Layout:
    """The layout of an open rasterio data set. chosen: bands to read, 1-based; empty: the file decides.

    Raises `UnreadableError`.
    """
    from rasterio.enums import MaskFlags

    _check_size(dataset)
    kinds = sorted(set(dataset.dtypes))
    if len(kinds) != 1 or kinds[0] not in SAMPLES:
        raise UnreadableError(f"samples are {', '.join(kinds)}, expected one type of {', '.join(SAMPLES)}")
    _check_blocks(dataset, kinds[0])
    colours = [colour.name for colour in dataset.colorinterp]
    bands, notes = _bands(colours, dataset.descriptions, chosen)
    first = bands[0]
    palette = colours[first - 1] == "palette"
    if palette and len(bands) > 1:
        raise UnreadableError(f"bands {', '.join(map(str, bands))} are chosen of a palette, expected one")
    turned = dataset.tags().get("EXIF_Orientation", "1")
    if turned != "1":
        notes += (f"read as stored, not turned (EXIF orientation {turned})",)
    return Layout(
        driver=dataset.driver,
        height=dataset.height,
        width=dataset.width,
        dtype=kinds[0],
        bits=_depth(dataset, first, kinds[0]),
        bands=bands,
        palette=palette,
        inverted=not palette and dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES",
        masked=palette
        or kinds[0].startswith("float")
        or any(MaskFlags.all_valid not in dataset.mask_flag_enums[band - 1] for band in bands),
        notes=notes,
    )


def layout_of_bands(dataset: Any, chosen: tuple[int, ...], count: int) -> Layout:
    """The layout of a data set that is read as `count` bands of samples, whatever their colours: those
    chosen, 1-based, or all of it but alpha. Raises `UnreadableError`."""
    usable = tuple(b for b, colour in enumerate(dataset.colorinterp, 1) if colour.name != "alpha")
    bands = chosen or usable
    if len(bands) != count:
        told = f"scene.bands={','.join(map(str, chosen))}" if chosen else f"{len(usable)} bands"
        raise UnreadableError(f"{told}, expected {count}, as many as the codec has; scene.bands= chooses")
    layout = layout_of(dataset, bands)
    if layout.palette or layout.inverted:
        raise UnreadableError("a palette, or 0 for white: expected bands of samples")
    return layout


def _check_size(dataset: Any) -> None:
    height, width, driver = dataset.height, dataset.width, dataset.driver
    limit = {"WEBP": MAX_WHOLE_PIXELS, "GTiff": MAX_SIDE_PX**2}.get(driver, MAX_PIXELS)
    if max(height, width) > MAX_SIDE_PX or height * width > limit:
        raise UnreadableError(f"{width}x{height} px, more than this project reads of {driver}")
    if dataset.count < 1:
        raise UnreadableError("no band")


def _check_blocks(dataset: Any, kind: str) -> None:
    """Whole tiles and strips are decoded; with their bands interleaved, all bands of them."""
    import numpy as np

    rows, cols = max(dataset.block_shapes, key=lambda shape: shape[0] * shape[1])
    together = dataset.count if dataset.interleaving is None or dataset.interleaving.name == "pixel" else 1
    if rows * cols * together * np.dtype(kind).itemsize > MAX_BLOCK_BYTES:
        raise UnreadableError(f"stored as blocks of {cols}x{rows} px, too large to read; store it tiled")


def _depth(dataset: Any, band: int, kind: str) -> int:
    import numpy as np

    stored = 8 * np.dtype(kind).itemsize
    declared = dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", "")
    return min(stored, int(declared)) if declared.isdigit() and int(declared) > 0 else stored


def _bands(
    colours: Sequence[str], names: Sequence[str | None], chosen: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """(the bands to read, notes). Colours by name come first, then colours by the format's tags, then
    order."""
    if set(colours) & {"cyan", "magenta", "yellow", "black"}:
        raise UnreadableError(
            f"bands are {', '.join(colours)}, expected grey, red, green and blue, or a palette"
        )
    usable = [band for band, colour in enumerate(colours, start=1) if colour != "alpha"]
    if not usable:
        raise UnreadableError("no band besides alpha")
    if chosen:
        if not set(chosen) <= set(usable):
            raise UnreadableError(
                f"scene.bands={','.join(map(str, chosen))}, expected bands of {', '.join(map(str, usable))}"
            )
        return chosen, (f"bands {', '.join(map(str, chosen))} of {len(usable)}",)
    bands = (
        _by_colour([_plain(name) for name in names])
        or _by_colour(colours)
        or (tuple(usable[:3]) if len(usable) >= 3 else (usable[0],))
    )
    if len(usable) == 1 or (bands == (1, 2, 3) and len(usable) == 3):
        return bands, ()
    return bands, (f"bands {', '.join(map(str, bands))} of {len(usable)}",)


def _by_colour(names: Sequence[str]) -> tuple[int, ...]:
    """The 1-based places of red, green and blue; none unless each is there exactly once."""
    if any(names.count(colour) != 1 for colour in COLOURS):
        return ()
    return tuple(names.index(colour) + 1 for colour in COLOURS)


def _plain(name: str | None) -> str:
    """The colour that a band's name states: "Red", "B4 (red)", "Band 3: red" are red, "red edge" and "coastal
    blue" are neither red nor blue."""
    words = re.findall(r"[a-z]+", (name or "").lower())
    return " ".join(word for word in words if word not in ("b", "band", "sr", "channel", "colour", "color"))
