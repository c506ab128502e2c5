"""Runs that are cut short: what they say, and what they leave to go on from."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import dlrc
from tests.end_to_end.launch_cases import (
    ENVIRONMENT,
    LAUNCH,
    SMALL,
    after_the_first_round,
    flown_here,
    runs_in,
)

TINY = ["capture.patch_px=64", "capture.window_px=96", "scene.size_px=128"]
REMEMBERING = ["dlrc.exchange=streams", "dlrc.dedup=hybrid", "dlrc.memory=rounds"]


def at_work(pid):
    """Whether a process is there and not only waiting to be buried (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ends_in_one_line_at_most(process, names, code, line):
    """A run that was cut short: nobody is left of it, and its folder has whole rounds, to go on from."""
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    errors = re.sub(r"^note: .*\n", "", errors)
    assert process.returncode == code and re.fullmatch(line, errors), errors
    pids, until = [pid for pids in names.values() for pid in pids], time.time() + 60
    while any(map(at_work, pids)) and time.time() < until:
        time.sleep(0.2)
    assert not any(map(at_work, pids))


def part_in(folder):
    """The folder of a run that is not over."""
    (kept,) = runs_in(folder)
    assert kept.name.endswith(".part") and not list(kept.rglob("*.tmp"))
    return kept


def test_an_interrupted_run_ends_without_a_word_and_keeps_whole_rounds(tmp_path):
    words = ["scenario=smoke", *SMALL, "rounds=10000", "satellites=1"]
    process, names = after_the_first_round([sys.executable, "-u", LAUNCH], words, tmp_path)
    os.kill(process.pid, signal.SIGINT)
    ends_in_one_line_at_most(process, names, 130, "")
    part_in(tmp_path / "runs")


def test_a_run_whose_keeper_is_killed_is_resumed_to_the_same_bytes(tmp_path, monkeypatch):
    """Satellites and ground read back what they remembered of earlier rounds."""
    words = ["scenario=smoke", *TINY, "rounds=8", *REMEMBERING]
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    process, names = after_the_first_round([sys.executable, "-u", LAUNCH], words, there)
    os.kill(names["keeper"][0], signal.SIGKILL)
    line = r"error: satellite \d was ended by signal 9; the run is over, resume=true goes on\n"
    ends_in_one_line_at_most(process, names, 3, line)
    with (part_in(there / "runs") / "manifest.jsonl").open("ab") as manifest:
        manifest.write(b'{"kind": "rou')  # as a crash of the machine may leave it
    again = [sys.executable, LAUNCH, *words, "output=runs", "resume=true"]
    done = subprocess.run(again, env=ENVIRONMENT, capture_output=True, text=True, check=False, cwd=there)
    assert done.returncode == 0 and "of 8 rounds are in" in done.stdout, done
    here.mkdir()
    monkeypatch.chdir(here)
    flown_here(words, Path("runs"))
    (one,), (other,) = runs_in(there / "runs"), runs_in(here / "runs")
    files = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    assert files == sorted(str(path.relative_to(other)) for path in other.rglob("*") if path.is_file())
    for name in set(files) - {"cost.json", "index.html"}:  # these two hold wall time
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert dlrc.open(one).facts.starts == 2
