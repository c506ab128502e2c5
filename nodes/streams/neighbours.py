"""What a crew makes of the streams that it heard: vectors and pictures, each made once a round, however many
of its satellites want it.

A crew-mate's vectors need no decoding: on the fixed grid they are round(y), as everybody else decodes
them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from codec.bitstream import unpack
from codec.entropy.decoder import StreamItem
from codec.entropy.decoder import decode as decode_streams
from codec.maps.assignment import all_kept
from constellation.common.errors import BitstreamError
from nodes.crew import Crew, View
from nodes.process.board import Board
from nodes.streams.offer import Offer
from nodes.timeline import REFERENCES

T = TypeVar("T")


class Neighbours:
    """The offers of a round and, by number of the source, of earlier ones; decoded and synthesised when
    somebody asks. earlier: what each satellite of the crew remembers.

    On the simulated clock everybody who asks pays in full, as if it flew alone. So a watch that measures has
    crew-mates' streams decoded too.
    """

    def __init__(self, crew: Crew, offers: Mapping[int, Offer], views: Sequence[View]) -> None:
        looks, memory = [view.look for view in views], crew.memory
        self.earlier = {
            one.satellite: {} if memory is None else memory.offers(one.satellite, one.round) for one in looks
        }
        remembered = {number: offer for kept in self.earlier.values() for number, offer in kept.items()}
        self.offers = {**offers, **remembered}
        self._board, self._rules, self._watch = crew.board, crew.rules, crew.watch
        self._mates = {} if crew.watch.measures else {view.look.satellite: view for view in views}
        self._made: dict[tuple[str, int], tuple[object, float]] = {}

    def vectors(self, satellite: int, wanted_by: int) -> np.ndarray | None:
        """y_hat of a satellite, int32 [M, H, W]; None where its stream is no stream of this codec."""
        return self._once("vectors", satellite, wanted_by, lambda: self._vectors(satellite))

    def picture(self, satellite: int, wanted_by: int) -> np.ndarray | None:
        """Exactly what the ground will make of those vectors, uint8 [P, P, 3]."""
        y_hat = self.vectors(satellite, wanted_by)
        if y_hat is None:
            return None
        transforms = self._board.predictor.transforms
        return self._once("picture", satellite, wanted_by, lambda: transforms.picture(y_hat))

    def _once(self, kind: str, satellite: int, wanted_by: int, make: Callable[[], T]) -> T:
        key, paid = (kind, satellite), (f"{kind} for {wanted_by}", satellite)
        if key not in self._made:
            self._made[key] = self._watch.charged(make)
        made, taken_s = self._made[key]
        if paid not in self._made:
            self._made[paid] = made, taken_s
            self._watch.charge(REFERENCES, wanted_by, taken_s)
        return made  # type: ignore[return-value]

    def _vectors(self, satellite: int) -> np.ndarray | None:
        if satellite in self._mates:
            return np.rint(self._mates[satellite].y).astype(np.int32)
        try:
            return decoded(self._board, self._rules.codec, self.offers[satellite])
        except BitstreamError:
            return None


def decoded(board: Board, codec, offer: Offer) -> np.ndarray:
    """y_hat of an offer, int32 [M, H, W]. Raises `BitstreamError` for what is no independent stream of its
    sender in this codec."""
    stream = unpack(offer.stream)
    header = stream.header
    mine = bytes.fromhex(board.checkpoint.ground.sha256)[:4]
    if header.settings.dlrc or (header.settings.model, header.weights) != (board.model.ground.name, mine):
        raise BitstreamError(f"satellite {offer.satellite} offered a stream of another kind or codec")
    known = all_kept(header.height, header.width).known()
    item = StreamItem(stream.z, stream.y, known, stream.digest)
    (result,) = decode_streams(board.entropy(codec), [item])
    if isinstance(result, BitstreamError):
        raise result
    return np.array(result.y_context)  # writable, as kernels want it
