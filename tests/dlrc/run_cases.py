"""Records, scenarios and runs that tests of results, folders and reports share."""

import numpy as np

from codec.maps.assignment import KEPT, LOCAL, REMOTE
from constellation.clock import Span
from constellation.scenario.load import load_scenario
from dlrc.store.results import Held, Images, Run
from dlrc.store.summary import Facts
from ground.metrics import Quality
from ground.records import Fates, Ledger, Outcome, Place, RoundRecord, SatelliteRecord, SectionBytes

FACTS = Facts(
    version="0.3.0",
    weights_sha256="ab" * 32,
    pictures_sha256="",
    scene_source="built-in procedural scene, seed 0; give scene.path= for real images",
    scene_real=False,
    began="2026-01-02T03:04:05Z",
    wall_s=61.25,
    peak_rss_mib=5120.0,
)


def scenario(*words):
    return load_scenario("dense", ["satellites=2", "rounds=2", "capture.window_px=512", *words])


def fates(fate, owner=-1, exact=True):
    fate = np.array(fate, dtype=np.uint8)
    remote = fate == REMOTE
    return Fates(fate, remote & exact, np.where(remote, owner, -1))


def record(number, satellite, **changes):
    start_s = 10.0 * number
    values = {
        "round": number,
        "satellite": satellite,
        "outcome": Outcome.EXACT,
        "ledger": Ledger(1170 + satellite, 0, 1170 + satellite, 0),
        "pixels": 65536,
        "dlrc": SectionBytes(1000.0 + satellite, 100, 30, 40),
        "independent": SectionBytes(2000, 100, 0, 36),
        "kept": 150,
        "local_copy": 6,
        "remote_copy": 100,
        "oracle": 128,
        "quality_dlrc": Quality(32.0, 0.97),
        "quality_independent": Quality(32.1, 0.971),
        "payload_bytes": 2056 + 2 * number,
        "t_sync_s": 0.04,
        "transmission_s": 400.0 + number,
        "fates": fates([[KEPT, LOCAL], [REMOTE, KEPT]], owner=1 - satellite),
        "place": Place(64 * satellite, 0, 0, 0, "procedural-0"),
        "spans": (
            Span("capture", start_s, 0.001, "sensor"),
            Span("sync", start_s + 0.001, 0.04, "network"),
            Span("entropy", start_s + 0.001, 0.02, "compute"),
            Span("downlink", start_s + 0.05 + 0.1 * satellite, 0.2, "network"),
        ),
    }
    return SatelliteRecord(**{**values, **changes})


def one_round(number, *records):
    return RoundRecord(number, records, (0, 1), 0.05 + 0.04 * number)


FIRST = (record(0, 0), record(0, 1, t_sync_s=0.05))
ROUNDS = (one_round(0, *FIRST), one_round(1, record(1, 0), record(1, 1, t_sync_s=0.09)))


def images(tone):
    return Images(*(np.full((256, 256, 3), tone + more, np.uint8) for more in (0, 1, 2)))


HELD = Held({(number, satellite): images(10 * satellite) for number in (0, 1) for satellite in (0, 1)})


def run(*words, rounds=ROUNDS, facts=FACTS, gallery=HELD):
    return Run(scenario(*words), facts, tuple(rounds), gallery)
