"""Real pairs of pictures cut into patches: where each patch of one picture lies in another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codec.imagery.scene import open_scene
from codec.prediction.search.registration import matched_map, of_homography
from codec.prediction.values import ROOT_PX
from codec.prediction.warp import PLACEMENT_STEP
from constellation.common.frozen import value
from constellation.scenario.imaging import SceneKnobs
from dlrc.studies.questions.multiview import Pair, registered

FEATURES = 8000  # of a whole picture
COVERED = 0.95  # of a patch that the other picture has to show
AROUND_PX = 96  # of the reference around where a patch is expected
SAME_EXPOSURE = ({"D800_20160308_222135lr_half", "pair_a_D800_20160308_222135-3_half"},)  # no two views


@value
class Reference:
    """picture: uint8 [H, W, 3], decoded, around the patch. placement: int32 [8], where the patch lies in it
    by the pictures' common homography."""

    picture: np.ndarray
    placement: np.ndarray


def pixels_of(path: Path) -> np.ndarray:
    """A whole picture, uint8 [H, W, 3]."""
    scene = open_scene(SceneKnobs(path=str(path)), 0, 0, 1)
    return np.ascontiguousarray(scene.read(0, 0, scene.height, scene.width))


def map_between(pair: Pair, first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """The homography from px (x, y) of the second picture to those of the first; None where they show no
    common ground."""
    if {pair.first.stem, pair.second.stem} in SAME_EXPOSURE:
        return None
    return np.eye(3) if registered(pair) else matched_map(second, first, FEATURES)


def patch_places(
    homography: np.ndarray, first: Sequence[int], second: Sequence[int], side_px: int
) -> list[tuple[int, int]]:
    """The grid of patches (row, column) of the second picture, of these sizes, that the first shows nearly
    whole: of the grids of ROOT_PX, the one with most."""
    rows, columns = np.mgrid[0 : second[0] : 8, 0 : second[1] : 8]
    at = homography @ np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    x, y = at[0] / at[2], at[1] / at[2]
    seen = ((x >= 0) & (y >= 0) & (x < first[1]) & (y < first[0]) & (at[2] > 0)).reshape(rows.shape)
    best: list[tuple[int, int]] = []
    for top in range(0, side_px, ROOT_PX):
        for left in range(0, side_px, ROOT_PX):
            places = [
                (r, c)
                for r in range(top, second[0] - side_px + 1, side_px)
                for c in range(left, second[1] - side_px + 1, side_px)
                if seen[r // 8 : (r + side_px) // 8, c // 8 : (c + side_px) // 8].mean() >= COVERED
            ]
            best = places if len(places) > len(best) else best
    return best


def reference_at(
    decoded: np.ndarray, homography: np.ndarray, place: tuple[int, int], side_px: int
) -> Reference | None:
    """The part of a decoded picture around a patch; None where it does not lie in it."""
    to_picture = homography @ np.array([[1, 0, place[1]], [0, 1, place[0]], [0, 0, 1.0]])
    placement = of_homography(to_picture, side_px)
    if placement is None:
        return None
    corners = placement.reshape(4, 2) / PLACEMENT_STEP + side_px * np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    top, left = np.maximum(np.floor(corners.min(axis=0)).astype(int) - AROUND_PX, 0)
    bottom, right = np.ceil(corners.max(axis=0)).astype(int) + AROUND_PX
    picture = np.ascontiguousarray(decoded[top:bottom, left:right])
    if min(picture.shape[:2]) < side_px // 2:
        return None
    moved = placement.reshape(4, 2) - PLACEMENT_STEP * np.array([top, left])
    return Reference(picture, moved.astype(np.int32).reshape(8))
