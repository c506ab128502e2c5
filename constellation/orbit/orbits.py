"""Satellites of a constellation and where they are: Walker patterns or TLE/OMM files, propagated by SGP4.

Frames. SGP4 answers in TEME (true equator, mean equinox: inertial for our purpose). Distances, line of sight
and therefore links and routes are the same in every frame; ground geometry needs ITRS (Earth-fixed), which
skyfield's own rotations give here. Time is seconds after the scenario's `orbit.epoch` (UTC); one skyfield
`Time` array serves a whole call, because one `Time` per step costs 20 to 300 times more.

A Walker pattern `i:T/P/F` gives *mean* elements to SGP4: circular orbits whose Brouwer mean semi-major axis
is the WGS-72 equatorial radius plus `altitude_km`, no drag. J2 then precesses the nodes (about -4.6 deg per
day at 550 km and 53 deg) and makes the true radius breathe by some kilometres around its mean, as real
satellites do; all satellites of a shell drift alike, so the pattern stays."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import numpy as np
from sgp4.api import SGP4_ERRORS, WGS72, Satrec, SatrecArray
from sgp4.earth_gravity import wgs72

from constellation.common.errors import UserError
from constellation.scenario.network import OrbitKnobs
from constellation.orbit.tle import read_omm, read_tle

EARTH_RADIUS_KM = 6378.137  # WGS-84 equatorial, for line of sight
SGP4_RADIUS_KM = wgs72.radiusearthkm  # 6378.135, WGS-72 equatorial, the radius that SGP4's elements refer to
SGP4_EPOCH_JD = 2433281.5  # 1949-12-31 00:00 UTC, day zero of `Satrec.sgp4init`
MAX_SATELLITES = 100_000
_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*:\s*(\d+)\s*/\s*(\d+)\s*/\s*(\d+)\s*")


@dataclass(frozen=True)
class WalkerPattern:
    """`inclination_deg : total / planes / phasing`; satellite id = plane * per_plane + slot."""

    inclination_deg: float
    total: int
    planes: int
    phasing: int

    @property
    def per_plane(self) -> int:
        return self.total // self.planes


@dataclass(frozen=True, eq=False)
class Constellation:
    """Named satellites with their SGP4 records, index = satellite id.

    epoch: UTC time of `times_s` = 0. walker: the pattern, or None for satellites read from a file.
    max_age_days: how far from its own epoch an element set may be used (None: unlimited, for patterns, which
    have no drag to mispredict)."""

    names: tuple[str, ...]
    satrecs: tuple[Satrec, ...]
    epoch: datetime
    walker: WalkerPattern | None = None
    kind: str = "delta"
    max_age_days: float | None = None
    _array: SatrecArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_array", SatrecArray(self.satrecs))

    def __len__(self) -> int:
        return len(self.names)

    def times(self, times_s: np.ndarray) -> Any:
        """One skyfield `Time` (array) for seconds after the epoch: float64 [T] -> Time [T]."""
        e = self.epoch
        seconds = e.second + e.microsecond * 1e-6 + np.asarray(times_s, dtype=np.float64)
        return timescale().utc(e.year, e.month, e.day, e.hour, e.minute, seconds)

    def positions_teme_km(self, times_s: np.ndarray) -> np.ndarray:
        """Positions in TEME, km: float64 [T] seconds after the epoch -> float64 [T, S, 3].

        Takes about 0.4 us and, while it runs, 0.1 kB per satellite and time: hand long spans over in blocks.
        Raises `UserError` where SGP4 fails or an element set is older than `max_age_days` (names the
        satellite)."""
        return self._teme(self.times(np.atleast_1d(times_s)))

    def positions_itrs_km(self, times_s: np.ndarray) -> np.ndarray:
        """As `positions_teme_km`, in the Earth-fixed frame ITRS (no polar motion): float64 [T, S, 3], km."""
        time = self.times(np.atleast_1d(times_s))
        return self._teme(time) @ _teme_to_itrs(time).transpose(0, 2, 1)

    def teme_to_itrs(self, times_s: np.ndarray) -> np.ndarray:
        """Rotations R with r_itrs = R @ r_teme: float64 [T] -> float64 [T, 3, 3]."""
        return _teme_to_itrs(self.times(np.atleast_1d(times_s)))

    def skyfield_satellite(self, index: int) -> Any:
        """The satellite as a skyfield `EarthSatellite` (for `find_events`, `altaz`, ...)."""
        from skyfield.api import EarthSatellite

        satellite = EarthSatellite.from_satrec(self.satrecs[index], timescale())
        satellite.name = self.names[index]
        return satellite

    def _teme(self, time: Any) -> np.ndarray:
        whole, fraction = (
            time.whole,
            time.tai_fraction - time._leap_seconds() / 86400.0,
        )  # UTC, split as skyfield does
        self._refuse_stale(whole, fraction)
        error, position_km, _ = self._array.sgp4(np.ascontiguousarray(whole), np.ascontiguousarray(fraction))
        if error.any():
            satellite, step = np.argwhere(error)[0]
            reason = SGP4_ERRORS.get(int(error[satellite, step]), "unknown error")
            raise UserError(
                f"satellite {self.names[satellite]} at {time[step].utc_iso()}: SGP4 cannot propagate it ({reason})"
            )
        return np.ascontiguousarray(position_km.transpose(1, 0, 2))

    def _refuse_stale(self, whole: np.ndarray, fraction: np.ndarray) -> None:
        if self.max_age_days is None or not len(whole):
            return
        utc = whole + fraction
        epochs = np.array([record.jdsatepoch + record.jdsatepochF for record in self.satrecs])
        age_days = np.maximum(np.abs(epochs - utc.min()), np.abs(epochs - utc.max()))
        worst = int(age_days.argmax())
        if age_days[worst] > self.max_age_days:
            raise UserError(
                f"satellite {self.names[worst]}: elements are {age_days[worst]:.1f} days away from the simulated time, expected "
                f"at most {self.max_age_days:g} (orbit.max_age_days; set orbit.epoch near the elements' own epoch)"
            )


def load_constellation(orbit: OrbitKnobs) -> Constellation:
    """The constellation that the knobs describe. Raises `UserError` for a bad pattern, file, or epoch."""
    epoch = parse_epoch(orbit.epoch)
    if orbit.source == "walker":
        pattern = parse_walker(orbit.pattern)
        names = tuple(
            f"P{plane:03d}S{slot:03d}" for plane in range(pattern.planes) for slot in range(pattern.per_plane)
        )
        return Constellation(
            names, walker_satrecs(pattern, orbit.kind, orbit.altitude_km, epoch), epoch, pattern, orbit.kind
        )
    if not orbit.path:
        raise UserError(f"orbit.path: found nothing, expected a file because orbit.source={orbit.source}")
    named = read_tle(orbit.path) if orbit.source == "tle" else read_omm(orbit.path)
    if len(named) > MAX_SATELLITES:
        raise UserError(f"{orbit.path}: {len(named)} satellites, expected at most {MAX_SATELLITES}")
    return Constellation(
        tuple(name for name, _ in named),
        tuple(record for _, record in named),
        epoch,
        kind=orbit.kind,
        max_age_days=orbit.max_age_days,
    )


def constellation_positions(orbit: OrbitKnobs, times_s: np.ndarray) -> np.ndarray:
    """Positions of all satellites in TEME, km: float64 [T] seconds after `orbit.epoch` -> float64 [T, S,
    3]."""
    return load_constellation(orbit).positions_teme_km(times_s)


def sample_times_s(orbit: OrbitKnobs) -> np.ndarray:
    """The sampling instants t_k of a study (appendix A): float64 [T], seconds after the epoch, the end not
    included."""
    return np.arange(max(1, math.ceil(orbit.duration_s / orbit.step_s - 1e-9))) * orbit.step_s


def parse_walker(pattern: str) -> WalkerPattern:
    """Read `i:T/P/F`. Raises `UserError` that names the field, the value and what was expected."""
    match = _PATTERN.fullmatch(pattern)
    if not match:
        raise UserError(
            f"orbit.pattern: found {pattern!r}, expected inclination_deg:total/planes/phasing, for example 53:1000/25/1"
        )
    inclination_deg, total, planes, phasing = float(match[1]), *(int(match[i]) for i in (2, 3, 4))
    if not 0 <= inclination_deg <= 180:
        raise UserError(f"orbit.pattern: inclination {inclination_deg:g}, expected 0 to 180 degrees")
    if not 1 <= total <= MAX_SATELLITES:
        raise UserError(f"orbit.pattern: {total} satellites, expected 1 to {MAX_SATELLITES}")
    if planes < 1 or total % planes:
        raise UserError(
            f"orbit.pattern: {total} satellites in {planes} planes, expected a total that is a multiple of the planes"
        )
    if phasing >= planes:
        raise UserError(f"orbit.pattern: phasing {phasing}, expected 0 to {planes - 1} (planes - 1)")
    return WalkerPattern(inclination_deg, total, planes, phasing)


def walker_satrecs(
    pattern: WalkerPattern, kind: str, altitude_km: float, epoch: datetime
) -> tuple[Satrec, ...]:
    """SGP4 records of a Walker delta (nodes over 360 deg) or star (nodes over 180 deg) pattern, plane by
    plane.

    Slot s of plane p: node p * spread / P, argument of latitude s * 360 P / T + p * F * 360 / T (Walker
    1984), at `epoch`."""
    spread = 2 * math.pi if kind == "delta" else math.pi
    inclination = math.radians(pattern.inclination_deg)
    motion = kozai_mean_motion(altitude_km, inclination)
    days = _utc_jd(epoch) - SGP4_EPOCH_JD
    records = []
    for index in range(pattern.total):
        plane, slot = divmod(index, pattern.per_plane)
        anomaly = 2 * math.pi * (slot / pattern.per_plane + plane * pattern.phasing / pattern.total)
        record = Satrec()
        record.sgp4init(
            WGS72,
            "i",
            index % 100_000,
            days,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            inclination,
            anomaly % (2 * math.pi),
            motion,
            plane * spread / pattern.planes,
        )
        records.append(record)
    return tuple(records)


def kozai_mean_motion(altitude_km: float, inclination_rad: float) -> float:
    """Mean motion, rad per minute, that makes SGP4's own (Brouwer) semi-major axis the Earth's radius plus
    the altitude.

    Inverts the "un-Kozai" step of SGP4's initl (Vallado et al. 2006, AIAA 2006-6753) for a circular orbit, by
    fixed point."""
    axis = 1 + altitude_km / SGP4_RADIUS_KM  # Earth radii
    brouwer = wgs72.xke / axis**1.5
    j2_term = 0.75 * wgs72.j2 * (3 * math.cos(inclination_rad) ** 2 - 1)
    motion = brouwer
    for _ in range(8):
        ak = (wgs72.xke / motion) ** (2 / 3)
        delta = j2_term / ak**2
        adel = ak * (1 - delta**2 - delta * (1 / 3 + 134 * delta**2 / 81))
        motion = brouwer * (1 + j2_term / adel**2)
    return motion


def parse_epoch(text: str) -> datetime:
    """ISO 8601 -> aware UTC datetime (no zone means UTC). Raises `UserError`."""
    try:
        epoch = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise UserError(
            f"orbit.epoch: found {text!r}, expected ISO 8601 UTC, for example 2026-01-01T00:00:00Z"
        ) from None
    epoch = epoch if epoch.tzinfo else epoch.replace(tzinfo=timezone.utc)
    if not 1957 <= epoch.year <= 2150:
        raise UserError(f"orbit.epoch: found year {epoch.year}, expected 1957 to 2150")
    return epoch.astimezone(timezone.utc)


@lru_cache(maxsize=1)
def timescale() -> Any:
    """skyfield's time scale with its built-in leap seconds and Delta T: no network."""
    from skyfield.api import load

    return load.timescale(builtin=True)


def itrs_of_ground_point_km(
    latitude_deg: float, longitude_deg: float, elevation_m: float = 0.0
) -> np.ndarray:
    """Earth-fixed position of a WGS-84 point, km: float64 [3]."""
    from skyfield.api import wgs84

    return np.asarray(wgs84.latlon(latitude_deg, longitude_deg, elevation_m).itrs_xyz.km, dtype=np.float64)


def _teme_to_itrs(time: Any) -> np.ndarray:
    from skyfield.framelib import itrs
    from skyfield.sgp4lib import TEME

    to_itrs, to_teme = itrs.rotation_at(time), TEME.rotation_at(time)  # both from GCRS, [3, 3, T]
    return np.einsum("ikt,jkt->tij", to_itrs, to_teme)


def _utc_jd(moment: datetime) -> float:
    reference = datetime(2000, 1, 1, 12, tzinfo=timezone.utc)
    return 2451545.0 + (moment - reference).total_seconds() / 86400.0
