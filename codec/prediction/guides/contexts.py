"""Which contexts a guide's coding has, and what they expect before its first bit.

A guide is short (tens of bytes), so what is expected at first matters: *profiles* are priors of all
contexts, fitted to kinds of pairs of views (benchmarks/priors/guide_priors.py); the encoder takes the one
under which its guide is shortest, and says which."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np

from codec.maps.binary_coder import CODER, code_bit, code_uniform, fitted_contexts

CLASSES = 22  # a number is its class in unary and what is left in raw bits
PROFILES = 3
FORM = 0  # of a placement
CORNER = FORM + 4  # first corner to 1/16 px, to whole px, the others, the last
RADIO = CORNER + 4 * CLASSES  # gain and offset, of the first channel and of the others
LEVEL = RADIO + 4 * CLASSES  # given the levels left and above
PARTED = LEVEL + 3 * 25  # whether a root's positions differ in level, then their levels
POSITION = PARTED + 3
MERGE = POSITION + 3 * 25  # whether a root goes on as its neighbour does
REFERENCE = MERGE + 1
SPLIT = REFERENCE + 1  # of 32 px, of 16 px
VECTOR = SPLIT + 2  # by depth, without and with neighbours
HYPER = VECTOR + 6 * CLASSES  # whether all are sent, then each given those left and above
CONTEXTS = HYPER + 5


def fresh_contexts(profile: int) -> tuple[np.ndarray, np.ndarray]:
    """`fitted_contexts` of a profile: int32 [CONTEXTS] each (benchmarks/priors/guide_priors.py made them)."""
    return fitted_contexts(Path(__file__).with_name("priors.npy"), profile)


@numba.njit(f"int64({CODER}, int64, int64)", cache=True, nogil=True)
def code_number(model, base, value):
    """A signed number: its class with contexts from `base`, the rest raw."""
    size = np.int64(0)
    mapped = (2 * value - 1 if value > 0 else -2 * value) + 1
    while mapped >> (size + 1):
        size += 1
    k = np.int64(0)
    while k < CLASSES - 1 and code_bit(model, base + k, np.int64(k < size)):
        k += 1
    rest = mapped - (np.int64(1) << k)
    low = min(k, 16)
    high = code_uniform(model, rest >> low, np.int64(1) << (k - low))
    rest = (high << low) | code_uniform(model, rest & ((np.int64(1) << low) - 1), np.int64(1) << low)
    mapped = (np.int64(1) << k) + rest - 1
    return (mapped + 1) >> 1 if mapped & 1 else -(mapped >> 1)
