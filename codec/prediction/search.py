"""Which prediction a patch is coded with: references, registration, levels and gaps, by measured bits.

Every reference is registered by itself, on the ground that those before it left open. Each 32 px root then
takes the reference that saves most, or none, and the level that saves most, for all of it or position by
position; motion of roots that are not used is not sent, they go on as their neighbours do, and where that
predicts well enough they are used after all, for free. Hyper-latents that only predicted positions would read
are not sent where that saves bits.
What is returned never costs more than plain coding, by the coder's own tables and the guide's own bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
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
from codec.prediction.values import HYPER_POSITIONS, LATENT_PX, LEVELS, ROOT_PX, Guide, Prediction, all_sent
from codec.prediction.warp import CELLS, GAIN_ONE, MAX_REFERENCES, compose, filled
from constellation.common.frozen import value

PRICE = 5000.0  # squared difference of sums of channels that a bit of motion has to save
DISAGREEMENT_BITS = 0.6  # of a level that differs from a neighbour's
HEADER_BITS = 80.0  # about what a reference costs beside its motion
CLEAR = 250.0 * ROOT_PX**2  # squared difference by root, below which no other placement is looked for
EXPLAINED = 0.05  # of the patch's own contrast, likewise
SPARE_BITS = 64.0  # that a prediction has to save at least: of the container's fields
PARTED_BITS = 8.0  # of four levels of a root instead of one
ROUNDS = 2  # of dropping roots and composing anew

Reference = tuple[int, np.ndarray, "tuple[float, float] | np.ndarray | None"]


class Predicts(Protocol):
    """What `plan` needs of a predictor (codec/prediction/predictor.py)."""

    fusion: ExactFusion

    def of_picture(self, picture: np.ndarray, planes: np.ndarray, guide: Guide) -> Prediction:
        """The prediction of a composed picture."""
        ...


@value
class Registered:
    """A reference as registered: picture uint8 [P', P', 3], placement int32 [8], composed int16 [P, P, 3]
    without gain or offset, motion and depth as in `Guide`. bits: float64 [P/32, P/32], by the best levels, with
    the price of its motion; price: of that alone."""

    source: int
    picture: np.ndarray
    placement: np.ndarray
    composed: np.ndarray
    motion: np.ndarray
    depth: np.ndarray
    bits: np.ndarray
    price: np.ndarray
    members: tuple = ()


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
    best, found = _roots(costs.plain), []
    for reference in references[:MAX_REFERENCES]:
        one = _register(predictor, costs, own[0], reference, best)
        if one is None:
            continue
        left = np.minimum(best, one.bits)
        found.append(replace(one, members=(len(found),)))
        if (best - left).sum() > HEADER_BITS:
            best = left
    if not found:
        return None
    found += [
        pair for a in range(len(found)) for b in range(a + 1, len(found))
        if (pair := _average(predictor, costs, own[0], (found[a], found[b]))) is not None
    ]
    return _composite(predictor, costs, own[0], found) if found else None


def _average(predictor, costs, image, pair):
    a, b = pair
    if not ((a.bits < _roots(costs.plain)) & (b.bits < _roots(costs.plain))).any():
        return None
    ones = np.ones(a.bits.shape, np.uint8)
    fitted = [(x.source, x.placement, *radiometry(image, x.composed, x.bits < _roots(costs.plain))) for x in pair]
    guide = _guide(fitted, 3 * ones, _positions(ones), a.motion, a.depth)
    composed, planes = compose(guide, {x.source: x.picture for x in pair})
    bits = _bits_of_levels(costs, predictor.of_picture(composed, planes, guide))
    cost = _agreed(np.stack([costs.plain, *bits]), a.price)[1]
    return Registered(-1, None, None, composed, a.motion, a.depth, cost, a.price, (*a.members, *b.members))


def _centred(placement, motion):
    vector = np.median(motion.reshape(-1, 2), axis=0).astype(np.int64)
    return (placement + 2 * np.tile(vector, 4)).astype(np.int32), (motion - vector).astype(np.int16)


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
    placement, motion = _centred(placement, motion)
    ones = np.ones(best.shape, dtype=np.uint8)
    gains, offsets = np.full(3, GAIN_ONE, np.int32), np.zeros(3, np.int32)
    guide = _guide([(source, placement, gains, offsets)], ones, _positions(ones), motion, depth)
    composed, planes = compose(guide, {source: picture})
    whole = seen == 1 if (seen == 1).any() else seen > 0
    trusted = whole & (error <= np.median(error[whole]) * 2)
    shown = corrected(composed, *radiometry(image, composed, trusted))
    bits, price = (
        _bits_of_levels(costs, predictor.of_picture(shown, planes, guide)),
        vector_bits(motion, depth),
    )
    cost = _agreed(np.stack([costs.plain, *bits]), price)[1]
    return Registered(source, picture, placement, composed, motion, depth, cost, price)


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
    levels = levels.astype(np.uint8)
    hyper = all_sent(levels)
    return Guide(sources, placements, gains, offsets, roots, levels, hyper, motion, depth)


def _bits_of_levels(costs: Costs, first: Prediction) -> np.ndarray:
    """Bits of every level at every position, float64 [LEVELS - 1, H, W], each as if all had it; `first`: a
    prediction with any levels."""
    each = (replace(first, levels=np.full_like(first.levels, level)) for level in range(1, LEVELS))
    return np.stack([costs.predicted(one) for one in each])


def _roots(positions: np.ndarray) -> np.ndarray:
    """Sums over roots, [..., P/32, P/32] of [..., H, W]."""
    side = ROOT_PX // LATENT_PX
    *more, h, w = positions.shape
    return positions.reshape(*more, h // side, side, w // side, side).sum(axis=(-3, -1))


def _positions(roots: np.ndarray) -> np.ndarray:
    """What is said of roots, told to their positions."""
    side = ROOT_PX // LATENT_PX
    return roots.repeat(side, 0).repeat(side, 1)


def _composite(
    predictor: Predicts, costs: Costs, image: np.ndarray, found: list[Registered]
) -> tuple[Guide, Prediction] | None:
    """The references in one guide: whose motion is sent where, then levels, until nothing more is dropped."""
    choice = _chosen(_roots(costs.plain), found)
    used = choice > 0
    for turn in range(ROUNDS + 1):
        sent = np.where(used, choice, 0)
        guide, pictures = _sent(image, found, sent)
        if guide is None:
            return None
        composed, planes = compose(guide, pictures)
        first = predictor.of_picture(composed, planes, guide)
        bits = np.stack([costs.plain, *_bits_of_levels(costs, first)])
        prices = np.stack([np.zeros(sent.shape), *(one.price for one in found)])
        levels, _ = _agreed(bits, np.take_along_axis(prices, sent[None], axis=0)[0])
        wanted = _roots(levels) > 0
        if turn == ROUNDS or not ((sent > 0) & ~wanted).any():
            break
        used = (sent > 0) & wanted
    forced = _positions((sent > 0) & ~wanted)  # its motion is sent already: others may go on with it
    levels = np.where(forced, 1 + bits[1:].argmin(axis=0), levels)
    return _finished(costs, guide, first, levels)


def _sent(
    image: np.ndarray, found: list[Registered], sent: np.ndarray
) -> tuple[Guide | None, dict[int, np.ndarray]]:
    """The guide in which each root has the reference (from 1) of `sent` and its motion, with gain and offset
    fitted where it is used; references that are not used are left out of it."""
    shown = [k for k in range(len(found)) if (sent == k + 1).any()]
    used = sorted({member for k in shown for member in found[k].members})
    if not used:
        return None, {}
    pairs = list(combinations(range(len(used)), 2))
    roots, cells = np.zeros(sent.shape, np.uint8), sent.repeat(CELLS, 0).repeat(CELLS, 1)
    motion, depth = np.zeros_like(found[0].motion), np.zeros_like(found[0].depth)
    shows = {member: np.zeros(sent.shape, bool) for member in used}
    for k in shown:
        places = tuple(used.index(member) for member in found[k].members)
        mine = sent == k + 1
        roots[mine] = 1 + (places[0] if len(places) == 1 else len(used) + pairs.index(places))
        motion[cells == k + 1], depth[cells == k + 1] = found[k].motion[cells == k + 1], found[k].depth[cells == k + 1]
        for member in found[k].members:
            shows[member] |= mine
    ones = [found[k] for k in used]
    pictures = {one.source: one.picture for one in ones}
    fitted = [
        (one.source, one.placement, *radiometry(image, one.composed, shows[member]))
        for member, one in zip(used, ones, strict=True)
    ]
    return _guide(fitted, roots, _positions(roots > 0), motion, depth), pictures


def _chosen(plain: np.ndarray, found: list[Registered]) -> np.ndarray:
    """Which of `found` (from 1) each root takes, or none (0): greedily, a reference at a time, where what it
    saves pays for its header."""
    taken: list[int] = []
    paid: set[int] = set()
    best, choice = plain, np.zeros(plain.shape, np.int64)
    while True:
        gains = []
        for k, one in enumerate(found):
            if k in taken:
                continue
            header = HEADER_BITS * len(set(one.members) - paid)
            gains.append(((best - np.minimum(best, one.bits)).sum() - header, k))
        if not gains or max(gains)[0] <= 0:
            return choice
        k = max(gains)[1]
        taken.append(k)
        paid |= set(found[k].members)
        choice = np.where(found[k].bits < best, k + 1, choice)
        best = np.minimum(best, found[k].bits)


def _agreed(offers: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(levels [H, W], bits of each root [P/32, P/32]) that cost least of float64 [LEVELS, H, W], with a price
    on a root that is predicted at all, on roots that differ from their neighbours, and on positions of one
    root that differ."""
    whole = _roots(offers)
    whole[1:] += price
    levels = whole.argmin(axis=0)
    for _ in range(2):
        around = np.pad(levels, 1, mode="edge")
        sides = around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]
        differing = np.stack([sum((side != level) for side in sides) for level in range(len(offers))])
        levels = (whole + DISAGREEMENT_BITS * differing).argmin(axis=0)
    bits = np.take_along_axis(whole, levels[None], axis=0)[0]
    each = offers.argmin(axis=0)
    parted = _roots(offers.min(axis=0)) + price * (_roots(each) > 0) + PARTED_BITS
    return np.where(_positions(parted < bits), each, _positions(levels)), np.minimum(bits, parted)


def _finished(
    costs: Costs, guide: Guide, first: Prediction, levels: np.ndarray
) -> tuple[Guide, Prediction] | None:
    """The guide with its levels, roots that go on as their neighbours among them, if it saves anything."""
    roots, motion = filled(guide.roots, guide.motion)
    roots = np.where(_roots(levels) > 0, roots, 0).astype(np.uint8)
    merged = np.where((guide.roots == 0)[..., None], motion[::CELLS, ::CELLS], 0)
    cells = (guide.roots == 0).repeat(CELLS, 0).repeat(CELLS, 1)
    motion = np.where(cells[..., None], merged.repeat(CELLS, 0).repeat(CELLS, 1), guide.motion)
    headers = list(zip(guide.sources, guide.placements, guide.gains, guide.offsets, strict=True))
    guide = _guide(headers, roots, levels, motion.astype(np.int16), guide.depth)
    prediction = replace(first, levels=guide.levels.reshape(-1))
    hyper, bits = _spared(costs, prediction)
    guide, prediction = replace(guide, hyper=hyper), replace(prediction, hyper=hyper.reshape(-1))
    data = pack_guide(guide, guide.sources)
    if bits + 8 * len(data) + SPARE_BITS >= costs.plain.sum() + costs.hyper_bits:
        return None
    shape = (guide.roots.shape[0] * ROOT_PX, guide.roots.shape[1] * ROOT_PX)
    return unpack_guide(data, shape, guide.sources), prediction


def _spared(costs: Costs, prediction: Prediction) -> tuple[np.ndarray, float]:
    """(which hyper-latents to send, bool [h, w], bits of y and z): all of them, or those that a position reads
    which is coded plainly, or those and the ones around them."""
    plain = (prediction.levels.reshape(costs.shape) == 0) & (costs.kept > 0)
    sides = [-(-side // HYPER_POSITIONS) for side in costs.shape]
    padded = np.zeros([HYPER_POSITIONS * side for side in sides], dtype=bool)
    padded[: plain.shape[0], : plain.shape[1]] = plain
    wanted = padded.reshape(sides[0], HYPER_POSITIONS, sides[1], HYPER_POSITIONS).any(axis=(1, 3))
    trials = [(np.ones_like(wanted), costs.hyper_bits + float(costs.predicted(prediction).sum()))]
    wide = np.pad(wanted, 1)
    around = np.logical_or.reduce(
        [wide[y : y + sides[0], x : x + sides[1]] for y in range(3) for x in range(3)]
    )
    for hyper in (wanted, around):
        if not any((hyper == tried).all() for tried, _ in trials):
            other = costs.sending(hyper)
            trials.append((hyper, other.hyper_bits + float(other.predicted(prediction).sum())))
    return min(trials, key=lambda trial: trial[1])
