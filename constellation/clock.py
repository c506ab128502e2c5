"""Simulated time of one satellite, as named spans, and how long a round's computations take on a named
device.

Results never contain wall time. A stage's duration comes from a `DeviceProfile`: the paper's Table 2 (Titan
V), or stage times that somebody measured and handed in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from constellation.common.errors import UserError

CAPTURE_S = 1e-3  # exposure and read-out of a frame; an estimate, the same for all
TABLE2_PATCH_PX = 256
TABLE2_K = 20  # hash rounds, section 4.1
REGISTRATION_SHARE = 0.5  # of an analysis, for one reference: an estimate


@dataclass(frozen=True)
class Span:
    """Something that took simulated time. category: one of compute, network, sensor (or the caller's own)."""

    name: str
    start_s: float
    duration_s: float
    category: str

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class Activity:
    """What a branch of `SimulatedClock.overlap` does next."""

    name: str
    duration_s: float
    category: str


class SimulatedClock:
    """Where a satellite is in simulated time; it only moves forward, and remembers why."""

    def __init__(self, start_s: float = 0.0) -> None:
        self.now_s = float(start_s)
        self._spans: list[Span] = []

    @property
    def spans(self) -> list[Span]:
        """All spans so far, in the order they were spent."""
        return list(self._spans)

    def spend(self, name: str, duration_s: float, category: str) -> Span:
        """Do one thing. Raises `ValueError` for a duration that is negative or not finite."""
        span = _span(name, self.now_s, duration_s, category)
        self._spans.append(span)
        self.now_s = span.end_s
        return span

    def wait_until(self, name: str, time_s: float) -> Span:
        """Wait (category `wait`) until `time_s`; not at all where that has passed."""
        return self.spend(name, max(0.0, time_s - self.now_s), "wait")

    def overlap(self, *branches: Sequence[Activity]) -> list[Span]:
        """Run branches side by side, each branch's activities one after the other; time moves on to the end
        of the longest branch."""
        made = []
        for branch in branches:
            at_s = self.now_s
            for activity in branch:
                made.append(_span(activity.name, at_s, activity.duration_s, activity.category))
                at_s = made[-1].end_s
        self._spans += made
        self.now_s = max([self.now_s, *(span.end_s for span in made)])
        return made


def _span(name: str, start_s: float, duration_s: float, category: str) -> Span:
    if not (math.isfinite(duration_s) and duration_s >= 0):
        raise ValueError(f"span {name!r}: lasts {duration_s} s, expected a finite time of at least 0 s")
    return Span(name, start_s, float(duration_s), category)


@dataclass(frozen=True)
class Work:
    """What one satellite does with the streams of others in a round, counted. decoded: streams. pictures:
    reference pictures made of them. registered: references registered to its view. predicted: patches
    predicted, for trial or for good."""

    decoded: int = 0
    pictures: int = 0
    registered: int = 0
    predicted: int = 0


NO_WORK = Work()


@dataclass(frozen=True)
class ComputeTimes:
    """Seconds of one satellite's computations for one patch.

    analysis_s: g_a. hash_s: Recognizer and Selector. arbitrate_s: Arbiter, Filter and map.
    entropy_modelling_s: h_a, z, h_s and context model, with `hyperprior_s` its first part, which needs no
    context. entropy_coding_s: range coding. Where streams are exchanged also alone_s: coding the independent
    one; references_s: decoding others' and making pictures of them; registration_s: the search for what
    predicts; prediction_s: the predicted patch and its analysis."""

    analysis_s: float
    hash_s: float
    arbitrate_s: float
    entropy_modelling_s: float
    entropy_coding_s: float
    hyperprior_s: float = 0.0
    alone_s: float = 0.0
    references_s: float = 0.0
    registration_s: float = 0.0
    prediction_s: float = 0.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{part.name}: {value}, expected a finite time of at least 0 s")
        if self.hyperprior_s > self.entropy_modelling_s:
            raise ValueError(
                f"hyperprior_s: {self.hyperprior_s}, expected at most "
                f"entropy_modelling_s = {self.entropy_modelling_s}"
            )

    def with_streams(self, work: Work) -> ComputeTimes:
        """A device's times where streams are exchanged.

        Estimates: decoding a stream takes as long as coding it, a synthesis as long as an analysis, a
        prediction one analysis, a registration `REGISTRATION_SHARE` of one."""
        coding_s = self.entropy_modelling_s + self.entropy_coding_s
        return replace(
            self,
            alone_s=coding_s,
            references_s=work.decoded * coding_s + work.pictures * self.analysis_s,
            registration_s=work.registered * REGISTRATION_SHARE * self.analysis_s,
            prediction_s=work.predicted * self.analysis_s,
        )

    @property
    def lic_s(self) -> float:
        """Independent coding alone: Table 2's "LIC time"."""
        return self.analysis_s + self.entropy_modelling_s + self.entropy_coding_s

    @property
    def dlrc_s(self) -> float:
        """What DLRC adds: Table 2's "DLRC time"."""
        return self.hash_s + self.arbitrate_s


@dataclass(frozen=True)
class DeviceProfile:
    """Compute times of a device at a reference patch size and k, by model; `source` says where every number
    is from."""

    name: str
    source: str
    reference: Mapping[str, ComputeTimes]
    patch_px: int = TABLE2_PATCH_PX
    k: int = TABLE2_K

    @classmethod
    def from_measurement(
        cls, times: ComputeTimes, model: str, patch_px: int, k: int, source: str
    ) -> DeviceProfile:
        """The profile `measured`: stage times of one model, patch size and k, as measured by the caller;
        `source` names the machine."""
        return cls("measured", source, {model: times}, patch_px, k)

    def compute_times(self, model: str, patch_px: int, k: int, halo_px: int = 0) -> ComputeTimes:
        """Stage times of `model` at another patch size, k and halo. Raises `UserError` for a model that the
        profile does not have.

        Estimate: every stage grows with the patch's area (pixels, latent positions and signatures all do),
        the hash with k, and the analysis with the area that it sees, halo included."""
        if model not in self.reference:
            raise UserError(
                f"clock.profile={self.name}: no times for the model {model}; "
                f"there are: {', '.join(self.reference)}"
            )
        base, area = self.reference[model], (patch_px / self.patch_px) ** 2
        return ComputeTimes(
            base.analysis_s * ((patch_px + 2 * halo_px) / self.patch_px) ** 2,
            base.hash_s * area * k / self.k,
            base.arbitrate_s * area,
            base.entropy_modelling_s * area,
            base.entropy_coding_s * area,
            base.hyperprior_s * area,
        )


_DLRC_MS = 12.89  # Table 2, the same for every model
_HASH_SHARE = (
    0.8  # estimate: section 4.3 says that the Recognizer dominates DLRC's time; Table 2 does not split it
)


# What a device's times mean; the times themselves are the models' own (codec.models, Family.seconds)
SOURCES = {
    "titan_v": (
        "Table 2 of the paper: NVIDIA Titan V, 256 px, lambda = 0.0067 (C = 192), k = 20: analysis, entropy "
        "modelling and entropy coding of each model, 12.89 ms of DLRC for all. Estimates: encoders that the "
        "table lacks take the share of their decoder's analysis that one CPU thread took; 80 % of DLRC is "
        "hashing; the hyperprior takes 7.85 ms in every model; other patch sizes by area, other k in "
        "proportion; what streams of others take, from those (`ComputeTimes.with_streams`)"
    )
}
_HYPERPRIOR_S = 7.85e-3  # estimate: the first model's entropy modelling, which is nothing but its hyperprior


def device_profile(name: str, seconds: Mapping[str, Sequence[float]]) -> DeviceProfile:
    """A built-in profile by name. Raises `UserError` for an unknown one.

    seconds: by model, analysis, entropy modelling and entropy coding of a 256 px patch on that device, s."""
    if name not in SOURCES:
        raise UserError(
            f"clock.profile={name}: unknown profile; there are: {', '.join(SOURCES)} "
            "(measured ones are built from measurements)"
        )
    return DeviceProfile(name, SOURCES[name], {model: _reference(*parts) for model, parts in seconds.items()})


def _reference(analysis_s: float, modelling_s: float, coding_s: float) -> ComputeTimes:
    dlrc_s, hyperprior_s = 1e-3 * _DLRC_MS, min(_HYPERPRIOR_S, modelling_s)
    hash_s, arbitrate_s = _HASH_SHARE * dlrc_s, (1 - _HASH_SHARE) * dlrc_s
    return ComputeTimes(analysis_s, hash_s, arbitrate_s, modelling_s, coding_s, hyperprior_s)
