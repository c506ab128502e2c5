"""How a satellite codes in the light of the streams that it heard: exact copies where there are any, a
prediction where that saves bits, and plainly where neither does.

Every way that is in question is coded, and the shortest stream is sent. So it is longer than the independent
stream by its own framing at most (a byte or two), whatever the neighbours see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from codec.bitstream import Bitstream, pack
from codec.earlier import is_earlier
from codec.entropy import encoder as entropy
from codec.entropy import estimate
from codec.maps.assignment import KEPT, REMOTE, AssignmentMap, all_kept
from codec.maps.coding import encode_map
from codec.prediction.guides.coding import pack_guide, unpack_guide
from codec.prediction.values import LATENT_PX, Guide, Prediction
from constellation.clock import Work
from constellation.common.frozen import value
from nodes.crew import Accord, Crew, Known, Product, View
from nodes.encoder import alone_stream, header_of, hyper_symbols
from nodes.messages import Header
from nodes.streams.copies import matches, worth_a_map
from nodes.streams.neighbours import Neighbours
from nodes.streams.overlap import patch_cells, ranked, shift_px, user_order
from nodes.timeline import PREDICTION, REGISTRATION

if TYPE_CHECKING:
    from codec.entropy.coder import EntropyCoder
    from codec.prediction.predictor import Predictor

Own = tuple[np.ndarray, np.ndarray, np.ndarray]  # image, y_hat, z symbols
Found = tuple[int, np.ndarray, tuple[int, int]]  # satellite, picture, shift px


def predict(crew: Crew, accord: Accord, known: Known, views: Iterable[View]) -> dict[int, Product]:
    """The streams of a crew's satellites, which have heard what `known` says."""
    views = list(views)
    neighbours = Neighbours(crew, known.offers, views)
    return {view.look.satellite: _Coding(crew, accord, known, neighbours, view).product() for view in views}


def plan(predictor: Predictor, coder: EntropyCoder, own: Own, references: Sequence[Found], kept: np.ndarray):
    """`codec.prediction.search.plan`; what registers pictures is loaded at its first use."""
    from codec.prediction.search import plan as search

    return search.plan(predictor, coder, own, references, kept)


def shortest(streams: Sequence[bytes]) -> int:
    """The place of the shortest; of equal ones the first, which refers to least."""
    return min(range(len(streams)), key=lambda n: (len(streams[n]), n))


@value
class Way:
    """One way to code a view: which positions are copied, and what the others are predicted from."""

    assignment: AssignmentMap
    guide: Guide | None = None
    prediction: Prediction | None = None

    @property
    def referred(self) -> frozenset[int]:
        """Satellites without whose streams it does not decode."""
        owners = np.unique(self.assignment.owner[self.assignment.fate == REMOTE]).tolist()
        return frozenset(owners) | frozenset(self.guide.sources if self.guide is not None else ())


class _Coding:
    """One satellite's coding of one view."""

    def __init__(self, crew: Crew, accord: Accord, known: Known, neighbours: Neighbours, view: View) -> None:
        self._crew, self._neighbours, self._view = crew, neighbours, view
        self._number = view.look.satellite
        self._coder = crew.board.entropy(crew.rules.codec)
        self._y_hat = np.rint(view.y).astype(np.int32)
        self._z = hyper_symbols(crew.board, crew.rules.codec, view.y)
        self._heard = known.by.get(self._number, frozenset({self._number}))
        order = accord.order[: accord.order.index(self._number)] if self._number in accord.order else ()
        before = [s for s in order if s in self._heard and s in known.offers]
        earlier = {number: one.header for number, one in neighbours.earlier[self._number].items()}
        self._headers = {s: known.offers[s].header for s in before} | earlier
        self._own: Header | None = accord.headers.get(self._number)
        self._decoded, self._pictures, self._registered, self._predicted = set(), set(), 0, 0

    def product(self) -> Product:
        """The shortest stream of all ways that are in question."""
        board, rules, watch = self._crew.board, self._crew.rules, self._crew.watch
        alone = alone_stream(board, rules, self._view)
        ways = list(self._ways())
        with watch.span("coding", self._number):
            streams = [self._stream(way) for way in ways]
        best = shortest(streams)
        way = ways[best]
        work = Work(len(self._decoded), len(self._pictures), self._registered, self._predicted)
        return Product(streams[best], alone, way.assignment, float("nan"), way.guide, work)

    # ---- the ways

    def _ways(self) -> Iterator[Way]:
        plain = Way(all_kept(*self._y_hat.shape[1:]))
        yield plain
        everything = np.ones(self._y_hat.shape[1:], dtype=bool)
        if self._own is None or not self._headers:
            return
        near = ranked(self._own, self._headers.values(), patch_cells(everything))
        copied = plain.assignment
        if self._crew.rules.dlrc.dedup == "hybrid":
            copied = self._copies(self._few(near))
        kept = copied.fate == KEPT
        if not kept.all():
            yield Way(copied)
        guide = self._guide(copied, kept)
        if guide is None:
            return
        predicted = self._way(copied, guide)
        if not kept.all():
            yield from self._without_dear_copies(copied, predicted)
        yield predicted

    def _few(self, near: list[int]) -> list[int]:
        """Of views of earlier rounds only the most useful: all of them together are too much to decode."""
        earlier = [number for number in near if is_earlier(number)][: 2 * self._crew.rules.dlrc.references]
        return [number for number in near if not is_earlier(number)] + earlier

    def _copies(self, near: list[int]) -> AssignmentMap:
        """The exact copies that are worth their map."""
        grids = {s: y for s in near if (y := self._vectors(s)) is not None}
        with self._crew.watch.span("arbitrate", self._number):
            found = matches(self._y_hat, grids)
            if not found:
                return all_kept(*self._y_hat.shape[1:])
            bits, coding = self._bits(None), self._crew.rules.dlrc.map_coding
            return worth_a_map(found, bits, self._number, coding)

    def _without_dear_copies(self, copied: AssignmentMap, predicted: Way) -> Iterator[Way]:
        """Without copies, where prediction alone has what they copy nearly for nothing."""
        bits = self._bits(predicted.prediction)
        section = encode_map(
            copied,
            self._crew.rules.dlrc.map_coding,
            participants=tuple(sorted({self._number, *predicted.referred})),
            satellite=self._number,
        )
        if bits[copied.fate != KEPT].sum() < 16 * len(section):
            yield Way(all_kept(*copied.shape), predicted.guide, predicted.prediction)

    def _way(self, copied: AssignmentMap, guide: Guide) -> Way:
        """guide: as it was found; the way has it as a decoder will read it."""
        members = tuple(sorted({self._number, *guide.sources}))
        sides_px = LATENT_PX * copied.shape[0], LATENT_PX * copied.shape[1]
        guide = unpack_guide(pack_guide(guide, members), sides_px, members)
        made = {s: self._neighbours.picture(s, self._number) for s in guide.sources}
        pictures = {s: picture for s, picture in made.items() if picture is not None}
        self._predicted += 1
        with self._crew.watch.span(PREDICTION, self._number):
            return Way(copied, guide, self._crew.board.predictor.prediction(guide, pictures))

    # ---- references

    def _guide(self, copied: AssignmentMap, kept: np.ndarray) -> Guide | None:
        """What the kept positions are best predicted from, by the rule of the run; None: nothing."""
        dlrc, own = self._crew.rules.dlrc, self._own
        if own is None or not kept.any():
            return None
        near = ranked(own, self._headers.values(), patch_cells(kept))
        if ":" in dlrc.reference_rule:
            rules, number = self._crew.rules, self._view.look.round
            near = user_order(dlrc.reference_rule, own, self._headers, rules.seed, number)
        if dlrc.reference_rule == "bits":
            return self._by_bits(self._few(near), copied, kept)
        return self._plan(near[: dlrc.references], kept)

    def _by_bits(self, near: list[int], copied: AssignmentMap, kept: np.ndarray) -> Guide | None:
        """Of all near ones those that save most, one after the other beside those chosen before."""
        chosen: list[int] = []
        best, best_bits = None, float("inf")
        while len(chosen) < self._crew.rules.dlrc.references:
            trials = []
            for satellite in near:
                if satellite not in chosen:
                    guide = self._plan([*chosen, satellite], kept)
                    if guide is not None:
                        trials.append((self._price(copied, guide, kept), satellite, guide))
            price, satellite, guide = min(trials, key=lambda trial: trial[0], default=(best_bits, -1, None))
            if price >= best_bits:
                break
            chosen.append(satellite)
            best, best_bits = guide, price
        return best

    def _price(self, copied: AssignmentMap, guide: Guide, kept: np.ndarray) -> float:
        way = self._way(copied, guide)
        members = tuple(sorted({self._number, *guide.sources}))
        return float(self._bits(way.prediction)[kept].sum()) + 8 * len(pack_guide(guide, members))

    def _plan(self, chosen: list[int], kept: np.ndarray) -> Guide | None:
        """What a search finds in some references."""
        references = []
        for satellite in chosen:
            picture = self._picture(satellite)
            if picture is not None and self._own is not None:
                shift = shift_px(self._own, self._headers[satellite])
                references.append((satellite, picture, shift))
        if not references:
            return None
        self._registered += len(references)
        with self._crew.watch.span(REGISTRATION, self._number):
            own = self._view.look.image, self._y_hat, self._z
            return plan(self._crew.board.predictor, self._coder, own, references, kept)

    def _vectors(self, satellite: int) -> np.ndarray | None:
        self._decoded.add(satellite)
        return self._neighbours.vectors(satellite, self._number)

    def _picture(self, satellite: int) -> np.ndarray | None:
        self._decoded.add(satellite)
        self._pictures.add(satellite)
        return self._neighbours.picture(satellite, self._number)

    # ---- coding

    def _bits(self, prediction: Prediction | None) -> np.ndarray:
        """What the tables charge for every position, float64 [H, W]."""
        if prediction is None:
            everything = np.ones(self._y_hat.shape[1:], dtype=bool)
            return estimate.bits_of(self._coder, self._z, self._y_hat, self._y_hat, everything)
        return estimate.predicted_bits(self._coder, self._z, self._y_hat, prediction)

    def _stream(self, way: Way) -> bytes:
        rules, board, alone = self._crew.rules, self._crew.board, self._view.alone
        members = self._participants(way)
        section = encode_map(
            way.assignment, rules.dlrc.map_coding, participants=members, satellite=self._number
        )
        coded, guide = alone, b""
        if way.prediction is not None and way.guide is not None:
            guide = board.predictor.digest + pack_guide(way.guide, members)
        if guide or section:
            known = way.assignment.known()
            coded = entropy.encode(self._coder, self._z, self._y_hat, known, way.prediction)
        now = tuple(s for s in members if not is_earlier(s))
        header = header_of(board, rules, self._view, now, 0)
        header = replace(header, earlier=members[len(now) :])
        return pack(
            Bitstream(header, coded.z_bytes, coded.y_bytes, section, alone.y_digest, prediction=guide)
        )

    def _participants(self, way: Way) -> tuple[int, ...]:
        """Those that the stream refers to, and itself; all that were heard, where they are said in fewer
        bytes; then views of earlier rounds."""
        earlier = sorted(number for number in way.referred if is_earlier(number))
        few, heard = way.referred - {*earlier} | {self._number}, self._heard | {self._number}
        run = heard == frozenset(range(len(heard)))
        return (*sorted(heard if run and max(few) > 20 else few), *earlier)
