"""Pictures as they come back from codecs, with the bytes of real streams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codec.bitstream import Bitstream, Header, pack
from codec.imagery.scaling import WIDE
from codec.maps.assignment import all_kept
from codec.models.checkpoint import CheckpointInfo
from codec.models.model import HYPER_STRIDE_PX, LatentModel
from codec.settings import StreamSettings
from codec.training.classical import BandTransform, code_bands
from constellation.common.frozen import value
from constellation.common.knobs import build
from constellation.scenario.coding import CodecKnobs
from ground.decoder import decode
from ground.reconstructor import reconstruct, synthesise
from nodes.encoder import analyse, code, hyper_symbols
from nodes.process.board import Board

BYTE_STEP = WIDE // 255  # counts of a step of 8-bit pixels: 257, so that both ends of the range are kept


@value
class Coded:
    """One picture. size: bytes of its streams; counts: np.uint16 [bands, H, W] as decoded."""

    size: int
    counts: np.ndarray


Coder = Callable[[np.ndarray], Coded]  # of counts np.uint16 [bands, H, W]


def original(counts: np.ndarray) -> Coded:
    """Not coded: 16 bits a sample."""
    return Coded(2 * counts.size, counts)


def jpeg2000(level_db: float, transform: BandTransform | None) -> Coder:
    """Every band, or every component of `transform`, at one error."""
    return lambda counts: Coded(*code_bands(counts, level_db, transform))


def learned(model: LatentModel, info: CheckpointInfo) -> Coder:
    """A codec's own stream, container and all, of the picture made larger to multiples of 64 px, and what
    the ground decodes from its bytes; rates are over real pixels. A codec of 8-bit RGB is given 8 bits.
    Raises `BitstreamError` where a stream does not decode."""
    board = Board(model, info, "cpu")

    def through(counts: np.ndarray) -> Coded:
        data = _sent(board, _latents(board, counts))
        decoded = decode(board, {(0, 0): data})
        for fault in decoded.faults.values():
            raise fault
        (pictures,) = reconstruct(board, decoded.grids)
        return Coded(len(data), _counts(pictures[0], counts.shape))

    return through


def shown_by(model: LatentModel, info: CheckpointInfo) -> Coder:
    """What `learned` shows, without streams: size 0. For training on decoded pictures."""
    board, peak = Board(model, info, "cpu"), 255 if info.bands is None else WIDE

    def shown(counts: np.ndarray) -> Coded:
        picture = synthesise(model, np.rint(_latents(board, counts)), 0, peak)
        return Coded(0, _counts(picture, counts.shape))

    return shown


def _sent(board: Board, y: np.ndarray) -> bytes:
    """The stream of latents, float32 [M, H, W], as satellite 0 sends it without DLRC."""
    knobs = build(CodecKnobs, {"model": board.checkpoint.model})
    known = all_kept(*y.shape[1:]).known()
    coded = code(board, knobs, hyper_symbols(board, knobs, y), (y, np.rint(y).astype(np.int32)), known)
    ground = board.checkpoint.ground
    settings = StreamSettings(model=ground.model, dlrc=False)
    weights, size = bytes.fromhex(ground.sha256)[:4], (y.shape[1], y.shape[2])
    header = Header(settings, weights, 0, 0, *size, 0, (0,), bands=board.checkpoint.bands)
    return pack(Bitstream(header, coded.z_bytes, coded.y_bytes, b"", coded.y_digest))


def _latents(board: Board, counts: np.ndarray) -> np.ndarray:
    pads = [(0, -side % HYPER_STRIDE_PX) for side in counts.shape[1:]]
    padded = np.pad(counts, [(0, 0), *pads], mode="edge").transpose(1, 2, 0)
    if board.checkpoint.bands is None:
        padded = np.rint(padded / BYTE_STEP).astype(np.uint8)
    return analyse(board, np.ascontiguousarray(padded), 0)


def _counts(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Counts np.uint16 [bands, H, W] of a picture uint8 or uint16 [16 H, 16 W, bands] that is larger."""
    inside = picture[: shape[1], : shape[2]].transpose(2, 0, 1)
    wide = inside.astype(np.uint16) * BYTE_STEP if picture.dtype == np.uint8 else inside
    return np.ascontiguousarray(wide)
