"""Selector (paper section 3.3): the unique signatures of one satellite, and the representative of each
cluster.

Within a cluster the first position in *coding order* is the representative (raster for bmshj, mbt and cheng;
anchors before non-anchors for elic), so that a decoder has its vector before any local copy needs it. The
list that goes out to the other satellites is sorted by raster position of the representatives ("in their
original spatial order", section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nodes.recognizer import content_hashes


@dataclass(frozen=True)
class Selection:
    """What the Selector hands to the Arbiter and to the entropy model; U unique signatures on an H x W grid.

    signatures: int64 [U], what clusters are decided by; contents: int64 [U], hash of the representative's
    coded vector. positions: int32 [U], flat position of each representative, ascending. entry_of: int32 [H *
    W], index in the list of every position's cluster. y: float32 [C, H, W], latents with each cluster's
    vectors replaced (`mean`), or as they were (`original`). y_hat: int32 [C, H, W], the vectors that would be
    coded: round(y), local copies holding their representative's vector."""

    signatures: np.ndarray
    contents: np.ndarray
    positions: np.ndarray
    entry_of: np.ndarray
    y: np.ndarray
    y_hat: np.ndarray


def select(
    y: np.ndarray, signatures: np.ndarray, rank: np.ndarray, representative: str = "mean"
) -> Selection:
    """Cluster the positions of `y`, float32 [C, H, W], by `signatures`, int64 [H * W] (equation for the
    cluster mean: section 3.3). rank: int [H, W], the codec's coding order (`codec.entropy.order.rank`)."""
    channels, height, width = y.shape
    by_rank = np.argsort(rank.reshape(-1))
    unique, first, inverse = np.unique(signatures[by_rank], return_index=True, return_inverse=True)
    representative_of = by_rank[first]  # first in coding order, one per unique signature
    to_list = np.argsort(representative_of)
    positions = representative_of[to_list].astype(np.int32)
    entry_of_unique = np.empty(len(unique), dtype=np.int32)
    entry_of_unique[to_list] = np.arange(len(unique), dtype=np.int32)
    entry_of = np.empty(height * width, dtype=np.int32)
    entry_of[by_rank] = entry_of_unique[inverse.reshape(-1)]

    flat = y.reshape(channels, -1)
    if representative == "mean" and len(unique) < height * width:
        flat = _cluster_means(flat, entry_of, len(unique))
    y_hat = np.rint(flat).astype(np.int32)
    y_hat = y_hat[:, positions[entry_of]]  # a local copy is coded as its representative
    contents = content_hashes(y_hat[:, positions])
    return Selection(
        signatures[positions],
        contents,
        positions,
        entry_of,
        flat.reshape(y.shape).astype(np.float32),
        y_hat.reshape(y.shape),
    )


def _cluster_means(flat: np.ndarray, entry_of: np.ndarray, count: int) -> np.ndarray:
    """Every vector of a cluster of two or more replaced by the cluster's mean; float64 sums in raster order,
    so it is reproducible."""
    members = np.bincount(entry_of, minlength=count)
    shared = members[entry_of] > 1
    out = flat.astype(np.float32).copy()
    sums = np.zeros((count, flat.shape[0]))
    np.add.at(sums, entry_of[shared], flat.T[shared].astype(np.float64))
    out[:, shared] = (sums[entry_of[shared]] / members[entry_of[shared]][:, None]).T
    return out
