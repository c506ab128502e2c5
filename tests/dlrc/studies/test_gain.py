"""The gain study: what must stand beside a gain, and where there is none."""

import csv
import json

import pytest

from constellation.common.cli import perform
from constellation.common.errors import UserError
from dlrc.studies.paper import gain

SMALL = ["orbit.pattern=53:60/6/1", "orbit.duration_s=600", "orbit.step_s=300", "days=0.5", "models=bmshj"]


def run(tmp_path, capsys, *arguments):
    perform(gain.COMMAND, [*SMALL, f"output={tmp_path}", *arguments])
    (folder,) = tmp_path.glob("gain-*")
    return capsys.readouterr().out, folder


def test_without_anybody_heard_there_is_no_gain(tmp_path, capsys):
    said, folder = run(tmp_path, capsys, "topology.max_distance_km=10")
    assert "T_sync undefined" in said and "100.0 % of the pairs unheard" in said
    assert "undefined: nobody hears anybody" in said and "+" not in said.splitlines()[4]
    for row in csv.DictReader((folder / "gain.csv").open()):
        assert row["gain"] == "" and row["unheard_share"] == "1.000000" and "undefined" in row["regime"]
    assert "# 100.0 % of the pairs unheard" in (folder / "scenario.yaml").read_text()


def test_a_gain_carries_the_share_of_pairs_unheard_and_the_constellation(tmp_path, capsys):
    said, folder = run(tmp_path, capsys, "topology.rule=nearest", "topology.terminals=1")
    share = float(next(csv.DictReader((folder / "gain.csv").open()))["unheard_share"])
    assert 0 < share < 1 and f"note: {100 * share:.1f} % of the pairs unheard" in said
    assert "8 of 60 satellites, Walker delta 53:60/6/1 at 550 km" in said
    assert (folder / "figureA2.png").read_bytes().startswith(b"\x89PNG")


def summary_file(tmp_path, **changes):
    values = {
        "context": "exact",
        "model": {"name": "elic", "lambda": 0.013},
        "bpp": {"kind": "real streams", "independent": {"total": 0.4}, "dlrc": {"total": 0.25}},
    }
    values["bpp"] |= changes.pop("bpp", {})
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(values | changes))
    return path


@pytest.mark.parametrize("changes", [{"context": "open"}, {"bpp": {"kind": "estimate"}}])
def test_rates_of_an_open_context_run_are_labelled_an_estimate_everywhere(tmp_path, capsys, changes):
    said, _ = run(tmp_path, capsys, f"summary={summary_file(tmp_path, **changes)}")
    assert "ESTIMATE (open loop, not decodable) of 0.400 bpp" in said and "measured" not in said


def test_rates_of_real_streams_are_called_measured(tmp_path):
    assert gain.rates_of_summary(summary_file(tmp_path))[2].startswith("measured 0.400 bpp, 37.5 % saved")


@pytest.mark.parametrize("text", ["", "[]", '{"bpp": [1]}', '{"bpp": {"independent": 3}}', "[" * 5000])
def test_a_file_that_is_no_summary_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UserError, match=r"expected the summary.json of a run"):
        gain.rates_of_summary(tmp_path / "summary.json")


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(gain, "study", lambda *_: pytest.fail("worked before looking at the output"))
    with pytest.raises(UserError, match="output="):
        perform(gain.COMMAND, [*SMALL, "output=/proc/x"])
