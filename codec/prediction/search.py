"""Which prediction a patch is coded with: references, registration, levels and gaps, by measured bits.

Every reference is registered by itself, on the ground that those before it left open. Each 32 px root then
takes the reference and the level that save most, or none; motion of roots that are not used is not sent, they
go on as their neighbours do, and where that predicts well enough they are used after all, for free.
What is returned never costs more than plain coding, by the coder's own tables and the guide's own bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from codec.entropy.coder import EntropyCoder
from codec.prediction.costs import Costs, Own
from codec.prediction.exact import ExactFusion
from codec.prediction.motion import vector_bits
from codec.prediction.registration import (
    by_correlation,
    by_features,
    corrected,
    covered,
    follow,
    radiometry,
    translation,
)
from codec.prediction.side_information import pack_guide, unpack_guide
from codec.prediction.values import LATENT_PX, LEVELS, ROOT_PX, Guide, Prediction
from codec.prediction.warp import CELLS, GAIN_ONE, MAX_REFERENCES, compose, filled
from constellation.common.frozen import value

PRICE = 5000.0  # squared difference of sums of channels that a bit of motion has to save
DISAGREEMENT_BITS = 0.6  # of a level that differs from a neighbour's
HEADER_BITS = 80.0  # about what a reference costs beside its motion
CLEAR = 250.0 * ROOT_PX**2  # squared difference by root, below which no other placement is looked for
EXPLAINED = 0.05  # of the patch's own contrast, likewise
SPARE_BITS = 64.0  # that a prediction has to save at least: of the container's fields
ROUNDS = 2  # of dropping roots and composing anew

Reference = tuple[int, np.ndarray, "tuple[float, float] | np.ndarray | None"]


class Predicts(Protocol):
    """What `plan` needs of a predictor (codec/prediction/predictor.py)."""

    fusion: ExactFusion

    def of_picture(self, picture: np.ndarray, planes: np.ndarray, levels: np.ndarray) -> Prediction:
        """The prediction of a composed picture."""
        ...


@value
class Registered:
    """A reference as registered: picture uint8 [P', P', 3], placement int32 [8], composed int16 [P, P, 3]
    without gain or offset, motion and depth as in `Guide`. bits: float64 [LEVELS - 1, P/32, P/32], of each
    level; price: float64 [P/32, P/32], of its motion."""

    source: int
    picture: np.ndarray
    placement: np.ndarray
    composed: np.ndarray
    motion: np.ndarray
    depth: np.ndarray
    bits: np.ndarray
    price: np.ndarray


def plan(
    predictor: Predicts,
    coder: EntropyCoder,
    own: Own,
    references: Sequence[Reference],
    kept: np.ndarray | None = None,
) -> Guide | None:
    """The guide of `planned`, alone."""
    found = planned(predictor, coder, own, references, kept)
    return found[0] if found else None


def planned(
    predictor: Predicts,
    coder: EntropyCoder,
    own: Own,
    references: Sequence[Reference],
    kept: np.ndarray | None = None,
) -> tuple[Guide, Prediction] | None:
    """The guide that saves most, and what `predictor.prediction` makes of it; None where plain coding is as
    small.

    own: image uint8 [P, P, 3], y_hat int [M, H, W], symbols of z. references: (satellite, decoded picture
    uint8 [P', P', 3], first guess of where the patch lies in it: (dy, dx) px, a placement, or None), the most
    promising first. kept: bool [H, W], the cells that are coded at all."""
    costs = Costs(predictor.fusion, coder, own, kept)
    best, found = costs.plain, []
    for reference in references[:MAX_REFERENCES]:
        one = _register(predictor, costs, own[0], reference, best)
        if one is None:
            continue
        left = np.minimum(best, one.bits.min(axis=0) + one.price)
        if (best - left).sum() > HEADER_BITS:
            found.append(one)
            best = left
    return _composite(predictor, costs, own[0], found) if found else None


def _register(
    predictor: Predicts, costs: Costs, image: np.ndarray, reference: Reference, best: np.ndarray
) -> Registered | None:
    """A reference with the placement that explains most of the ground which is still open (`best`: bits so
    far); None where it shows nothing of that."""
    source, picture, guess = reference
    found = _placement(image, picture, guess, best)
    if found is None:
        return None
    placement, seen, (motion, depth, error) = found
    ones = np.ones(best.shape, dtype=np.uint8)
    gains, offsets = np.full(3, GAIN_ONE, np.int32), np.zeros(3, np.int32)
    guide = _guide([(source, placement, gains, offsets)], ones, ones, motion, depth)
    composed, planes = compose(guide, {source: picture})
    whole = seen == 1 if (seen == 1).any() else seen > 0
    trusted = whole & (error <= np.median(error[whole]) * 2)
    shown = corrected(composed, *radiometry(image, composed, trusted))
    bits = _bits_of_levels(costs, predictor.of_picture(shown, planes, ones))
    return Registered(source, picture, placement, composed, motion, depth, bits, vector_bits(motion, depth))


def _placement(
    image: np.ndarray, picture: np.ndarray, guess: tuple[float, float] | np.ndarray | None, best: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]] | None:
    """The placement whose motion leaves least, what share of each root the picture shows by it, and that
    motion."""
    if guess is None:
        first = by_correlation(image, picture)
    else:
        numbers = np.asarray(guess)
        first = translation(numbers) if len(numbers) == 2 else numbers.astype(np.int32)
    seen = _seen(first, picture, best)
    wanted = (seen > 0) & (best > 0)
    if not wanted.any():
        return None
    found = follow(image, picture, first, PRICE)
    wanted &= best >= np.median(best[wanted])
    ceiling = _ceiling(image)
    if float(found[2][wanted].mean()) <= max(CLEAR, EXPLAINED * float(ceiling[wanted].mean())):
        return first, seen, found
    other = by_features(image, picture)
    if other is not None:
        more = follow(image, picture, other, PRICE)
        left, kept = (np.minimum(errors, ceiling)[wanted].mean() for errors in (more[2], found[2]))
        if float(left) < float(kept):
            return other, _seen(other, picture, best), more
    return first, seen, found


def _seen(placement: np.ndarray, picture: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The share of each root that a picture shows by a placement, float64 [P/32, P/32]."""
    cells = covered(placement, picture.shape[:2], len(best) * ROOT_PX)
    return cells.reshape(len(best), CELLS, len(best), CELLS).mean(axis=(1, 3))


def _ceiling(image: np.ndarray) -> np.ndarray:
    """What a root's squared difference counts at most: that of its own mean; so a lost root is just lost."""
    grey = image.sum(axis=2).astype(np.float64)
    h, w = grey.shape
    blocks = grey.reshape(h // ROOT_PX, ROOT_PX, w // ROOT_PX, ROOT_PX).transpose(0, 2, 1, 3)
    return blocks.reshape(h // ROOT_PX, w // ROOT_PX, -1).var(axis=2) * ROOT_PX**2


def _guide(
    headers: Sequence[tuple[int, np.ndarray, np.ndarray, np.ndarray]],
    roots: np.ndarray,
    levels: np.ndarray,
    motion: np.ndarray,
    depth: np.ndarray,
) -> Guide:
    sources = tuple(int(header[0]) for header in headers)
    placements, gains, offsets = (
        np.stack([np.asarray(header[k], np.int32) for header in headers]) for k in (1, 2, 3)
    )
    return Guide(sources, placements, gains, offsets, roots, levels, motion, depth)


def _bits_of_levels(costs: Costs, first: Prediction) -> np.ndarray:
    """Bits of every level at every root, float64 [LEVELS - 1, P/32, P/32], each as if all had it; `first`: at
    level 1."""
    further = (Prediction(first.y, first.planes, first.levels * k, first.fusion) for k in range(2, LEVELS))
    return np.stack([costs.predicted(one) for one in (first, *further)])


def _composite(
    predictor: Predicts, costs: Costs, image: np.ndarray, found: list[Registered]
) -> tuple[Guide, Prediction] | None:
    """The references in one guide: whose motion is sent where, then levels, until nothing more is dropped."""
    offers = np.stack([costs.plain, *(one.bits.min(axis=0) + one.price for one in found)])
    choice = offers.argmin(axis=0)
    levels = (choice > 0).astype(np.int64)
    for turn in range(ROUNDS + 1):
        sent = np.where(levels > 0, choice, 0)
        guide, pictures = _sent(image, found, sent)
        if guide is None:
            return None
        composed, planes = compose(guide, pictures)
        first = predictor.of_picture(composed, planes, np.ones(choice.shape, np.uint8))
        bits = _bits_of_levels(costs, first)
        prices = np.stack([np.zeros(sent.shape), *(one.price for one in found)])
        price = np.take_along_axis(prices, sent[None], axis=0)[0]
        wanted = _agreed(np.stack([costs.plain, *(bits + price)]))
        if turn == ROUNDS or not ((sent > 0) & (wanted == 0)).any():
            break
        levels = np.where(sent > 0, wanted, 0)
    levels = np.where(sent > 0, 1 + bits.argmin(axis=0), wanted)
    return _finished(costs, guide, first, levels)


def _sent(
    image: np.ndarray, found: list[Registered], sent: np.ndarray
) -> tuple[Guide | None, dict[int, np.ndarray]]:
    """The guide in which each root has the reference (from 1) of `sent` and its motion, with gain and offset
    fitted where it is used; references that are not used are left out of it."""
    used = [k for k in range(1, len(found) + 1) if (sent == k).any()]
    if not used:
        return None, {}
    roots, cells = np.zeros(sent.shape, np.uint8), sent.repeat(CELLS, 0).repeat(CELLS, 1)
    motion, depth = np.zeros_like(found[0].motion), np.zeros_like(found[0].depth)
    for place, k in enumerate(used, 1):
        roots[sent == k] = place
        motion[cells == k], depth[cells == k] = (
            found[k - 1].motion[cells == k],
            found[k - 1].depth[cells == k],
        )
    ones = [found[k - 1] for k in used]
    pictures = {one.source: one.picture for one in ones}
    fitted = [
        (one.source, one.placement, *radiometry(image, one.composed, roots == place))
        for place, one in enumerate(ones, 1)
    ]
    return _guide(fitted, roots, roots, motion, depth), pictures


def _agreed(offers: np.ndarray) -> np.ndarray:
    """The level of each root that costs least of float64 [LEVELS, rows, columns], with a price on differing
    from the neighbours."""
    levels = offers.argmin(axis=0)
    for _ in range(2):
        around = np.pad(levels, 1, mode="edge")
        sides = around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]
        differing = np.stack([sum((side != level) for side in sides) for level in range(len(offers))])
        levels = (offers + DISAGREEMENT_BITS * differing).argmin(axis=0)
    return levels


def _finished(
    costs: Costs, guide: Guide, first: Prediction, levels: np.ndarray
) -> tuple[Guide, Prediction] | None:
    """The guide with its levels, roots that go on as their neighbours among them, if it saves anything."""
    roots, motion = filled(guide.roots, guide.motion)
    roots = np.where(levels > 0, roots, 0).astype(np.uint8)
    merged = np.where((guide.roots == 0)[..., None], motion[::CELLS, ::CELLS], 0)
    cells = (guide.roots == 0).repeat(CELLS, 0).repeat(CELLS, 1)
    motion = np.where(cells[..., None], merged.repeat(CELLS, 0).repeat(CELLS, 1), guide.motion)
    headers = list(zip(guide.sources, guide.placements, guide.gains, guide.offsets, strict=True))
    guide = _guide(headers, roots, levels.astype(np.uint8), motion.astype(np.int16), guide.depth)
    data = pack_guide(guide, guide.sources)
    side = ROOT_PX // LATENT_PX
    positions = guide.levels.repeat(side, 0).repeat(side, 1).reshape(-1)
    prediction = Prediction(first.y, first.planes, positions, first.fusion)
    if costs.predicted(prediction).sum() + 8 * len(data) + SPARE_BITS >= costs.plain.sum():
        return None
    shape = (guide.roots.shape[0] * ROOT_PX, guide.roots.shape[1] * ROOT_PX)
    return unpack_guide(data, shape, guide.sources), prediction
