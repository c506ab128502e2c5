"""Whole runs: real processes, real Gloo, real bytes; and what a user sees when something is wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dlrc
from dlrc import launch
from ground.records import Outcome
from tests.end_to_end.launch_cases import (
    LAUNCH,
    PLAIN,
    SMALL,
    after_the_first_round,
    committed,
    family_of,
    flown_here,
    runs_in,
    started,
)

FAULTY = ["scenario=smoke", *SMALL, "satellites=3", "rounds=4", "seed=4"]
FAULTY += ["ground.stream_loss=0.6", "ground.silent_satellite=1"]
TWO_MACHINES = ["--nnodes", "2", "--nproc", "1", "--node-rank", "1", "--master-port", "1"]
TWO_MACHINES += ["--rdzv-conf", "timeout=2"]
WITHOUT_A_NAME = ["unshare", "-u", "sh", "-c", 'hostname nope-77 && exec "$0" "$@"']


def listening(processes):
    """Local addresses, as /proc writes them, at which any of these processes listens."""
    inodes = set()
    for pid in processes:
        try:
            inodes |= {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
        except OSError:
            continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            field = line.split()
            if field[3] == "0A" and f"socket:[{field[9]}]" in inodes:
                found.add(field[1].partition(":")[0])
    return found


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """The plain run's temporary folder."""
    return tmp_path_factory.mktemp("room")


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory, room):
    """A run on a host whose own name does not resolve, where that can be had; and where it listened."""
    folder = tmp_path_factory.mktemp("runs")
    nameless = subprocess.run([*WITHOUT_A_NAME, "true"], capture_output=True, check=False).returncode == 0
    words = ["-u", LAUNCH, "--nproc", "2", *PLAIN, f"output={folder}"]
    line = [f"TMPDIR={room}", *(WITHOUT_A_NAME if nameless else []), sys.executable, *words]
    process = started("env", *line, cwd=folder)
    heard_at = set()
    while process.poll() is None:
        heard_at |= listening(family_of(process.pid))
        time.sleep(0.2)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    return folder, printed, heard_at


def test_a_launched_run_has_the_digests_of_a_run_in_one_process(plain_run, tmp_path):
    digests = committed(plain_run[0])
    assert digests == flown_here(PLAIN, tmp_path)
    assert len(digests) == 2 and sum("_dlrc.bin" in name for name in digests[1]) == 2


def test_a_run_leaves_nothing_in_the_temporary_folder(plain_run, room):
    left = [path.name for path in room.iterdir() if not path.name.startswith("torchinductor_")]  # one a user
    assert plain_run and not left


def test_on_one_machine_nothing_listens_beyond_loopback(plain_run):
    assert plain_run[2] == {"0100007F"}


def test_a_run_says_what_it_does_and_leaves_a_summary_pictures_and_a_trace(plain_run):
    folder, printed, _ = plain_run
    (run,) = runs_in(folder)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["decode"] == {**summary["decode"], "streams": 4, "exact": 4, "failed": 0}
    assert any(run.glob("*.png")) and (run / "trace.json").is_file() and not list(run.rglob("*.tmp"))
    for word in ("round 2/2: 2 of 2 streams decoded exactly", "bpp", "MS-SSIM", str(run)):
        assert word in printed


@pytest.fixture(scope="module")
def struck_run(tmp_path_factory):
    """A run of two ranks under two agents of torchrun, as on two machines, with loss and a silent satellite,
    in which the rank that flies two of three satellites is killed and the ground stopped: its folder, and
    what it said."""
    folder = tmp_path_factory.mktemp("struck")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    line = ["env", "GLOO_SOCKET_IFNAME=lo", sys.executable, "-u", "-m", "torch.distributed.run"]
    line += ["--nnodes", "2", "--nproc-per-node", "1"]
    line += ["--master-addr", "127.0.0.1", "--master-port", port, "--node-rank"]
    words = [*FAULTY, "satellites_per_rank=2"]
    other = started(*line, "1", LAUNCH, *words, "output=runs", cwd=folder)
    process, names = after_the_first_round([*line, "0", LAUNCH], words, folder)
    os.kill(names["rank 0"][0], signal.SIGKILL)
    os.kill(names["ground"][0], signal.SIGSTOP)  # ended by its keeper, and started again
    printed, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    _, errors_there = other.communicate(timeout=60)
    assert other.returncode == 0, errors_there
    return folder / "runs", printed, errors


def test_with_loss_and_a_silent_satellite_two_agents_fly_what_one_process_flies(struck_run, tmp_path):
    folder, printed, _ = struck_run
    assert "sent again" in printed
    assert committed(folder) == flown_here(FAULTY, tmp_path)
    (run,) = runs_in(folder)
    outcomes = {one.outcome for record in dlrc.open(run).rounds for one in record.satellites}
    assert {Outcome.LOST, Outcome.RESENT} <= outcomes


def test_a_rank_and_a_ground_that_are_killed_come_back_and_leave_no_trace(struck_run):
    folder, _, errors = struck_run  # whose bytes are those of one process: the test before
    assert "rank 0 was ended by signal 9" in errors and "ground was stopped" in errors
    (run,) = runs_in(folder)
    assert {one.who for one in dlrc.open(run).facts.accidents} == {"satellites 0 to 1", "ground"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["scenario=nowhere"], "unknown scenario"),
        (["scenario=smoke", "codec.modle=mbt"], "did you mean codec.model"),
        (["scenario=smoke", "seed=soon"], "seed"),
        (["scenario=smoke", "scene.path=no/such.png"], "no/such.png"),
        (["scenario=smoke", "capture.window_px=128"], "capture.patch_px"),
        (["scenario=smoke", "scene.size_px=256"], "smaller than"),
        (["--nproc", "3", "scenario=smoke"], "satellites=2"),
        (["--nproc", "2", "satellites_per_rank=2", "scenario=smoke"], "--nproc 1 or satellites_per_rank=1"),
        (["--nproc", "many", "scenario=smoke"], "--nproc many: expected a number"),
        (["--nprocs-per-nod", "2", "scenario=smoke"], "options for torchrun"),
        (["--master-port", "{taken}", "scenario=smoke"], "--master-port={taken}: Address already in use"),
        ([*TWO_MACHINES, "scenario=smoke"], "the machines did not meet at 127.0.0.1:1 ("),
        (["scenario=smoke", "codec.weights=no/such.safetensors"], "no such file"),
        (["scenario=smoke", "priority.rule=loudest"], "loudest"),
        (["run"], "scenario=NAME"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, expected, tmp_path, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = [word.replace("{taken}", port) for word in words]
        monkeypatch.setattr(sys, "argv", ["launch.py", *words, *([f"output={tmp_path}"] if words else [])])
        with pytest.raises(SystemExit) as leaving:
            launch.main()
    said = capsys.readouterr()
    assert leaving.value.code == 2
    assert said.err.count("\n") == 1 and expected.replace("{taken}", port) in said.err, said.err
    assert not said.out and not list(tmp_path.iterdir())
