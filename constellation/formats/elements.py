"""Orbits for other tools: OMM in four notations, and OEM, as CCSDS 502.0-B-3 has them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Literal
from xml.sax.saxutils import escape

import numpy as np
from sgp4.conveniences import sat_epoch_datetime

from constellation.common.errors import UserError
from constellation.orbit.orbits import Constellation

Notation = Literal["kvn", "xml", "json", "csv"]
ORIGINATOR = "DLRC"
MAX_STATES = 5_000_000  # of an OEM: 600 MB of text
_DEGREES = 180 / math.pi
_MEAN = (
    "EPOCH", "MEAN_MOTION", "ECCENTRICITY", "INCLINATION", "RA_OF_ASC_NODE", "ARG_OF_PERICENTER",
    "MEAN_ANOMALY",
)  # fmt: skip
_TLE = (
    "EPHEMERIS_TYPE", "CLASSIFICATION_TYPE", "NORAD_CAT_ID", "ELEMENT_SET_NO", "REV_AT_EPOCH", "BSTAR",
    "MEAN_MOTION_DOT", "MEAN_MOTION_DDOT",
)  # fmt: skip
_META = ("OBJECT_NAME", "OBJECT_ID", "CENTER_NAME", "REF_FRAME", "TIME_SYSTEM", "MEAN_ELEMENT_THEORY")


def omm(constellation: Constellation, notation: Notation) -> str:
    """Every satellite's mean elements."""
    messages = list(_messages(constellation))
    if notation == "json":
        return "[\n" + ",\n".join(json.dumps(message) for message in messages) + "\n]\n"
    if notation == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, [*_META[:2], *_MEAN, *_TLE], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(messages)
        return out.getvalue()
    if notation == "kvn":
        return "".join(_kvn(message, constellation.epoch) for message in messages)
    return _xml(messages, constellation.epoch)


def _messages(constellation: Constellation) -> Iterator[dict[str, Any]]:
    if not constellation.satrecs:
        raise UserError("export: an ephemeris has no mean elements; format=oem gives its positions")
    labels = [record.satnum for record in constellation.satrecs]
    if len(set(labels)) < len(labels):  # several shells, each numbered from 0
        labels = list(range(len(labels)))
    for name, record, label in zip(constellation.names, constellation.satrecs, labels, strict=True):
        epoch = sat_epoch_datetime(record).astimezone(timezone.utc)
        yield {
            "OBJECT_NAME": name,
            "OBJECT_ID": _designator(record.intldesg),
            "CENTER_NAME": "EARTH",
            "REF_FRAME": "TEME",
            "TIME_SYSTEM": "UTC",
            "MEAN_ELEMENT_THEORY": "SGP4",
            "EPOCH": epoch.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "MEAN_MOTION": _plain(record.no_kozai * 1440 / (2 * math.pi)),
            "ECCENTRICITY": _plain(record.ecco),
            "INCLINATION": _plain(record.inclo * _DEGREES),
            "RA_OF_ASC_NODE": _plain(record.nodeo * _DEGREES),
            "ARG_OF_PERICENTER": _plain(record.argpo * _DEGREES),
            "MEAN_ANOMALY": _plain(record.mo * _DEGREES),
            "EPHEMERIS_TYPE": 0,
            "CLASSIFICATION_TYPE": "U",
            "NORAD_CAT_ID": label,
            "ELEMENT_SET_NO": 999,
            "REV_AT_EPOCH": 0,
            "BSTAR": _plain(record.bstar),
            "MEAN_MOTION_DOT": 0,
            "MEAN_MOTION_DDOT": 0,
        }  # fmt: skip


def _designator(text: str) -> str:
    """98067A -> 1998-067A."""
    text = text.strip()
    if len(text) >= 6 and text[:5].isdigit():
        year = int(text[:2])
        return f"{1900 + year if year >= 57 else 2000 + year}-{text[2:]}"
    return "UNKNOWN"  # the standard's own word


def _plain(number: float) -> float:
    return float(f"{number:.14g}")


def _kvn(message: dict[str, Any], created: datetime) -> str:
    rows = [
        "CCSDS_OMM_VERS = 3.0",
        f"CREATION_DATE = {_time(created)}",
        f"ORIGINATOR = {ORIGINATOR}",
        *(f"{key} = {message[key]}" for key in (*_META, *_MEAN)),
        *(f"{key} = {message[key]}" for key in _TLE),
    ]
    return "\n".join(rows) + "\n\n"


def _xml(messages: list[dict[str, Any]], created: datetime) -> str:
    """A combined instantiation: one `ndm` of as many `omm`."""

    def tags(message: dict[str, Any], keys: tuple[str, ...]) -> str:
        return "".join(f"<{key}>{escape(str(message[key]))}</{key}>" for key in keys)

    date = f"<CREATION_DATE>{_time(created)}</CREATION_DATE>"
    head = f"<header>{date}<ORIGINATOR>{ORIGINATOR}</ORIGINATOR></header>"
    bodies = "\n".join(
        f'<omm id="CCSDS_OMM_VERS" version="3.0">{head}<body><segment><metadata>{tags(one, _META)}</metadata>'
        f"<data><meanElements>{tags(one, _MEAN)}</meanElements>"
        f"<tleParameters>{tags(one, _TLE)}</tleParameters></data></segment></body></omm>"
        for one in messages
    )
    space = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    place = "https://sanaregistry.org/r/ndmxml_unqualified/ndmxml-3.0.0-master-3.0.xsd"
    schema = f'xsi:noNamespaceSchemaLocation="{place}"'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<ndm {space} {schema}>\n{bodies}\n</ndm>\n'


def oem(constellation: Constellation, times_s: np.ndarray) -> Iterator[tuple[str, str]]:
    """States of every satellite at these times after the epoch, km and km/s in TEME, UTC, to be interpolated
    by Hermite polynomials: name and text of a message each, for a message is about one object. Raises
    `UserError` where that is too much."""
    if len(times_s) * len(constellation) > MAX_STATES:
        raise UserError(
            f"export: {len(times_s)} states of {len(constellation)} satellites, expected at most "
            f"{MAX_STATES} in all; give a smaller hours= or a larger orbit.step_s="
        )
    moments = [_time(constellation.epoch + timedelta(seconds=float(time_s))) for time_s in times_s]
    states = constellation.states_teme_km(times_s)
    for satellite, name in enumerate(constellation.names):
        head = (
            f"CCSDS_OEM_VERS = 2.0\nCREATION_DATE = {_time(constellation.epoch)}\nORIGINATOR = {ORIGINATOR}\n"
            f"\nMETA_START\nOBJECT_NAME = {name}\nOBJECT_ID = UNKNOWN\nCENTER_NAME = EARTH\n"
            f"REF_FRAME = TEME\nTIME_SYSTEM = UTC\nSTART_TIME = {moments[0]}\nSTOP_TIME = {moments[-1]}\n"
            "INTERPOLATION = HERMITE\nINTERPOLATION_DEGREE = 7\nMETA_STOP\n"
        )
        rows = [
            f"{moment} {x:.7f} {y:.7f} {z:.7f} {u:.10f} {v:.10f} {w:.10f}\n"
            for moment, (x, y, z, u, v, w) in zip(moments, states[:, satellite].tolist(), strict=True)
        ]
        yield name, head + "".join(rows)


def _time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
