"""What a root may be predicted from: a reference as it was registered, or the average of two."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Protocol

import numpy as np

from codec.prediction.exact import ExactFusion
from codec.prediction.search.costs import Costs
from codec.prediction.search.levels import agreed, bits_of_levels, of_positions, of_roots
from codec.prediction.search.motion import vector_bits
from codec.prediction.search.registration import (
    by_correlation,
    by_features,
    centred,
    corrected,
    covered,
    follow,
    radiometry,
    translation,
)
from codec.prediction.values import ROOT_PX, Guide, Prediction, all_sent
from codec.prediction.warp import CELLS, GAIN_ONE, compose
from constellation.common.frozen import value

PRICE = 5000.0  # squared difference of sums of channels that a bit of motion has to save
CLEAR = 250.0 * ROOT_PX**2  # squared difference by root, below which no other placement is looked for
EXPLAINED = 0.12  # of the patch's own contrast, likewise
SHARED = 1 / 4  # of the roots that both of two references have to predict before their average is tried

Reference = tuple[int, np.ndarray, "tuple[float, float] | np.ndarray | None"]
Motion = tuple[np.ndarray, np.ndarray, np.ndarray]  # motion, depth, squared difference by root
Placed = tuple[np.ndarray, np.ndarray, Motion]  # placement, what share of each root it shows, motion


class Predicts(Protocol):
    """What `plan` needs of a predictor (codec/prediction/predictor.py)."""

    fusion: ExactFusion

    def of_picture(self, picture: np.ndarray, planes: np.ndarray, guide: Guide) -> Prediction:
        """The prediction of a composed picture."""
        ...


@value
class Registered:
    """A reference as registered: picture uint8 [P', P', 3], placement int32 [8], composed int16 [P, P, 3]
    without gain or offset, by its own motion."""

    source: int
    picture: np.ndarray
    placement: np.ndarray
    composed: np.ndarray


@value
class Offer:
    """References with one motion, and what they cost. members: which of the registered ones, one or two.
    motion and depth as in `Guide`. bits: float64 [P/32, P/32], by the best levels, with the price of the
    motion; price: of that alone."""

    members: tuple[int, ...]
    motion: np.ndarray
    depth: np.ndarray
    bits: np.ndarray
    price: np.ndarray


def offers_of(
    predictor: Predicts, costs: Costs, image: np.ndarray, references: Sequence[Reference]
) -> tuple[list[Registered], list[Offer]]:
    """Every reference by itself, on the ground that those before it left open, and averages of two."""
    plain = of_roots(costs.plain)
    best, found, alone = plain, [], []
    for reference in references:
        placed = _placement(image, *reference[1:], best)
        if placed is not None:
            one, offer = _alone(predictor, costs, (image, *reference[:2]), placed, len(found))
            found.append(one)
            alone.append(offer)
            best = np.minimum(best, offer.bits)
    saving = [offer.bits < plain for offer in alone]
    pairs = [
        _average(predictor, costs, image, [(found[k], alone[k], saving[k]) for k in pair])
        for pair in combinations(range(len(found)), 2)
        if (saving[pair[0]] & saving[pair[1]]).mean() >= SHARED
    ]
    return found, [*alone, *pairs]


def guide_of(
    headers: Sequence[tuple[int, np.ndarray, np.ndarray, np.ndarray]],
    roots: np.ndarray,
    levels: np.ndarray,
    motion: np.ndarray,
    depth: np.ndarray,
) -> Guide:
    """A guide that sends all hyper-latents. headers: of each reference its source, placement, gains and
    offsets."""
    sources = tuple(int(header[0]) for header in headers)
    placements, gains, offsets = (
        np.stack([np.asarray(header[k], np.int32) for header in headers]) for k in (1, 2, 3)
    )
    levels = levels.astype(np.uint8)
    return Guide(sources, placements, gains, offsets, roots, levels, all_sent(levels), motion, depth)


def _alone(
    predictor: Predicts, costs: Costs, views: tuple[np.ndarray, int, np.ndarray], placed: Placed, number: int
) -> tuple[Registered, Offer]:
    """One reference. views: the image, the reference's satellite and its picture."""
    image, source, picture = views
    placement, seen, (motion, depth, error) = placed
    placement, motion = centred(placement, motion)
    ones = np.ones(error.shape, dtype=np.uint8)
    gains, offsets = np.full(3, GAIN_ONE, np.int32), np.zeros(3, np.int32)
    guide = guide_of([(source, placement, gains, offsets)], ones, of_positions(ones), motion, depth)
    composed, planes = compose(guide, {source: picture})
    whole = seen == 1 if (seen == 1).any() else seen > 0
    trusted = whole & (error <= np.median(error[whole]) * 2)
    shown = corrected(composed, *radiometry(image, composed, trusted))
    prediction, price = predictor.of_picture(shown, planes, guide), vector_bits(motion, depth)
    bits = _cheapest(costs, prediction, price)
    return Registered(source, picture, placement, composed), Offer((number,), motion, depth, bits, price)


def _average(
    predictor: Predicts, costs: Costs, image: np.ndarray, pair: Sequence[tuple[Registered, Offer, np.ndarray]]
) -> Offer:
    """The average of two references under the first one's motion, each with gain and offset of the roots
    where it saves anything by itself."""
    ones = np.ones(pair[0][2].shape, np.uint8)
    headers = [(one.source, one.placement, *radiometry(image, one.composed, where)) for one, _, where in pair]
    offer = pair[0][1]
    guide = guide_of(headers, 3 * ones, of_positions(ones), offer.motion, offer.depth)
    composed, planes = compose(guide, {one.source: one.picture for one, _, _ in pair})
    bits = _cheapest(costs, predictor.of_picture(composed, planes, guide), offer.price)
    members = tuple(member for _, one, _ in pair for member in one.members)
    return Offer(members, offer.motion, offer.depth, bits, offer.price)


def _cheapest(costs: Costs, prediction: Prediction, price: np.ndarray) -> np.ndarray:
    """Bits of each root under its best levels, float64 [P/32, P/32]."""
    return agreed(np.stack([costs.plain, *bits_of_levels(costs, prediction)]), price)[1]


def _placement(
    image: np.ndarray, picture: np.ndarray, guess: tuple[float, float] | np.ndarray | None, best: np.ndarray
) -> Placed | None:
    """The placement whose motion leaves least of the ground that is still open (`best`: bits so far); None
    where the picture shows nothing of that."""
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
