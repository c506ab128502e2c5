"""What g_s is given around a patch: latents made with a halo (`capture.halo_px`) carry no mark of a border,
so g_s must see what lies beyond it.

The ring around the patch's latents is filled with the vectors of other satellites where some satellite sent
one, and with the nearest known vector elsewhere; g_s runs over patch and ring, and the ring's pixels are cut
off. The ground does so, and training imitates it."""

from __future__ import annotations

import numpy as np

RING = 4  # latent cells around a patch that g_s is given


def ring_index(known: np.ndarray, row: int, col: int, height: int, width: int) -> np.ndarray:
    """Which cell of a grid fills each cell of a patch and the ring around it: flat indices into `known`,
    int64 [height + 2 RING, width + 2 RING].

    known: bool [H, W], cells of the grid that have a vector; the patch's own, from (row, col) on, must be
    among them. A cell without a vector, or outside the grid, takes the nearest one that has (Euclidean
    distance) within the cut."""
    from scipy.ndimage import distance_transform_edt

    have = np.pad(known, RING)[row : row + height + 2 * RING, col : col + width + 2 * RING]
    nearest = np.asarray(distance_transform_edt(~have, return_distances=False, return_indices=True))
    rows, cols = nearest  # int32 [height + 2 RING, width + 2 RING] each
    return (rows.astype(np.int64) + (row - RING)) * known.shape[1] + cols + (col - RING)
