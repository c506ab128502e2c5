"""Fits the priors of codec.mapmodel to synthetic rounds, and writes codec/map_priors.npy. A new file is a new bitstream.

    python -m benchmarks.map_priors [rounds]

Each profile is fitted to rounds of its own kind: no misses; misses; repeated content. Rounds come from seeds that benchmarks/map_coding.py does
not use. A context's tallies of all maps are taken as draws from one beta distribution; its mean and weight become the context's first chance
and worth (in a beta-binomial, coding adaptively costs exactly the likelihood).
"""

from __future__ import annotations

import os
import sys

import numpy as np
from scipy.special import gammaln

from benchmarks.map_coding import make_round
from codec import mapmodel
from codec.assignment import KEPT, AssignmentMap
from codec.binary_coder import FLOOR, LIMIT, ONE, TALLY
from codec.mapcoder import map_arrays

KINDS = (((0.0, 0.0, 0.0, 0.01), (0.0,)), ((0.03, 0.05, 0.08), (0.0, 0.0, 0.01)), ((0.0, 0.01), (0.01, 0.02, 0.05, 0.1)))  # misses, repeats
WORTHS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, LIMIT)
SIDES = (16, 16, 16, 32)
MARGINS = (0, 1, 2, 1, 2, 4)


def tally(assignment: AssignmentMap, satellite: int, participants: tuple[int, ...], margin: int) -> np.ndarray:
    """How often each context was asked, and how often it said one, int32 [2, CONTEXTS]."""
    counts = np.zeros((2, mapmodel.CONTEXTS), np.int32)
    arrays = map_arrays(assignment, np.array(participants))
    state = np.zeros(7, np.int64)
    state[0] = TALLY
    mapmodel.walk((state, np.zeros(8, np.uint8), counts[0], counts[1]), *arrays, assignment.shape[1], margin, len(participants),
                  participants.index(satellite), 0)
    return counts


def gather(kind: tuple, rounds: int, seed: int) -> np.ndarray:
    """Tallies of all maps that keep not everything, int32 [maps, 2, CONTEXTS]."""
    rng = np.random.default_rng([seed, 77])
    out = []
    for number in range(rounds):
        side, window = SIDES[number % len(SIDES)], (2, 4)[number // len(SIDES) % 2]
        margin = int(rng.choice(MARGINS))
        maps = make_round(rng, side, side * window, margin, float(rng.choice(kind[0])), float(rng.choice(kind[1])))
        out += [tally(one, satellite, tuple(maps), margin) for satellite, one in maps.items() if np.any(one.fate != KEPT)]
    return np.array(out)


def fit(asked: np.ndarray, ones: np.ndarray) -> tuple[int, int]:
    """Chance / 65536 and worth of one context; asked, ones: tallies of the maps that used it."""
    if not len(asked):
        return ONE // 2, 1
    asked, ones = asked[:6000].astype(float), ones[:6000].astype(float)
    pooled, typical = (ones.sum() + 0.3) / (asked.sum() + 0.6), float(((ones + 0.02) / (asked + 0.04)).mean())
    trials = [(chance, worth) for chance in (pooled, typical, (pooled + typical) / 2, (pooled * typical) ** 0.5) for worth in WORTHS]
    chance, worth = min(trials, key=lambda trial: _bits(asked, ones, *trial))
    return int(min(max(chance * ONE, FLOOR), ONE - FLOOR)), worth


def _bits(asked: np.ndarray, ones: np.ndarray, chance: float, worth: int) -> float:
    chance = min(max(chance, FLOOR / ONE), 1 - FLOOR / ONE)
    one, zero = chance * (worth + 0.5), (1 - chance) * (worth + 0.5)
    likelihood = (gammaln(one + ones) + gammaln(zero + asked - ones) - gammaln(one + zero + asked)
                  - gammaln(one) - gammaln(zero) + gammaln(one + zero))
    return float(-likelihood.sum())


def main(arguments: list[str]) -> None:
    rounds = int(arguments[0]) if arguments else 400
    priors = np.zeros((len(KINDS), 2, mapmodel.CONTEXTS), np.uint16)
    for profile, kind in enumerate(KINDS):
        tallies = gather(kind, rounds, 1000 + profile)
        for context in range(mapmodel.CONTEXTS):
            used = tallies[:, 0, context] > 0
            priors[profile, :, context] = fit(tallies[used, 0, context], tallies[used, 1, context])
    with open("codec/map_priors.tmp", "wb") as file:
        np.save(file, priors, allow_pickle=False)
    os.replace("codec/map_priors.tmp", "codec/map_priors.npy")


if __name__ == "__main__":
    main(sys.argv[1:])
