"""Where the context of an image's latent map comes from, as its encoder and its decoder see it (design.md,
"known context")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codec.maps.assignment import LOCAL, REMOTE, AssignmentMap
from constellation.common.errors import BitstreamError

FILL = -1  # nothing is known here: a zero vector
KNOWN = -2  # the vector is known from elsewhere: the encoder's own, at the decoder a reference


@dataclass(frozen=True)
class ContextLayout:
    """Where the context of one image's latent map comes from.

    source: int32 [H * W], by flat position p: p itself if kept (coded in this stream); the flat position of
    its representative if a local copy;
        KNOWN (-2) for an exact remote copy; FILL (-1) for any other remote copy.
    reference: int32 [H * W, 2] at the decoder, read where source is KNOWN: (index of another item of the same
    `decode` call, flat position
        there), which may itself be a copy and is followed; or (-1, row of the item's `known` vectors). None
        at the encoder.
    """

    height: int
    width: int
    source: np.ndarray
    reference: np.ndarray | None = None

    def __post_init__(self) -> None:
        cells = self.height * self.width
        source = np.ascontiguousarray(self.source, dtype=np.int32).reshape(-1)
        object.__setattr__(self, "source", source)
        if len(source) != cells:
            raise ValueError(f"layout: {len(source)} sources for {self.height} x {self.width} positions")
        if cells and not (KNOWN <= int(source.min()) and int(source.max()) < cells):
            raise ValueError(
                f"layout: sources from {source.min()} to {source.max()}, expected -2 to {cells - 1}"
            )
        copies = np.flatnonzero(self.local)
        behind = source[source[copies]]
        if ((behind >= 0) & (behind != source[copies])).any():
            raise ValueError("layout: a local copy's representative is itself a local copy")
        if self.reference is not None:
            reference = np.ascontiguousarray(self.reference, dtype=np.int32)
            object.__setattr__(self, "reference", reference)
            if reference.shape != (cells, 2):
                raise ValueError(f"layout: references of shape {reference.shape}, expected ({cells}, 2)")

    @staticmethod
    def all_kept(height: int, width: int) -> ContextLayout:
        """Independent coding: every position in this stream."""
        return ContextLayout(height, width, np.arange(height * width, dtype=np.int32))

    @property
    def kept(self) -> np.ndarray:
        """bool [H * W]."""
        return self.source == np.arange(len(self.source))

    @property
    def local(self) -> np.ndarray:
        """bool [H * W]."""
        return (self.source >= 0) & ~self.kept

    def context_map(self, y_hat: np.ndarray) -> np.ndarray:
        """What context modelling may see of `y_hat` [M, H, W]: own vectors where kept or known, the
        representative's at local copies, else 0."""
        flat = y_hat.reshape(y_hat.shape[0], -1)
        behind = np.where(self.local, self.source, np.arange(len(self.source)))
        context = flat[:, behind]
        context[:, self.source[behind] == FILL] = 0
        return context.reshape(y_hat.shape)


def encoder_layout(assignment: AssignmentMap, context: str = "exact") -> ContextLayout:
    """The satellite's own layout from its `codec.maps.assignment.AssignmentMap`. context: exact | independent
    (every remote copy is a fill)."""
    return _layout(assignment, context, None)


def decoder_layout(
    assignment: AssignmentMap, sources: np.ndarray, items: Sequence[int], context: str = "exact"
) -> ContextLayout:
    """The layout of the same map at the ground.

    sources: int64 [H * W], slot * H * W + position that each position refers to
    (`ground.reconstructor.immediate_sources`); negative: unknown. items: for each slot, the index of that
    satellite's stream in the `decode` call. Raises BitstreamError where an exact remote copy refers to
    nothing that is there."""
    cells = assignment.fate.size
    sources = np.asarray(sources, dtype=np.int64).reshape(-1)
    wanted = (assignment.fate.reshape(-1) == REMOTE) & assignment.exact.reshape(-1) & (context == "exact")
    if (sources[wanted] < 0).any():
        raise BitstreamError(
            f"{int((sources[wanted] < 0).sum())} exact remote copies refer to a satellite whose stream is not here"
        )
    items = np.asarray(items, dtype=np.int64)
    slot = np.where(wanted, sources // cells, 0)
    reference = np.stack((items[slot], np.where(wanted, sources % cells, 0)), axis=1)
    return _layout(assignment, context, reference)


def _layout(assignment: AssignmentMap, context: str, reference: np.ndarray | None) -> ContextLayout:
    if context not in ("exact", "independent"):
        raise ValueError(f"context {context!r}: expected exact or independent")
    height, width = assignment.fate.shape
    fate, local = assignment.fate.reshape(-1), assignment.source.reshape(-1)
    source = np.arange(fate.size, dtype=np.int32)
    source[fate == LOCAL] = local[fate == LOCAL]
    source[fate == REMOTE] = FILL
    if context == "exact":
        source[(fate == REMOTE) & assignment.exact.reshape(-1)] = KNOWN
    return ContextLayout(height, width, source, reference)
