"""What a stream copies from lists of earlier rounds, found among the vectors that the ground keeps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from codec.earlier import Source, source_of_number
from codec.maps.assignment import AssignmentMap, earlier_cells, without_earlier
from constellation.common.errors import BitstreamError
from constellation.common.frozen import value
from nodes.recognizer import content_hashes


@value
class Given:
    """One stream's map, and what it copies from earlier rounds: vectors, int32 [M, H, W], at `at`, bool [H,
    W]; None: nothing. ends: the map, where these are as good as coded."""

    ends: AssignmentMap
    at: np.ndarray | None = None
    vectors: np.ndarray | None = None

    def over(self, coded: np.ndarray) -> np.ndarray:
        """Coded vectors, [M, H, W], with these."""
        return coded if self.at is None or self.vectors is None else np.where(self.at, self.vectors, coded)

    @property
    def contents(self) -> np.ndarray | None:
        """Hashes of these, int64, in raster order."""
        return None if self.vectors is None else content_hashes(self.vectors[:, self.at])


def given_by(
    assignment: AssignmentMap, number: int, remembered: Mapping[Source, np.ndarray], channels: int
) -> Given:
    """What the map of a stream of round `number` copies from earlier ones. remembered: the entries of lists,
    int32 [M, U] each. Raises `BitstreamError` where some of it is not there."""
    vectors = np.zeros((channels, assignment.fate.size), np.int32)
    owner, entry = assignment.owner.reshape(-1), assignment.source.reshape(-1)
    at = earlier_cells(assignment)
    for told in np.unique(owner[at.reshape(-1)]).tolist():
        here = np.flatnonzero(owner == told)
        vectors[:, here] = _entries(remembered, source_of_number(told, number), entry[here], channels)
    return Given(without_earlier(assignment), at, vectors.reshape(channels, *assignment.shape))


def _entries(
    remembered: Mapping[Source, np.ndarray], source: Source, entries: np.ndarray, channels: int
) -> np.ndarray:
    """Some entries of a list, int32 [M, E]."""
    who = f"satellite {source[0]} in round {source[1]}"
    if source not in remembered:
        raise BitstreamError(f"refers to {who}, whose stream is not here")
    kept = remembered[source].reshape(len(remembered[source]), -1)
    if len(kept) != channels or entries.max() >= kept.shape[1]:
        raise BitstreamError(f"refers to entry {entries.max()} of {who}, whose list has {kept.shape[1]}")
    return kept[:, entries]
