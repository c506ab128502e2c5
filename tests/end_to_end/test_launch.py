"""Whole runs: real processes, real gloo, real bytes; and what a user sees when something is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def launch(*words: str, timeout: float = 200) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch.py", *words]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout)


def summary_in(folder: Path) -> dict:
    (path,) = folder.glob("*/summary.json")
    return json.loads(path.read_text())


def streams_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*/streams/*"))}


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    result = launch("scenario=smoke", f"output={folder}")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result.stdout


def test_a_run_decodes_every_stream_and_saves_bytes(smoke_run):
    folder, _ = smoke_run
    summary = summary_in(folder)
    assert summary["decode"] == {**summary["decode"], "exact": summary["decode"]["streams"], "failed": 0}
    assert summary["bpp"]["dlrc"]["total"] < summary["bpp"]["independent"]["total"]
    assert summary["positions"]["remote_copy"] > 0


def test_rates_in_the_summary_are_those_of_the_streams_on_disk(smoke_run):
    folder, _ = smoke_run
    summary, streams = summary_in(folder), streams_in(folder)
    pixels = summary["satellites"] * summary["rounds"] * 256 * 256
    for kind in ("dlrc", "independent"):
        size = sum(len(data) for name, data in streams.items() if kind in name)
        assert summary["bpp"][kind]["total"] == pytest.approx(size * 8 / pixels)


def test_a_run_leaves_pictures_a_trace_and_a_readable_table(smoke_run):
    folder, printed = smoke_run
    (run,) = folder.iterdir()
    assert any(run.glob("*.png"))
    events = json.loads((run / "trace.json").read_text())["traceEvents"]
    assert {event["pid"] for event in events if event["ph"] == "X"}
    for word in ("bpp", "PSNR", "MS-SSIM", "sync", str(run)):
        assert word in printed
    assert not list(run.rglob("*.tmp"))


def test_the_same_seed_gives_the_same_streams_for_any_number_of_threads(smoke_run, tmp_path):
    folder, _ = smoke_run
    command = [sys.executable, "launch.py", "scenario=smoke", f"output={tmp_path}"]
    subprocess.run(
        command,
        cwd=ROOT,
        env={**ENVIRONMENT, "OMP_NUM_THREADS": "2"},
        check=True,
        capture_output=True,
        timeout=200,
    )
    assert streams_in(tmp_path) == streams_in(folder)


def test_one_satellite_alone_runs_and_saves_nothing(tmp_path):
    result = launch("scenario=smoke", "satellites=1", "codec.model=mbt", f"output={tmp_path}")
    assert result.returncode == 0, result.stderr
    summary = summary_in(tmp_path)
    assert summary["positions"]["remote_copy"] == 0
    assert summary["decode"]["failed"] == 0


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
        (["scenario=smoke", "codec.weights=no/such.safetensors"], "no such file"),
        (["scenario=smoke", "priority.rule=loudest"], "loudest"),
        ([], "scenario=NAME"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, expected, tmp_path):
    result = launch(*words, *([f"output={tmp_path}"] if words else []), timeout=60)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and expected in result.stderr, result.stderr
    assert not list(tmp_path.iterdir())


def test_a_rank_that_dies_ends_the_run_with_one_line_and_no_orphans(tmp_path):
    command = [sys.executable, "launch.py", "scenario=smoke", "rounds=10000", f"output={tmp_path}"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        victim = wait_for_rank(process.pid, "1")
        os.kill(victim, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode not in (0, None)
    assert re.search(r"satellite 1", errors), errors
    time.sleep(1)
    assert not family_of(process.pid)


def wait_for_rank(root: int, rank: str, timeout_s: float = 60) -> int:
    """Process id of a rank, once the ground (started after the ranks) is up too."""
    end = time.time() + timeout_s
    while time.time() < end:
        ranks = {environment_of(pid).get("RANK"): pid for pid in family_of(root)}
        if rank in ranks and "2" in ranks:
            time.sleep(3)
            return ranks[rank]
        time.sleep(0.3)
    raise AssertionError("the ranks did not start")


def environment_of(pid: int) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(item.decode(errors="replace").split("=", 1) for item in raw if b"=" in item)


def family_of(root: int) -> list[int]:
    """Descendants of `root`, and processes that carry its mark after it is gone."""
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
    return sorted(known - {root})
