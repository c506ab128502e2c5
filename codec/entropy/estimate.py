"""Bits that coding would take, without a byte written: the coder's own tables, or the paper's open-loop
estimate."""

from __future__ import annotations

import numpy as np

from codec.entropy import order
from codec.entropy.coder import EntropyCoder
from codec.entropy.encoder import centred_walk, parameter_passes
from codec.entropy.tables import code_lengths
from codec.maps.assignment import KNOWN, all_kept
from codec.prediction.values import Prediction


def bits_of(
    coder: EntropyCoder, z_symbols: np.ndarray, y_hat: np.ndarray, y_context: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Bits of y at each kept position on the fixed grid, float64 [H, W] (0 elsewhere).

    y_hat: integers [M, H, W]. y_context: integers [M, H, W], what the context model sees; the satellite's own
    y_hat gives the paper's open-loop estimate. kept: bool [H, W]."""
    cells = np.arange(kept.size).reshape(kept.shape)
    sequence = order.groups(coder.model.passes, np.where(kept, cells, KNOWN))
    flat = np.asarray(y_hat).reshape(coder.model.m, -1)
    bits = np.zeros(kept.size)
    context = np.asarray(y_context).astype(np.int16)
    for positions, channels, parameters in parameter_passes(coder, z_symbols, context, sequence):
        table, centre = coder.tables.index(parameters)
        symbols = flat[channels, :][:, positions].T - centre
        bits[positions] += code_lengths(symbols, table, coder.tables.code).sum(axis=1)
    return bits.reshape(kept.shape)


def predicted_bits(
    coder: EntropyCoder, z_symbols: np.ndarray, y_hat: np.ndarray, prediction: Prediction | None
) -> np.ndarray:
    """Bits of y at each position, float64 [H, W], where all are coded in the light of a prediction, or
    without, on the fixed grid.

    y_hat: integers [M, H, W]."""
    shape = y_hat.shape[1:]
    sequence = order.groups(coder.model.passes, all_kept(*shape).known())
    flat = np.asarray(y_hat).reshape(coder.model.m, -1)
    bits, context = np.zeros(flat.shape[1]), np.asarray(y_hat).astype(np.int16)
    for positions, channels, parameters in parameter_passes(coder, z_symbols, context, sequence, prediction):
        table, centre = coder.tables.index(parameters)
        symbols = flat[channels, :][:, positions].T - centre
        bits[positions] += code_lengths(symbols, table, coder.tables.code).sum(axis=1)
    return bits.reshape(shape)


def centred_bits(coder: EntropyCoder, z_symbols: np.ndarray, y: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The paper's estimate as printed (centred grid, the satellite's own complete y_hat as context): bits at
    kept positions, float64 [H, W]. y: float [M, H, W]."""
    _, parts = centred_walk(coder, z_symbols, y, all_kept(*kept.shape).known())
    bits = np.zeros(kept.size)
    for positions, symbols, tables in parts:
        bits[positions] += code_lengths(symbols, tables, coder.tables.code).sum(axis=1)
    return (bits * kept.reshape(-1)).reshape(kept.shape)
