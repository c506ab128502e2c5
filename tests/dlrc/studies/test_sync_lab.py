"""The page of `dlrc study sync`: its numbers are the simulator's, and what is undefined is no good number."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from constellation.common.cli import perform, read
from constellation.sync.series import Setting
from constellation.sync.simulation import simulate
from dlrc.studies.lab.sync_day import day_of, hidings, payloads_of
from dlrc.studies.lab.sync_story import known_times, tell
from dlrc.studies.paper.sync import COMMAND
from tests.browser import DESKTOP, PHONE, open_page

SHELL = ("satellites=3", "orbit.pattern=53:60/6/1", "orbit.altitude_km=1200", "orbit.duration_s=600")
DAY = ("instants=3", "hours=6", "payloads_kib=2,32")
NEAR, FAR = "topology.max_distance_km=10", "topology.max_distance_km=6000"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of a network that hears everybody, by the command; and of one that hears nobody."""
    output = tmp_path_factory.mktemp("sync")
    given = read(COMMAND, [*SHELL, *DAY, NEAR])
    tell(given, output)
    perform(COMMAND, [*SHELL, *DAY, FAR, f"output={output}"])
    return {"heard": next(output.glob("sync-*")), "silent": output}


def day(*words):
    setting = Setting.of(read(COMMAND, [*SHELL, *words]).subject)
    return day_of(setting, payloads_of((2.0, 32.0), 4.0), np.array([0.0, 7200.0, 14400.0]))


def test_the_first_variant_is_the_scenarios_own_and_takes_what_the_simulator_says():
    found = day(FAR, "link.noise=paper")
    assert found.variants[0].noise == "paper" and len(set(map(repr, found.variants))) == len(found.variants)
    series = simulate(found.setting, [2048.0, 32768.0, 4096.0], found.times_s)
    np.testing.assert_allclose(found.t_round_s[0], series.t_round_s, rtol=1e-9)
    assert [one.label for one in found.payloads] == ["2 KiB signatures", "32 KiB signatures", "4 KiB streams"]


def test_nobody_hides_what_is_undefined_and_streams_hide_behind_nothing():
    found = list(hidings(day(NEAR), known_times()))
    assert found and all(np.isnan(one.share) and np.isnan(one.hidden).all() for one in found)
    flown = day(FAR)
    heard = list(hidings(flown, known_times()))
    assert {one.payload for one in heard} == {0, 1}  # the third are the streams
    for one in heard:
        assert one.share == (flown.t_round_s[0, one.payload] <= one.beside_s).mean()


def test_csv_json_and_page_hold_the_same_numbers(folders):
    folder = folders["heard"]
    table = pd.read_csv(folder / "sync_day.csv")
    parts = ["propagation_s", "transmission_s", "relay_s", "waiting_s", "control_s"]
    np.testing.assert_allclose(table[parts].sum(axis=1), table["t_round_s"], atol=1e-8)
    held = json.loads((folder / "sync_day.json").read_text())
    np.testing.assert_allclose(np.ravel(held["t_round_ms"]), 1e3 * table["t_round_s"], atol=1e-3)
    hidden = pd.read_csv(folder / "sync_hiding.csv")
    assert set(hidden["hidden"]) <= {"yes", "no"} and len(set(hidden["codec"])) >= 4
    assert (folder / "sync_day.png").read_bytes()[:4] == b"\x89PNG"


def test_a_network_that_hears_nobody_has_no_number_on_its_page(folders):
    folder = folders["silent"]
    page = (folder / "index.html").read_text()
    body = page[page.index("<main") : page.index("</main>")]
    assert body.count("undefined") > 30 and 'class="good"' not in body
    assert not re.search(r"\d ms<", body)
    table = pd.read_csv(folder / "sync_day.csv")
    own = table[(table["rule"] == "distance") & (table["schedule"] == "unicast")]
    assert own["t_round_s"].isna().all() and (own["unheard_share"] == 1).all()
    assert set(pd.read_csv(folder / "sync_hiding.csv")["hidden"]) == {"undefined"}


@pytest.mark.parametrize(
    ("name", "size", "theme"),
    [("heard", DESKTOP, "light"), ("heard", PHONE, "dark"), ("silent", PHONE, "light")],
)
def test_the_page_opens_without_a_complaint_and_its_choices_redraw_the_charts(
    browser, folders, name, size, theme
):
    opened = open_page(browser, folders[name] / "index.html", size, theme)
    drawn = "document.querySelectorAll('.plot svg').length >= 5"
    opened.until(drawn if name == "heard" else "document.querySelectorAll('.plot svg').length >= 3")
    before = opened.page.inner_html("#overday")
    opened.page.select_option("#set", "schedules")
    opened.page.select_option("#payload", "1")
    assert opened.page.inner_html("#overday") != before
    opened.page.click("#theme")
    opened.page.click("th .sort, th button")
    assert opened.violations() == []
    assert (opened.complaints, opened.asked, opened.wider_than_the_window()) == ([], [], 0)
    if name == "heard":
        with opened.page.expect_download() as got:
            opened.page.click("#instants_csv")
        assert got.value.path().read_text().startswith("codec,overlap,payload,utc,t_round_ms")
