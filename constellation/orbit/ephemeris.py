"""Orbits as states in time: Orbit Ephemeris Messages (CCSDS 502.0-B), in KVN or XML, read by the package
`oem`.

States of any Earth-centred frame become TEME when they are read, and between them positions and velocities
follow a Hermite polynomial through the four nearest (degree 7): a state every four minutes gives a low orbit
to a quarter of a metre. Two minutes beyond its span a file is extrapolated, and no further."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from constellation.common.errors import UserError
from constellation.orbit.elements import clean_name, text_of
from constellation.orbit.frames import teme_to_itrs_at, timescale

MAX_FILES = 100_000
MAX_STATES = 5_000_000  # of all files; 280 MB
J2000 = datetime(2000, 1, 1, 12, tzinfo=timezone.utc)
_NODES = 4
_TURN_RAD_S = 7.292115e-5  # of the Earth
_CELESTIAL = ("GCRF", "ICRF", "EME2000")
_TERRESTRIAL = (
    "ITRF", "ITRF-93", "ITRF93", "ITRF-97", "ITRF97", "ITRF2000", "ITRF2005", "ITRF2008", "ITRF2014",
    "ITRF2020",
)  # fmt: skip
_SCALES = {"UTC": "utc", "TAI": "tai", "TT": "tt", "TDT": "tt", "TDB": "tdb"}
_SLACK_S = 120.0  # beyond an end the last polynomial goes on: searches for passes look around their edges


@dataclass(frozen=True, eq=False)
class Arc:
    """One segment. begin_s, end_s: within which it may be used; times_s: float64 [N]; both seconds after
    J2000, UTC without leap seconds. states: float64 [N, 6], TEME, km and km/s."""

    begin_s: float
    end_s: float
    times_s: np.ndarray
    states: np.ndarray


@dataclass(frozen=True, eq=False)
class Ephemeris:
    """One satellite of a file; arcs in the order of their beginnings."""

    name: str
    arcs: tuple[Arc, ...]

    def states(self, utc_s: np.ndarray) -> np.ndarray:
        """float64 [T] seconds after J2000 -> float64 [T, 6], km and km/s; nan where no arc reaches."""
        found = np.full((len(utc_s), 6), np.nan)
        for arc in self.arcs:  # a later one has the last word where two meet
            inside = (utc_s >= arc.begin_s - _SLACK_S) & (utc_s <= arc.end_s + _SLACK_S)
            if inside.any():
                found[inside] = _between(arc, utc_s[inside])
        return found

    @property
    def said(self) -> str:
        """Its span in words."""
        first, last = (
            (J2000 + timedelta(seconds=round(one))).strftime("%Y-%m-%dT%H:%M:%SZ")
            for one in (self.arcs[0].begin_s, max(arc.end_s for arc in self.arcs))
        )
        return f"from {first} to {last}"


def states_of(satellites: Sequence[Ephemeris], utc_s: np.ndarray) -> np.ndarray:
    """float64 [T] seconds after J2000 -> float64 [T, S, 6], TEME, km and km/s. Raises `UserError` that names
    the first satellite that no state is known of."""
    found = np.empty((len(utc_s), len(satellites), 6))
    for number, one in enumerate(satellites):
        found[:, number] = one.states(utc_s)
        lost = np.flatnonzero(np.isnan(found[:, number, 0]))
        if len(lost):
            when = (J2000 + timedelta(seconds=float(utc_s[lost[0]]))).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise UserError(
                f"satellite {one.name} at {when}: its ephemeris holds {one.said}; orbit.epoch=file begins "
                "where all do, orbit.skip_bad=true goes on without it"
            )
    return found


def _between(arc: Arc, at_s: np.ndarray) -> np.ndarray:
    """Hermite interpolation through the nearest states: float64 [T] -> [T, 6]."""
    count = min(_NODES, len(arc.times_s))
    after = np.searchsorted(arc.times_s, at_s)
    first = np.clip(after - count // 2, 0, len(arc.times_s) - count)
    pick = first[:, None] + np.arange(count)
    step_s = arc.times_s[pick[:, -1]] - arc.times_s[pick[:, 0]]
    x = (arc.times_s[pick] - arc.times_s[pick[:, :1]]) / step_s[:, None]  # [T, K], 0 to 1
    t = (at_s - arc.times_s[pick[:, 0]]) / step_s
    own = np.eye(count, dtype=bool)
    apart = np.where(own, 1.0, x[:, :, None] - x[:, None, :])  # [T, K, K]
    slope = np.where(own, 0.0, 1 / apart).sum(axis=2)
    factor = np.where(own, 1.0, (t[:, None, None] - x[:, None, :]) / apart)
    basis = factor.prod(axis=2)  # Lagrange's, and below its derivative
    left_out = np.stack([np.where(own | own[j], 1.0, factor).prod(axis=2) for j in range(count)], axis=2)
    basis_slope = np.where(own, 0.0, left_out / apart).sum(axis=2)
    off = t[:, None] - x
    place, speed = arc.states[pick, :3], arc.states[pick, 3:] * step_s[:, None, None]
    of_place, of_speed = (1 - 2 * off * slope) * basis**2, off * basis**2
    twice = 2 * basis * basis_slope
    place_rate = -2 * slope * basis**2 + (1 - 2 * off * slope) * twice
    speed_rate = basis**2 + off * twice
    where = np.einsum("tk,tki->ti", of_place, place) + np.einsum("tk,tki->ti", of_speed, speed)
    rate = np.einsum("tk,tki->ti", place_rate, place) + np.einsum("tk,tki->ti", speed_rate, speed)
    return np.concatenate([where, rate / step_s[:, None]], axis=1)


def read_oem(path: str) -> list[Ephemeris]:
    """The satellites of a file, or of every .oem and .xml file of a folder by name; segments of one object
    are one satellite. Raises `UserError` that names the file and what is wrong in it."""
    files = [Path(path)]
    if Path(path).is_dir():
        files = sorted(one for one in Path(path).iterdir() if one.suffix.lower() in (".oem", ".xml"))
        if not 0 < len(files) <= MAX_FILES:
            raise UserError(f"{path}: {len(files)} files named .oem or .xml, expected 1 to {MAX_FILES}")
    found: dict[str, Ephemeris] = {}
    states = 0
    for file in files:
        arcs: dict[str, list[Arc]] = {}
        for name, arc in _arcs(str(file)):
            arcs.setdefault(name, []).append(arc)
            states += len(arc.times_s)
            if states > MAX_STATES:
                raise UserError(f"{file}: more than {MAX_STATES} states, with those before it")
        for name, own in arcs.items():
            if name in found:
                raise UserError(f"{file}: satellite {name} again, another file has it already")
            found[name] = Ephemeris(name, tuple(sorted(own, key=lambda arc: arc.begin_s)))
    return list(found.values())


def _arcs(path: str) -> Iterator[tuple[str, Arc]]:
    text = text_of(path).lstrip("\ufeff \t\r\n")
    try:
        from oem.parsers import parse_kvn_oem, parse_xml_oem
    except ModuleNotFoundError as error:
        raise UserError(
            f"orbit.source=oem: needs the package {error.name}, which is not installed; "
            "pip install 'dlrc[ephemerides]' brings it"
        ) from None
    try:
        # its own way in would unpack compressed files of any size
        _, segments = (parse_xml_oem if text.startswith("<") else parse_kvn_oem)(io.StringIO(text))
        raw = [(dict(one["header"]), list(one["data"])) for one in segments]
    except Exception as error:  # the parsers share no error class; what they refuse is no OEM
        raise UserError(
            f"{path}: not an OEM file in KVN or XML: {' '.join(str(error).split())[:120]}"
        ) from None
    if not raw:
        raise UserError(f"{path}: no segments, expected an OEM file")
    for number, (head, rows) in enumerate(raw, start=1):
        yield _arc(head, rows, f"{path} segment {number}")


def _arc(head: dict[str, str], rows: list[tuple], where: str) -> tuple[str, Arc]:
    name = clean_name(head.get("OBJECT_NAME", "") or head.get("OBJECT_ID", ""))
    if not name:
        raise UserError(f"{where}: field OBJECT_NAME is missing")
    frame, scale = (head.get(key, "").strip().upper() for key in ("REF_FRAME", "TIME_SYSTEM"))
    if (center := head.get("CENTER_NAME", "").strip().upper()) != "EARTH":
        raise UserError(f"{where}: CENTER_NAME {center[:32]!r}, expected EARTH")
    if frame not in ("TEME", *_CELESTIAL, *_TERRESTRIAL):
        raise UserError(f"{where}: REF_FRAME {frame[:32]!r}, expected TEME, {', '.join(_CELESTIAL)} or ITRF")
    if scale not in _SCALES:
        raise UserError(f"{where}: TIME_SYSTEM {scale[:32]!r}, expected {', '.join(_SCALES)}")
    if len(rows) < 2:
        raise UserError(f"{where}: {len(rows)} states, expected at least 2")
    times_s = _seconds([row[0] for row in rows], scale, where)
    states = np.array([row[1:7] for row in rows], dtype=np.float64)
    late = np.flatnonzero(np.diff(times_s) < 1e-3)
    if len(late):
        raise UserError(f"{where}: state {late[0] + 2} is not after the one before it")
    radius_km = np.linalg.norm(np.minimum(np.abs(states[:, :3]), 1e9), axis=1)
    far = np.flatnonzero(~((radius_km > 6000) & (radius_km < 1e6) & (np.abs(states) < 1e6).all(axis=1)))
    if len(far):
        raise UserError(f"{where}: state {far[0] + 1} is {radius_km[far[0]]:.4g} km from the Earth's centre")
    span_s = [times_s[0], times_s[-1]]
    for place, key in enumerate(("USEABLE_START_TIME", "USEABLE_STOP_TIME")):
        if head.get(key):
            given_s = float(_seconds([head[key]], scale, where)[0])
            span_s[place] = min(max(given_s, times_s[0]), times_s[-1])
    return name, Arc(float(span_s[0]), float(span_s[1]), times_s, _in_teme(frame, times_s, states))


def _seconds(texts: list[str], scale: str, where: str) -> np.ndarray:
    """Epochs as seconds after J2000, UTC: float64 [N]."""
    from astropy.time import Time
    from astropy.utils import iers

    plain = [text.strip().removesuffix("Z")[:40] for text in texts]
    try:
        with iers.conf.set_temp("auto_download", False):
            if plain[0].count("-") == 1:  # days of the year
                plain = [text.replace("-", ":").replace("T", ":") for text in plain]
            moments: Any = Time(plain, format="isot" if "T" in plain[0] else "yday", scale=_SCALES[scale]).utc
            found = ((moments.jd1 - 2451545.0) + moments.jd2) * 86400.0
    except Exception:  # astropy's errors are of many classes
        raise UserError(
            f"{where}: expected epochs as 2026-01-31T23:59:59.999 or 2026-031T23:59:59.999"
        ) from None
    if not (np.abs(found) < 5e9).all():
        raise UserError(f"{where}: epochs beyond the years 1841 to 2158")
    return np.asarray(found, dtype=np.float64)


def _in_teme(frame: str, times_s: np.ndarray, states: np.ndarray) -> np.ndarray:
    if frame == "TEME":
        return states
    from skyfield.framelib import ICRS_to_J2000
    from skyfield.sgp4lib import TEME

    days, rest_s = np.divmod(times_s, 86400.0)  # leap seconds are those of the calendar's day
    time: Any = timescale().utc(2000, 1, 1 + days, 12, 0, rest_s)
    place, speed = states[:, :3], states[:, 3:]
    if frame in _CELESTIAL:
        turn = TEME.rotation_at(time).transpose(2, 0, 1)
        turn = turn @ ICRS_to_J2000.T if frame == "EME2000" else turn
    else:
        turn = teme_to_itrs_at(time).transpose(0, 2, 1)
        speed = speed + np.cross([0.0, 0.0, _TURN_RAD_S], place)
    parts = [np.einsum("tij,tj->ti", turn, one) for one in (place, speed)]
    return np.concatenate(parts, axis=1)
