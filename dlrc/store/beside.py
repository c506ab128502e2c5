"""What a run notes beside its rounds, so that a report needs nothing but the run: the space network at each
instant, what other rules of priority would have done to the first round, and what classical codecs make of
its pictures.

None is part of a round: no stream, no rate, no time of one depends on it."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from constellation.common.errors import UserError
from constellation.orbit.orbits import Constellation
from constellation.scenario.scenario import Scenario
from constellation.snapshot import Onlooker, RuleTold, Snapshot
from constellation.sync.scope import audience_of
from ground.account import Landed
from ground.metrics import bpp, psnr_db
from ground.records import ClassicalPoint, Outcome, RoundRecord, SatelliteRecord

MAX_PATCHES = 8  # a report may take seconds, not minutes
MAX_VECTORS = 500_000  # of a round, sorted once a rule
WEBP_QUALITIES = (15.0, 50.0, 80.0)
JPEG2000_AROUND_DB = (-4.0, -1.0, 2.0)  # target PSNR less that of the run's independent codec
_TYPICAL_DB = 35.0
Patch = tuple[np.ndarray, "np.ndarray | None"]  # uint8 [P, P, 3]; bool [P, P], where it shows anything


class Beside:
    """Notes of a run's rounds, in their order."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._onlooker = scenario, Onlooker(scenario)

    def noted(self, landed: Landed) -> RoundRecord:
        """The round's record with the notes in it."""
        record = landed.record
        classical: tuple[ClassicalPoint, ...] = ()
        if record.number == 0:
            witnesses = [witness for _, witness in sorted(landed.arrived.witness.items())]
            patches = [(one.original, one.valid) for one in witnesses if one.valid is None or one.valid.any()]
            classical = classical_points(patches[:MAX_PATCHES], _independent_db(record))
        network = self._network(record)
        if record.number == 0:
            rules = rules_told(self._scenario, self._onlooker.constellation, record)
            network = dataclasses.replace(network, rules=rules)
        return dataclasses.replace(record, network=network, classical=classical)

    def seen(self, record: RoundRecord) -> None:
        """A round that was noted by a process before this one: queues on board remember it."""
        self._network(record)

    def _network(self, record: RoundRecord) -> Snapshot:
        payload = {one.satellite: float(one.payload_bytes) for one in record.satellites if one.payload_bytes}
        payload |= {s: 0.0 for s, heard in record.bystanders if heard and s not in payload}
        ready = {one.satellite: _ready(one) for one in record.satellites}
        corners = {one.satellite: (one.place.row, one.place.col) for one in record.satellites if one.place}
        return self._onlooker.at(
            record.number,
            payload,
            {satellite: told for satellite, told in ready.items() if told is not None},
            audience_of(self._scenario.sync.scope, corners, self._scenario.capture.patch_px),
        )


def versions() -> dict[str, str]:
    """Of Python, and of the packages that a run's numbers come from."""
    found = {"Python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in ("numpy", "torch", "compressai", "numba", "sgp4", "skyfield", "imagecodecs"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def rules_told(scenario: Scenario, constellation: Constellation, record: RoundRecord) -> tuple[RuleTold, ...]:
    """What each rule of priority, and the run's own, would do to a round: `dlrc study priority` with the
    run's footprints and bytes. Nothing where nobody shares, streams are exchanged in the place of signatures,
    or nobody passes the station."""
    vectors = (scenario.capture.patch_px // 16) ** 2
    told = [one.independent.total for one in record.satellites if one.pixels]
    few = scenario.satellites * vectors <= MAX_VECTORS
    if scenario.satellites < 2 or not (scenario.dlrc.enabled and told and few) or scenario.dlrc.streams:
        return ()
    from dlrc.studies.questions.priority_rounds import RULES, Request, fly

    own = scenario.priority.rule if scenario.priority.rule not in RULES else ""
    request = Request(scenario, 1.0, 1, 8 * float(np.mean(told)) / vectors, 1.0, own)
    try:
        outcomes = fly(request, constellation, record.number)
    except UserError:
        return ()
    return tuple(
        RuleTold(
            rule=one.rule,
            order=one.order,
            kept_bytes=tuple(map(float, one.bytes_kept)),
            fairness=_finite(one.fairness),
            first_s=_finite(one.usable_s.min()),
            last_s=_finite(one.own_s.max()),
            lost_bytes=float(one.lost_bytes.mean()),
        )
        for one in outcomes
    )


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def classical_points(patches: Sequence[Patch], around_db: float) -> tuple[ClassicalPoint, ...]:
    """JPEG 2000 and WebP at a few qualities, each the same for all patches: bytes over valid pixels, mean
    PSNR of the images. Nothing without patches of three bands, or where imagecodecs is not installed."""
    patches = [patch for patch in patches if patch[0].shape[2] == 3 and patch[0].dtype == np.uint8]
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return ()
    from dlrc.studies.common.baselines import decode, encode

    levels = [("jpeg2000", around_db + less) for less in JPEG2000_AROUND_DB]
    levels += [("webp", quality) for quality in WEBP_QUALITIES]
    points = []
    for codec, level in levels if patches else ():
        sizes, pixels, qualities = 0, 0, []
        for image, valid in patches:
            data = encode(codec, image, level)
            sizes += len(data)
            pixels += image[:, :, 0].size if valid is None else int(valid.sum())
            qualities.append(psnr_db(image, np.ascontiguousarray(decode(codec, data)), valid))
        points.append(
            ClassicalPoint(codec, level, bpp(sizes, pixels), float(np.mean(qualities)), len(patches))
        )
    return tuple(points)


def _independent_db(record: RoundRecord) -> float:
    told = [one.quality_independent.psnr_db for one in record.satellites if one.quality_independent]
    return round(2 * float(np.mean(told))) / 2 if told else _TYPICAL_DB


def _ready(one: SatelliteRecord) -> tuple[float, float] | None:
    """When a satellite's stream is ready, and all that it sent of it."""
    begins = [span.start_s for span in one.spans if span.name == "downlink"]
    sent = float(one.ledger.first + one.ledger.resent)
    return (begins[0], sent) if begins and one.outcome is not Outcome.LOST else None
