"""Which prediction a patch is coded with: references, registration, levels and gaps, by measured bits.

Every reference is registered by itself, on the ground that those before it left open. Each 32 px root then
takes the reference, or the average of two, that saves most, or none, and the level that saves most, for all
of it or position by position; motion of roots that are not used is not sent, they go on as their neighbours
do, and where that predicts well enough they are used after all, for free. Hyper-latents that only predicted
positions would read are not sent where that saves bits.

What is returned never costs more than plain coding, by the coder's own tables and the guide's own bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from codec.entropy.coder import EntropyCoder
from codec.prediction.guides.coding import pack_guide, unpack_guide
from codec.prediction.search.costs import Costs, Own
from codec.prediction.search.levels import agreed, bits_of_levels, chosen, of_positions, of_roots
from codec.prediction.search.offers import Offer, Predicts, Reference, Registered, guide_of, offers_of
from codec.prediction.search.registration import radiometry
from codec.prediction.values import HYPER_POSITIONS, ROOT_PX, Guide, Prediction
from codec.prediction.warp import CELLS, MAX_REFERENCES, compose, filled

SPARE_BITS = 64.0  # that a prediction has to save at least: of the container's fields
ROUNDS = 2  # of dropping roots and composing anew


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
    found, offers = offers_of(predictor, costs, own[0], references[:MAX_REFERENCES])
    return _composite(predictor, costs, own[0], found, offers) if found else None


def _composite(
    predictor: Predicts, costs: Costs, image: np.ndarray, found: Sequence[Registered], offers: Sequence[Offer]
) -> tuple[Guide, Prediction] | None:
    """The references in one guide: whose motion is sent where, then levels, until nothing more is dropped."""
    members = [one.members for one in offers]
    choice = chosen(of_roots(costs.plain), [one.bits for one in offers], members)
    prices = np.stack([np.zeros(choice.shape), *(one.price for one in offers)])
    sent, rounds = choice, 0
    while True:
        guide, pictures = _sent(image, found, offers, sent)
        if guide is None:
            return None
        composed, planes = compose(guide, pictures)
        first = predictor.of_picture(composed, planes, guide)
        bits = np.stack([costs.plain, *bits_of_levels(costs, first)])
        levels, _ = agreed(bits, np.take_along_axis(prices, sent[None], axis=0)[0])
        dropped = (sent > 0) & (of_roots(levels) == 0)
        if rounds == ROUNDS or not dropped.any():
            break
        sent, rounds = np.where(dropped, 0, sent), rounds + 1
    # The motion of what is dropped now is sent already: others may go on with it
    levels = np.where(of_positions(dropped), 1 + bits[1:].argmin(axis=0), levels)
    return _finished(costs, guide, first, levels)


def _sent(
    image: np.ndarray, found: Sequence[Registered], offers: Sequence[Offer], sent: np.ndarray
) -> tuple[Guide | None, dict[int, np.ndarray]]:
    """The guide in which each root has the offer (from 1) of `sent` and its motion, with gain and offset
    fitted where a reference is used; references that are not used are left out of it."""
    shown = [k for k in range(len(offers)) if (sent == k + 1).any()]
    used = sorted({member for k in shown for member in offers[k].members})
    if not used:
        return None, {}
    pairs: list[tuple[int, ...]] = list(combinations(range(len(used)), 2))
    roots, cells = np.zeros(sent.shape, np.uint8), sent.repeat(CELLS, 0).repeat(CELLS, 1)
    motion, depth = np.zeros_like(offers[0].motion), np.zeros_like(offers[0].depth)
    shows = {member: np.zeros(sent.shape, bool) for member in used}
    for k in shown:
        mine, theirs = sent == k + 1, cells == k + 1
        first, *second = (used.index(member) for member in offers[k].members)
        roots[mine] = 1 + (len(used) + pairs.index((first, *second)) if second else first)
        motion[theirs], depth[theirs] = offers[k].motion[theirs], offers[k].depth[theirs]
        for member in offers[k].members:
            shows[member] |= mine
    headers = []
    for member, where in shows.items():
        one = found[member]
        headers.append((one.source, one.placement, *radiometry(image, one.composed, where)))
    guide = guide_of(headers, roots, of_positions(roots > 0), motion, depth)
    return guide, {found[member].source: found[member].picture for member in used}


def _finished(
    costs: Costs, guide: Guide, first: Prediction, levels: np.ndarray
) -> tuple[Guide, Prediction] | None:
    """The guide with its levels, roots that go on as their neighbours among them, if it saves anything."""
    roots, motion = filled(guide.roots, guide.motion)
    roots = np.where(of_roots(levels) > 0, roots, 0).astype(np.uint8)
    merged = np.where((guide.roots == 0)[..., None], motion[::CELLS, ::CELLS], 0)
    cells = (guide.roots == 0).repeat(CELLS, 0).repeat(CELLS, 1)
    motion = np.where(cells[..., None], merged.repeat(CELLS, 0).repeat(CELLS, 1), guide.motion)
    headers = list(zip(guide.sources, guide.placements, guide.gains, guide.offsets, strict=True))
    guide = guide_of(headers, roots, levels, motion.astype(np.int16), guide.depth)
    prediction = replace(first, levels=guide.levels.reshape(-1))
    hyper, bits = _spared(costs, prediction)
    guide, prediction = replace(guide, hyper=hyper), replace(prediction, hyper=hyper.reshape(-1))
    data = pack_guide(guide, guide.sources)
    if bits + 8 * len(data) + SPARE_BITS >= costs.plain.sum() + costs.hyper_bits:
        return None
    shape = (guide.roots.shape[0] * ROOT_PX, guide.roots.shape[1] * ROOT_PX)
    return unpack_guide(data, shape, guide.sources), prediction


def _spared(costs: Costs, prediction: Prediction) -> tuple[np.ndarray, float]:
    """(which hyper-latents to send, bool [h, w], bits of y and z): all of them, or those alone that a
    position reads which is coded plainly."""
    plain = (prediction.levels.reshape(costs.shape) == 0) & (costs.kept > 0)
    sides = [-(-side // HYPER_POSITIONS) for side in costs.shape]
    padded = np.zeros([HYPER_POSITIONS * side for side in sides], dtype=bool)
    padded[: plain.shape[0], : plain.shape[1]] = plain
    wanted = padded.reshape(sides[0], HYPER_POSITIONS, sides[1], HYPER_POSITIONS).any(axis=(1, 3))
    trials = [(np.ones_like(wanted), costs.hyper_bits + float(costs.predicted(prediction).sum()))]
    if not wanted.all():
        other = costs.sending(wanted)
        trials.append((wanted, other.hyper_bits + float(other.predicted(prediction).sum())))
    return min(trials, key=lambda trial: trial[1])
