"""Walker patterns: `i:T/P/F` as SGP4 records.

A pattern gives *mean* elements to SGP4: circular orbits whose Brouwer mean semi-major axis is the WGS-72
equatorial radius plus the altitude, no drag. J2 then precesses the nodes (about -4.6 deg per day at 550 km
and 53 deg) and makes the true radius breathe by some kilometres around its mean, as real satellites do; all
satellites of a shell drift alike, so the pattern stays."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

from sgp4.api import WGS72, Satrec
from sgp4.earth_gravity import wgs72

from constellation.common.errors import UserError
from constellation.orbit.frames import julian_date_utc

SGP4_RADIUS_KM = wgs72.radiusearthkm  # 6378.135, WGS-72 equatorial, the radius that SGP4's elements refer to
SGP4_EPOCH_JD = 2433281.5  # 1949-12-31 00:00 UTC, day zero of `Satrec.sgp4init`
MAX_SATELLITES = 100_000
_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*:\s*(\d+)\s*/\s*(\d+)\s*/\s*(\d+)\s*", re.ASCII)
_LONGEST_PATTERN = 64  # characters; int() of a longer digit string is refused by Python itself


@dataclass(frozen=True)
class WalkerPattern:
    """`inclination_deg : total / planes / phasing`; satellite id = plane * per_plane + slot."""

    inclination_deg: float
    total: int
    planes: int
    phasing: int

    @property
    def per_plane(self) -> int:
        """Satellites in each plane."""
        return self.total // self.planes


def parse_walker(pattern: str) -> WalkerPattern:
    """Read `i:T/P/F`. Raises `UserError` that names the field, the value and what was expected."""
    match = _PATTERN.fullmatch(pattern[: _LONGEST_PATTERN + 1])
    if not match or len(pattern) > _LONGEST_PATTERN:
        raise UserError(
            f"orbit.pattern: found {pattern[:_LONGEST_PATTERN]!r}, expected "
            "inclination_deg:total/planes/phasing, for example 53:1000/25/1"
        )
    inclination_deg, total, planes, phasing = float(match[1]), *(int(match[i]) for i in (2, 3, 4))
    if not 0 <= inclination_deg <= 180:
        raise UserError(f"orbit.pattern: inclination {inclination_deg:g}, expected 0 to 180 degrees")
    if not 1 <= total <= MAX_SATELLITES:
        raise UserError(f"orbit.pattern: {total} satellites, expected 1 to {MAX_SATELLITES}")
    if planes < 1 or total % planes:
        raise UserError(
            f"orbit.pattern: {total} satellites in {planes} planes, expected a total that is a multiple of "
            "the planes"
        )
    if phasing >= planes:
        raise UserError(f"orbit.pattern: phasing {phasing}, expected 0 to {planes - 1} (planes - 1)")
    return WalkerPattern(inclination_deg, total, planes, phasing)


def walker_names(pattern: WalkerPattern) -> tuple[str, ...]:
    """P000S000, P000S001, ... plane by plane."""
    return tuple(
        f"P{plane:03d}S{slot:03d}" for plane in range(pattern.planes) for slot in range(pattern.per_plane)
    )


@dataclass(frozen=True)
class Shell:
    """A pattern at an altitude. node_spread_deg: over which the planes' nodes are spread, 360 of a Walker
    delta, 180 of a star."""

    pattern: WalkerPattern
    altitude_km: float
    node_spread_deg: float

    @property
    def closed(self) -> bool:
        """Whether the last plane stands beside the first."""
        return self.node_spread_deg == 360


def parse_shell(text: str, spread_deg: float) -> Shell:
    """Read `PATTERN@ALTITUDE_KM[@NODE_SPREAD_DEG]`. Raises `UserError`."""
    words = text[:200].split("@")
    try:
        numbers = [float(word) for word in words[1:]]
        if not (1 <= len(numbers) <= 2 and 0 < numbers[0] <= 400_000 and 0 < (numbers[1:] or [1])[0] <= 360):
            raise ValueError
    except ValueError:
        raise UserError(
            f"orbit.shells: found {text[:80]!r}, expected PATTERN@ALTITUDE_KM or "
            "PATTERN@ALTITUDE_KM@NODE_SPREAD_DEG, for example 53:72/6/1@550"
        ) from None
    return Shell(parse_walker(words[0]), numbers[0], numbers[1] if len(numbers) > 1 else spread_deg)


def walker_satrecs(shell: Shell, epoch: datetime) -> tuple[Satrec, ...]:
    """SGP4 records of a Walker delta (nodes over 360 deg) or star (nodes over 180 deg) pattern, or one whose
    nodes are spread over any angle, plane by plane.

    Slot s of plane p: node p * spread / P, argument of latitude s * 360 P / T + p * F * 360 / T (Walker
    1984), at `epoch`."""
    pattern, spread = shell.pattern, math.radians(shell.node_spread_deg)
    inclination = math.radians(pattern.inclination_deg)
    motion = kozai_mean_motion(shell.altitude_km, inclination)
    days = julian_date_utc(epoch) - SGP4_EPOCH_JD
    no_drag = (0.0, 0.0, 0.0)  # B*, and the two derivatives of the mean motion, which SGP4 ignores
    circular = (0.0, 0.0)  # eccentricity, argument of perigee: the anomaly counts from the node
    records = []
    for index in range(pattern.total):
        plane, slot = divmod(index, pattern.per_plane)
        turn = slot / pattern.per_plane + plane * pattern.phasing / pattern.total
        anomaly, node = 2 * math.pi * turn % (2 * math.pi), plane * spread / pattern.planes
        record = Satrec()
        # the catalogue number is a label to SGP4, and holds five digits: names tell satellites apart
        record.sgp4init(
            WGS72, "i", index % 100_000, days, *no_drag, *circular, inclination, anomaly, motion, node
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
