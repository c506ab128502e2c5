"""Write the constellation, its links, passes and footprints as files that other tools read.

    ion, hdtn, tvg   a contact plan, for ION's ionadmin, for HDTN, for aiodtnsim (dtn-tvg-util)
    oem              states in time (CCSDS 502.0-B), a file a satellite in the folder out=
    omm              mean elements (CCSDS 502.0-B), in KVN, or by the end of out=: .xml, .json, .csv
    czml             satellites, footprints, links and passes, for Cesium
    geojson          footprints as polygons

Times begin with orbit.epoch. links=all takes every link of the constellation, none leaves them out. One file,
out=; needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import check_target, make_folder, write_text
from constellation.common.knobs import Knobs
from constellation.common.text import counted
from constellation.orbit.orbits import load_constellation
from constellation.scenario.load import SCENARIO
from constellation.scenario.scenario import Scenario
from constellation.sync.series import Setting

Format = Literal["ion", "hdtn", "tvg", "oem", "omm", "czml", "geojson"]
ENDINGS = {
    "ion": "ionrc", "hdtn": "json", "tvg": "json", "oem": "oem", "omm": "omm", "czml": "czml",
    "geojson": "geojson",
}  # fmt: skip


class ExportKeys(Knobs):
    """Keys of this command."""

    format: Format
    """ion, hdtn or tvg (contact plans), oem, omm, czml, geojson"""
    out: str = ""
    """file that is written; by default the scenario's name and the format's ending"""
    hours: Annotated[float, Field(gt=0, le=24 * 31)] = 2.0
    """from the epoch on"""
    links: Literal["participants", "all", "none"] = "participants"
    """inter-satellite links among those that observe the region, all, or none"""
    off_nadir_deg: Annotated[float, Field(gt=0, lt=90)] = 45.0
    """half the opening of a footprint"""


def export(given: Given) -> None:
    """Write the file, say what is in it."""
    own, scenario = given.own, given.subject
    if own.format == "oem":
        _ephemerides(own, scenario)
        return
    out = check_target(Path(own.out or f"{scenario.name}.{ENDINGS[own.format]}"))
    text, told = _written(own, scenario, out)
    write_text(out, text)
    print(f"{out}: {own.format}, {told}, {len(text.encode()) / 1e3:.0f} kB")


def _written(own: ExportKeys, scenario: Scenario, out: Path) -> tuple[str, str]:
    if own.format in ("ion", "hdtn", "tvg"):
        return _plan(own, scenario)
    if own.format == "omm":
        return _elements(scenario, out)
    return _scene(own, scenario)


def _elements(scenario: Scenario, out: Path) -> tuple[str, str]:
    from constellation.formats.elements import omm

    satellites = load_constellation(scenario.orbit)
    ending = out.suffix[1:].lower()
    notation = ending if ending in ("xml", "json", "csv") else "kvn"
    told = f"{counted(len(satellites), 'satellite')}, {notation}"
    return omm(satellites, notation), told  # type: ignore[arg-type]


def _ephemerides(own: ExportKeys, scenario: Scenario) -> None:
    from constellation.formats.elements import oem

    satellites = load_constellation(scenario.orbit)
    times_s = np.arange(0.0, own.hours * 3600 + 1e-6, scenario.orbit.step_s)
    messages = oem(satellites, times_s)
    folder = make_folder(Path(own.out or f"{scenario.name}-oem"), "out")
    for name, text in messages:
        plain = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
        write_text(folder / f"{plain}.oem", text)
    print(f"{folder}/: oem, {counted(len(satellites), 'satellite')}, {len(times_s)} states each")


def _plan(own: ExportKeys, scenario: Scenario) -> tuple[str, str]:
    from constellation.formats.making import plan_of
    from constellation.formats.plan import hdtn_plan, ion_plan, tvg_plan

    plan = plan_of(Setting.of(scenario), scenario.ground, own.hours * 3600, own.links)
    if not plan.contacts:
        raise UserError(
            f"export: no link and no pass within {own.hours:g} hours; give a larger hours=, links=all, or a "
            "station that the orbits pass (ground.stations=)"
        )
    write = {"ion": ion_plan, "hdtn": hdtn_plan, "tvg": tvg_plan}[own.format]
    stations = len(plan.names) - plan.satellites
    passes = sum(max(one.source, one.target) > plan.satellites for one in plan.contacts)
    links = len(plan.contacts) - passes
    return write(plan), (
        f"{counted(plan.satellites, 'satellite')} and {counted(stations, 'station')}; one way each "
        f"{passes} contacts of passes, {links} of links"
    )


def _scene(own: ExportKeys, scenario: Scenario) -> tuple[str, str]:
    import json

    from constellation.formats.footprints import czml_packets, footprints_of, geojson
    from constellation.show.czml import packets
    from constellation.show.data import view_data

    if own.links == "none":
        raise UserError(f"links=none: format={own.format} shows participants or all")
    view = view_data(Setting.of(scenario), scenario.ground, scenario.name, own.hours * 3600, own.links)
    prints = footprints_of(view, own.off_nadir_deg, own.links == "all" and own.format == "geojson")
    told = f"{counted(len(view.names), 'satellite')}, {counted(len(prints), 'footprint')}"
    if own.format == "geojson":
        return geojson(view, prints), told
    everything = [*packets(view), *czml_packets(view, prints)]
    lines = [json.dumps(packet, separators=(",", ":"), allow_nan=False) for packet in everything]
    windows = len(view.windows) + sum(len(windows) for _, windows in view.others)
    told += f", {counted(len(view.links.ends), 'link interval')}, {counted(windows, 'pass')[:-1]}es"
    return "[\n" + ",\n".join(lines) + "\n]\n", told


COMMAND = Command(
    name="export",
    about=__doc__ or "",
    own=ExportKeys,
    work=export,
    subject=SCENARIO,
    honours=("name", "satellites", "orbit", "link", "topology", "sync", "region", "ground"),
    default="edge_space_com",
    examples=(
        "dlrc export format=hdtn ground.stations=Svalbard,Matera hours=6 out=plan.json",
        "dlrc export format=omm out=shell.xml orbit.pattern=97.6:24/3/1",
        "dlrc export format=geojson scenario=dense hours=0.5",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
