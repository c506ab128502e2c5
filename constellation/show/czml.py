"""CZML (Cesium's JSON language for scenes in time): satellites, inter-satellite links while they exist,
ground station, contacts.

Positions are Earth-fixed (ITRS), metres, and interpolated by fifth-degree Lagrange polynomials between the
tracks' samples: within metres, whatever the scenario's step (a test evaluates them against SGP4). A link or
contact is a polyline between two positions by reference, with its `availability` as a list of intervals."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from constellation.orbit.frames import itrs_of_ground_point_km
from constellation.scenario.network import GroundKnobs
from constellation.show.data import ViewData

SATELLITE, PARTICIPANT, LINK, CONTACT, STATION = (
    [150, 160, 180, 255],
    [255, 179, 64, 255],
    [90, 200, 250, 200],
    [120, 230, 140, 220],
    [120, 230, 140, 255],
)
PERIOD_SPEED_UP = 60  # simulated seconds per second of play


def czml(view: ViewData) -> str:
    """The document, one packet a line."""
    lines = [json.dumps(packet, separators=(",", ":"), allow_nan=False) for packet in packets(view)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def packets(view: ViewData) -> Iterable[dict[str, Any]]:
    """Packets in the order that CZML wants: the document first, then what others refer to."""
    begin, end = view.utc(view.times_s[0]), view.utc(view.times_s[-1])
    span = f"{begin}/{end}"
    yield {
        "id": "document",
        "name": f"{view.title}: {view.constellation}",
        "version": "1.0",
        "clock": {
            "interval": span,
            "currentTime": begin,
            "multiplier": PERIOD_SPEED_UP,
            "range": "LOOP_STOP",
        },
    }
    yield _station("ground", view.ground)
    for number, (ground, _) in enumerate(view.others, start=1):
        yield _station(f"ground-{number}", ground)
    yield from _satellites(view, span, begin)
    yield from _lines("link", _link_spans(view), LINK, view)
    yield from _lines("contact", _contact_spans(view), CONTACT, view)


def _station(name: str, ground: GroundKnobs) -> dict[str, Any]:
    place = itrs_of_ground_point_km(ground.latitude_deg, ground.longitude_deg, ground.elevation_m) * 1e3
    return {
        "id": name,
        "name": ground.name,
        "position": {"cartesian": np.round(place, 1).tolist()},
        "point": {"pixelSize": 10, "color": {"rgba": STATION}},
        "label": {"text": ground.name, "font": "14px sans-serif", "pixelOffset": {"cartesian2": [0, -18]}},
    }


def _satellites(view: ViewData, span: str, begin: str) -> Iterable[dict[str, Any]]:
    stride = max(1, int(view.sparse_s / (view.track_s[1] - view.track_s[0]) + 1e-9))
    at = np.unique(np.append(np.arange(0, len(view.track_s), stride), len(view.track_s) - 1))
    samples = np.empty((len(at), 4))
    samples[:, 0] = view.track_s[at]
    observing = _observing_spans(view)
    for satellite, name in enumerate(view.names):
        samples[:, 1:] = np.round(view.positions_km[at, satellite] * 1e3)
        color: Any = {"rgba": SATELLITE}
        if satellite in observing:
            color = [{"interval": span, "rgba": SATELLITE}] + [
                {"interval": f"{view.utc(a)}/{view.utc(b)}", "rgba": PARTICIPANT}
                for a, b in observing[satellite]
            ]
        yield {
            "id": f"satellite-{satellite}",
            "name": name,
            "availability": span,
            "position": {
                "epoch": view.utc(0.0),
                "referenceFrame": "FIXED",
                "interpolationAlgorithm": "LAGRANGE",
                "interpolationDegree": 5,
                "cartesian": [int(v) if v == int(v) else round(v, 3) for v in samples.ravel().tolist()],
            },
            "point": {"pixelSize": 5, "color": color},
        }


def _observing_spans(view: ViewData) -> dict[int, list[tuple[float, float]]]:
    """When each satellite takes part, merged over consecutive instants."""
    spans: dict[int, list[tuple[float, float]]] = defaultdict(list)
    following = np.append(view.times_s[1:], view.times_s[-1])
    for time_s, until_s, members in zip(
        view.times_s.tolist(), following.tolist(), view.participants.tolist()
    ):
        for satellite in members:
            mine = spans[satellite]
            if mine and mine[-1][1] == time_s:
                mine[-1] = (mine[-1][0], until_s)
            elif until_s > time_s:
                mine.append((time_s, until_s))
    spans.pop(-1, None)
    return spans


def _link_spans(view: ViewData) -> dict[tuple[str, str], list[tuple[float, float]]]:
    spans = defaultdict(list)
    for (a, b), begin_s, end_s in zip(
        view.links.ends.tolist(), view.links.begin_s.tolist(), view.links.end_s.tolist()
    ):
        if end_s > begin_s:
            spans[f"satellite-{a}", f"satellite-{b}"].append((begin_s, end_s))
    return spans


def _contact_spans(view: ViewData) -> dict[tuple[str, str], list[tuple[float, float]]]:
    spans = defaultdict(list)
    for number, windows in enumerate([view.windows, *(windows for _, windows in view.others)]):
        station = f"ground-{number}" if number else "ground"
        for satellite, rise_s, set_s in zip(
            windows.satellite.tolist(), windows.rise_s.tolist(), windows.set_s.tolist()
        ):
            spans[station, f"satellite-{satellite}"].append((rise_s, set_s))
    return spans


def _lines(
    kind: str, spans: dict[tuple[str, str], list[tuple[float, float]]], color: list[int], view: ViewData
) -> Iterable[dict[str, Any]]:
    for (first, second), intervals in spans.items():
        yield {
            "id": f"{kind}-{first}-{second}",
            "availability": [f"{view.utc(a)}/{view.utc(b)}" for a, b in intervals],
            "polyline": {
                "positions": {"references": [f"{first}#position", f"{second}#position"]},
                "arcType": "NONE",
                "width": 1.5,
                "material": {"solidColor": {"color": {"rgba": color}}},
            },
        }
