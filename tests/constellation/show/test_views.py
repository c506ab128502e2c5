"""CZML and HTML views: what they show is what the simulator computed, and nothing comes from elsewhere."""

import base64
import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.common.cli import perform
from constellation.common.errors import UserError
from constellation.links.topology import topology_at
from constellation.scenario.load import build_scenario
from constellation.show.czml import czml
from constellation.show.data import link_intervals, view_data
from constellation.show.html import html_view
from constellation.sync.series import Setting
from dlrc.studies.questions.view import COMMAND

SMALL = {
    "name": "small",
    "satellites": 4,
    "orbit": {"pattern": "53:60/6/1", "altitude_km": 1200.0},
    "topology": {"max_distance_km": 5000.0},
}


def shown(values, duration_s, links="participants"):
    scenario = build_scenario(values)
    return view_data(Setting.of(scenario), scenario.ground, scenario.name, duration_s, links)


@pytest.fixture(scope="module")
def view():
    return shown(SMALL, 3600.0)


def page_data(page: str) -> dict:
    return json.loads(re.search(r"const D = (\{.*\});", page)[1])


@given(
    st.lists(
        st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] < pair[1])),
        min_size=2,
        max_size=8,
    )
)
def test_intervals_hold_exactly_the_links_of_every_instant(instants):
    edges = [np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2) for pairs in instants]
    times_s = 10.0 * np.arange(len(edges))
    links = link_intervals(edges, times_s, 6)
    for time_s, pairs in zip(times_s[:-1], instants):
        live = (links.begin_s <= time_s) & (time_s < links.end_s)
        assert sorted(map(tuple, links.ends[live].tolist())) == sorted(pairs)
    touching = {(*ends, begin) for ends, begin in zip(links.ends.tolist(), links.begin_s.tolist())}
    assert not touching & {
        (*ends, end) for ends, end in zip(links.ends.tolist(), links.end_s.tolist()) if end < times_s[-1]
    }


def test_links_are_those_of_the_topology_among_the_observers(view):
    from constellation.orbit.orbits import load_constellation

    scenario = build_scenario(SMALL)
    satellites = load_constellation(scenario.orbit)
    for t in (0, 17, 42):
        members = set(view.participants[t].tolist())
        all_edges = topology_at(
            satellites.positions_teme_km(view.times_s[t : t + 1])[0], scenario.topology, scenario.link
        ).edges
        live = (view.links.begin_s <= view.times_s[t]) & (view.times_s[t] < view.links.end_s)
        expected = [edge for edge in all_edges.tolist() if set(edge) <= members]
        assert sorted(view.links.ends[live].tolist()) == expected and expected


def test_czml_begins_with_the_document_and_refers_only_to_what_came_before(view):
    packets = json.loads(czml(view))
    assert packets[0]["id"] == "document" and packets[0]["version"] == "1.0"
    begin, end = packets[0]["clock"]["interval"].split("/")
    seen = set()
    for packet in packets:
        assert packet["id"] not in seen
        for reference in packet.get("polyline", {}).get("positions", {}).get("references", []):
            assert reference.removesuffix("#position") in seen
        spans = packet.get("availability", [])
        for span in [spans] if isinstance(spans, str) else spans:
            a, b = span.split("/")
            assert begin <= a < b <= end
        seen.add(packet["id"])
    kinds = {name.split("-")[0] for name in seen}
    assert kinds == {"document", "ground", "satellite", "link", "contact"}


def test_czml_positions_are_in_metres_and_earth_fixed(view):
    packet = next(packet for packet in json.loads(czml(view)) if packet["id"] == "satellite-7")
    samples = np.array(packet["position"]["cartesian"]).reshape(-1, 4)
    at = np.searchsorted(view.track_s, samples[:, 0])
    np.testing.assert_allclose(samples[:, 1:], 1e3 * view.positions_km[at, 7], atol=0.51)
    assert packet["position"]["referenceFrame"] == "FIXED"
    assert np.diff(samples[:, 0]).max() <= 120 and samples[-1, 0] == view.times_s[-1]


def test_czml_contacts_are_the_contact_windows(view):
    packets = {
        packet["id"]: packet for packet in json.loads(czml(view)) if packet["id"].startswith("contact")
    }
    assert sum(len(packet["availability"]) for packet in packets.values()) == len(view.windows) > 0
    first = packets[f"contact-ground-satellite-{view.windows.satellite[0]}"]["availability"][0]
    rise = datetime.fromisoformat(first.split("/")[0].replace("Z", "+00:00"))
    assert (rise - view.epoch).total_seconds() == pytest.approx(view.windows.rise_s[0], abs=6e-4)


def test_html_needs_nothing_from_outside(view):
    page = html_view(view)
    assert "%DATA%" not in page and "%TITLE%" not in page
    assert not re.search(r"https?:|src\s*=|href\s*=|@import|fetch\(|XMLHttpRequest", page)
    assert "default-src 'none'" in page


def test_html_positions_survive_their_coding(view):
    data = page_data(html_view(view))
    coded = (
        np.frombuffer(base64.b64decode(data["positions"]), dtype="<i2").reshape(view.positions_km.shape)
        * data["scale"]
    )
    assert np.abs(coded - view.positions_km).max() <= data["scale"]
    assert len(data["contacts"]) == len(view.windows) and len(data["links"]) == len(view.links.ends)
    assert data["epochMs"] == 1767225600000  # 2026-01-01T00:00:00Z


def test_hostile_names_stay_text(view):
    nasty = "</script><img src=x onerror=alert(1)>%TITLE%"
    page = html_view(replace(view, names=(nasty, *view.names[1:]), title=nasty))
    assert "<img" not in page and page.count("</script>") == 1
    assert page_data(page)["names"][0] == nasty


def test_too_much_to_draw_is_refused(monkeypatch):
    with pytest.raises(UserError, match=r"60 satellites at 144001 instants.*hours="):
        shown({"satellites": 4, "orbit": {"pattern": "53:60/6/1", "step_s": 0.6}}, 86400.0)
    monkeypatch.setattr("constellation.show.data.MAX_LINK_INTERVALS", 20)
    with pytest.raises(UserError, match=r"view: \d+ links at 1 instants.*links=participants"):
        shown(SMALL, 600.0, "all")  # before the links of other instants are listed


def as_cesium(samples, time_s):
    """Fifth-degree Lagrange through the six samples around a time, as Cesium evaluates a position."""
    times = samples[:, 0]
    first = int(np.clip(np.searchsorted(times, time_s) - 3, 0, max(0, len(times) - 6)))
    near = samples[first : first + 6]
    total = np.zeros(3)
    for i, (t, *position) in enumerate(near):
        others = np.delete(near[:, 0], i)
        total += np.prod((time_s - others) / (t - others)) * np.array(position)
    return total


@pytest.mark.parametrize("step_s", [60.0, 600.0, 1800.0])
@pytest.mark.parametrize(
    "orbit",
    [
        {"pattern": "53:12/3/1"},
        {"pattern": "53:12/3/1", "altitude_km": 200.0},
        {"source": "tle", "path": "proba3.tle", "epoch": "2024-12-05T10:00:00Z"},  # perigee at 600 km
    ],
)
def test_positions_interpolated_from_the_czml_are_within_metres_of_sgp4(orbit, step_s):
    from constellation.orbit.orbits import load_constellation

    orbit = {**orbit, "step_s": step_s}
    if "path" in orbit:
        orbit["path"] = str(Path(__file__).parents[1] / "orbit" / "cases" / orbit["path"])
    view = shown({"satellites": 1, "orbit": orbit}, 7200.0)
    packet = next(packet for packet in json.loads(czml(view)) if packet["id"] == "satellite-0")
    samples = np.array(packet["position"]["cartesian"]).reshape(-1, 4)
    times_s = np.linspace(0.0, view.track_s[-1], 301)
    exact_m = (
        1e3 * load_constellation(build_scenario({"orbit": orbit}).orbit).positions_itrs_km(times_s)[:, 0]
    )
    found_m = np.array([as_cesium(samples, time_s) for time_s in times_s])
    assert np.linalg.norm(found_m - exact_m, axis=1).max() < 10
    assert len(view.times_s) == round(7200 / step_s) + 1


def test_the_command_writes_both_files_and_names_them(tmp_path, capsys):
    perform(
        COMMAND,
        ["scenario=smoke", f"output={tmp_path}", "hours=0.5", "satellites=4", "orbit.pattern=53:60/6/1"],
    )
    said = capsys.readouterr().out
    written = sorted(path.name for path in tmp_path.glob("view-*/*"))
    assert written == ["constellation.czml", "contacts.csv", "contacts.json", "view.html"]
    assert all(name in said for name in written)


def test_the_command_says_so_where_the_station_sees_nothing(tmp_path, capsys):
    perform(
        COMMAND,
        [
            "scenario=smoke",
            f"output={tmp_path}",
            "hours=0.2",
            "satellites=2",
            "orbit.pattern=10:4/2/1",
            "ground.latitude_deg=85.0",
        ],
    )
    assert "sees no satellite" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("hours=0", "hours: found 0, expected"),
        ("links=some", "links: found 'some', expected one of participants, all"),
        ("hour=3", "did you mean hours"),
    ],
)
def test_bad_arguments_are_one_line(argument, says):
    with pytest.raises(UserError, match=says):
        perform(COMMAND, [argument])
