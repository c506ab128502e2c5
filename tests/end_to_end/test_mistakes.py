"""A newcomer's mistakes with disks, folders, files and keys, as they happen: one line, exit code 2 (130 after
Ctrl-C), nothing half-written. Those of spelling are in tests/dlrc/test_main.py."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from constellation.common.errors import UserError
from dlrc.main import dispatch, main
from tests.forked import forked

ROOT = Path(__file__).resolve().parents[2]
VIEW = ["study", "view", "hours=0.1", "satellites=2", "orbit.pattern=53:4/2/1"]
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def without_privileges():
    """What root may do to folders of others, it may no longer, once the next program has begun."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def with_little_room():
    """No file may grow beyond what a first try writes: the nearest thing to a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))


def said(words, cwd, limit):
    """A command's one line. limit: what the process may not do."""
    line = [sys.executable, str(ROOT / "launch.py"), *words]
    done = subprocess.run(
        line, cwd=cwd, capture_output=True, text=True, timeout=120, check=False, preexec_fn=limit
    )
    return one_line(done)


def said_by_a_fork(words, cwd, limit=lambda: None):
    """The same of a process that has imported everything."""

    def command():
        limit()
        os.chdir(cwd)
        sys.argv = ["launch.py", *words]
        main()

    return one_line(forked(command))


def one_line(done):
    assert done.returncode == 2 and done.stderr.startswith("error: "), done
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_disk_without_room_is_one_line_and_leaves_no_half_of_a_file(tmp_path):
    assert "File too large" in said_by_a_fork([*VIEW, "output=here"], tmp_path, with_little_room)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_folder_that_takes_no_files_is_one_line(mode, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir(mode=mode)
    assert "cannot write there" in said([*VIEW, "output=runs"], tmp_path, without_privileges)
    folder.chmod(0o755)
    assert not list(folder.iterdir())


def test_what_its_owner_keeps_to_himself_is_one_line(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    for scenario in (tmp_path / "mine.yaml", closed / "mine.yaml"):
        scenario.touch(mode=0)
    closed.chmod(0)
    assert "mine.yaml: cannot be read" in said(["run", "mine.yaml"], tmp_path, without_privileges)
    assert "closed/mine.yaml: Perm" in said(["run", "closed/mine.yaml"], tmp_path, without_privileges)
    closed.chmod(0o755)


@pytest.mark.parametrize("word", ["scenario={}.yaml", "output={}", "orbit.path={}"])
def test_a_name_that_no_file_system_takes_is_one_line(word, tmp_path):
    words = ["orbit.source=tle"] if word.startswith("orbit") else []
    assert "File name too long" in said_by_a_fork(["study", "sync", word.format("a" * 300), *words], tmp_path)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"no picture", "a b.png", "a b.png"),
        (b"", "empty.tif", "empty.tif"),
        (b"no picture", "picture.doc", "picture.doc"),
        (b"P6 2 2 255 " + bytes(12), "tiny.ppm", "tiny.ppm"),
    ],
)
def test_what_is_no_picture_is_refused_before_any_process_starts(content, name, expected, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=expected):
        dispatch(["run", "smoke", f"scene.path={tmp_path / name}", f"output={tmp_path / 'runs'}"])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_torchruns_ranks_refuse_words_that_they_do_not_know(tmp_path, monkeypatch):
    ranked = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, text in ranked.items():
        monkeypatch.setenv(name, text)
    for words, expected in (
        (["smok"], "did you mean smoke?"),
        (["--nproc", "2", "scenario=smoke"], "argument '--nproc': expected key=value"),
        (["scenario=smoke", "satellites=3"], "world size 2: scenario smoke has satellites=3"),
    ):
        assert expected in said_by_a_fork(words, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("after_s", [0.2, 0.4, 2.0])
def test_ctrl_c_prints_nothing_even_while_modules_are_loaded(after_s, tmp_path):
    words = [sys.executable, str(ROOT / "launch.py"), "study", "sync", "output=here"]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while not _handles(process.pid) and time.monotonic() < until:  # not Python's own start
        time.sleep(0.01)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (130, "", "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def _handles(process: int) -> bool:
    """Whether our program has been reached: its package is being read."""
    maps = Path(f"/proc/{process}/maps")
    return maps.exists() and "_pydantic_core" in maps.read_text()
