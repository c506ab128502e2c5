"""What each latent position cost, and how far off the pixels below it are: two maps of a view, for the eye.

The rates and qualities of a record are not made from them: bits are what the entropy coder spent on y, to
three digits (z, map and header belong to no position)."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, ConfigDict, PlainSerializer

from ground.metrics import count_of

_NAMES = ("bits", "bits_independent", "mse", "mse_independent")
_MOST = 65504.0  # of float16
MAX_POSITIONS = 1 << 20


@dataclass(frozen=True, eq=False)
class Cells:
    """Float16 [H, W] each, read-only. bits, bits_independent: of the y section of the stream that the image
    is made of, and of the independent one. mse, mse_independent: over the position's valid pixels and bands,
    in squared 8-bit counts; 0 where none is valid, and everywhere where there is no image."""

    __pydantic_config__ = ConfigDict(arbitrary_types_allowed=True)

    bits: np.ndarray
    bits_independent: np.ndarray
    mse: np.ndarray
    mse_independent: np.ndarray

    def __post_init__(self) -> None:
        for name in _NAMES:
            array = np.array(np.minimum(getattr(self, name), _MOST), dtype="<f2")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cells):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _NAMES)

    __hash__ = None  # type: ignore[assignment]


def mse_by_cell(
    original: np.ndarray, decoded: np.ndarray | None, valid: np.ndarray | None, shape: tuple[int, int]
) -> np.ndarray:
    """Mean squared error, squared 8-bit counts, of uint8 or uint16 [P, P, B] images below each of [H, W]
    positions, float64; zero without an image. valid: bool [P, P], None: all."""
    height, width = shape
    if decoded is None or decoded.shape != original.shape:
        return np.zeros(shape)
    squared = (original.astype(np.int64) - decoded.astype(np.int64)) ** 2
    mask = np.ones(original.shape[:2], dtype=bool) if valid is None else valid
    sums, counts = (
        of.reshape(height, len(of) // height, width, of.shape[1] // width).sum(axis=(1, 3))
        for of in ((squared.sum(axis=2) * mask).astype(np.float64), mask.astype(np.float64))
    )
    return sums / np.maximum(1.0, counts * original.shape[2]) / count_of(original) ** 2


def _to_json(cells: Cells | None) -> dict[str, Any] | None:
    if cells is None:
        return None
    packed = zlib.compress(b"".join(getattr(cells, name).tobytes() for name in _NAMES), 9)
    height, width = cells.bits.shape
    return {"height": height, "width": width, "data": base64.b64encode(packed).decode()}


def _from_json(value: Any) -> Any:
    """Back from `_to_json`; what is no such value raises `ValueError` (pydantic tells where)."""
    if value is None or isinstance(value, Cells):
        return value
    try:
        height, width, data = (value[key] for key in ("height", "width", "data"))
        cells = height * width
        if not (isinstance(cells, int) and 0 < cells <= MAX_POSITIONS and height > 0 and len(value) == 3):
            raise ValueError(f"cells of {height} x {width}, expected 1 to {MAX_POSITIONS} positions")
        raw = zlib.decompressobj().decompress(base64.b64decode(data, validate=True), 8 * cells + 1)
    except (KeyError, TypeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"not cells ({type(error).__name__})") from None
    if len(raw) != 8 * cells:
        raise ValueError(f"{len(raw)} bytes of cells of {height} x {width}, expected {8 * cells}")
    parts = np.frombuffer(raw, "<f2").reshape(len(_NAMES), height, width)
    if not (np.isfinite(parts).all() and (parts >= 0).all()):
        raise ValueError("cells that are negative or not finite")
    return Cells(*parts)


JsonCells = Annotated[Cells | None, BeforeValidator(_from_json), PlainSerializer(_to_json)]
