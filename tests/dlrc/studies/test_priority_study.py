"""The priority study: who takes part is who counts."""

import numpy as np
import pytest

from constellation.common.cli import perform, read
from constellation.common.errors import UserError
from constellation.orbit.orbits import load_constellation
from dlrc.studies.questions import priority

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
