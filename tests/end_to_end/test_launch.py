"""Whole runs: real processes, real Gloo, real bytes; and what a user sees when something is wrong."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dlrc
from dlrc import launch
from dlrc.store.manifest import Committed, lines
from ground.records import Outcome

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = str(ROOT / "launch.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SMALL = ["capture.patch_px=128", "capture.window_px=192", "scene.size_px=384"]
PLAIN = ["scenario=smoke", *SMALL, "satellites=2", "rounds=2"]
REMEMBERING = ["dlrc.exchange=streams", "dlrc.dedup=hybrid", "dlrc.memory=rounds"]
FAULTY = ["scenario=smoke", *SMALL, "satellites=3", "rounds=4", "seed=4"]
FAULTY += ["ground.stream_loss=0.6", "ground.silent_satellite=1"]
TWO_MACHINES = ["--nnodes", "2", "--nproc", "1", "--node-rank", "1", "--master-port", "1"]
TWO_MACHINES += ["--rdzv-conf", "timeout=2"]
WITHOUT_A_NAME = ["unshare", "-u", "sh", "-c", 'hostname nope-77 && exec "$0" "$@"']


def started(*command, **options):
    """A program whose output is captured, in a session of its own."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options
    )


def runs_in(folder):
    """The folders of runs below one; beside them stands the shelf."""
    return [path for path in folder.iterdir() if path.is_dir()]


def committed(folder):
    """Digests of every stream, record and image of the one run below a folder, round by round."""
    (run,) = runs_in(folder)
    return [line.files for line in lines(run) if isinstance(line, Committed)]


def flown_here(words, folder):
    """The same run in this process: its digests."""
    knobs = dict(word.split("=") for word in words[1:])
    dlrc.run(words[0].partition("=")[2], output=str(folder), **knobs)
    return committed(folder)


def family_of(root):
    """Processes that descend from `root`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    known = {root}
    while more := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= more
    return known


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


def names_of(processes):
    """What processes call themselves, by process id."""
    found = {}
    for pid in processes:
        with contextlib.suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
    return found


def after_the_first_round(line, words, folder, output="runs"):
    """A run that has flown one round: the process, and its family's process ids by name."""
    process = started(sys.executable, "-u", *line, *words, f"output={output}", cwd=folder)
    while "round 1/" not in (said := process.stdout.readline()):
        assert said, process.communicate()
    names = names_of(family_of(process.pid))
    return process, {name: [pid for pid in names if names[pid] == name] for name in names.values()}


@pytest.fixture(scope="module")
def struck_run(tmp_path_factory):
    """A run of two ranks under torchrun with loss and a silent satellite, in which the rank that flies two of
    three satellites is killed and the ground stopped: its folder, and what it said."""
    folder = tmp_path_factory.mktemp("struck")
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", LAUNCH]
    process, names = after_the_first_round(torchrun, [*FAULTY, "satellites_per_rank=2"], folder)
    os.kill(names["rank 0"][0], signal.SIGKILL)
    os.kill(names["ground"][0], signal.SIGSTOP)  # ended by its keeper, and started again
    printed, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    return folder / "runs", printed, errors


def test_with_loss_and_a_silent_satellite_torchrun_flies_what_one_process_flies(struck_run, tmp_path):
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


def test_two_agents_of_torchrun_fly_what_one_process_flies(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words, there = [*PLAIN[:-1], "rounds=1"], tmp_path / "there"
    line = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    line += ["--master-addr", "127.0.0.1", "--master-port", port]
    agents = [
        started("env", "GLOO_SOCKET_IFNAME=lo", sys.executable, *line, "--node-rank", at, LAUNCH, *words,
                f"output={there}")
        for at in ("0", "1")
    ]  # fmt: skip
    for agent in agents:
        _, errors = agent.communicate(timeout=400)
        assert agent.returncode == 0, errors
    assert committed(there) == flown_here(words, tmp_path / "here")


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
    process, names = after_the_first_round([LAUNCH], words, tmp_path)
    os.kill(process.pid, signal.SIGINT)
    ends_in_one_line_at_most(process, names, 130, "")
    part_in(tmp_path / "runs")


def test_a_run_whose_keeper_is_killed_is_resumed_to_the_same_bytes(tmp_path, monkeypatch):
    """Satellites and ground read back what they remembered of earlier rounds."""
    words, there, here = [*PLAIN[:-1], "rounds=8", *REMEMBERING], tmp_path / "there", tmp_path / "here"
    there.mkdir()
    process, names = after_the_first_round([LAUNCH], words, there)
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
