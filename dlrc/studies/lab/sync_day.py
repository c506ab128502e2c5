"""One exchange at instants over a day, under every network and every collective that a scenario could have:
how long it takes, where the time goes, and whether a codec's entropy modelling hides it.

Networks vary noise formula and link rule under the scenario's own collective; collectives vary schedule and
contention over the scenario's own network. What is undefined (nobody hears anybody) is nan everywhere, and
the share of pairs unheard stands beside every time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from constellation.clock import DeviceProfile
from constellation.common.frozen import value
from constellation.common.progress import watched
from constellation.sync.contention import CONTENTIONS
from constellation.sync.parts import NAMES
from constellation.sync.schedules import SCHEDULES
from constellation.sync.series import Setting
from constellation.sync.simulation import each_round

KIB = 1024
PATCH_PX, PATCH_KIB = 256, 2.0  # signatures of such a patch: 16 x 16 positions of 8 bytes
RULES = ("distance", "nearest", "grid")


@value
class Payload:
    """What a satellite sends. kind: signatures, or streams (for cross-view coding). area: of the patch that
    it belongs to, in patches of 256 px."""

    kind: str
    kib: float
    area: float

    @property
    def label(self) -> str:
        """`2 KiB signatures`."""
        return f"{self.kib:g} KiB {self.kind}"

    @property
    def patch_px(self) -> float:
        """Side of its patch."""
        return PATCH_PX * math.sqrt(self.area)


@value
class Variant:
    """A network and a collective over it."""

    noise: str
    rule: str
    schedule: str
    contention: str


@value
class Day:
    """V variants (the first is the scenario's own), P payloads, T instants.

    times_s: float64 [T], after the epoch. parts_s: float64 [V, P, T, 5], as `parts.NAMES`; they add up to
    T_round. unheard: float64 [V, P, T], share of ordered pairs; nan below two participants. present: int64
    [T]."""

    setting: Setting
    payloads: tuple[Payload, ...]
    variants: tuple[Variant, ...]
    times_s: np.ndarray
    parts_s: np.ndarray
    unheard: np.ndarray
    present: np.ndarray

    @property
    def t_round_s(self) -> np.ndarray:
        """float64 [V, P, T], nan where undefined."""
        return self.parts_s.sum(axis=-1)


@value
class Hiding:
    """Whether an exchange ends before the entropy modelling beside it does. beside_s: of a codec, for the
    payload's patch; hidden: float64 [T], 1 yes, 0 no, nan undefined. overlap: `modelling` where the whole of
    it needs no other satellite (the fixed grid), `hyperprior` where the context model waits."""

    codec: str
    overlap: str
    payload: int
    beside_s: float
    hidden: np.ndarray

    @property
    def share(self) -> float:
        """Of the defined instants; nan where there is none."""
        return share_of(self.hidden)


def share_of(flags: np.ndarray) -> float:
    """Mean of what is defined; nan where nothing is."""
    known = flags[np.isfinite(flags)]
    return float(known.mean()) if known.size else math.nan


def payloads_of(payloads_kib: Sequence[float], streams_kib: float) -> tuple[Payload, ...]:
    """Signatures of these sizes, and one independent stream of a 256 px patch (0: none)."""
    lists = [Payload("signatures", kib, kib / PATCH_KIB) for kib in payloads_kib]
    return (*lists, Payload("streams", streams_kib, 1.0)) if streams_kib else tuple(lists)


def variants_of(setting: Setting) -> tuple[Variant, ...]:
    """The scenario's own first, then other networks, then other collectives."""
    own = Variant(setting.link.noise, setting.topology.rule, setting.sync.schedule, setting.sync.contention)
    noises = ("ktb", "paper") if setting.link.kind == "rf" else (own.noise,)  # a laser's rate is given
    networks = [(noise, rule, own.schedule, own.contention) for rule in RULES for noise in noises]
    collectives = [(own.noise, own.rule, plan, rival) for plan in SCHEDULES for rival in CONTENTIONS]
    first = (own.noise, own.rule, own.schedule, own.contention)
    return tuple(Variant(*each) for each in dict.fromkeys([first, *networks, *collectives]))


def with_variant(setting: Setting, variant: Variant) -> Setting:
    """The same satellites over the same region, in another network."""
    return replace(
        setting,
        link=setting.link.model_copy(update={"noise": variant.noise}),
        topology=setting.topology.model_copy(update={"rule": variant.rule}),
        sync=setting.sync.model_copy(update={"schedule": variant.schedule, "contention": variant.contention}),
    )


def day_of(setting: Setting, payloads: tuple[Payload, ...], times_s: np.ndarray) -> Day:
    """Fly the exchange at every instant under every variant. Raises `UserError`."""
    variants = variants_of(setting)
    shape = (len(variants), len(payloads), len(times_s))
    parts_s, unheard = np.full((*shape, len(NAMES)), np.nan), np.full(shape, np.nan)
    present = np.zeros(len(times_s), np.int64)
    sizes = [payload.kib * KIB for payload in payloads]
    for v, variant in enumerate(watched(variants, "networks and collectives")):
        for t, members, results in each_round(with_variant(setting, variant), sizes, times_s):
            present[t] = len(members)
            for p, result in enumerate(results):
                if len(members) > 1:
                    unheard[v, p, t] = 1.0 if result is None else len(result.unheard_pairs) / _pairs(members)
                if result is not None:
                    parts_s[v, p, t] = result.parts.seconds()
    return Day(setting, payloads, variants, np.asarray(times_s, np.float64), parts_s, unheard, present)


def _pairs(members: np.ndarray) -> int:
    return len(members) * (len(members) - 1)


def hidings(day: Day, profile: DeviceProfile | None) -> Iterator[Hiding]:
    """Every codec of a device against every payload of signatures, in the scenario's own network.

    Estimate: modelling grows with the patch's area. Streams exist only once the modelling is done, so there
    is nothing of it for them to hide behind, and they are not among these."""
    if profile is None:
        return
    for codec in profile.reference:
        for p, payload in enumerate(day.payloads):
            if payload.kind != "signatures":
                continue
            times, t_round_s = profile.reference[codec], day.t_round_s[0, p]
            for overlap, seconds in (
                ("modelling", times.entropy_modelling_s),
                ("hyperprior", times.hyperprior_s),
            ):
                beside_s = seconds * payload.area
                hidden = np.where(np.isfinite(t_round_s), (t_round_s <= beside_s).astype(float), np.nan)
                yield Hiding(codec, overlap, p, beside_s, hidden)
