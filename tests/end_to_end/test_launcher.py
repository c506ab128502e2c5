"""launch.sh: where it looks up paths, and two of it at once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Stands for python3: makes an environment whose python is this script again, slowly installs into it, and
# otherwise says where it is and what it was given.
STAND_IN = f"""#!/usr/bin/env bash
case "$1 $2" in
  "-c "*) exec {sys.executable} "$@" ;;
  "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit ;;
  "-m pip") echo install >> "$LOG"; sleep 1; exit ;;
  "-m nodes.process.warm_up") exit ;;
esac
echo "$PWD: $*"
"""


@pytest.fixture
def checkout(tmp_path):
    """launch.sh and its lock file in a folder with a space in its name."""
    folder = tmp_path / "my checkout"
    (folder / "dlrc").mkdir(parents=True)
    for name in ("launch.sh", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "stand-in").write_text(STAND_IN)
    (folder / "stand-in").chmod(0o755)
    (folder / "dlrc" / "help.txt").write_text("what it does\n")
    return folder


def started(checkout, *words, script=None, **environment):
    environment = {
        **{key: text for key, text in os.environ.items() if key != "DLRC_VENV"},
        "PYTHON": str(checkout / "stand-in"),
        "LOG": str(checkout / "log"),
        **environment,
    }
    pipe, where = subprocess.PIPE, checkout.parent
    script = script or checkout / "launch.sh"
    return subprocess.Popen([script, *words], cwd=where, env=environment, stdout=pipe, stderr=pipe, text=True)


def test_two_launches_at_once_set_up_one_environment(checkout):
    both = [started(checkout, "scenario=smoke") for _ in range(2)]
    ends = [process.communicate(timeout=30) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert (checkout / "log").read_text() == "install\n"
    assert sorted("Waiting for another" in errors for _, errors in ends) == [False, True]


def test_paths_are_looked_up_in_the_callers_folder_even_through_a_link(checkout):
    link = checkout.parent / "link"
    link.symlink_to(checkout / "launch.sh")
    printed, _ = started(checkout, "scenario=smoke", "scene.path=a b.png", script=link).communicate(
        timeout=30
    )
    where, _, words = printed.strip().partition(": ")
    assert where == str(checkout.parent)
    assert words.endswith("scenario=smoke scene.path=a b.png") and str(checkout) in words


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_help_comes_before_any_set_up(checkout, words):
    process = started(checkout, *words)
    assert process.communicate(timeout=30) == ("what it does\n", "") and process.returncode == 0
    assert not (checkout / ".venv").exists()


def test_an_environment_that_cannot_be_written_is_one_line(checkout):
    process = started(checkout, "scenario=smoke", DLRC_VENV="/proc/here")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2 and errors.count("\n") == 1 and "DLRC_VENV=" in errors
