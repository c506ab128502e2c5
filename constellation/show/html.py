"""A self-contained HTML page of the constellation in motion: map or globe, links, ground station, contact
windows. No network, no library.

The page is `view.html` with the data put in: positions as int16 (a 32,767th of the largest coordinate, 0.2 km
in low orbits), coastline of `coastline.json` (Natural Earth, public domain)."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

import numpy as np

from constellation.show.data import ViewData

_HERE = Path(__file__).resolve().parent
INT16_MAX = 32767


def html_view(view: ViewData) -> str:
    """The whole page."""
    title = html.escape(f"{view.title}: {len(view.names)} satellites, {view.constellation}")
    page = (_HERE / "view.html").read_text(encoding="utf-8")
    parts = {"%TITLE%": title, "%DATA%": _script_safe(_data(view))}
    return re.sub(
        "%TITLE%|%DATA%", lambda match: parts[match[0]], page
    )  # one pass: what is put in is never searched


def _data(view: ViewData) -> dict:
    ground, region = view.ground, view.region
    scale = float(np.abs(view.positions_km).max()) / INT16_MAX
    positions = np.rint(view.positions_km / scale).astype("<i2")
    links = [
        [*ends, round(begin, 3), round(end, 3)]
        for ends, begin, end in zip(
            view.links.ends.tolist(), view.links.begin_s.tolist(), view.links.end_s.tolist()
        )
    ]
    windows = view.windows
    contacts = [
        [satellite, 0, round(begin, 3), round(end, 3)]
        for satellite, begin, end in zip(
            windows.satellite.tolist(), windows.rise_s.tolist(), windows.set_s.tolist()
        )
    ]
    return {
        "names": view.names,
        "times": view.times_s.tolist(),
        "trackStep": float(view.track_s[1] - view.track_s[0]),
        "epochMs": round(view.epoch.timestamp() * 1000),
        "scale": scale,
        "radius": float(np.linalg.norm(view.positions_km, axis=2).max()),
        "positions": base64.b64encode(positions.tobytes()).decode(),
        "participants": view.participants.tolist(),
        "links": links,
        "contacts": contacts,
        "linksNote": "links among them" if view.links_of == "participants" else "links",
        "station": [ground.longitude_deg, ground.latitude_deg],
        "stationName": ground.name,
        "region": [region.longitude_deg, region.latitude_deg],
        "rule": view.rule,
        "noise": view.noise,
        "coast": json.loads((_HERE / "coastline.json").read_text(encoding="utf-8"))["rings"],
    }


def _script_safe(data: dict) -> str:
    """JSON that cannot end the script element it stands in, whatever the satellites are called."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
