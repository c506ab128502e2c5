"""The constellation in motion: a CZML file for Cesium, and an HTML page that needs nothing but a browser.

Writes runs/view-<digest>/: view.html, constellation.czml, contacts.csv and contacts.json (the contact windows
with the ground station). Needs no torch. A tap in the page names a satellite, two taps draw the route between
them. links=all draws every link of the
constellation (with the paper's 3000 km rule some 26 thousand at a time, too many to draw: try
topology.rule=grid); participants draws those among the satellites over the region."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.files import make_folder, write_text
from constellation.common.knobs import Knobs
from constellation.orbit.orbits import load_constellation
from constellation.scenario.load import SCENARIO
from constellation.sync.series import Setting
from dlrc.studies.common.terms import NETWORK, STATION

MAX_HOURS = 24.0 * 31


class ViewKeys(Knobs):
    """Keys of this study."""

    hours: Annotated[float, Field(ge=1e-3, le=MAX_HOURS)] = 3.0
    """of simulated time to show"""
    links: Literal["participants", "all"] = "participants"
    """which links to draw"""


def study(given: Given) -> None:
    """Simulate and write both files."""
    scenario, hours, links = given.subject, given.own.hours, given.own.links
    load_constellation(scenario.orbit)  # a bad file is told before any folder is made
    # the digest covers what the page shows
    digest = hashlib.sha256(f"{scenario.digest} {hours} {links}".encode()).hexdigest()[:8]
    folder = make_folder(Path(scenario.output) / f"view-{digest}")
    from constellation.show.czml import czml
    from constellation.show.data import view_data
    from constellation.show.html import html_view
    from constellation.show.windows import csv_text, window_records, windows_json

    view = view_data(Setting.of(scenario), scenario.ground, scenario.name, hours * 3600, links)
    records = window_records(view)
    pages = {
        "view.html": html_view(view),
        "constellation.czml": czml(view),
        "contacts.csv": csv_text(records),
        "contacts.json": json.dumps(windows_json(view, records), indent=1) + "\n",
    }
    for name, text in pages.items():
        write_text(folder / name, text)
    print(
        f"{scenario.name}: {len(view.names)} satellites, {view.constellation}, {len(view.times_s)} instants, "
        f"{len(view.links.ends)} link intervals ({links}), "
        f"{len(view.windows)} contact windows with {scenario.ground.name}"
    )
    for note in view.notes:
        print(note)
    if not len(view.windows):
        print(
            f"note: {scenario.ground.name} sees no satellite in this time: its latitude is "
            f"{scenario.ground.latitude_deg:g} deg, the mask "
            f"{scenario.ground.min_elevation_deg:g} deg"
        )
    for name, text in pages.items():
        print(f"wrote {folder / name} ({len(text) / 1e6:.1f} MB)")


COMMAND = Command(
    name="study view",
    about=__doc__ or "",
    own=ViewKeys,
    work=study,
    subject=SCENARIO,
    honours=(*NETWORK, *STATION),
    default="edge_space_com",
    examples=("dlrc study view hours=1", "dlrc study view links=all topology.rule=grid"),
)

if __name__ == "__main__":
    main_of(COMMAND)
