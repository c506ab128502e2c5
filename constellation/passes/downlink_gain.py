"""End-to-end gain G_down of DLRC (paper, section 4.2 "End-to-end gain" and Figure A2): how much more raw data
a day reaches the ground.

    P = T_day S_raw / t                    what the computers can process     (production)
    L = N_w tau_w x r_raw / bpp            what the downlink can carry, in raw bits
    G_down = min(P_D, L_D) / min(P_B, L_B) - 1        B: independent coding, D: with DLRC

`N_w`, `tau_w` and `x` enter only as their product, the bits that the downlink carries in a day:
`DownlinkDay`, given or computed from orbits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constellation.clock import ComputeTimes
from constellation.common.errors import UserError
from constellation.passes.contacts import DAY_S, ContactWindows

RAW_BITS_PER_PIXEL = 24  # 8-bit RGB
REGIMES = (
    "both limited by the downlink",
    "only independent coding limited by the downlink",
    "both limited by computation",
    "only DLRC limited by the downlink",
)


@dataclass(frozen=True)
class DownlinkDay:
    """N_w windows a day of tau_w = `duration_s` each at the mean rate x = `rate_bps`."""

    windows_per_day: float
    duration_s: float
    rate_bps: float

    def __post_init__(self) -> None:
        for name in ("windows_per_day", "duration_s", "rate_bps"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise UserError(f"{name}: {value:g}, expected a finite value of at least 0")
        if self.windows_per_day * self.duration_s > DAY_S:
            raise UserError(
                f"windows: {self.windows_per_day:g} a day of {self.duration_s:g} s each, expected at "
                f"most a day in all"
            )

    @property
    def bits_per_day(self) -> float:
        return self.windows_per_day * self.duration_s * self.rate_bps


@dataclass(frozen=True)
class Method:
    """One way of coding: seconds of computation per patch (per satellite, all its processors together) and
    bits per pixel downlinked."""

    patch_time_s: float
    bpp: float

    def __post_init__(self) -> None:
        for name in ("patch_time_s", "bpp"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise UserError(f"{name}: {value:g}, expected a finite value above 0")


def production_bits(method: Method, patch_px: int, raw_bits_per_pixel: int = RAW_BITS_PER_PIXEL) -> float:
    """P: raw bits processed in a day."""
    return DAY_S * patch_px**2 * raw_bits_per_pixel / method.patch_time_s


def downlink_bits(
    method: Method, bits_per_day: np.ndarray, raw_bits_per_pixel: int = RAW_BITS_PER_PIXEL
) -> np.ndarray:
    """L: raw bits that a day's downlink stands for. Broadcasts."""
    return np.asarray(bits_per_day, dtype=np.float64) * raw_bits_per_pixel / method.bpp


def delivered_bits(
    method: Method, bits_per_day: np.ndarray, patch_px: int, raw_bits_per_pixel: int = RAW_BITS_PER_PIXEL
) -> np.ndarray:
    """min(P, L). Broadcasts over bits_per_day."""
    return np.minimum(
        production_bits(method, patch_px, raw_bits_per_pixel),
        downlink_bits(method, bits_per_day, raw_bits_per_pixel),
    )


def downlink_gain(
    baseline: Method,
    dlrc: Method,
    bits_per_day: np.ndarray,  # float64 [...], N_w tau_w x
    patch_px: int = 256,
    raw_bits_per_pixel: int = RAW_BITS_PER_PIXEL,
) -> np.ndarray:
    """G_down, float64 [...]: 0.5 = half as much again; nan where nothing can be downlinked at all."""
    with_dlrc, without = (
        delivered_bits(method, bits_per_day, patch_px, raw_bits_per_pixel) for method in (dlrc, baseline)
    )
    return np.divide(with_dlrc, without, out=np.full(np.shape(without), np.nan), where=without > 0) - 1


def regime(baseline: Method, dlrc: Method, bits_per_day: np.ndarray, patch_px: int = 256) -> np.ndarray:
    """Index into `REGIMES`, int64 [...]: which of P and L is the smaller one for each method."""
    starved = [
        downlink_bits(method, bits_per_day) < production_bits(method, patch_px) for method in (baseline, dlrc)
    ]
    return np.where(starved[0], np.where(starved[1], 0, 1), np.where(starved[1], 3, 2))


def methods_of(
    times: ComputeTimes, bpp: float, saving: float, t_sync_s: float, processors: int = 1
) -> tuple[Method, Method]:
    """Independent coding and DLRC on a satellite with `processors` equal computers, each working on its own
    patches.

    saving: share of the total bpp that DLRC saves, below 1. As in the paper DLRC's computation is serial, and
    of the sync only what entropy modelling cannot hide delays the patch."""
    exposed_s = max(0.0, t_sync_s - times.entropy_modelling_s)
    return (
        Method(times.lic_s / processors, bpp),
        Method((times.lic_s + times.dlrc_s + exposed_s) / processors, bpp * (1 - saving)),
    )


def downlink_day(windows: ContactWindows, satellites: int) -> DownlinkDay:
    """The average satellite's day, from windows computed from orbits for `satellites` satellites.

    windows_per_day counts passes begun or under way in the span searched. N_w tau_w x is exact; the rate is
    weighted with the durations."""
    days = (windows.end_s - windows.begin_s) / DAY_S
    if not len(windows) or satellites < 1:
        return DownlinkDay(0.0, 0.0, 0.0)
    contact_s = float(windows.duration_s.sum())
    return DownlinkDay(
        len(windows) / days / satellites,
        contact_s / len(windows),
        8 * float(windows.capacity_bytes.sum()) / contact_s,
    )
