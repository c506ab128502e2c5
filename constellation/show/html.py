"""A self-contained HTML page of the constellation in motion: map or globe, links, routes, ground station,
contact windows. No network, no library, no token.

The page is `view.html` with style, scripts and data put in: positions as int16 (a 32,767th of the largest
coordinate, 0.2 km in low orbits), coastline of `coastline.json` (Natural Earth, public domain). Routes are
found in the page by the rule of `constellation.links.routing`, from those positions."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

import numpy as np

from constellation.links.budget import rate_bps, snr_at_one_km
from constellation.links.topology import sight_can_be_blocked
from constellation.orbit.frames import EARTH_RADIUS_KM
from constellation.show.data import LinkIntervals, ViewData

_HERE = Path(__file__).resolve().parent
INT16_MAX = 32767
SCRIPTS = ("view.js", "panel.js", "steer.js")
# name: light, dark; text on panel, back and button has a contrast of at least 4.5 in both
COLOURS = {
    "back": ("#f6f7f8", "#12161b"),
    "panel": ("#ffffff", "#1a2028"),
    "line": ("#d5dae0", "#333c47"),
    "text": ("#1a2027", "#e6eaee"),
    "dim": ("#55606c", "#a3aeb9"),
    "button": ("#eceff2", "#232b35"),
    "tip": ("#ffffffe6", "#000000cc"),
    "sat": ("#5d6b8c", "#7f8db0"),
    "obs": ("#b45f00", "#ffb340"),
    "link": ("#0b5c8a", "#7cc4ee"),
    "contact": ("#1a7f37", "#78e68c"),
    "route": ("#b3186d", "#ff79c6"),
    "sea": ("#e6edf3", "#161d26"),
    "land": ("#cfd9c4", "#253140"),
    "coast": ("#8a9a7a", "#53657a"),
    "grid": ("#0000001a", "#ffffff14"),
    "row": ("#0000000d", "#ffffff0a"),
}


def html_view(view: ViewData) -> str:
    """The whole page."""
    title = html.escape(f"{view.title}: {len(view.names)} satellites, {view.constellation}")
    page = _read("view.html").replace("%STYLE%", _read("view.css").replace("%COLOURS%", themes()))
    page = page.replace("%SCRIPT%", "\n".join(map(_read, SCRIPTS)))
    parts = {"%TITLE%": title, "%DATA%": script_safe(_data(view))}
    # one pass: what is put in is never searched
    return re.sub("%TITLE%|%DATA%", lambda match: parts[match[0]], page)


def themes() -> str:
    """The colours as CSS: the system's choice, unless `data-theme` on the root says otherwise."""

    def rules(scheme: str, place: int) -> str:
        return f"color-scheme: {scheme}; " + " ".join(f"--{n}: {c[place]};" for n, c in COLOURS.items())

    return (
        f":root {{ {rules('dark', 1)} }}\n"
        f"@media (prefers-color-scheme: light) {{ :root {{ {rules('light', 0)} }} }}\n"
        f":root[data-theme=dark] {{ {rules('dark', 1)} }}\n:root[data-theme=light] {{ {rules('light', 0)} }}"
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _data(view: ViewData) -> dict:
    ground, region = view.ground, view.setting.region
    scale = float(np.abs(view.positions_km).max()) / INT16_MAX
    positions = np.rint(view.positions_km / scale).astype("<i2")
    return {
        "names": view.names,
        "times": view.times_s.tolist(),
        "trackStep": float(view.track_s[1] - view.track_s[0]),
        "epochMs": round(view.epoch.timestamp() * 1000),
        "scale": scale,
        "radius": float(np.linalg.norm(view.positions_km, axis=2).max()),
        "positions": base64.b64encode(positions.tobytes()).decode(),
        "participants": view.participants.tolist(),
        "links": _intervals(view.links),
        "network": _network(view),
        "contacts": _contacts(view),
        "linksNote": "links among them" if view.links_of == "participants" else "links",
        "station": [ground.longitude_deg, ground.latitude_deg],
        "stationName": ground.name,
        "region": [region.longitude_deg, region.latitude_deg],
        "rule": view.rule,
        "noise": view.noise,
        "coast": json.loads((_HERE / "coastline.json").read_text(encoding="utf-8"))["rings"],
    }


def _intervals(links: LinkIntervals) -> list[list[float]]:
    """[first, second, begin, end], seconds to the millisecond."""
    rows = zip(links.ends.tolist(), links.begin_s.tolist(), links.end_s.tolist(), strict=True)
    return [[*ends, round(begin, 3), round(end, 3)] for ends, begin, end in rows]


def _contacts(view: ViewData) -> list[list[float]]:
    """[satellite, 0, rise, set, highest elevation, bytes that the downlink can carry]."""
    windows = view.windows
    columns = (
        windows.satellite,
        windows.rise_s,
        windows.set_s,
        windows.max_elevation_deg,
        windows.capacity_bytes,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        [who, 0, round(rise, 3), round(end, 3), round(high, 2), round(size)]
        for who, rise, end, high, size in rows
    ]


def _network(view: ViewData) -> dict:
    """What a route's delay follows from. routing: `reach`, every pair near enough that sees each other;
    `links`, those drawn; a list of intervals; None, too many to keep."""
    topology, link, sync = view.setting.topology, view.setting.link, view.setting.sync
    blocked = topology.line_of_sight and sight_can_be_blocked(view.positions_km, topology)
    routing: object = "reach"
    if topology.rule != "distance":
        routing = "links" if view.links_of == "all" else view.routing and _intervals(view.routing)
    return {
        "routing": routing,
        "reachKm": topology.max_distance_km,
        "clearKm": EARTH_RADIUS_KM + topology.atmosphere_margin_km if blocked else 0,
        "fixedBps": float(rate_bps(1.0, link)) if link.kind == "optical" else 0,
        "bandBps": link.bandwidth_mhz * 1e6 * (1 - link.overhead),
        "snr": snr_at_one_km(link),
        "lightMs": sync.speed_of_light_m_s,
        "relayS": sync.relay_s,
        "relayInRoute": sync.relay_s if sync.relay_in_route else 0,
    }


def script_safe(data: object) -> str:
    """JSON that cannot end the script element it stands in, whatever the satellites are called."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
