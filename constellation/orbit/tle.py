"""Readers of real orbital elements: TLE (two- and three-line) and OMM (XML, JSON, CSV). Files are hostile
until parsed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path

from sgp4.api import SGP4_ERRORS, Satrec
from sgp4 import omm

from constellation.common.errors import UserError

MAX_FILE_BYTES = 64 << 20
_LINE_1 = re.compile(
    r"1 [ A-Z0-9]\d{4}[UCS ] .{8} \d{2}[ \d]{3}\.\d{8} [ +-]\.\d{8} [ +-][ \d]{5}[+-]\d [ +-][ \d]{5}[+-]\d [ \d] [ \d]{4}\d"
)
_LINE_2 = re.compile(
    r"2 [ A-Z0-9]\d{4} [ \d]{3}\.\d{4} [ \d]{3}\.\d{4} [ \d]{7} [ \d]{3}\.\d{4} [ \d]{3}\.\d{4} [ \d]{2}\.\d{8}[ \d]{5}\d"
)


def read_tle(path: str) -> list[tuple[str, Satrec]]:
    """(name, record) of every element set of a TLE file, in file order; without a title line the catalogue
    number is the name.

    Raises `UserError` with the line number for a wrong length, checksum, layout, pairing, or a repeated
    satellite."""
    found: list[tuple[str, Satrec]] = []
    seen: dict[int, int] = {}
    title, first, first_number = "", "", 0
    for number, raw in enumerate(_text(path).splitlines(), start=1):
        line = raw.rstrip()
        if not line or line.startswith("#"):
            continue
        where = f"{path} line {number}"
        if first:
            _check_line(line, "2", _LINE_2, where)
            if line[2:7] != first[2:7]:
                raise UserError(
                    f"{where}: second line of satellite {line[2:7].strip()}, expected of {first[2:7].strip()} (line {first_number})"
                )
            record = Satrec.twoline2rv(first, line)
            _check_record(record, where)
            if record.satnum in seen:
                raise UserError(
                    f"{path} line {first_number}: satellite {record.satnum} again, it is already in line {seen[record.satnum]}"
                )
            seen[record.satnum] = first_number
            found.append((title or str(record.satnum), record))
            title, first = "", ""
        elif line.startswith("1 ") and len(line) > 60:
            _check_line(line, "1", _LINE_1, where)
            first, first_number = line, number
        elif line.startswith("2 ") and len(line) > 60:
            raise UserError(f"{where}: found a second line, expected a first line or a name")
        else:
            title = line.removeprefix("0 ").strip()[:64]
    if first:
        raise UserError(f"{path} line {first_number}: the second line is missing")
    if not found:
        raise UserError(f"{path}: no element sets, expected a TLE file")
    return found


def read_omm(path: str) -> list[tuple[str, Satrec]]:
    """(name, record) of every message of an OMM file: XML, JSON or CSV, told apart by its first character.

    Raises `UserError` that counts the messages (1 = first) and names the field.
    """
    text = _text(path).lstrip("\ufeff \t\r\n")
    found = []
    try:
        for number, fields in enumerate(_omm_messages(text), start=1):
            found.append(_omm_record(fields, f"{path} message {number}"))
    except UserError:
        raise
    except Exception as error:  # the three parsers share no error class; what they refuse is no OMM
        raise UserError(f"{path}: not an OMM file in XML, JSON or CSV: {str(error)[:120]}") from None
    if not found:
        raise UserError(f"{path}: no element sets, expected an OMM file")
    return found


def _text(path: str) -> str:
    try:
        size = Path(path).stat().st_size
        if size > MAX_FILE_BYTES:
            raise UserError(f"{path}: {size} bytes, expected at most {MAX_FILE_BYTES}")
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None


def _check_line(line: str, kind: str, layout: re.Pattern[str], where: str) -> None:
    if not line.startswith(kind + " "):
        raise UserError(f"{where}: found {line[:8]!r}, expected line {kind} of an element set")
    if len(line) != 69:
        raise UserError(f"{where}: {len(line)} characters, expected 69")
    checksum = sum(int(c) if c.isascii() and c.isdigit() else c == "-" for c in line[:68]) % 10
    if str(checksum) != line[68]:
        raise UserError(f"{where}: checksum {line[68]}, expected {checksum} (satellite {line[2:7].strip()})")
    if not layout.fullmatch(line):
        raise UserError(f"{where}: malformed columns in line {kind} of satellite {line[2:7].strip()}")


def _check_record(record: Satrec, where: str) -> None:
    if record.error:
        raise UserError(
            f"{where}: satellite {record.satnum}: {SGP4_ERRORS.get(record.error, 'elements refused by SGP4')}"
        )
    if not (record.no_kozai > 0 and 0 <= record.ecco < 1):
        raise UserError(
            f"{where}: satellite {record.satnum}: mean motion {record.no_kozai:g} rad/min and eccentricity {record.ecco:g}, "
            "expected a closed orbit"
        )


def _omm_messages(text: str) -> Iterable[dict]:
    if text.startswith("<"):
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise UserError("OMM: document type declarations and entities are refused")
        return omm.parse_xml(io.StringIO(text))
    if text.startswith(("[", "{")):
        messages = json.loads(text)
        return messages if isinstance(messages, list) else [messages]
    return csv.DictReader(io.StringIO(text))


def _omm_record(fields: dict, where: str) -> tuple[str, Satrec]:
    record = Satrec()
    try:
        fields = {**fields, "EPOCH": _with_fraction(str(fields["EPOCH"]))}
        omm.initialize(record, fields)
    except KeyError as error:
        raise UserError(f"{where}: field {error.args[0]} is missing") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{where} ({str(fields.get('OBJECT_NAME', 'unnamed'))[:64]}): {error}") from None
    _check_record(record, where)
    return str(fields.get("OBJECT_NAME") or record.satnum)[:64], record


def _with_fraction(epoch: str) -> str:
    epoch = epoch.removesuffix("Z")
    return epoch if "." in epoch else epoch + ".0"
