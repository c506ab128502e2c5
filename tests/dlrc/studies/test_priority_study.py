"""The priority study: who takes part is who counts."""

import numpy as np
import pytest

from constellation.common.cli import perform, read
from constellation.common.errors import UserError
from constellation.orbit.orbits import load_constellation
from dlrc.studies.questions import priority, priority_rounds
from tests.browser import DESKTOP, PHONE, open_page

FEW = ["region.rule=footprint", "tiles=1000"]


def asked(*arguments):
    return priority.request_of(read(priority.COMMAND, list(arguments)))


def flown(*arguments):
    request = asked(*arguments)
    constellation = load_constellation(request.scenario.orbit)
    return request, [
        o for n in range(request.scenario.rounds) for o in priority.fly(request, constellation, n)
    ]


def saved_pct(request, outcomes):
    first = [outcome for outcome in outcomes if outcome.rule == "id"]
    kept = np.mean([outcome.bytes_kept.sum() for outcome in first])
    return 100 * (1 - kept / priority.bytes_before(request, first))


def test_one_satellite_that_takes_part_alone_saves_nothing():
    request, outcomes = flown(*FEW, "rounds=1")
    assert [len(outcome.members) for outcome in outcomes] == [1] * 5
    assert saved_pct(request, outcomes) == 0
    text = priority.report(request, outcomes)
    assert "(0.0 % less than" in text and "of 8 asked for" in text


def test_the_saving_counts_those_who_take_part_in_each_round():
    # by hand: sum of distinct cells over sum of cells of those present; 70.8 % of the eight asked for
    request, outcomes = flown(*FEW, "rounds=4", "region.max_off_nadir_deg=55")
    assert saved_pct(request, outcomes) == pytest.approx(53.2, abs=0.05)
    assert "(53.2 % less than" in priority.report(request, outcomes)


def test_every_rule_keeps_each_signature_once():
    _, outcomes = flown("tiles=1", "rounds=1", "satellites=4")
    assert len({outcome.bytes_kept.sum() for outcome in outcomes}) == 1


def test_a_round_that_nobody_sees_counts_nowhere_and_a_study_of_such_rounds_is_refused(tmp_path):
    north = [*FEW, "rounds=2", "region.latitude_deg=89", f"output={tmp_path}"]
    assert flown(*north)[1] == []
    with pytest.raises(UserError, match="region: no satellite sees it in any round"):
        perform(priority.COMMAND, north)


def test_the_table_is_printed_and_written_with_the_constellation_in_its_head(tmp_path, capsys):
    perform(priority.COMMAND, ["rounds=1", "tiles=1000", f"output={tmp_path}"])
    (folder,) = tmp_path.glob("priority-*")
    said = capsys.readouterr().out
    assert "8 satellites of Walker delta 53:1000/25/1 at 550 km" in said and "note:" not in said
    assert len((folder / "priority.csv").read_text().splitlines()) == 6
    assert len((folder / "rounds.csv").read_text().splitlines()) == 1 + 5 * 8


def test_more_signatures_than_memory_holds_and_a_bad_output_are_refused_first(monkeypatch):
    with pytest.raises(UserError, match="signatures a round, expected at most"):
        asked("satellites=1000", "capture.patch_px=4096", "capture.window_px=8192")
    monkeypatch.setattr(priority, "fly", lambda *_: pytest.fail("worked before looking at the output"))
    with pytest.raises(UserError, match="output="):
        perform(priority.COMMAND, ["output=/proc/x"])


def test_fairness_energy_and_losses_are_what_their_words_say():
    _, outcomes = flown("tiles=1000", "rounds=1", "satellites=4")
    for one in outcomes:
        assert 1 / 4 <= one.fairness <= 1
        assert (one.energy_j[one.bytes_kept == 0] == 0).all() and (one.charge <= 1).all()
    first = next(one for one in outcomes if one.rule == "id")
    assert first.lost_bytes[-1] == 0  # nobody refers to the last of a total order
    assert first.lost_bytes.max() <= 3 * 256 * 1000 * 20  # three followers' whole streams


def test_nothing_kept_has_no_fairness_and_no_contact_no_energy():
    power = priority_rounds.Power(np.array([0.0, 1e6]), np.ones(2), read(priority.COMMAND, []).subject.energy)
    energy_j, charge = power.spent(np.array([10.0, 10.0]))
    assert np.isnan(energy_j[0]) and np.isnan(charge[0]) and energy_j[1] > 0
    lost = priority_rounds.lost_bytes_of([np.array([0, 0]), np.array([0, 1])], 5.0)
    assert lost.tolist() == [5.0, 0.0]


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_the_page_sets_the_rules_side_by_side(browser, tmp_path, size, theme):
    words = ["rounds=2", "tiles=1000", "satellites=4", "orbit.pattern=53:100/10/1", f"output={tmp_path}"]
    perform(priority.COMMAND, [*words, "rule=examples.priority_rule:turns", "trust=true"])
    opened = open_page(browser, next(tmp_path.glob("*/index.html")), size, theme)
    opened.until("document.querySelectorAll('.plot svg').length >= 8")
    assert "examples.priority_rule:turns" in opened.page.inner_text("#table")
    before = opened.page.inner_html("#kept")
    opened.page.select_option("#round", "1")
    assert opened.page.inner_html("#kept") != before
    assert opened.violations() == []
    assert (opened.complaints, opened.asked, opened.wider_than_the_window()) == ([], [], 0)
