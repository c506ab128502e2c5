"""Whether real elements still describe an orbit: SGP4's errors come and go as drag carries it away.

Past the end of its life SGP4's polynomial of time runs through zero and out again: a satellite that fell
down weeks ago is an error for two days, then at 110 astronomical units without any. So elements are followed
from their own epoch to the time asked for, and the radius must stay within what the elements allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sgp4.api import SGP4_ERRORS, Satrec, SatrecArray

from constellation.orbit.walker import SGP4_RADIUS_KM

_STEP_DAYS = 1 / 48  # a decaying orbit of the lowest kind is in error for hours
_MAX_STEPS = 1500  # a month in half hours; longer spans in larger steps
_BLOCK = 500_000  # satellites times steps at once: 40 MB
_MOST = 4096  # satellites at once: SGP4 takes a copy of their records, 0.7 kB each
# Beyond the apogee of the elements: short-period terms (some 30 km), lunisolar changes of eccentricity
_APOGEE_FACTOR, _APOGEE_MARGIN_KM = 1.1, 100.0


def highest_radius_km(satrecs: Sequence[Satrec]) -> np.ndarray:
    """The largest radius that each element set allows, km: float64 [S]."""
    apogee_km = np.array([1 + record.alta for record in satrecs]) * SGP4_RADIUS_KM
    return _APOGEE_FACTOR * apogee_km + _APOGEE_MARGIN_KM


def epochs_jd(satrecs: Sequence[Satrec]) -> np.ndarray:
    """Epochs of the element sets, Julian dates in UTC: float64 [S]."""
    return np.array([record.jdsatepoch + record.jdsatepochF for record in satrecs])


def faults_between(
    satrecs: Sequence[Satrec], begin_jd: float, end_jd: float, from_epoch: bool = True
) -> dict[int, str]:
    """Which satellites fail somewhere within [begin_jd, end_jd], or (`from_epoch`) between their own epoch
    and that span: index -> what happens and when."""
    if not len(satrecs):
        return {}
    epochs, highest_km = epochs_jd(satrecs), highest_radius_km(satrecs)
    first_jd, last_jd = begin_jd, end_jd
    if from_epoch:
        first_jd, last_jd = min(begin_jd, float(epochs.min())), max(end_jd, float(epochs.max()))
    steps = int(np.clip(np.ceil((last_jd - first_jd) / _STEP_DAYS), 1, _MAX_STEPS))
    times_jd = np.linspace(first_jd, last_jd, steps + 1)
    faults: dict[int, str] = {}
    per_block = max(1, min(_MOST, _BLOCK // len(times_jd)))
    for start in range(0, len(satrecs), per_block):
        block = slice(start, start + per_block)
        own_jd = epochs[block, None]
        error, position_km, _ = SatrecArray(satrecs[block]).sgp4(times_jd, np.zeros(len(times_jd)))
        spent = (times_jd >= np.minimum(own_jd, begin_jd)) & (times_jd <= np.maximum(own_jd, end_jd))
        bad = spent & fails(error, position_km, highest_km[block])
        for satellite in np.flatnonzero(bad.any(axis=1)).tolist():
            at = np.flatnonzero(bad[satellite])
            # the failure nearest to the elements' own epoch is the one that says when the orbit ended
            step = int(at[np.abs(times_jd[at] - epochs[start + satellite]).argmin()])
            radius_km = float(np.linalg.norm(position_km[satellite, step]))
            faults[start + satellite] = told(
                int(error[satellite, step]), radius_km, times_jd[step] - epochs[start + satellite]
            )
    return faults


def fails(error: np.ndarray, position_km: np.ndarray, highest_km: np.ndarray) -> np.ndarray:
    """bool [S, T] of SGP4's answers: error [S, T], positions [S, T, 3], and the radii allowed [S]."""
    squared = np.einsum("sti,sti->st", position_km, position_km)
    return (error != 0) | ~(squared <= np.square(highest_km)[:, None])


def told(error: int, radius_km: float, after_days: float) -> str:
    """One failure in words."""
    reason = SGP4_ERRORS.get(error, "unknown error") if error else f"radius of {radius_km:.3g} km"
    when = "after" if after_days >= 0 else "before"
    return f"its elements do not hold: {reason}, {abs(after_days):.1f} days {when} their epoch"
