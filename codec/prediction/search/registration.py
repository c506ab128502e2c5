"""Registration of a reference's decoded picture to one's own view: what comes out is sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from codec.prediction.search.motion import MARGIN, grey, motion_field
from codec.prediction.values import CELL_PX, LATENT_PX, ROOT_PX, Guide, all_sent
from codec.prediction.warp import (
    COUNT,
    GAIN_MAX,
    GAIN_ONE,
    OFFSET_STEP,
    PLACEMENT_STEP,
    WHITE,
    compose,
    placed,
)

FEATURES = 1500  # looked for in each picture
RATIO = 0.8  # of distances to the nearest and the next descriptor, above which a match is none
HOMOGRAPHY, AFFINE = 24, 8  # matches that agree, from which such a map is believed
FAR_PX = 4096  # further away a placement is none
OFFSET_MAX = 255 * COUNT


def follow(
    current: np.ndarray, reference: np.ndarray, placement: np.ndarray, price: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Block motion from a placement: what `motion_field` returns.

    current: uint8 [P, P, 3]. reference: uint8 [P', P', 3]."""
    inner = placed(grey(reference), placement, len(current), MARGIN)
    seen = covered(placement, reference.shape[:2], len(current))
    return motion_field(grey(current), inner, price, seen)


def centred(placement: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same displacement with the median of the motion in the placement: two references so registered can
    share one motion. A placement that is no translation stays as it is, for it is read where motion leads."""
    if (np.reshape(placement, (4, 2)) != placement[:2]).any():
        return placement, motion
    vector = np.median(motion.reshape(-1, 2), axis=0).astype(np.int64)
    moved = placement + np.tile(PLACEMENT_STEP // 8 * vector, 4)
    return moved.astype(np.int32), (motion - vector).astype(np.int16)


def covered(placement: np.ndarray, shape: Sequence[int], size_px: int) -> np.ndarray:
    """Which cells of a patch a reference of `shape` px shows by its placement alone, bool [P/8, P/8]."""
    at = CELL_PX * (np.arange(size_px // CELL_PX) + 0.5)
    share = at[:, None] / size_px
    corners = np.asarray(placement, dtype=np.float64).reshape(2, 2, 2) / PLACEMENT_STEP
    upper, lower = (row[0] + share * (row[1] - row[0]) for row in corners)
    moved = upper + share[..., None] * (lower - upper)
    y, x = at[:, None] + moved[..., 0], at + moved[..., 1]
    return (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])


def whole_guide(
    source: int, placement: np.ndarray, motion: np.ndarray, depth: np.ndarray, level: int = 1
) -> Guide:
    """A guide in which every root takes the one reference, without gain or offset."""
    rows, columns = np.array(motion.shape[:2]) * CELL_PX // LATENT_PX
    roots = np.ones((rows * LATENT_PX // ROOT_PX, columns * LATENT_PX // ROOT_PX), dtype=np.uint8)
    levels = np.full((rows, columns), level, dtype=np.uint8)
    ones, zeros = np.full((1, 3), GAIN_ONE, np.int32), np.zeros((1, 3), np.int32)
    corners = np.asarray(placement, dtype=np.int32).reshape(1, 8)
    return Guide((source,), corners, ones, zeros, roots, levels, all_sent(levels), motion, depth)


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
    return corrected(picture, gains, offsets), planes


def corrected(picture: np.ndarray, gains: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """A composed picture under gain and offset, for choices only: `compose` has them before it mixes."""
    shown = (picture.astype(np.int64) * gains + offsets * GAIN_ONE + GAIN_ONE // 2) // GAIN_ONE
    return np.clip(shown, 0, WHITE).astype(np.int16)


def translation(shift_px: ArrayLike) -> np.ndarray:
    """The placement, int32 [8], that moves all by (dy, dx) px."""
    return np.tile(np.rint(PLACEMENT_STEP * np.asarray(shift_px, dtype=np.float64)), 4).astype(np.int32)


def by_correlation(current: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The translation by which two pictures, uint8 [P, P, 3] and of any size, correlate best in phase."""
    import cv2

    sides = tuple(max(a, b) for a, b in zip(current.shape[:2], reference.shape[:2], strict=True))
    planes = []
    for picture in (current, reference):
        h, w = picture.shape[:2]
        plane = np.zeros(sides)
        plane[:h, :w] = (picture.mean(axis=2) - picture.mean()) * np.outer(np.hanning(h), np.hanning(w))
        planes.append(plane)
    (dx, dy), _ = cv2.phaseCorrelate(planes[0], planes[1])
    return translation((round(dy), round(dx)))


def by_features(current: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
    """The placement that matching features of two pictures agree on; None where they do not."""
    found = matched_map(current, reference, FEATURES)
    return None if found is None else of_homography(found, len(current))


def matched_map(current: np.ndarray, reference: np.ndarray, features: int) -> np.ndarray | None:
    """The homography (an affine map where few features agree) from px (x, y) of a picture to those of
    another, float64 [3, 3]; None where they do not agree. features: looked for in each."""
    import cv2

    cv2.setNumThreads(1)
    seeker = cv2.SIFT.create(features)
    (near, own), (far, other) = (
        seeker.detectAndCompute(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), None)  # pyright: ignore
        for picture in (current, reference)
    )
    if own is None or other is None or len(other) < 2:
        return None
    matches = cv2.BFMatcher().knnMatch(own, other, k=2)
    found = [m for m, *n in matches if n and m.distance < RATIO * n[0].distance]
    if len(found) < AFFINE:
        return None
    at = np.array([near[m.queryIdx].pt for m in found], dtype=np.float32)
    to = np.array([far[m.trainIdx].pt for m in found], dtype=np.float32)
    whole, agreed = cv2.findHomography(at, to, cv2.USAC_MAGSAC, 3.0, maxIters=2000)
    if whole is not None and int(agreed.sum()) >= HOMOGRAPHY:
        return whole
    part, agreed = cv2.estimateAffine2D(at, to, method=cv2.RANSAC, ransacReprojThreshold=3.0)
    if part is None or int(agreed.sum()) < AFFINE:
        return None
    return np.vstack((part, (0.0, 0.0, 1.0)))


def of_homography(homography: np.ndarray, side_px: int) -> np.ndarray | None:
    """The placement of a homography from px of the patch to px of the reference, (x, y) of centres; None
    where it throws a corner far away."""
    near, far = -0.5, side_px - 0.5
    corners = np.array([(near, near, 1.0), (far, near, 1.0), (near, far, 1.0), (far, far, 1.0)])
    mapped = corners @ np.asarray(homography, dtype=np.float64).T
    if (mapped[:, 2] < 0.1).any():
        return None
    moved = (mapped[:, :2] / mapped[:, 2:] - corners[:, :2])[:, ::-1]
    spread = np.ptp(moved, axis=0).max()
    if not np.isfinite(moved).all() or np.abs(moved).max() > FAR_PX or spread > side_px:
        return None
    return np.rint(PLACEMENT_STEP * moved).astype(np.int32).reshape(8)
