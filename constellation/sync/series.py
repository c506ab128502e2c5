"""What a study window of sync rounds came to: times, hops, and who did not hear whom, at every instant
(appendix A, Figure 10).

A pair that never hears each other takes no time. So no time or share stands here without the share of pairs
unheard beside it, and where a satellite hears nobody and nobody hears it, its T_sync is undefined (nan), not
the control time alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from constellation.links.topology import TopologyEvents
from constellation.scenario.network import LinkKnobs, OrbitKnobs, RegionKnobs, SyncKnobs, TopologyKnobs
from constellation.scenario.scenario import NetworkScenario


@dataclass(frozen=True)
class Setting:
    """Where the satellites are, how many of them meet over which region, and over which links."""

    orbit: OrbitKnobs
    region: RegionKnobs
    topology: TopologyKnobs
    link: LinkKnobs
    sync: SyncKnobs
    satellites: int

    @classmethod
    def of(cls, knobs: NetworkScenario) -> Setting:
        """The setting of a space network."""
        return cls(knobs.orbit, knobs.region, knobs.topology, knobs.link, knobs.sync, knobs.satellites)

    @property
    def label(self) -> str:
        """The constellation for titles: `walker 53:1000/25/1 at 550 km`, or the file's name."""
        return constellation_label(self.orbit)


def constellation_label(orbit: OrbitKnobs) -> str:
    """A constellation in a few words, for titles of tables and figures."""
    if orbit.source == "walker" and orbit.shells:
        return f"Walker {orbit.kind} shells {', '.join(orbit.shells)} km"
    if orbit.source == "walker":
        return f"Walker {orbit.kind} {orbit.pattern} at {orbit.altitude_km:g} km"
    return f"{orbit.source.upper()} {orbit.path.rsplit('/', 1)[-1]}"


@dataclass(frozen=True)
class Figures:
    """One payload over the whole window. Times in seconds, nan where nobody heard anybody; shares of the
    ordered pairs of participants.

    t_round_std_s: over the instants. control_share: t_ctrl in the mean T_sync. direct_share: one hop apart.
    unheard_share: did not hear each other, and count in no time. silent_share: of the instants with at least
    two participants, those at which nobody heard anybody."""

    t_sync_mean_s: float
    t_round_mean_s: float
    t_round_max_s: float
    t_round_std_s: float
    control_share: float
    direct_share: float
    unheard_share: float
    silent_share: float


@dataclass(frozen=True, eq=False)
class SyncSeries:
    """Sync rounds at T instants for P payloads; K = participants asked for.

    times_s: float64 [T], after the scenario's epoch. payload_bytes: float64 [P]. participants: int64 [T, K],
    -1 where fewer see the region. t_sync_s: float64 [P, T, K], nan beside the -1 and where a satellite is cut
    off from all others. hops: int16 [P, T, K, K], sender by receiver, 0 on the diagonal, -1 unheard or
    absent. events: one per instant from the second on, over the whole constellation, [T - 1]. noise, rule:
    what it rests on. constellation: in words. notes: what whoever prints must add."""

    times_s: np.ndarray
    payload_bytes: np.ndarray
    participants: np.ndarray
    t_sync_s: np.ndarray
    hops: np.ndarray
    events: tuple[TopologyEvents, ...]
    control_s: float
    noise: str
    rule: str
    schedule: str
    contention: str
    constellation: str
    satellites: int
    notes: tuple[str, ...] = ()

    @property
    def t_round_s(self) -> np.ndarray:
        """float64 [P, T]: the worst T_sync of those who heard anybody, nan where nobody did."""
        return _over_the_heard(np.nanmax, self.t_sync_s)

    @property
    def t_sync_mean_s(self) -> np.ndarray:
        """float64 [P, T]: T_sync averaged over those who heard anybody, nan where nobody did."""
        return _over_the_heard(np.nanmean, self.t_sync_s)

    @property
    def present(self) -> np.ndarray:
        """int64 [T]: participants at each instant."""
        return (self.participants >= 0).sum(axis=1)

    def hop_histogram(self, payload: int) -> np.ndarray:
        """int64 [H + 1]: ordered pairs of different participants by hops of their route, index 0 =
        unheard."""
        hops = self.hops[payload][self._pairs()]
        return np.bincount(np.maximum(hops, 0).astype(np.int64), minlength=2)

    def unheard_shares(self, payload: int) -> np.ndarray:
        """float64 [T]: share of ordered pairs unheard at each instant, nan where there is no pair."""
        pairs = self._pairs()
        unheard = (pairs & (self.hops[payload] < 0)).sum(axis=(1, 2))
        count = pairs.sum(axis=(1, 2))
        return np.divide(unheard, count, out=np.full(len(count), np.nan), where=count > 0)

    def figures(self, payload: int) -> Figures:
        """The payload's line of every table."""
        histogram = self.hop_histogram(payload)
        pairs = max(1, int(histogram.sum()))
        t_sync_s, t_round_s = (
            part[np.isfinite(part)] for part in (self.t_sync_s[payload], self.t_round_s[payload])
        )
        silent = self.unheard_shares(payload)
        silent = silent[np.isfinite(silent)] == 1
        heard = t_round_s.size > 0
        mean_s = float(t_sync_s.mean()) if heard else np.nan
        return Figures(
            t_sync_mean_s=mean_s,
            t_round_mean_s=float(t_round_s.mean()) if heard else np.nan,
            t_round_max_s=float(t_round_s.max()) if heard else np.nan,
            t_round_std_s=float(t_round_s.std()) if heard else np.nan,
            control_share=self.control_s / mean_s if heard and mean_s else np.nan,
            direct_share=float(histogram[1] / pairs),
            unheard_share=float(histogram[0] / pairs),
            silent_share=float(silent.mean()) if silent.size else 0.0,
        )

    def _pairs(self) -> np.ndarray:
        count = self.participants.shape[1]
        present = self.participants >= 0
        return present[:, :, None] & present[:, None, :] & ~np.eye(count, dtype=bool)


def _over_the_heard(reduce: Callable[..., np.ndarray], t_sync_s: np.ndarray) -> np.ndarray:
    out = np.full(t_sync_s.shape[:-1], np.nan)
    somebody = np.isfinite(t_sync_s).any(axis=-1)
    out[somebody] = reduce(t_sync_s[somebody], axis=-1)
    return out
