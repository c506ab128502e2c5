"""A satellite's round on the simulated clock, and the stopwatch that takes its stages' times.

    capture  analysis  hash  +- sync -----------------+  arbitrate  entropy (coding)  downlink
                             +- entropy (modelling) --+

With `dlrc.exchange=streams` (`stream_timeline`):

    capture  analysis  alone  exchange  references  arbitrate  registration  prediction  coding  downlink

Results never contain wall time unless `clock.profile=measured` asks for it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from codec.models import registry
from constellation.clock import (
    CAPTURE_S,
    NO_WORK,
    Activity,
    ComputeTimes,
    SimulatedClock,
    Span,
    Work,
    device_profile,
)
from constellation.common.errors import naming
from constellation.formats.device import read_device
from constellation.scenario.imaging import CaptureKnobs
from constellation.scenario.operation import ClockKnobs

ALONE, REFERENCES, REGISTRATION, PREDICTION = "alone", "references", "registration", "prediction"
STAGES = (
    "analysis", "hash", "arbitrate", "modelling", "coding", ALONE, REFERENCES, REGISTRATION, PREDICTION,
)  # fmt: skip

T = TypeVar("T")


class Watch:
    """Takes the time of stages, by satellite, and says what they cost on the simulated clock: `times`, of a
    device profile, or None for what was taken by `clock`.

    Stages: analysis (g_a, not reading the scene), hash (Recognizer and Selector), arbitrate (Arbiter, Filter,
    map), modelling (h_a and z: what needs the satellite's own latents alone), coding (the context model and
    range coding, which start when the map is known). Where streams are exchanged: alone (coding the
    independent one), references (others' streams decoded, and pictures of them), registration (what predicts
    is sought and tried), prediction (of what is sent).
    """

    def __init__(
        self,
        times: ComputeTimes | Sequence[ComputeTimes] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._profile, self._clock = (times,) if isinstance(times, ComputeTimes) else times, clock
        self._taken_s: dict[tuple[int, str], float] = defaultdict(float)

    @classmethod
    def of(cls, clock: ClockKnobs, capture: CaptureKnobs, models: Sequence[str], k: int) -> Watch:
        """The watch that `clock.profile` names, for captures coded by these models, satellite by satellite in
        turn, and hashed k times. Raises `UserError`."""
        if clock.profile == "measured":
            return cls()
        if clock.builtin:
            profile = device_profile(clock.profile, registry.seconds(clock.profile))
        else:
            profile = naming("clock.profile")(read_device)(clock.profile)
        return cls([profile.compute_times(m, capture.patch_px, k, capture.halo_px) for m in models])

    @contextmanager
    def span(self, stage: str, *satellites: int) -> Iterator[None]:
        """Add what the `with` block takes to a stage of a satellite's round; of several, if it did for all of
        them what each would have had to do."""
        if stage not in STAGES:
            raise ValueError(f"stage {stage!r}: expected one of {', '.join(STAGES)}")
        started = self._clock()
        try:
            yield
        finally:
            taken_s = self._clock() - started
            for satellite in satellites:
                self._taken_s[satellite, stage] += taken_s

    @property
    def measures(self) -> bool:
        """Whether the simulated clock shows what was taken."""
        return self._profile is None

    def charged(self, work: Callable[[], T]) -> tuple[T, float]:
        """What `work` gives, and the seconds it took: to `charge` to whoever needs it, made once for all."""
        started = self._clock()
        result = work()
        return result, self._clock() - started

    def charge(self, stage: str, satellite: int, taken_s: float) -> None:
        """Add seconds to a stage of a satellite's round."""
        self._taken_s[satellite, stage] += taken_s

    def forget(self) -> None:
        """What was taken in a round that begins again."""
        self._taken_s.clear()

    def times(self, satellite: int, work: Work = NO_WORK) -> ComputeTimes:
        """Seconds of the satellite's stages; what was taken is forgotten, for its next round. work: what a
        device's profile prices of others' streams."""
        taken = {stage: self._taken_s.pop((satellite, stage), 0.0) for stage in STAGES}
        if self._profile is not None:
            return self._profile[satellite % len(self._profile)].with_streams(work)
        return ComputeTimes(
            analysis_s=taken["analysis"],
            hash_s=taken["hash"],
            arbitrate_s=taken["arbitrate"],
            entropy_modelling_s=taken["modelling"],
            entropy_coding_s=taken["coding"],
            hyperprior_s=taken["modelling"],
            alone_s=taken[ALONE],
            references_s=taken[REFERENCES],
            registration_s=taken[REGISTRATION],
            prediction_s=taken[PREDICTION],
        )


def round_timeline(
    times: ComputeTimes, t_sync_s: float | None, downlink_s: float, overlaps: bool, start_s: float = 0.0
) -> list[Span]:
    """The spans of one satellite's round; t_sync_s None: without DLRC there is no hash, no sync, no
    arbitration.

    The hyperprior (h_a, z, h_s) needs the satellite's own y alone, so it always runs beside the sync. With
    `overlaps` (the fixed grid: y_hat is known before any context) the context model of a device profile does
    too. Assumption: of its outputs only those near *inexact* remote copies, about one copy in a hundred,
    change with the arbitration's answer; computing those few again is not charged. Without `overlaps` the
    context model waits for the arbitration. Spans that run side by side start together, so on one track they
    nest.
    """
    clock = SimulatedClock(start_s)
    clock.spend("capture", CAPTURE_S, "sensor")
    clock.spend("analysis", times.analysis_s, "compute")
    beside_s = 0.0
    if t_sync_s is not None:
        clock.spend("hash", times.hash_s, "compute")
        beside_s = times.entropy_modelling_s if overlaps else times.hyperprior_s
        clock.overlap([Activity("sync", t_sync_s, "network")], [Activity("entropy", beside_s, "compute")])
        clock.spend("arbitrate", times.arbitrate_s, "compute")
    clock.spend("entropy", times.entropy_modelling_s - beside_s + times.entropy_coding_s, "compute")
    clock.spend("downlink", downlink_s, "network")
    return clock.spans


def stream_timeline(
    times: ComputeTimes, t_sync_s: float, downlink_s: float, start_s: float = 0.0
) -> list[Span]:
    """The spans of one satellite's round where streams are exchanged.

    Nothing runs beside the exchange: the stream that is sent has been coded before it, and what is done with
    the others' needs them. arbitrate is the search for exact copies."""
    clock = SimulatedClock(start_s)
    clock.spend("capture", CAPTURE_S, "sensor")
    clock.spend("analysis", times.analysis_s, "compute")
    clock.spend(ALONE, times.alone_s, "compute")
    clock.spend("exchange", t_sync_s, "network")
    clock.spend(REFERENCES, times.references_s, "compute")
    clock.spend("arbitrate", times.arbitrate_s, "compute")
    clock.spend(REGISTRATION, times.registration_s, "compute")
    clock.spend(PREDICTION, times.prediction_s, "compute")
    clock.spend("coding", times.entropy_modelling_s + times.entropy_coding_s, "compute")
    clock.spend("downlink", downlink_s, "network")
    return clock.spans
