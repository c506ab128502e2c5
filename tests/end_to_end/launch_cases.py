"""Launched runs of small pictures, and what becomes of them."""

import contextlib
import os
import subprocess
from pathlib import Path

import dlrc
from dlrc.store.manifest import Committed, lines

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = str(ROOT / "launch.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SMALL = ["capture.patch_px=128", "capture.window_px=192", "scene.size_px=384"]
PLAIN = ["scenario=smoke", *SMALL, "satellites=2", "rounds=2"]


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


def names_of(processes):
    """What processes call themselves, by process id."""
    found = {}
    for pid in processes:
        with contextlib.suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
    return found


def after_the_first_round(line, words, folder):
    """A run that has flown one round: the process, and its family's process ids by name."""
    process = started(*line, *words, "output=runs", cwd=folder)
    while "round 1/" not in (said := process.stdout.readline()):
        assert said, process.communicate()
    names = names_of(family_of(process.pid))
    return process, {name: [pid for pid in names if names[pid] == name] for name in names.values()}
