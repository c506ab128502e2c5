"""`dlrc study day`: the windows of a day, flown small, and what its tables say."""

import csv
from types import SimpleNamespace

import pytest

from constellation.common.errors import UserError
from constellation.scenario.load import load_scenario
from dlrc.report.gains import KINDS
from dlrc.studies.orbits.day import DayKeys, clock, day_of, study

SMALL = ("capture.patch_px=64", "capture.window_px=96", "scene.size_px=256", "name=small", "codec.device=cpu")


def test_a_day_of_the_shell_has_as_many_rounds_as_windows_and_is_flown_and_told(tmp_path, capsys):
    base = load_scenario("orbit_day", (*SMALL, f"output={tmp_path}"))
    assert day_of(base, 1000).rounds == load_scenario("orbit_day", ()).rounds
    study(SimpleNamespace(subject=base, own=DayKeys(windows=2)))
    said = capsys.readouterr().out
    assert "21 listened" in said and "no word" not in said and "who saw what when" in said
    (folder,) = tmp_path.glob("day-*")
    rows = {path.stem: list(csv.DictReader(path.open())) for path in folder.iterdir()}
    assert rows.keys() == {"looks", "windows", "ways"} and len(rows["windows"]) == 2
    (day,) = rows["ways"]
    assert int(day["exact"]) == int(day["looks"]) == len(rows["looks"])
    saved = sum(float(day[f"{kind}_bytes"]) for kind in (*KINDS, "side"))
    assert saved == pytest.approx(float(day["independent_bytes"]) - float(day["dlrc_bytes"]))
    assert float(day["link_bytes"]) > 0 and all(0 <= float(row["time_s"]) < 86400 for row in rows["looks"])
    (page,) = tmp_path.glob("small-*/map.html")
    assert page.stat().st_size > 100_000


def test_what_is_no_day_from_orbits_is_refused():
    with pytest.raises(UserError, match=r"expected capture.mode=orbit and dlrc.exchange=streams"):
        day_of(load_scenario("dense", ()), 1)
    assert clock(3723.9) == "01:02:03" and clock(None) == "--:--:--"
