"""Pictures as they come back from codecs, with the bytes of real streams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codec.bitstream import Bitstream, Header, pack
from codec.imagery.scaling import WIDE, Bands
from codec.maps.assignment import all_kept
from codec.models.checkpoint import CheckpointInfo
from codec.models.model import HYPER_STRIDE_PX, LatentModel
from codec.settings import StreamSettings
from codec.training.classical import BandTransform, code_bands
from constellation.common.frozen import value
from constellation.common.knobs import build
from constellation.scenario.coding import CodecKnobs
from ground.reconstructor import synthesise
from nodes.encoder import analyse, code, hyper_symbols
from nodes.process.board import Board


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


def learned(model: LatentModel, info: CheckpointInfo, bands: Bands) -> Coder:
    """A codec's own stream, container and all, of the picture made larger to multiples of 64 px; rates are
    over its real pixels. That such streams decode is what tests and benchmarks show; the picture is that of
    the same latents."""
    board, knobs = Board(model, info, "cpu"), build(CodecKnobs, {"model": info.model})
    settings, weights = StreamSettings(model=info.model, dlrc=False), bytes.fromhex(info.sha256)[:4]

    def stream(counts: np.ndarray) -> Coded:
        y = _latents(board, counts)
        y_hat, known = np.rint(y).astype(np.int32), all_kept(*y.shape[1:]).known()
        coded = code(board, knobs, hyper_symbols(board, knobs, y), (y, y_hat), known)
        header = Header(settings, weights, 0, 0, y.shape[1], y.shape[2], 0, (0,), bands=bands)
        size = len(pack(Bitstream(header, coded.z_bytes, coded.y_bytes, b"", coded.y_digest)))
        return Coded(size, _picture(model, y_hat, counts.shape))

    return stream


def shown_by(model: LatentModel, info: CheckpointInfo) -> Coder:
    """What a codec makes of pictures, without streams: size 0. For training on decoded pictures."""
    board = Board(model, info, "cpu")
    return lambda counts: Coded(0, _picture(model, np.rint(_latents(board, counts)), counts.shape))


def _latents(board: Board, counts: np.ndarray) -> np.ndarray:
    pads = [(0, -side % HYPER_STRIDE_PX) for side in counts.shape[1:]]
    padded = np.pad(counts, [(0, 0), *pads], mode="edge").transpose(1, 2, 0)
    return analyse(board, np.ascontiguousarray(padded), 0)


def _picture(model: LatentModel, y_hat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    shown = synthesise(model, y_hat, 0, WIDE).transpose(2, 0, 1)
    return np.ascontiguousarray(shown[:, : shape[1], : shape[2]])
