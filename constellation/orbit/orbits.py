"""Satellites of a constellation and where they are: Walker patterns or TLE/OMM files, propagated by SGP4, or
ephemerides (OEM).

Frames. SGP4 answers in TEME (true equator, mean equinox: inertial for our purpose). Distances, line of sight
and therefore links and routes are the same in every frame; ground geometry needs ITRS (Earth-fixed), which
skyfield's own rotations give here. Time is seconds after the scenario's `orbit.epoch` (UTC); one skyfield
`Time` array serves a whole call, because one `Time` per step costs 20 to 300 times more."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
from sgp4.api import Satrec, SatrecArray
from sgp4.conveniences import sat_epoch_datetime

from constellation.common.errors import UserError, naming
from constellation.common.text import counted
from constellation.orbit.decay import epochs_jd, fails, faults_between, highest_radius_km, told
from constellation.orbit.elements import usable
from constellation.orbit.ephemeris import J2000, Ephemeris, read_oem, states_of
from constellation.orbit.frames import julian_date_utc, parse_epoch, teme_to_itrs_at, timescale
from constellation.orbit.omm import read_omm
from constellation.orbit.tle import read_tle
from constellation.orbit.walker import (
    MAX_SATELLITES,
    Shell,
    WalkerPattern,
    parse_shell,
    parse_walker,
    walker_names,
    walker_satrecs,
)
from constellation.scenario.network import OrbitKnobs

MAX_TIME_S = 10 * 366 * 86400.0  # either way from the epoch: SGP4 is a matter of weeks, patterns of years
MAX_INSTANTS = 1_000_000
# SGP4 takes a copy of the records, 1 kB each: kept of so many satellites; of more made anew, part by part
MOST_HELD, COPIED_AT_ONCE = 20_000, 4096


@dataclass(frozen=True, eq=False)
class Constellation:
    """Named satellites with their SGP4 records, index = satellite id.

    epoch: UTC time of `times_s` = 0. walker: the pattern, or None for satellites read from a file and for
    several shells. shells: the patterns that the satellites are of, in their order; none of a file's.
    max_age_days: how far from its own epoch an element set may be used (None: unlimited, for patterns, which
    have no drag to mispredict). skipped: a line for each satellite that `orbit.skip_bad` left out.
    ephemerides: in the place of SGP4 records, of which there are none then."""

    names: tuple[str, ...]
    satrecs: tuple[Satrec, ...]
    epoch: datetime
    walker: WalkerPattern | None = None
    kind: str = "delta"
    max_age_days: float | None = None
    skipped: tuple[str, ...] = ()
    shells: tuple[Shell, ...] = ()
    ephemerides: tuple[Ephemeris, ...] = ()
    _array: SatrecArray | None = field(init=False, repr=False)
    _followed_jd: list[float] = field(init=False, repr=False, default_factory=list)  # span found sound so far

    def __post_init__(self) -> None:
        held = SatrecArray(self.satrecs) if len(self) <= MOST_HELD else None
        object.__setattr__(self, "_array", held)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def notes(self) -> list[str]:
        """What whoever prints results from this constellation must say beside them."""
        if not self.skipped:
            return []
        some = "; ".join(self.skipped[:8]) + ("; ..." if len(self.skipped) > 8 else "")
        return [f"note: {counted(len(self.skipped), 'satellite')} left out (orbit.skip_bad): {some}"]

    def times(self, times_s: np.ndarray) -> Any:
        """One skyfield `Time` (array) for seconds after the epoch: float64 [T] -> Time [T]. Raises
        `UserError` beyond ten years."""
        e, asked_s = self.epoch, np.asarray(times_s, dtype=np.float64)
        if not (np.abs(asked_s) <= MAX_TIME_S).all():
            raise UserError(
                f"simulated time: {asked_s.flat[np.abs(asked_s).argmax()]:g} s after orbit.epoch, expected "
                f"at most {MAX_TIME_S:g} (ten years); give fewer rounds or a smaller orbit.step_s"
            )
        return timescale().utc(
            e.year, e.month, e.day, e.hour, e.minute, e.second + e.microsecond * 1e-6 + asked_s
        )

    def positions_teme_km(self, times_s: np.ndarray) -> np.ndarray:
        """Positions in TEME, km: float64 [T] seconds after the epoch -> float64 [T, S, 3].

        Takes about 0.4 us and, while it runs, 0.1 kB per satellite and time: hand long spans over in blocks.
        Raises `UserError` where SGP4 fails, an orbit has decayed, or an element set is older than
        `max_age_days` (names the satellite)."""
        return self._teme(self.times(np.atleast_1d(times_s)))

    def states_teme_km(self, times_s: np.ndarray) -> np.ndarray:
        """Positions, km, and velocities, km/s, in TEME: float64 [T] seconds after the epoch -> float64 [T, S,
        6]. Raises as `positions_teme_km` does."""
        return self._teme(self.times(np.atleast_1d(times_s)), velocity=True)

    def positions_itrs_km(self, times_s: np.ndarray) -> np.ndarray:
        """As `positions_teme_km`, in the Earth-fixed frame ITRS (no polar motion): float64 [T, S, 3], km."""
        time = self.times(np.atleast_1d(times_s))
        return self._teme(time) @ teme_to_itrs_at(time).transpose(0, 2, 1)

    def teme_to_itrs(self, times_s: np.ndarray) -> np.ndarray:
        """Rotations R with r_itrs = R @ r_teme: float64 [T] -> float64 [T, 3, 3]."""
        return teme_to_itrs_at(self.times(np.atleast_1d(times_s)))

    def skyfield_satellite(self, index: int) -> Any:
        """The satellite as a skyfield `EarthSatellite` (for `find_events`, `altaz`, ...)."""
        from skyfield.api import EarthSatellite

        satellite = EarthSatellite.from_satrec(self.satrecs[index], timescale())
        satellite.name = self.names[index]
        return satellite

    def _teme(self, time: Any, velocity: bool = False) -> np.ndarray:
        whole, fraction = (
            time.whole,
            time.tai_fraction - time._leap_seconds() / 86400.0,
        )  # UTC, split as skyfield does
        if self.ephemerides:
            states = states_of(self.ephemerides, ((whole - 2451545.0) + fraction) * 86400.0)
            return states if velocity else np.ascontiguousarray(states[..., :3])
        if self.max_age_days is not None and len(whole):
            utc = whole + fraction
            self._refuse_unsound(float(utc.min()), float(utc.max()))
        times = np.ascontiguousarray(whole), np.ascontiguousarray(fraction)
        error, position_km, velocity_km_s = self._answers(*times)
        patterned = self.max_age_days is None
        bad = (error != 0) if patterned else fails(error, position_km, highest_radius_km(self.satrecs))
        if bad.any():
            satellite, step = np.argwhere(bad)[0]
            radius_km = float(np.linalg.norm(position_km[satellite, step]))
            days = float(whole[step] + fraction[step] - epochs_jd(self.satrecs[satellite : satellite + 1])[0])
            raise UserError(
                f"satellite {self.names[satellite]} at {time[step].utc_iso()}: SGP4 cannot propagate it: "
                f"{told(int(error[satellite, step]), radius_km, days)}{self._remedy}"
            )
        if velocity:
            position_km = np.concatenate([position_km, velocity_km_s], axis=2)
        return np.ascontiguousarray(position_km.transpose(1, 0, 2))

    def _answers(self, whole: np.ndarray, fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """SGP4's errors [S, T], positions and velocities [S, T, 3]."""
        if self._array is not None:
            return self._array.sgp4(whole, fraction)
        some = range(0, len(self), COPIED_AT_ONCE)
        parts = [SatrecArray(self.satrecs[one : one + COPIED_AT_ONCE]).sgp4(whole, fraction) for one in some]
        error, position_km, velocity_km_s = (np.concatenate(part) for part in zip(*parts, strict=True))
        return error, position_km, velocity_km_s

    @property
    def _remedy(self) -> str:
        return "" if self.max_age_days is None else " (orbit.skip_bad=true goes on without it)"

    def _refuse_unsound(self, begin_jd: float, end_jd: float) -> None:
        """Refuse what is too old or has decayed on the way to [begin_jd, end_jd]; what was followed once is
        not followed again."""
        stale = too_old(self, begin_jd, end_jd)
        if stale:
            satellite, reason = next(iter(stale.items()))
            raise UserError(f"satellite {self.names[satellite]}: {reason}{self._remedy}")
        low_jd, high_jd = self._followed_jd or (begin_jd, end_jd)
        if not self._followed_jd:
            parts = [(begin_jd, end_jd)]
        else:  # the next block of a long span: from where the last one ended
            parts = [(begin_jd, low_jd)] * (begin_jd < low_jd) + [(high_jd, end_jd)] * (end_jd > high_jd)
        for first_jd, last_jd in parts:
            faults = faults_between(self.satrecs, first_jd, last_jd, from_epoch=not self._followed_jd)
            for satellite, reason in faults.items():
                raise UserError(f"satellite {self.names[satellite]}: {reason}{self._remedy}")
        self._followed_jd[:] = [min(low_jd, begin_jd), max(high_jd, end_jd)]


def too_old(satellites: Constellation, begin_jd: float, end_jd: float) -> dict[int, str]:
    """Whose elements are further than `max_age_days` from the span: index -> a reason; the worst first."""
    if satellites.max_age_days is None or not len(satellites):
        return {}
    epochs = epochs_jd(satellites.satrecs)
    age_days = np.maximum(np.abs(epochs - begin_jd), np.abs(epochs - end_jd))
    return {
        int(worst): (
            f"elements are {age_days[worst]:.1f} days away from the simulated time, expected at most "
            f"{satellites.max_age_days:g} (orbit.max_age_days; set orbit.epoch near the elements' own epoch)"
        )
        for worst in np.argsort(-age_days, kind="stable")
        if age_days[worst] > satellites.max_age_days
    }


def subset(constellation: Constellation, satellites: Any) -> Constellation:
    """The constellation of these satellites alone, in this order: what is about eight satellites propagates
    eight."""
    return replace(
        constellation,
        names=tuple(constellation.names[s] for s in satellites),
        satrecs=tuple(constellation.satrecs[s] for s in satellites if constellation.satrecs),
        ephemerides=tuple(constellation.ephemerides[s] for s in satellites if constellation.ephemerides),
        walker=None,
        shells=(),
    )


def load_constellation(orbit: OrbitKnobs) -> Constellation:
    """The constellation that the knobs describe. Raises `UserError` for a bad pattern, file, or epoch.

    With `skip_bad`, satellites of a file that SGP4 must not propagate, or that fail between their own epoch
    and the end of `duration_s`, are left out; `Constellation.notes` says which."""
    if orbit.source == "walker":
        return _of_patterns(orbit, parse_epoch(orbit.epoch))
    if not orbit.path:
        raise UserError(f"orbit.path: found nothing, expected a file because orbit.source={orbit.source}")
    if orbit.source == "oem":
        return _of_ephemerides(orbit)
    with naming("orbit.path"):
        found = read_tle(orbit.path) if orbit.source == "tle" else read_omm(orbit.path)
        if len(found) > MAX_SATELLITES:
            raise UserError(f"{orbit.path}: {len(found)} satellites, expected at most {MAX_SATELLITES}")
        good, skipped = usable(found, orbit.skip_bad)
    if orbit.epoch.strip().lower() == "file":
        epoch = max(sat_epoch_datetime(one.record) for one in good).astimezone(timezone.utc)
    else:
        epoch = parse_epoch(orbit.epoch)
    satellites = Constellation(
        tuple(one.name for one in good),
        tuple(one.record for one in good),
        epoch,
        kind=orbit.kind,
        max_age_days=orbit.max_age_days,
        skipped=tuple(skipped),
    )
    return _without_bad(satellites, orbit) if orbit.skip_bad else satellites


def _of_ephemerides(orbit: OrbitKnobs) -> Constellation:
    """Satellites of an OEM file, or of a folder of them."""
    found = naming("orbit.path")(read_oem)(orbit.path)
    begun = J2000 + timedelta(seconds=max(one.arcs[0].begin_s for one in found))  # all of them
    epoch = begun if orbit.epoch.strip().lower() == "file" else parse_epoch(orbit.epoch)
    begin_s = (epoch - J2000).total_seconds()
    ends_s = np.array([begin_s, begin_s + orbit.duration_s])
    short = [one for one in found if orbit.skip_bad and np.isnan(one.states(ends_s)).any()]
    good = [one for one in found if one not in short]
    if not good:
        raise UserError(
            f"orbit.path={orbit.path}: none of its satellites can be used "
            f"({short[0].name} holds {short[0].said})"
        )
    skipped = tuple(f"{one.name}: its ephemeris holds {one.said}" for one in short)
    names, known = tuple(one.name for one in good), tuple(good)
    return Constellation(names, (), epoch, kind=orbit.kind, skipped=skipped, ephemerides=known)


def _of_patterns(orbit: OrbitKnobs, epoch: datetime) -> Constellation:
    """One pattern, or several shells after each other, whose names begin with the shell's number."""
    spread_deg = orbit.node_spread_deg or (360.0 if orbit.kind == "delta" else 180.0)
    if not orbit.shells:
        shells = [Shell(parse_walker(orbit.pattern), orbit.altitude_km, spread_deg)]
    else:
        shells = [parse_shell(text, spread_deg) for text in orbit.shells]
    total = sum(shell.pattern.total for shell in shells)
    if total > MAX_SATELLITES:
        raise UserError(f"orbit.shells: {total} satellites, expected at most {MAX_SATELLITES}")
    names: list[str] = []
    satrecs: list[Satrec] = []
    for number, shell in enumerate(shells):
        prefix = f"S{number:02d}" if orbit.shells else ""
        names += [prefix + name for name in walker_names(shell.pattern)]
        satrecs += walker_satrecs(shell, epoch)
    pattern = None if orbit.shells else shells[0].pattern
    return Constellation(tuple(names), tuple(satrecs), epoch, pattern, orbit.kind, shells=tuple(shells))


def _without_bad(satellites: Constellation, orbit: OrbitKnobs) -> Constellation:
    begin_jd = julian_date_utc(satellites.epoch)
    span_jd = (begin_jd, begin_jd + orbit.duration_s / 86400)
    bad = too_old(satellites, *span_jd)
    fresh = [s for s in range(len(satellites)) if s not in bad]
    fallen = faults_between([satellites.satrecs[s] for s in fresh], *span_jd)
    bad |= {fresh[place]: reason for place, reason in fallen.items()}
    reasons = tuple(f"{satellites.names[s]}: {bad[s]}" for s in sorted(bad))
    if len(bad) == len(satellites):
        raise UserError(
            f"orbit.path={orbit.path}: none of its satellites can be used "
            f"({(satellites.skipped + reasons)[0]})"
        )
    good = [s for s in range(len(satellites)) if s not in bad]
    return replace(subset(satellites, good), skipped=satellites.skipped + reasons)


def constellation_positions(orbit: OrbitKnobs, times_s: np.ndarray) -> np.ndarray:
    """Positions of all satellites in TEME, km: float64 [T] after `orbit.epoch`, s -> float64 [T, S, 3]."""
    return load_constellation(orbit).positions_teme_km(times_s)


def sample_times_s(orbit: OrbitKnobs) -> np.ndarray:
    """The sampling instants t_k of a study (appendix A): float64 [T], seconds after the epoch, the end not
    included. Raises `UserError` for more than a million."""
    count = max(1, math.ceil(orbit.duration_s / orbit.step_s - 1e-9))
    if count > MAX_INSTANTS:
        raise UserError(
            f"orbit.step_s={orbit.step_s:g}: {count} instants in orbit.duration_s={orbit.duration_s:g}, "
            f"expected at most {MAX_INSTANTS}"
        )
    return np.arange(count) * orbit.step_s
