"""The constellation in motion: a CZML file for Cesium, and an HTML page that needs nothing but a browser.

    python -m dlrc.studies.questions.view scenario=edge_space_com [hours=3] [links=participants|all]
    [section.key=value ...]

Writes runs/view-<digest>/: view.html, constellation.czml. Needs no torch. links=all draws every link of the
constellation (with the paper's 3000 km rule some 26 thousand at a time, too many to draw: try
topology.rule=grid); participants draws those among the satellites over the region."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from constellation.common.errors import user_errors_to_exit
from constellation.common.files import make_folder, write_text
from constellation.scenario.scenario import Scenario, load_scenario
from dlrc.studies.common.options import choice, number, split_arguments

MAX_HOURS = 24.0 * 31


def main(arguments: Sequence[str]) -> None:
    scenario, hours, links = parse(arguments)
    from constellation.show.czml import czml
    from constellation.show.data import view_data
    from constellation.show.html import html_view

    view = view_data(scenario, hours * 3600, links)
    folder = view_folder(scenario, hours, links)
    make_folder(folder)
    pages = {"view.html": html_view(view), "constellation.czml": czml(view)}
    for name, text in pages.items():
        write_text(folder / name, text)
    print(
        f"{scenario.name}: {len(view.names)} satellites, {len(view.times_s)} instants, {len(view.links.ends)} link intervals ({links}), "
        f"{len(view.windows)} contact windows with {scenario.ground.name}"
    )
    if not len(view.windows):
        print(
            f"note: {scenario.ground.name} sees no satellite in this time: its latitude is {scenario.ground.latitude_deg:g} deg, the mask "
            f"{scenario.ground.min_elevation_deg:g} deg"
        )
    for name, text in pages.items():
        print(f"wrote {folder / name} ({len(text) / 1e6:.1f} MB)")


def parse(arguments: Sequence[str]) -> tuple[Scenario, float, str]:
    """Read `scenario=`, `hours=`, `links=`; everything else is a scenario override. Raises `UserError`."""
    own, overrides = split_arguments(
        arguments, __doc__, {"scenario": "edge_space_com", "hours": "3", "links": "participants"}
    )
    scenario = load_scenario(own["scenario"], overrides)
    return (
        scenario,
        number("hours", own["hours"], 1e-3, MAX_HOURS),
        choice("links", own["links"], ("participants", "all")),
    )


def view_folder(scenario: Scenario, hours: float, links: str) -> Path:
    """runs/view-<digest>; the digest covers what the page shows."""
    digest = hashlib.sha256(f"{scenario.digest} {hours} {links}".encode()).hexdigest()[:8]
    return Path(scenario.output) / f"view-{digest}"


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
