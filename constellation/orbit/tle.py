"""Two- and three-line element sets, as NORAD defined them and Space-Track and CelesTrak write them."""

from __future__ import annotations

import re

from sgp4.api import Satrec

from constellation.common.errors import UserError
from constellation.orbit.elements import Elements, clean_name, fault_of_record, text_of

# Columns that may be blank are: leading zeros of every number (the catalogue number's too), classification,
# sign, ephemeris type. A letter leads the catalogue number in the Alpha-5 scheme (no I, no O).
_NUMBER = r"[ \dA-HJ-NP-Z][ \d]{3}\d"
_LINE_1 = re.compile(
    rf"1 {_NUMBER}[UCS ] .{{8}} \d{{2}}[ \d]{{3}}\.\d{{8}} [ +-]\.\d{{8}} [ +-][ \d]{{5}}[+-]\d"
    r" [ +-][ \d]{5}[+-]\d [ \d] [ \d]{4}\d",
    re.ASCII,
)
_LINE_2 = re.compile(
    rf"2 {_NUMBER} [ \d]{{3}}\.\d{{4}} [ \d]{{3}}\.\d{{4}} [ \d]{{7}} [ \d]{{3}}\.\d{{4}} [ \d]{{3}}\.\d{{4}}"
    r" [ \d]{2}\.\d{8}[ \d]{5}\d",
    re.ASCII,
)
_LINE_LENGTH = 69
_SGP4_TYPES = " 023"  # 2 and 3 are SGP4 and SDP4 in Spacetrack Report 3; files for the public carry 0


def read_tle(path: str) -> list[Elements]:
    """Every element set of a TLE file, in file order; without a title line the catalogue number is the name.

    Raises `UserError` with the line number for a wrong length, checksum, layout, pairing, or a repeated
    satellite."""
    text = text_of(path)
    if text.lstrip()[:1] in ("{", "[", "<") or "CCSDS_OMM_VERS" in text[:4096]:
        raise UserError(f"{path}: found an OMM, expected a TLE file; read it with orbit.source=omm")
    found: list[Elements] = []
    seen: dict[int, int] = {}
    title, first, first_number = "", "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.rstrip()
        if not line or line.startswith("#"):
            continue
        where = f"{path} line {number}"
        if first:
            record = _record(first, line, where, first_number)
            if record.satnum in seen:
                raise UserError(
                    f"{path} line {first_number}: satellite {record.satnum} again, it is already in line "
                    f"{seen[record.satnum]}"
                )
            seen[record.satnum] = first_number
            fault = _theory_fault(first) or _range_fault(first, line) or fault_of_record(record)
            found.append(Elements(title or str(record.satnum), record, where, fault))
            title, first = "", ""
        elif line.startswith("1 ") and len(line) > 60:
            _check_line(line, "1", _LINE_1, where)
            first, first_number = line, number
        elif line.startswith("2 ") and len(line) > 60:
            raise UserError(f"{where}: found a second line, expected a first line or a name")
        else:
            title = clean_name(line.removeprefix("0 "))
    if first:
        raise UserError(f"{path} line {first_number}: the second line is missing")
    if not found:
        raise UserError(f"{path}: no element sets, expected a TLE file")
    return found


def _record(first: str, second: str, where: str, first_number: int) -> Satrec:
    _check_line(second, "2", _LINE_2, where)
    if second[2:7] != first[2:7]:
        raise UserError(
            f"{where}: second line of satellite {second[2:7].strip()}, expected of {first[2:7].strip()} "
            f"(line {first_number})"
        )
    try:
        return Satrec.twoline2rv(first, second)
    except ValueError as error:
        raise UserError(f"{where}: satellite {second[2:7].strip()}: {error}") from None


def _check_line(line: str, kind: str, layout: re.Pattern[str], where: str) -> None:
    if not line.startswith(kind + " "):
        raise UserError(f"{where}: found {line[:8]!r}, expected line {kind} of an element set")
    if len(line) != _LINE_LENGTH:
        raise UserError(f"{where}: {len(line)} characters, expected {_LINE_LENGTH}")
    checksum = sum(int(c) if c.isascii() and c.isdigit() else c == "-" for c in line[:68]) % 10
    if str(checksum) != line[68]:
        raise UserError(f"{where}: checksum {line[68]}, expected {checksum} (satellite {line[2:7].strip()})")
    if not layout.fullmatch(line):
        raise UserError(f"{where}: malformed columns in line {kind} of satellite {line[2:7].strip()}")


def _theory_fault(first: str) -> str:
    kind = first[62]
    if kind in _SGP4_TYPES:
        return ""
    return (
        f"ephemeris type {kind}, expected 0: not SGP4's elements (4: SGP4-XP's), it would be kilometres off"
    )


def _range_fault(first: str, second: str) -> str:
    day, inclination = float(first[20:32]), float(second[8:16])
    if not 1 <= day < 367:
        return f"epoch on day {day:g} of the year, expected 1 to 366"
    if inclination > 180:
        return f"inclination {inclination:g}, expected 0 to 180 degrees"
    angles = [float(second[part]) for part in (slice(17, 25), slice(34, 42), slice(43, 51))]
    if max(angles) > 360:
        return f"angles of {max(angles):g} degrees, expected at most 360"
    return ""
