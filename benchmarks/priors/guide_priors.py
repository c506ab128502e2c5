"""Fits the priors of codec/prediction/guides/contexts.py to guides of training pictures, and writes
priors.npy. A new file is a new bitstream.

Guides come from flown rounds of the training images (DLRC_DATA, default ../shared/data, /train) under each
disturbance, and from the pairs that fusions are trained on, which have relief. As in
benchmarks/priors/map_priors.py each guide goes to the profile that codes it in the fewest bits, and the
profiles are fitted anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from benchmarks.priors.map_priors import bits, fit_profile
from codec.bitstream import unpack
from codec.entropy.coder import EntropyCoder
from codec.maps.binary_coder import ONE, TALLY
from codec.prediction.guides import contexts
from codec.prediction.guides.coding import fields_of, unpack_guide
from codec.prediction.guides.tree import code_guide
from codec.prediction.search.plan import plan
from codec.prediction.values import LATENT_PX, Guide
from codec.training.data import open_pictures
from codec.training.prediction.pairs import PairSampler
from constellation.common.cli import Command, Given, main_of
from constellation.common.files import replacing
from constellation.common.knobs import Knobs
from constellation.scenario.load import load_scenario
from dlrc.studies.common.variants import Trial, fly, see
from nodes.process.board import load_board

TARGET = Path(contexts.__file__).with_name("priors.npy")
DATA = Path(os.environ.get("DLRC_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "train"
DIGEST_BYTES = 4  # of the fusion, before a guide
AT_BOUND = {"flaws": "bound"}
CONDITIONS: tuple[dict[str, Any], ...] = (
    {},
    {"jitter_px": 0.25, **AT_BOUND},
    {"jitter_px": 0.5, **AT_BOUND},
    {"gain": 0.01, **AT_BOUND},
    {"gain": 0.05, **AT_BOUND},
    {"noise": 1.0},
    {"noise": 4.0},
    {"jitter_px": 0.5, "gain": 0.05, "noise": 2.0, **AT_BOUND},
    {"clouds": 0.2},
    {"rotation_deg": 0.5, **AT_BOUND},
)
PASSES = 8


def tally(guide: Guide, participants: tuple[int, ...]) -> np.ndarray:
    """How often each context was asked, and how often it said one, int32 [2, CONTEXTS]."""
    counts, state = np.zeros((2, contexts.CONTEXTS), np.int32), np.zeros(7, np.int64)
    state[0] = TALLY
    numbers, *fields = fields_of(guide, participants)
    code_guide((state, np.zeros(8, np.uint8), counts[0], counts[1]), numbers, len(participants), *fields)
    return counts


def flown(windows: int) -> Iterator[np.ndarray]:
    """Of guides of rounds under each condition, with two references and with four."""
    words = [f"scene.path={DATA}", "dlrc.exchange=streams", "dlrc.dedup=hybrid"]
    for density, references in (("dense", 2), ("dense", 4), ("sparse", 2)):
        scenario = load_scenario(density, [*words, f"dlrc.references={references}"])
        trial = Trial(scenario, load_board(scenario.codec))
        for place, capture in enumerate(CONDITIONS):
            under, count = trial.under(capture=capture), 0
            for number in range(place * windows, (place + 1) * windows):
                for stream in map(
                    unpack, fly(under, number, see(under, number), images=False).streams.values()
                ):
                    if stream.prediction:
                        h, w, members = stream.header.height, stream.header.width, stream.header.participants
                        data = stream.prediction[DIGEST_BYTES:]
                        yield tally(unpack_guide(data, (LATENT_PX * h, LATENT_PX * w), members), members)
                        count += 1
            print(f"{density}, {references} references, {capture or 'no flaw'}: {count} guides", flush=True)


@torch.no_grad()
def paired(count: int) -> Iterator[np.ndarray]:
    """Of guides of training pairs, one reference each."""
    board = load_board(load_scenario("dense", []).codec)
    model, pairs = board.model, PairSampler(open_pictures(str(DATA)), 4711)
    coder, found = EntropyCoder(model), 0
    for number in range(count):
        pair = pairs.pair(number)
        y, seen = (
            model.analysis(torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None] / 255)
            for picture in (pair.current, pair.reference)
        )
        own = pair.current, torch.round(y)[0].numpy().astype(np.int32), coder.hyper_symbols(y)
        shown = board.predictor.transforms.picture(torch.round(seen)[0].numpy().astype(np.int32))
        guide = plan(board.predictor, coder, own, [(0, shown, pair.placement)])
        if guide is not None:
            yield tally(guide, (0, 1))
            found += 1
    print(f"training pairs: {found} guides", flush=True)


class PriorsKeys(Knobs):
    """Keys of this benchmark."""

    windows: Annotated[int, Field(ge=1, le=1000)] = 4
    """rounds of every condition"""
    pairs: Annotated[int, Field(ge=0, le=100_000)] = 600
    """of the fusions' training"""


def bench(given: Given) -> None:
    """Fit, print each pass, and replace priors.npy."""
    material = [*flown(given.own.windows), *paired(given.own.pairs)]
    asked, ones = (np.array([counts[i] for counts in material], dtype=np.float64) for i in range(2))
    size = asked.sum(axis=1)
    profile_of = np.searchsorted(np.quantile(size, (1 / 3, 2 / 3)), size)  # short, middling and long ones
    priors = np.zeros((contexts.PROFILES, 2, contexts.CONTEXTS), np.uint16)
    for number in range(PASSES):
        mine = [profile_of == p for p in range(contexts.PROFILES)]
        priors = np.stack([fit_profile(asked[one], ones[one], np.ones(int(one.sum()))) for one in mine])
        lengths = np.stack([bits(asked, ones, p[0] / ONE, p[1].astype(float)).sum(1) for p in priors])
        profile_of = lengths.argmin(0)
        shares = np.bincount(profile_of, minlength=contexts.PROFILES).tolist()
        print(f"pass {number}: {lengths.min(0).mean():.1f} bits a guide, by profile {shares}", flush=True)
    with replacing(TARGET) as temporary, temporary.open("wb") as file:
        np.save(file, priors, allow_pickle=False)


COMMAND = Command(
    name="bench guide_priors",
    about=__doc__ or "",
    own=PriorsKeys,
    work=bench,
    examples=("dlrc bench guide_priors windows=1 pairs=100",),
)

if __name__ == "__main__":
    main_of(COMMAND)
