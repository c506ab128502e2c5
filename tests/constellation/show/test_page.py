"""The constellation page in a real browser: what a reader does with it, and what it says."""

import csv
import json

import numpy as np
import pytest

from constellation.links.routing import minimum_delay_paths
from constellation.links.topology import topology_at
from constellation.orbit.orbits import load_constellation
from constellation.scenario.load import build_scenario
from constellation.show.data import view_data
from constellation.show.html import html_view
from constellation.show.windows import csv_text, window_records
from constellation.sync.series import Setting
from tests.browser import DESKTOP, PHONE, open_page

SMALL = {
    "name": "small",
    "satellites": 4,
    "orbit": {"pattern": "53:60/6/1", "altitude_km": 1200.0},
    "topology": {"max_distance_km": 5000.0},
}


def viewed(values):
    scenario = build_scenario(values)
    return scenario, view_data(Setting.of(scenario), scenario.ground, scenario.name, 3600.0)


@pytest.fixture(scope="module")
def view():
    return viewed(SMALL)[1]


@pytest.fixture(scope="module")
def page(view, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "view.html"
    path.write_text(html_view(view), encoding="utf-8")
    return path


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")])
def test_the_page_opens_without_a_complaint_from_console_network_or_axe(browser, page, size, theme):
    opened = open_page(browser, page, size, theme, "#pause")
    opened.until("drawnFor !== ''")
    opened.page.evaluate("farthest()")
    opened.until("route.path.length > 1")
    assert opened.violations() == []
    assert (opened.complaints, opened.asked, opened.wider_than_the_window()) == ([], [], 0)


def test_on_a_phone_a_tap_names_a_satellite_a_second_draws_the_route_and_a_finger_scrolls_the_rest(
    browser, page
):
    opened = open_page(browser, page, PHONE, "dark", "#pause&map")
    opened.until("drawnFor !== ''")
    one, other, *_ = opened.page.evaluate("observers()")
    for satellite in (one, other):
        box = opened.page.locator("#world").bounding_box()
        x, y = opened.page.evaluate(f"[seat[{2 * satellite}], seat[{2 * satellite + 1}]]")
        opened.page.touchscreen.tap(box["x"] + x, box["y"] + y)
    opened.until("route.path.length > 1")
    assert opened.page.evaluate("[from.value, to.value]") == opened.page.evaluate(
        f"[D.names[{one}], D.names[{other}]]"
    )
    assert opened.page.evaluate("$('tip').textContent").startswith("P0")
    assert " hop" in opened.page.inner_text("#route")
    touch = "getComputedStyle($('%s')).touchAction"
    assert opened.page.evaluate(touch % "world") == "none" and opened.page.evaluate(touch % "gantt") == "auto"
    assert opened.page.evaluate("$('timeline').clientHeight") >= 220


def test_it_zooms_to_where_the_pointer_is_and_follows_light_and_dark(browser, page):
    opened = open_page(browser, page, DESKTOP, "dark", "#pause")
    opened.until("drawnFor !== ''")
    dark = opened.page.evaluate("SEA")
    before = opened.page.evaluate("seen().put(at(0)).slice(0, 2)")
    opened.page.evaluate(f"zoomBy(4, {before[0]}, {before[1]})")
    after = opened.page.evaluate("seen().put(at(0)).slice(0, 2)")
    assert opened.page.evaluate("zoom") == 4 and after == pytest.approx(before, abs=1)
    opened.page.click("#whole")
    assert opened.page.evaluate("zoom") == 1
    opened.page.click("#theme")
    light = opened.page.evaluate("SEA")
    assert light != dark
    opened.page.click("#theme")
    assert opened.page.evaluate("SEA") == dark
    opened.page.emulate_media(color_scheme="light")
    assert opened.page.evaluate("SEA") == dark  # the reader has chosen


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"link": {"noise": "paper"}, "sync": {"relay_in_route": True}},
        {"topology": {"rule": "grid", "max_distance_km": 9000.0}},
        {"topology": {"rule": "nearest", "max_distance_km": 7000.0}},
        {"link": {"kind": "optical"}, "orbit": {"pattern": "53:60/6/1", "altitude_km": 550.0}},
    ],
)
def test_routes_of_the_page_are_those_of_the_simulator(browser, tmp_path, changes):
    scenario, view = viewed({**SMALL, **changes})
    path = tmp_path / "view.html"
    path.write_text(html_view(view), encoding="utf-8")
    page = open_page(browser, path, DESKTOP, "light", "#pause").page
    satellites = load_constellation(scenario.orbit)
    for k, source in ((0, 0), (17, 31)):
        position_km = satellites.positions_itrs_km(view.times_s[k : k + 1])[0]
        topology = topology_at(position_km, scenario.topology, scenario.link, satellites)
        paths = minimum_delay_paths(topology, [source], 32768, scenario.sync)
        found = page.evaluate(
            "([k, source]) => D.names.map((_, s) => s === source ? null : leastDelay(k, source, s, 32768))",
            [k, source],
        )
        for target, one in enumerate(found):
            if target == source:
                continue
            assert bool(one["path"]) == (paths.hops[0, target] > 0)
            if one["path"]:
                # the page's positions are whole fifths of a kilometre: ways that differ by less may swap
                assert one["fly"] + one["send"] + one["relay"] == pytest.approx(
                    paths.flow_s[0, target], rel=2e-3
                )


def test_what_no_path_joins_is_called_undefined(browser, tmp_path):
    _, view = viewed({**SMALL, "topology": {"max_distance_km": 10.0}})
    path = tmp_path / "view.html"
    path.write_text(html_view(view), encoding="utf-8")
    opened = open_page(browser, path, DESKTOP, "light", "#pause")
    opened.page.evaluate("farthest()")
    opened.until("$('route').textContent.startsWith('undefined')")


def test_contact_windows_are_a_table_and_the_same_csv_and_json_from_page_and_command(browser, page, view):
    opened = open_page(browser, page, DESKTOP, "light", "#pause")
    records = window_records(view)
    assert len(opened.page.query_selector_all("#windows tbody tr")) == min(100, len(records))
    with opened.page.expect_download() as got:
        opened.page.click("#csv")
    rows = list(csv.DictReader(got.value.path().read_text().splitlines()))
    same = list(csv.DictReader(csv_text(records).splitlines()))
    assert [row["satellite"] for row in rows] == [row["satellite"] for row in same]
    for name in ("rise_s", "set_s", "max_elevation_deg", "capacity_bytes"):
        ours, theirs = (np.array([float(row[name]) for row in each]) for each in (same, rows))
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-9)
    assert [row["rise_utc"] for row in rows] == [row["rise_utc"] for row in same]
    with opened.page.expect_download() as got:
        opened.page.click("#json")
    assert len(json.loads(got.value.path().read_text())["windows"]) == len(records)
    opened.page.evaluate(f"choose({int(view.windows.satellite[0])})")
    mine = sum(view.windows.satellite == view.windows.satellite[0])
    assert len(opened.page.query_selector_all("#windows tbody tr")) == mine
