"""Registration of a reference's decoded picture to one's own view: what comes out is sent."""

from __future__ import annotations

import numpy as np

from codec.prediction.motion import MARGIN, grey, motion_field
from codec.prediction.values import ROOT_PX, Guide
from codec.prediction.warp import COUNT, GAIN_ONE, WHITE, compose, placed

OFFSET_STEP = 32  # offsets are sent in half counts, kept in 1/64
GAIN_MAX = 511
OFFSET_MAX = 255 * COUNT


def follow(
    current: np.ndarray, reference: np.ndarray, placement: np.ndarray, price: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Block motion from a placement (codec/prediction/motion.py: motion, depth, squared difference by root).

    current: uint8 [P, P, 3]. reference: uint8 [P', P', 3]."""
    inner = placed(grey(reference), placement, len(current), MARGIN)
    return motion_field(grey(current), inner, price)


def whole_guide(
    source: int, placement: np.ndarray, motion: np.ndarray, depth: np.ndarray, level: int = 1
) -> Guide:
    """A guide in which every root takes the one reference, without gain or offset."""
    roots = np.ones(np.array(motion.shape[:2]) // (ROOT_PX // 8), dtype=np.uint8)
    ones, zeros = np.full((1, 3), GAIN_ONE, np.int32), np.zeros((1, 3), np.int32)
    corners = np.asarray(placement, dtype=np.int32).reshape(1, 8)
    return Guide((source,), corners, ones, zeros, roots, roots * level, motion, depth)


def radiometry(current: np.ndarray, predicted: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gains int32 [3], offsets int32 [3]) that bring a picture without them nearest to the current one, over
    the pixels of the roots in use, bool [P/32, P/32] (of none: no change).

    current: uint8 [P, P, 3]. predicted: int16 [P, P, 3], 1/64 counts."""
    mask = used.repeat(ROOT_PX, 0).repeat(ROOT_PX, 1)
    gains, offsets = np.full(3, GAIN_ONE, np.int32), np.zeros(3, np.int32)
    if not mask.any():
        return gains, offsets
    for k in range(3):
        a, b = predicted[..., k][mask] / COUNT, current[..., k][mask].astype(np.float64)
        variance = a.var()
        slope = float(((a - a.mean()) * (b - b.mean())).mean() / variance) if variance > 1e-2 else 1.0
        gains[k] = min(max(round(slope * GAIN_ONE), 0), GAIN_MAX)
        offset = (b.mean() - a.mean() * gains[k] / GAIN_ONE) * COUNT / OFFSET_STEP
        offsets[k] = min(max(round(offset) * OFFSET_STEP, -OFFSET_MAX), OFFSET_MAX)
    return gains, offsets


def predicted_whole(
    current: np.ndarray, reference: np.ndarray, placement: np.ndarray, price: float
) -> tuple[np.ndarray, np.ndarray]:
    """The prediction of a whole patch from one reference, for training: `compose`'s picture and planes (gain
    and offset come after the composition, 1/64 count apart from before it)."""
    motion, depth, _ = follow(current, reference, placement, price)
    guide = whole_guide(0, placement, motion, depth)
    picture, planes = compose(guide, {0: reference})
    gains, offsets = radiometry(current, picture, guide.roots > 0)
    shown = (picture.astype(np.int64) * gains + offsets * GAIN_ONE + GAIN_ONE // 2) // GAIN_ONE
    return np.clip(shown, 0, WHITE).astype(np.int16), planes
