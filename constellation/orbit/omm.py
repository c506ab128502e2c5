"""Orbit Mean-elements Messages (CCSDS 502.0-B): JSON, CSV, XML and KVN, as the standard, Space-Track and
CelesTrak write them.

The four notations become one mapping of keywords to text; `sgp4.omm` turns that into SGP4's units. SGP4
knows elements of its own theory alone, in TEME and UTC around the Earth: others are refused by name. What
SGP4 has no use for (object number, designator, revolution, the mean motion's derivatives) may be missing,
empty, or as wide as it likes."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sgp4 import omm
from sgp4.api import Satrec

from constellation.common.errors import UserError
from constellation.orbit.elements import Elements, clean_name, fault_of_record, text_of

# Keyword -> smallest and largest value that an orbit of the Earth can have. Angles: producers disagree
# whether they run from 0 or from -180, and SGP4 does not care.
_NUMBERS = {
    "MEAN_MOTION": (1e-6, 20.0),  # revolutions a day; the Earth's surface allows 17.1
    "ECCENTRICITY": (0.0, 0.999999999),
    "INCLINATION": (0.0, 180.0),
    "RA_OF_ASC_NODE": (-360.0, 360.0),
    "ARG_OF_PERICENTER": (-360.0, 360.0),
    "MEAN_ANOMALY": (-360.0, 360.0),
    "BSTAR": (-1e3, 1e3),
}
# Keyword -> what SGP4 can take, the first being what a message without the keyword means.
_WORDS = {
    "CENTER_NAME": ("EARTH",),
    "REF_FRAME": ("TEME", "TEMEOFDATE"),
    "TIME_SYSTEM": ("UTC",),
    "MEAN_ELEMENT_THEORY": ("SGP4", "SGP/SGP4", "SDP4", "SGP4/SDP4"),
    "EPHEMERIS_TYPE": ("0", "2"),  # 2: SGP4; 4: SGP4-XP, 6: special perturbations
}
_NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_EPOCH = re.compile(r"(\d{4})-(?:(\d{2})-(\d{2})|(\d{3}))[T ](\d{2}):(\d{2}):(\d{2})(?:\.(\d*))?Z?", re.ASCII)
_KVN_LINE = re.compile(r"\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*(?:\[[^\]]*\]\s*)?")
_LONGEST_LINE = 254  # of KVN, by the standard
_MAX_DEPTH = 16  # of JSON objects within objects


def read_omm(path: str) -> list[Elements]:
    """Every message of an OMM file, in file order; the notation is told by its first characters.

    Raises `UserError` that counts the messages (1 = first) and names the field."""
    text = text_of(path).lstrip("\ufeff \t\r\n")
    found: list[Elements] = []
    seen: dict[str, int] = {}
    try:
        for number, fields in enumerate(_messages(text), start=1):
            where = f"{path} message {number}"
            one = _elements(fields, where, number)
            catalogue = fields.get("NORAD_CAT_ID", "").lstrip("0")
            if catalogue and catalogue in seen:
                raise UserError(
                    f"{where}: satellite {catalogue[:16]} again, it is already in message {seen[catalogue]}"
                )
            seen[catalogue] = number
            found.append(one)
    except UserError:
        raise
    except Exception as error:  # the parsers share no error class; what they refuse is no OMM
        raise UserError(f"{path}: not an OMM file in XML, JSON, CSV or KVN: {str(error)[:120]}") from None
    if not found:
        raise UserError(f"{path}: no element sets, expected an OMM file")
    return found


def _messages(text: str) -> Iterable[dict[str, str]]:
    if text.startswith("<"):
        return _xml(text)
    if text.startswith(("[", "{")):
        messages = json.loads(text)
        return [_flat(one) for one in (messages if isinstance(messages, list) else [messages])]
    if re.search(r"^\s*CCSDS_OMM_VERS\s*=", text[:4096], re.MULTILINE):
        return _kvn(text)
    return _csv(text)


def _xml(text: str) -> Iterator[dict[str, str]]:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("document type declarations and entities are refused")
    root = ElementTree.fromstring(text)
    for segment in (node for node in root.iter() if _local(node.tag) == "segment"):
        # leaves of metadata, mean elements and TLE parameters, wherever a producer nests them
        yield {_local(leaf.tag): (leaf.text or "").strip() for leaf in segment.iter() if not len(leaf)}


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _flat(message: Any, depth: int = 0) -> dict[str, str]:
    if not isinstance(message, dict) or depth > _MAX_DEPTH:
        raise ValueError(f"found a {type(message).__name__} where a message was expected")
    fields: dict[str, str] = {}
    for key, value in message.items():
        if isinstance(value, dict):
            fields |= _flat(value, depth + 1)
        elif value is not None and not isinstance(value, list):
            fields[key.strip().upper()] = str(value).strip()
    return fields


def _kvn(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        comment = line.lstrip().startswith("COMMENT") or len(line) > _LONGEST_LINE
        match = None if comment else _KVN_LINE.fullmatch(line)
        if not match:
            continue
        if match[1] in ("CCSDS_OMM_VERS", "EPOCH") and match[1] in fields:  # the next message begins
            yield fields
            fields = {}
        fields[match[1]] = match[2]
    yield fields


def _csv(text: str) -> Iterator[dict[str, str]]:
    delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    rows.fieldnames = [str(name).strip().upper() for name in rows.fieldnames or ()]
    if not {"EPOCH", "MEAN_MOTION"} <= set(rows.fieldnames):
        raise ValueError("its first line has no columns EPOCH and MEAN_MOTION")
    for row in rows:
        yield {key: value.strip() for key, value in row.items() if key and isinstance(value, str)}


def _elements(fields: Mapping[str, str], where: str, number: int) -> Elements:
    given = {key: value for key, value in fields.items() if value}
    name = clean_name(
        given.get("OBJECT_NAME") or given.get("NORAD_CAT_ID") or given.get("OBJECT_ID") or f"message {number}"
    )
    record = Satrec()
    fault = _word_fault(given)
    if not fault:  # numbers of another theory have other keywords: the theory is what to name
        epoch = _epoch(given, f"{where} ({name})")
        numbers = {key: repr(_number(given, key, f"{where} ({name})")) for key in _NUMBERS}
        # Catalogue numbers of nine digits do not fit the record, and no formula asks for them
        labels = {"NORAD_CAT_ID": "0", "OBJECT_ID": "", "CLASSIFICATION_TYPE": "U", "EPHEMERIS_TYPE": "0"}
        counts = {"ELEMENT_SET_NO": "0", "REV_AT_EPOCH": "0"}
        unused = {"MEAN_MOTION_DOT": "0", "MEAN_MOTION_DDOT": "0"}  # by SGP4, which has B* instead
        omm.initialize(record, {**numbers, **labels, **counts, **unused, "EPOCH": epoch})
        fault = fault_of_record(record)
    return Elements(name, record, where, fault)


def _word_fault(given: Mapping[str, str]) -> str:
    for key, allowed in _WORDS.items():
        found = given.get(key, allowed[0])
        plain = found.upper().removesuffix(".0") if key == "EPHEMERIS_TYPE" else found.upper()
        if plain not in allowed:
            return f"{key} {found[:32]}, expected {allowed[0]}: SGP4 would put it kilometres off"
    return ""


def _number(given: Mapping[str, str], key: str, where: str) -> float:
    if key not in given:
        raise UserError(f"{where}: field {key} is missing")
    low, high = _NUMBERS[key]
    text = given[key]
    value = float(text) if _NUMERAL.fullmatch(text) and len(text) < 64 else math.nan
    if not low <= value <= high:
        raise UserError(f"{where}: {key} {text[:32]!r}, expected a number from {low:g} to {high:g}")
    return value


def _epoch(given: Mapping[str, str], where: str) -> str:
    """YYYY-MM-DDThh:mm:ss.ffffff of a calendar or day-of-year date with any number of decimals."""
    if "EPOCH" not in given:
        raise UserError(f"{where}: field EPOCH is missing")
    match = _EPOCH.fullmatch(given["EPOCH"][:64])
    try:
        if not match:
            raise ValueError
        year, month, day, of_year = match[1], match[2] or "01", match[3] or "01", int(match[4] or 1)
        if of_year > 366 or (of_year == 366 and not _leap(int(year))):
            raise ValueError
        # a leap second is the next minute's first, which is what SGP4's count of days makes of it
        rest = timedelta(days=of_year - 1, hours=int(match[5]), minutes=int(match[6]), seconds=int(match[7]))
        if int(match[5]) > 23 or int(match[6]) > 59 or int(match[7]) > 60 or of_year < 1:
            raise ValueError
        fraction = timedelta(seconds=float(f"0.{match[8] or 0}"))
        moment = datetime(int(year), int(month), int(day)) + rest + fraction
    except (ValueError, OverflowError):
        raise UserError(
            f"{where}: EPOCH {given['EPOCH'][:40]!r}, expected UTC as 2026-01-31T23:59:59.999999 or "
            "2026-031T23:59:59.999999"
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
