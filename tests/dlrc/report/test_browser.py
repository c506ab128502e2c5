"""Pages in a real browser: no error, charts, a divider that divides, no request to anywhere, and nothing that
axe objects to, on a desktop and on a phone, light and dark.

Needs Chromium (`apt-get install chromium`, or DLRC_CHROMIUM=PATH); where there is none, they are skipped."""

from dataclasses import replace

import pytest

from constellation.sight.geometry import LATTICE, Geometry
from dlrc.report.page import comparison_page, map_page, run_page
from dlrc.report.page.several import shelf_page
from dlrc.store.shelf import listed
from nodes.timeline import ALONE, PREDICTION, REFERENCES, REGISTRATION
from tests.dlrc.report.page_cases import rich
from tests.dlrc.run_cases import run
from tests.dlrc.store.test_folder import written

STREAM_STAGES = (ALONE, REFERENCES, REGISTRATION, PREDICTION)
SCREENS = {"desktop": (1280, 900, "light"), "phone": (390, 844, "dark")}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    written(folder)
    texts = {
        "run": run_page(rich()),
        "streams": run_page(rich("dlrc.exchange=streams", "dlrc.dedup=hybrid", predicted=True)),
        "compare": comparison_page([run(), run("dlrc.k=12")], folder / "compare.html"),
        "map": map_page(_looking()),
        "shelf": shelf_page(listed(folder)),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


def _looking():
    """Two windows of two looks each."""
    shown = rich(predicted=True)

    def geometry(satellite, number):
        lattice = [(i / 4, j / 4) for i in range(LATTICE) for j in range(LATTICE)]
        ground = tuple((120.1 + 0.01 * j + 0.002 * satellite, 30.2 - 0.01 * i) for i, j in lattice)
        at = 3600.0 * (number + 1) + 60 * satellite
        angles = (10.0 + satellite, 11.0, 90.0, 5.0, 5.0, 30.0, 120.0)
        return Geometry(f"P{satellite}", at, "region", *angles, ground, ground, "", (0, 0, 5))

    rounds = [
        replace(
            one, satellites=tuple(replace(v, geometry=geometry(v.satellite, v.round)) for v in one.satellites)
        )
        for one in shown.rounds
    ]
    return replace(shown, rounds=tuple(rounds))


@pytest.fixture
def opened(browser, pages):
    contexts, heard = [], []

    def opening(name, screen="desktop"):
        width, height, scheme = SCREENS[screen]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: heard.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda asked: heard.append(asked.url) if _outside(asked.url) else None)
        page.goto((pages / f"{name}.html").as_uri())
        page.wait_for_function("document.querySelectorAll('table').length > 0")
        return page

    yield opening
    for context in contexts:
        context.close()
    assert not heard


def _outside(url):
    return not url.startswith(("file:", "data:"))


@pytest.mark.parametrize(
    ("name", "screen"),
    [
        ("run", "desktop"),
        ("run", "phone"),
        ("streams", "phone"),
        ("compare", "desktop"),
        ("shelf", "phone"),
        ("map", "desktop"),
        ("map", "phone"),
    ],
)
def test_a_page_has_no_error_fits_its_screen_and_axe_objects_to_nothing(opened, name, screen):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe; pip install 'dlrc[dev]'"
    )
    page = opened(name, screen)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = axe.Axe().run(page)
    told = [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found.response["violations"]]
    assert not told


def test_the_slider_of_a_map_goes_through_the_day_by_keyboard(opened):
    page = opened("map")
    assert "Window 1 of 2" in page.inner_text("#pass-title")
    page.focus("#slider")
    page.keyboard.press("End")
    assert page.inner_text("#time").startswith("12:00") and "Window 2 of 2" in page.inner_text("#pass-title")
    page.keyboard.press("Home")
    assert "Before the first" in page.inner_text("#pass-title") and "0 of 4 looks" in page.get_attribute(
        "#ground", "aria-label"
    )
    page.click("#after")
    assert "2 of 2 looked" in page.inner_text("#pass-told")
    page.locator("#looks [data-look]").nth(3).press("Enter")
    assert page.inner_text("#time") == "02:01:00" and "P1: incidence 11.0" in page.inner_text("#look-told")
    assert page.locator("#looks tr.picked").count() == 1


def test_every_chart_of_a_run_is_there_with_words_for_it(opened):
    page = opened("run")
    for place in ("rd", "trend", "timeline", "isl", "queue"):
        chart = page.locator(f"#{place} svg[role=img]").first
        assert chart.get_attribute("aria-label") and chart.bounding_box()["width"] > 200


def test_the_first_screen_answers_what_was_saved_at_which_quality_who_coded_what_and_how_long_it_took(opened):
    page = opened("run")
    flown = rich()
    headline = page.locator("#headline")
    assert f"{flown.summary.saving_pct.total:.1f} %" in headline.inner_text()
    cards = page.locator("#cards .card")
    text = cards.all_inner_texts()
    assert len(text) == 5 and "32.00" in text[1] and "32.10" in text[1] and "ms" in text[2]
    assert cards.last.bounding_box()["y"] < 900


def test_what_another_rule_would_have_done_is_said_on_the_first_screen_and_told_one_click_away(opened):
    page = opened("run")
    said = page.locator("#ask")
    assert "under id, as here" in said.inner_text() and "900 B, under balanced 600 B" in said.inner_text()
    assert said.bounding_box()["y"] < 900
    page.click("text=All rules")
    assert page.locator("#others tbody tr").all_inner_texts()[0].startswith("id (this run)")
    assert page.locator("#others svg[role=img]").first.bounding_box()["y"] < 900


def test_with_streams_a_position_tells_what_predicts_it_and_every_step_has_a_colour_of_its_own(opened):
    page = opened("streams")
    page.select_option("#satellite", "1")
    side = page.locator("#map").bounding_box()["width"]
    page.locator("#map").hover(position={"x": 0.8 * side, "y": 0.8 * side})
    assert "predicted from satellite 0" in page.inner_text("#tip") and "bits" in page.inner_text("#tip")
    assert "predicted from another satellite" in page.inner_text("#map-legend")
    assert "stream" in page.locator("#cards .card").nth(2).inner_text()
    steps = ["capture", "analysis", "exchange", "arbitrate", "downlink", *STREAM_STAGES, "coding"]
    assert len(page.evaluate(f"[...new Set({steps}.map(stepColour))]")) == len(steps)


def picture(page):
    return page.evaluate("document.getElementById('picture').toDataURL()")


def test_the_divider_divides_by_mouse_and_by_keyboard_and_pictures_zoom(opened):
    page = opened("run")
    page.wait_for_function("document.getElementById('picture').width > 300")
    page.wait_for_timeout(200)
    page.select_option("#left", "captured")
    before = picture(page)
    page.locator("#split").fill("900")
    after = picture(page)
    assert after != before
    page.locator("#split").focus()
    page.keyboard.press("ArrowLeft")
    assert page.input_value("#split") == "899" and picture(page) != after
    page.click("#in")
    assert page.inner_text("#zoom") == "1.5×"
    page.select_option("#left", "error dlrc")
    assert picture(page) != after


def test_a_position_tells_its_owner_fate_and_bits_to_mouse_and_keyboard(opened):
    page = opened("run")
    page.select_option("#satellite", "1")
    side = page.locator("#map").bounding_box()["width"]
    page.locator("#map").hover(position={"x": 0.6 * side, "y": 0.5 * side})
    told = page.inner_text("#cell")
    assert "satellite 0" in told and "bits" in told and page.is_visible("#tip")
    page.focus("#map")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#cell") != told
    page.select_option("#layer", "bits")
    assert "bits" in page.inner_text("#map-legend")


def test_rounds_and_satellites_are_chosen_and_kept_in_the_address(opened):
    page = opened("run")
    page.select_option("#round", "1")
    page.locator(".tile").last.click()
    assert "round=2" in page.url
    page.reload()
    assert page.input_value("#round") == "1"
    assert "damaged on arrival" in page.inner_text("#faults")


def test_a_table_sorts_by_a_column_up_and_down(opened):
    page = opened("run")
    button = page.locator("#rows th button", has_text="DLRC")
    column = "[...document.querySelectorAll('#rows tbody tr')].map(r => r.cells[4].innerText)"
    button.click()
    up = page.evaluate(column)
    button.click()
    assert page.evaluate(column) == up[::-1] and up == sorted(up)


def test_the_theme_is_chosen_and_the_page_prints(opened):
    page = opened("run")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    page.click("#theme")
    assert page.evaluate(paper) != light
    assert len(page.pdf()) > 10_000
