"""Sweeps: what is flown, what is not flown again, and what becomes of the others where one fails."""

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

import dlrc
from constellation.scenario.load import load_scenario
from dlrc.main import dispatch
from dlrc.sweep.cells import Cell, cells_of
from dlrc.sweep.grid import load_grid
from dlrc.sweep.workers import fly_all

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["capture.patch_px=64", "capture.window_px=192", "scene.size_px=256", "satellites=2"]
WORDS = ["scenario=smoke", *SMALL, "dlrc.k=8,20"]


def table(folder):
    (found,) = folder.glob("sweep-*/table.csv")
    return found.read_bytes()


def test_a_sweep_that_is_killed_goes_on_with_what_is_missing_and_its_table_is_the_same(tmp_path, capsys):
    there, here = tmp_path / "there", tmp_path / "here"
    line = [sys.executable, "-u", str(ROOT / "launch.py"), "sweep", *WORDS, "jobs=1", f"output={there}"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True)
    while "run 1/2" not in (said := process.stdout.readline()):
        assert said, "the sweep ended"
    process.kill()
    process.communicate()
    whole = {path: path.stat().st_mtime_ns for path in there.glob("smoke-*[0-9a-f]/summary.json")}
    assert whole and not list(there.glob("sweep-*"))

    dispatch(["sweep", *WORDS, "jobs=1", f"output={there}"])
    assert f"2 combinations, 2 runs, {len(whole)} of 2 here already" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == then for path, then in whole.items())

    for k in (8, 20):
        words = dict(word.split("=") for word in SMALL)
        dlrc.run("smoke", output=str(here), **words, **{"dlrc.k": k})
    dispatch(["sweep", *WORDS, f"output={here}"])
    assert "2 of 2 here already" in capsys.readouterr().out
    assert table(there) == table(here) and table(here).count(b"\n") == 3


def test_a_cell_that_fails_is_named_at_once_and_the_others_go_on(tmp_path):
    words = [*SMALL, f"output={tmp_path}"]
    good, doomed = (load_scenario("smoke", [*words, f"seed={seed}"]) for seed in (1, 2))
    bad = load_scenario("smoke", [*words, "codec.weights=no/such.safetensors"])
    cells = [Cell(str(n), one, tmp_path / str(n)) for n, one in enumerate((doomed, bad, good))]

    def strike():
        while not active_children():
            time.sleep(0.05)
        os.kill(active_children()[0].pid, signal.SIGKILL)

    threading.Thread(target=strike).start()
    ended = list(fly_all(cells, 1))
    assert [one.cell.name for one in ended] == ["0", "1", "2"]
    assert ended[0].fault == "its process was ended by signal 9"
    assert "no/such.safetensors" in ended[1].fault and not ended[2].fault


def test_a_part_flies_every_nth_run_and_combinations_that_are_one_run_are_one_cell(tmp_path, capsys):
    grid = load_grid("smoke", ["timeout_s=30,40", f"output={tmp_path}"])
    cells, folders = cells_of(grid.combinations)
    assert len(grid.combinations) == 2 and len(cells) == 1 and len(folders) == 2
    with pytest.raises(SystemExit):
        dispatch(["sweep", *WORDS, "part=3/2", f"output={tmp_path / 'none'}"])
    assert "expected the first number to be 2 at most" in capsys.readouterr().err
