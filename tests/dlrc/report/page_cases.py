"""A run with all that a page shows, made without flying: two satellites, two rounds, one with a fault."""

import dataclasses

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE
from constellation.scenario.load import load_scenario
from constellation.snapshot import Onlooker, RuleTold
from dlrc.store.results import Held, Images
from ground.cells import Cells
from ground.records import PREDICTED, ClassicalPoint, Fates, Ledger, Outcome
from tests.dlrc.run_cases import one_round, record, run

SIDE = 16
RULES = (
    RuleTold("id", (0, 1), (900.0, 300.0), 0.8, 600.0, 7200.0, 400.0),
    RuleTold("balanced", (0, 1), (600.0, 600.0), 1.0, 7200.0, 7200.0, 800.0),
)


def view(number, satellite, predicted=False, **changes):
    random = np.random.default_rng(10 * number + satellite)
    fate = np.full((SIDE, SIDE), KEPT, np.uint8)
    if satellite:
        fate[:, 6:] = REMOTE
    fate[0, 0] = LOCAL
    if satellite and predicted:
        fate[8:, 8:] = PREDICTED
    remote = fate == REMOTE
    owner = np.where(remote | (fate == PREDICTED), 0, -1)
    fates = Fates(fate, remote & (random.random(fate.shape) < 0.9), owner)
    bits = 40 * random.random((SIDE, SIDE))
    errors = 30 * random.random((2, SIDE, SIDE))
    cells = Cells(bits * (fate == KEPT), bits, *errors)
    return record(number, satellite, fates=fates, cells=cells, **changes)


def rich(*words, predicted=False):
    onlooker = Onlooker(load_scenario("dense", ["satellites=2"]).network)
    rounds = []
    for number in range(2):
        lost = {"outcome": Outcome.RESENT, "ledger": Ledger(1170, 1170, 1170, 1170), "fault": "digest <b>&"}
        made = one_round(number, view(number, 0), view(number, 1, predicted, **(lost if number else {})))
        network = onlooker.at(
            number, {0: 4000.0, 1: 4000.0}, dict.fromkeys((0, 1), (60.0 * number + 1, 2000.0))
        )
        network = dataclasses.replace(network, rules=() if number else RULES)
        points = (
            ClassicalPoint("jpeg2000", 30.0, 0.2, 30.5, 2),
            ClassicalPoint("jpeg2000", 33.0, 0.3, 33.1, 2),
        )
        rounds.append(dataclasses.replace(made, network=network, classical=() if number else points))
    return run(*words, rounds=rounds, gallery=Held(pictures()))


def pictures():
    random = np.random.default_rng(0)
    held = {}
    for number in range(2):
        for satellite in range(2):
            tone = np.kron(random.integers(60, 200, (8, 8, 3), np.uint8), np.ones((32, 32, 1), np.uint8))
            noisy = np.clip(tone + random.normal(0, 4, tone.shape), 0, 255).astype(np.uint8)
            held[number, satellite] = Images(noisy, tone, tone)
    return held
