"""Fits the priors of codec.maps.model to synthetic and captured rounds, and writes codec/maps/statistics.npy.
A new file is a new bitstream.

One profile per kind of round at first: synthetic ones whose borders match, do not match, with misses, with
repeated content; captured ones of models with quiet borders (bmshj, mbt) and with ragged ones (cheng, elic).
Then, as in k-means, each map goes to the profile that codes it in the fewest bits, and the profiles are
fitted anew. A context's tallies of all maps of a profile are taken as draws from one beta distribution; its
mean and weight become the context's first chance and worth (in a beta-binomial, coding adaptively costs
exactly the likelihood). Synthetic rounds come from seeds that benchmarks/map_coding.py does not use, captured
ones from the training images, DLRC_DATA (default ../shared/data) /train, with the shipped checkpoints.
`captures`: rounds per model and overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import gammaln

from benchmarks.common.real_maps import captured_round, real_crew
from benchmarks.map_coding import Overlap, make_round
from codec.maps import model as mapmodel
from codec.maps.assignment import KEPT, AssignmentMap
from codec.maps.binary_coder import FLOOR, LIMIT, ONE, TALLY
from codec.maps.coding import map_arrays
from codec.maps.symbols import CONTEXTS
from codec.models import registry
from constellation.common.cli import Command, Given, main_of
from constellation.common.files import replacing
from constellation.common.knobs import Knobs

TARGET = Path(mapmodel.__file__).with_name("statistics.npy")
WINDOWS_PX = (512, 768, 1024)  # as `dense`, between, as `sparse`
WORTHS = np.array((0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, LIMIT))
PASSES = 6


def tally(assignment: AssignmentMap, satellite: int, participants: tuple[int, ...]) -> np.ndarray:
    """How often each context was asked, and how often it said one, int32 [2, CONTEXTS]."""
    counts = np.zeros((2, CONTEXTS), np.int32)
    fate, exact, owner, source = map_arrays(assignment, np.array(participants))
    forward = int(np.any(source[fate == 1] > np.flatnonzero(fate == 1)))
    state = np.zeros(7, np.int64)
    state[0] = TALLY
    mapmodel.walk(
        (state, np.zeros(8, np.uint8), counts[0], counts[1]),
        fate,
        exact,
        owner,
        source,
        assignment.shape[1],
        len(participants),
        participants.index(satellite),
        forward,
    )
    return counts


def tallies(maps: dict[int, AssignmentMap]) -> list[np.ndarray]:
    """Of all maps of a round that do not keep everything."""
    participants = tuple(sorted(maps))
    return [
        tally(one, satellite, participants) for satellite, one in maps.items() if np.any(one.fate != KEPT)
    ]


def synthetic() -> list[tuple[int, float, np.ndarray]]:
    """(profile at first, weight, tallies) of synthetic maps."""
    out = []
    for repeats, weight in ((0.0, 1.0), (0.01, 0.6), (0.03, 0.4)):
        for side in (16, 16, 32):
            for factor in (2, 4):
                for misses in (0.0, 0.0, 0.03, 0.08):
                    for margin in (0, 1, 2, 3):
                        rng = np.random.default_rng(
                            [556, side, factor, round(misses * 100), margin, round(repeats * 1000)]
                        )
                        profile = 2 if repeats else (3 if misses else min(margin, 1))
                        for _ in range(4):
                            round_ = make_round(rng, Overlap(side, side * factor, margin, misses, repeats))
                            out += [(profile, weight, counts) for counts in tallies(round_)]
    return out


def captured(rounds: int) -> list[tuple[int, float, np.ndarray]]:
    """The same of captured maps: of four models, three overlaps, without and with halo."""
    out = []
    for name in registry.whole():
        for window_px in WINDOWS_PX:
            for halo_px, share in ((0, 1.0), (32, 0.34)):
                crew = real_crew("dense", name, halo_px, folder="train", window_px=window_px)
                profile = 0 if halo_px else (4 if name in registry.whole()[:2] else 5)
                for number in range(max(1, round(rounds * share))):
                    out += [(profile, 3.0, counts) for counts in tallies(captured_round(crew, number))]
                print(f"{name} window {window_px} halo {halo_px}: {len(out)} maps", flush=True)
    return out


def bits(asked: np.ndarray, ones: np.ndarray, chance: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Length of adaptively coded tallies, bits, broadcast over all arguments. chance: of a one; worth: bits
    of experience."""
    chance = np.clip(chance, FLOOR / ONE, 1 - FLOOR / ONE)
    one, zero = chance * (worth + 0.5), (1 - chance) * (worth + 0.5)
    likelihood = (
        gammaln(one + ones)
        + gammaln(zero + asked - ones)
        - gammaln(one + zero + asked)
        - gammaln(one)
        - gammaln(zero)
        + gammaln(one + zero)
    )
    return -likelihood / np.log(2)


def fit(asked: np.ndarray, ones: np.ndarray, weights: np.ndarray) -> tuple[int, int]:
    """Chance / 65536 and worth of one context, from the tallies [maps] that used it: best of a grid, chances
    evenly spaced in log-odds."""
    if not len(asked):
        return ONE // 2, 1
    chances = 1 / (1 + np.exp(-np.linspace(-7, 7, 57)))
    cost = np.zeros((len(chances), len(WORTHS)))
    for start in range(0, len(asked), 512):
        part = slice(start, start + 512)
        lengths = bits(
            asked[part, None, None], ones[part, None, None], chances[None, :, None], WORTHS[None, None, :]
        )
        cost += (weights[part, None, None] * lengths).sum(0)
    cost += bits(
        np.float64(2), np.float64(1), chances[:, None], WORTHS[None, :]
    )  # a doubt: one map with a one and a zero
    best = np.unravel_index(np.argmin(cost), cost.shape)
    return int(chances[best[0]] * ONE), int(WORTHS[best[1]])


def fit_profile(asked: np.ndarray, ones: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """uint16 [2, contexts] from tallies [maps, contexts] of these weights."""
    prior = np.zeros((2, asked.shape[1]), np.uint16)
    for context in range(asked.shape[1]):
        used = asked[:, context] > 0
        prior[:, context] = fit(asked[used, context], ones[used, context], weights[used])
    return prior


class PriorsKeys(Knobs):
    """Keys of this benchmark."""

    captures: Annotated[int, Field(ge=1, le=1000)] = 12
    """rounds per model and overlap"""


def bench(given: Given) -> None:
    """Fit, print each pass, and replace statistics.npy."""
    rounds = given.own.captures
    material = synthetic() + captured(rounds)
    profile_of = np.array([profile for profile, _, _ in material])
    weights = np.array([weight for _, weight, _ in material])
    asked, ones = (np.array([counts[i] for _, _, counts in material], dtype=np.float64) for i in range(2))
    for number in range(PASSES):
        priors = np.stack(
            [
                fit_profile(asked[mine], ones[mine], weights[mine])
                for mine in (profile_of == p for p in range(mapmodel.PROFILES))
            ]
        )
        lengths = np.stack(
            [bits(asked, ones, prior[0] / ONE, prior[1].astype(float)).sum(1) for prior in priors]
        )
        profile_of = lengths.argmin(0)
        print(
            f"pass {number}: {np.sum(weights * lengths.min(0)) / np.sum(weights):.2f} bits a map, maps by "
            f"profile {np.bincount(profile_of, minlength=mapmodel.PROFILES).tolist()}",
            flush=True,
        )
    with replacing(TARGET) as temporary:
        np.save(temporary, priors, allow_pickle=False)


COMMAND = Command(
    name="bench map_priors",
    about=__doc__,
    own=PriorsKeys,
    work=bench,
    examples=("dlrc bench map_priors captures=2",),
)

if __name__ == "__main__":
    main_of(COMMAND)
