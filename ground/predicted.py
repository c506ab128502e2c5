"""Streams that are coded in the light of others' pictures, decoded in the order in which they refer to each
other.

A stream needs all vectors of the satellites that it copies from or is predicted from; these are the same
integers whether they came in this round's streams or would have come alone. Streams that need nothing that is
still to come are decoded side by side, then those that needed them, and so on. A picture to predict from is
made once, by exact synthesis, however many refer to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from codec.bitstream import Bitstream
from codec.earlier import source_of_number
from codec.entropy.decoder import DecodedLatents, StreamItem
from codec.entropy.decoder import decode as decode_streams
from codec.maps.assignment import REMOTE, AssignmentMap
from codec.prediction.guides.coding import unpack_guide
from codec.prediction.values import LATENT_PX, Guide
from constellation.common.errors import BitstreamError, UserError
from constellation.scenario.coding import CodecKnobs
from nodes.process.board import Board

Source = tuple[int, int]  # satellite, round


def guide_of(board: Board, stream: Bitstream) -> Guide | None:
    """What a stream is predicted from; None: nothing. Raises `BitstreamError`."""
    header, data = stream.header, stream.prediction
    settings = header.settings
    if (settings.grid, settings.context, settings.portable) != ("fixed", "exact", True):
        raise BitstreamError(
            f"dedup {settings.dedup} with grid {settings.grid}, context {settings.context}, portable "
            f"{settings.portable}, expected fixed, exact, True"
        )
    if not data:
        return None
    try:
        digest = board.predictor.digest
    except UserError as error:
        raise BitstreamError(str(error)) from None
    if data[:4] != digest:
        raise BitstreamError(
            f"predicted with weights {data[:4].hex()}, this ground station has {digest.hex()}"
        )
    sides_px = LATENT_PX * header.height, LATENT_PX * header.width
    return unpack_guide(data[4:], sides_px, header.sources)


def sources_of(assignment: AssignmentMap, guide: Guide | None) -> set[int]:
    """Without whose vectors a stream does not decode: satellites, and earlier views by number
    (codec/earlier.py)."""
    owners = np.unique(assignment.owner[assignment.fate == REMOTE]).tolist()
    return {*map(int, owners), *(guide.sources if guide is not None else ())}


class Chain:
    """Streams of one round that refer to each other.

    streams: those to decode, by source. maps, guides: of these and others."""

    def __init__(
        self,
        board: Board,
        streams: Mapping[Source, Bitstream],
        maps: Mapping[Source, AssignmentMap],
        guides: Mapping[Source, Guide],
    ) -> None:
        self._board, self._streams, self._maps, self._guides = board, streams, maps, guides
        self._coder = board.entropy(CodecKnobs())
        self._needs = {
            source: {source_of_number(n, source[1]) for n in sources_of(maps[source], guides.get(source))}
            for source in streams
        }
        self._pictures: dict[Source, np.ndarray] = {}
        self._latents: dict[Source, np.ndarray] = {}
        self.results: dict[Source, DecodedLatents] = {}
        self.faults: dict[Source, BitstreamError] = {}

    def decode(self, known: Mapping[Source, np.ndarray]) -> None:
        """Fill `results`, and `faults` with why the others did not decode. known: y_hat [M, H, W] of other
        streams that these may refer to."""
        self._latents = dict(known)
        waiting = set(self._streams)
        while ready := sorted(s for s in waiting if self._needs[s] <= self._latents.keys()):
            waiting -= set(ready)
            self._decode(ready)
        self._explain(waiting)

    def _decode(self, ready: list[Source]) -> None:
        items = {}
        for source in ready:
            try:
                items[source] = self._item(source)
            except BitstreamError as error:
                self.faults[source] = error
        results = decode_streams(self._coder, list(items.values()))
        for source, result in zip(items, results, strict=True):
            if isinstance(result, BitstreamError):
                self.faults[source] = result
            elif result.y_digest != self._streams[source].digest:
                self.faults[source] = BitstreamError(
                    f"decoded latents have digest {result.y_digest:08x}, the satellite coded "
                    f"{self._streams[source].digest:08x}: the stream is damaged, or those that it refers to "
                    "are of another run"
                )
            else:
                self.results[source], self._latents[source] = result, result.y_context

    def _item(self, source: Source) -> StreamItem:
        stream, assignment, guide = self._streams[source], self._maps[source], self._guides.get(source)
        prediction = None
        if guide is not None:
            pictures = {n: self._picture(source_of_number(n, source[1])) for n in guide.sources}
            prediction = self._board.predictor.prediction(guide, pictures)
        given = self._copied(source, assignment)
        return StreamItem(stream.z, stream.y, assignment.known(), given=given, prediction=prediction)

    def _copied(self, source: Source, assignment: AssignmentMap) -> np.ndarray | None:
        """The vectors of copied positions, [M, H, W]; None where there are none."""
        owner, position = assignment.owner.reshape(-1), assignment.source.reshape(-1)
        remote = (assignment.fate == REMOTE).reshape(-1)
        if not remote.any():
            return None
        given = np.zeros((self._board.model.m, len(owner)), dtype=np.int32)
        for other in np.unique(owner[remote]).tolist():
            theirs = self._latents[source_of_number(other, source[1])].reshape(len(given), -1)
            at = np.flatnonzero(remote & (owner == other))
            if position[at].max() >= theirs.shape[1]:
                raise BitstreamError(f"copies a position that the grid of satellite {other} does not have")
            given[:, at] = theirs[:, position[at]]
        return given.reshape(-1, *assignment.shape)

    def _picture(self, source: Source) -> np.ndarray:
        if source not in self._pictures:
            self._pictures[source] = self._board.predictor.transforms.picture(self._latents[source])
        return self._pictures[source]

    def _explain(self, waiting: set[Source]) -> None:
        """Why what is left could not be decoded: something that it needs is not there, or failed; or nothing
        but those that need each other."""
        lacking = True
        while lacking:
            lacking = [
                (source, other)
                for source in sorted(waiting)
                for other in sorted(self._needs[source] - self._latents.keys() - waiting)[:1]
            ]
            for source, other in lacking:
                failed = "could not be decoded" if other in self.faults else "is not here"
                when = "" if other[1] == source[1] else f" in round {other[1]}"
                self.faults[source] = BitstreamError(
                    f"refers to satellite {other[0]}{when}, whose stream {failed}"
                )
                waiting = waiting - {source}
        for source in waiting:
            self.faults[source] = BitstreamError("its references and those of others go round in a circle")
