"""A list of runs: what was found, and what is wrong."""

import dlrc.store.manifest as manifest
from dlrc.commands.listing import listed
from dlrc.main import dispatch
from tests.dlrc.run_cases import FACTS, ROUNDS, run
from tests.dlrc.store.test_folder import written


def test_a_list_of_runs_has_what_was_found_and_what_is_wrong(tmp_path, capsys):
    first, second = written(tmp_path), written(tmp_path, ROUNDS[:1], close=False, seed=1)
    for name in ("broken", "other", "old", ".hidden-1"):
        (tmp_path / name).mkdir()
    for name in ("broken", ".hidden-1"):
        (tmp_path / name / manifest.NAME).write_bytes(b"?\n")
    third = written(tmp_path, **{"codec.context": "open"})
    (third / "summary.json").write_bytes(b"[" * 100000)
    (tmp_path / "old" / "summary.json").write_text("{}")  # of an older program
    runs = {one.folder: one for one in listed(tmp_path)}
    assert set(runs) == {first, second, third, tmp_path / "broken"}
    one = runs[first]
    assert (one.scenario, one.rounds, one.began, one.finished) == ("dense", 2, FACTS.began, True)
    assert one.saving_pct == run().summary.saving_pct.total and one.psnr_db == 32.0
    assert (runs[second].finished, runs[second].rounds, runs[second].saving_pct) == (False, 1, None)
    assert runs[tmp_path / "broken"].fault and runs[third].fault == "summary.json is none"
    dispatch(["list", f"output={tmp_path}"])
    lines = {line for line in capsys.readouterr().out.splitlines() if str(tmp_path) in line}
    assert len(lines) == 4 and any(f"{one.saving_pct:.1f} %" in line and "32.00 dB" in line for line in lines)
    assert sum("not finished, rounds: 1" in line for line in lines) == 1
    assert sum("damaged" in line for line in lines) == 2


def test_where_there_is_no_run_the_list_says_how_to_get_one(tmp_path, capsys):
    assert listed(tmp_path / "none") == []
    dispatch(["list", f"output={tmp_path}"])
    assert "no runs below" in (said := capsys.readouterr().out) and "scenario=smoke" in said


def test_rates_that_are_an_estimate_are_marked(tmp_path):
    folder = written(tmp_path)
    text = (folder / "summary.json").read_text()
    (folder / "summary.json").write_text(text.replace("real streams", "estimate"))
    (one,) = listed(tmp_path)
    assert one.estimate
