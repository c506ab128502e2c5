"""Simulated time of one satellite, as named spans. Wall time never enters: stage times come from a device profile or are handed in.

Table 2 of the paper (256 px, lambda 0.0067, one Titan V), milliseconds:

    model   analysis g_a   entropy modelling   entropy coding   LIC in all   DLRC   source
    bmshj       2.31             7.85              14.52           24.68     12.89  Table 2
    mbt         2.39             7.98              14.34           24.71     12.89  Table 2
    cheng       7.41           963.95              14.48          985.83     12.89  Table 2
    elic        8.31           251.45              14.31          274.07     12.89  Table 2
    other patch sizes       every stage times (P / 256)^2                           estimate (Figure 9 is a picture; its numbers are not printed)
    DLRC by module          Recognizer and Selector 90 %, Arbiter and Filter 10 %   estimate (the paper gives the sum)
    other k                 Recognizer and Selector times k / 20                    estimate (k of Table 2 taken as 20)
    lambda 0.0483 (C = 320) as lambda 0.0067                                        estimate (Figure 9 only)

The three stages add up to the LIC time in every row to 0.01 ms, which is how the columns of the table were told apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from constellation.errors import UserError

REFERENCE_PATCH_PX = 256
REFERENCE_K = 20
TITAN_V_DLRC_S = 12.89e-3  # Table 2
RECOGNITION_SHARE = 0.9  # of the DLRC time; estimate, see above


@dataclass(frozen=True)
class Span:
    """One stage on the simulated clock. category: compute, link, downlink or wait."""

    name: str
    start_s: float
    duration_s: float
    category: str

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class ComputeTimes:
    """Seconds that one satellite computes per patch. `modelling_s` (h_a, h_s, context) is 0 where it is measured as part of `coding_s`."""

    analysis_s: float  # g_a
    recognition_s: float  # Recognizer and Selector
    arbitration_s: float  # Arbiter and Filter
    coding_s: float  # entropy coding
    modelling_s: float  # entropy modelling

    @property
    def lic_s(self) -> float:
        """The codec alone."""
        return self.analysis_s + self.modelling_s + self.coding_s

    @property
    def dlrc_s(self) -> float:
        """What DLRC adds when nothing overlaps."""
        return self.recognition_s + self.arbitration_s


@dataclass(frozen=True)
class DeviceProfile:
    """Stage times of a device at 256 px: model -> (analysis, modelling, coding) seconds, and DLRC's at k = 20."""

    name: str
    stages_s: dict[str, tuple[float, float, float]]
    dlrc_s: float

    def compute_times(self, model: str, patch_px: int, k: int = REFERENCE_K) -> ComputeTimes:
        """Stage times at a patch size and number of hash rounds. Raises `UserError` for a model that the profile lacks."""
        if model not in self.stages_s:
            raise UserError(f"codec.model={model}: clock.profile={self.name} has no times for it, only for {', '.join(self.stages_s)}")
        area = (patch_px / REFERENCE_PATCH_PX) ** 2
        analysis_s, modelling_s, coding_s = (area * seconds for seconds in self.stages_s[model])
        recognition_s = area * self.dlrc_s * RECOGNITION_SHARE * k / REFERENCE_K
        return ComputeTimes(analysis_s, recognition_s, area * self.dlrc_s * (1 - RECOGNITION_SHARE), coding_s, modelling_s)


TITAN_V = DeviceProfile("titan_v", {
    "bmshj": (2.31e-3, 7.85e-3, 14.52e-3),
    "mbt": (2.39e-3, 7.98e-3, 14.34e-3),
    "cheng": (7.41e-3, 963.95e-3, 14.48e-3),
    "elic": (8.31e-3, 251.45e-3, 14.31e-3),
}, TITAN_V_DLRC_S)
_PROFILES = {TITAN_V.name: TITAN_V}


def device_profile(name: str) -> DeviceProfile:
    """The profile of a device. `measured` has none: its times are whatever was measured."""
    if name not in _PROFILES:
        raise UserError(f"clock.profile={name}: found no device profile of that name; there are: {', '.join(_PROFILES)}")
    return _PROFILES[name]


@dataclass
class SimulatedClock:
    """One satellite's clock: every stage moves it on and leaves a span."""

    now_s: float = 0.0
    _spans: list[Span] = field(default_factory=list)

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(self._spans)

    def spend(self, name: str, seconds: float, category: str = "compute") -> None:
        """One stage that starts now. Raises `ValueError` for a negative time."""
        self.overlap([(name, seconds, category)])

    def overlap(self, stages: Iterable[tuple[str, float, str]]) -> None:
        """Stages (name, seconds, category) that all start now; the clock moves to the end of the longest."""
        end_s = self.now_s
        for name, seconds, category in stages:
            if not seconds >= 0:
                raise ValueError(f"stage {name}: {seconds} s")
            span = Span(name, self.now_s, seconds, category)
            self._spans.append(span)
            end_s = max(end_s, span.end_s)
        self.now_s = end_s

    def wait_until(self, time_s: float, name: str = "wait") -> None:
        """Idle until an instant; nothing if that is past."""
        if time_s > self.now_s:
            self.spend(name, time_s - self.now_s, "wait")
            self.now_s = time_s


def modelling_overlaps(model: str, signature: str, context: str, grid: str) -> bool:
    """Whether entropy modelling needs nothing that the signature round brings, so that both can run at once.

    Without a context model it never does. With one, the context of remote copies must be known beforehand: it is under `context=open` (the
    paper's estimate: own latents), and on the fixed grid with content signatures (a copy equals the own vector) or LSH ones (speculation
    on the own vectors; the one position in a hundred whose copy turns out inexact is taken up after arbitration). Under
    `context=independent` every remote copy is filled, and only arbitration says which those are.
    """
    if model == "bmshj" or context == "open":
        return True
    return grid == "fixed" and context == "exact"


def round_timeline(times: ComputeTimes, t_sync_s: float, downlink_s: float, overlap: bool, start_s: float = 0.0) -> tuple[Span, ...]:
    """The spans of one satellite's round: Figure 4 of the paper on a clock.

    overlap: entropy modelling runs during the signature round (`modelling_overlaps`); else after arbitration. downlink_s: time on air.
    """
    clock = SimulatedClock(start_s)
    clock.spend("analysis", times.analysis_s)
    clock.spend("recognizer and selector", times.recognition_s)
    sync, modelling = ("signature round", t_sync_s, "link"), ("entropy modelling", times.modelling_s, "compute")
    clock.overlap([sync, modelling] if overlap and times.modelling_s else [sync])
    clock.spend("arbiter and filter", times.arbitration_s)
    if not overlap and times.modelling_s:
        clock.spend(*modelling[:2])
    clock.spend("entropy coding", times.coding_s)
    clock.spend("downlink", downlink_s, "downlink")
    return clock.spans
