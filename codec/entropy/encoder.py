"""Entropy coding of one satellite's latents.

On the fixed grid y_hat is known before any context, so there is no loop over positions: every pass is a few
matrix products over all of its positions. On the centred grid symbol + mean feeds the context, so coding
walks the wavefront."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codec.entropy import order as coding_order
from codec.entropy import rans
from codec.entropy.coder import BATCH_ROWS, Y_LIMIT, EntropyCoder, context_digest, context_map
from codec.entropy.decoder import StreamItem, Walk
from codec.entropy.order import Order
from codec.prediction.exact import Outlook
from codec.prediction.values import Prediction
from constellation.common.frozen import value


@value
class EncodedLatents:
    """z_bytes, y_bytes: entropy-coded sections. y_digest: CRC-32 of the context map (`context_digest`).
    y_hat: float32 [M, H, W], centred grid only: the vectors that a decoder will have (context map)."""

    z_bytes: bytes
    y_bytes: bytes
    y_digest: int
    y_hat: np.ndarray | None = None


def encode(
    coder: EntropyCoder,
    z_symbols: np.ndarray,
    y_hat: np.ndarray,
    known: np.ndarray,
    prediction: Prediction | None = None,
) -> EncodedLatents:
    """Code one image on the fixed grid: z_symbols int32 [N, h, w], y_hat integers [M, H, W], known int32 [H,
    W] (`AssignmentMap.known`), in the light of a prediction or alone. Raises ValueError for shapes or values
    that do not fit."""
    y_hat = np.asarray(y_hat)
    if coder.centred:
        raise ValueError("grid=centred: use encode_centred")
    if y_hat.shape != (coder.model.m, *known.shape):
        raise ValueError(f"y_hat of shape {y_hat.shape}, expected {(coder.model.m, *known.shape)}")
    if np.abs(y_hat).max(initial=0) > Y_LIMIT:
        raise ValueError(f"y_hat reaches {np.abs(y_hat).max()}, expected at most {Y_LIMIT}")
    context = context_map(y_hat.astype(np.int16), known)
    order = coding_order.groups(coder.model.passes, known)
    flat = context.reshape(len(context), -1)
    symbols, tables = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for positions, channels, parameters in parameter_passes(coder, z_symbols, context, order, prediction):
        table, centre = coder.tables.index(parameters)
        symbols.append((flat[channels, :][:, positions].T - centre).reshape(-1))
        tables.append(table.reshape(-1))
    y_bytes = rans.encode(np.concatenate(symbols), np.concatenate(tables), coder.tables.code)
    sent = None if prediction is None else prediction.hyper
    return EncodedLatents(encode_hyper(coder, z_symbols, sent), y_bytes, context_digest(context))


def encode_hyper(coder: EntropyCoder, z_symbols: np.ndarray, sent: np.ndarray | None = None) -> bytes:
    """The z section: raster order, channels fastest. sent: bool [h * w], positions that are in it; None:
    all."""
    rows = z_symbols.reshape(z_symbols.shape[0], -1).T
    rows = rows if sent is None else rows[sent]
    return rans.encode(rows.reshape(-1), coder.z_indices(len(rows)), coder.z_tables)


def encode_centred(
    coder: EntropyCoder, z_symbols: np.ndarray, y: np.ndarray, known: np.ndarray
) -> EncodedLatents:
    """Code one image with symbols round(y - mean); what is known from elsewhere counts as zero in the
    context.

    y: float [M, H, W]. known: int32 [H, W]."""
    walk, parts = centred_walk(coder, z_symbols, y, known)
    symbols, tables = (
        np.concatenate([part[i].reshape(-1) for part in parts] or [np.zeros(0, np.int32)]) for i in (1, 2)
    )
    y_hat = walk.context_map(0)
    y_bytes = rans.encode(symbols, tables, coder.tables.code)
    return EncodedLatents(encode_hyper(coder, z_symbols), y_bytes, context_digest(y_hat), y_hat)


def centred_walk(
    coder: EntropyCoder, z_symbols: np.ndarray, y: np.ndarray, known: np.ndarray
) -> tuple[Walk, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """The finished walk, and its steps: (positions [n], symbols [n, C], table indices [n, C])."""
    y = np.ascontiguousarray(y, dtype=np.float64).reshape(coder.model.m, -1).T
    walk = Walk(coder, [StreamItem(b"", b"", known)], [z_symbols])
    parts = []

    def quantise(parameters, images, counts, rows, channels):
        table, _ = coder.tables.index(parameters, with_mean=False)
        mean = parameters[:, parameters.shape[1] // 2 :].astype(np.float64)
        symbol = np.clip(np.rint(y[rows, channels] - mean), -Y_LIMIT, Y_LIMIT)
        parts.append((rows, symbol.astype(np.int32), table))
        return symbol + mean

    walk.run(quantise)
    return walk, parts


def parameter_passes(
    coder: EntropyCoder,
    z_symbols: np.ndarray,
    context: np.ndarray,
    order: Order,
    prediction: Prediction | None = None,
) -> Iterator[tuple[np.ndarray, slice, np.ndarray]]:
    """One image of known context map int16 [M, H, W], in coding order: (positions [n], channels, their scales
    and means [n, 2 C])."""
    exact, (m, height, width) = coder.exact, context.shape
    z_symbols = z_symbols if prediction is None else prediction.known_hyper(z_symbols)
    if coder.centred:
        raise ValueError("the centred grid has no parameters before y_hat is coded")
    vectors = np.zeros((height * width + 1, m), dtype=np.int16)
    vectors[:-1] = context.reshape(m, -1).T
    hyper, cells = exact.hyper(z_symbols, height, width), np.arange(height * width).reshape(height, width)
    outlook = Outlook([(prediction, hyper, (height, width))])
    windows: dict[bytes, np.ndarray] = {}
    beside: dict[int, np.ndarray] = {}  # by pass: what its network over earlier channels gives
    for number, frozen in enumerate(exact.passes):
        positions, offsets = order.of_pass(number), frozen.step.offsets
        if offsets.tobytes() not in windows:
            windows[offsets.tobytes()] = coding_order.neighbours(height, width, offsets)
        window = windows[offsets.tobytes()]
        if (
            frozen.earlier is not None and number not in beside
        ):  # for all passes that share the network at once
            sharing = [h for h, other in enumerate(exact.passes) if other.earlier is frozen.earlier]
            wanted = [order.of_pass(h) for h in sharing]
            found = exact.earlier(number, vectors, cells, np.concatenate(wanted))
            cuts = np.cumsum([len(part) for part in wanted])[:-1]
            beside = dict(zip(sharing, np.split(found, cuts), strict=True))
        for at in range(0, len(positions), BATCH_ROWS):
            some = positions[at : at + BATCH_ROWS]
            earlier = None if frozen.earlier is None else beside[number][at : at + BATCH_ROWS]
            alone = exact.parameters(number, hyper[some], earlier, (vectors, window[some]))
            channels = frozen.step.channels
            yield some, channels, outlook.correct(number, some, channels, alone)
