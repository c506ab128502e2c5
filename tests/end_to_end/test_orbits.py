"""Captures from orbits with memory, flown by a launch's ranks: the bytes of a run in one process."""

import subprocess
import sys

import dlrc
from tests.end_to_end.launch_cases import ENVIRONMENT, LAUNCH

KNOBS = {
    "rounds": 2, "satellites_per_rank": 12, "seed": 3, "capture.patch_px": 64, "capture.window_px": 128,
    "scene.size_px": 256, "dlrc.memory": "rounds",
}  # fmt: skip


def test_a_launched_run_from_orbits_is_the_run_flown_here(tmp_path):
    words = [f"{name}={value}" for name, value in KNOBS.items()]
    line = [sys.executable, LAUNCH, "scenario=orbit_pass", *words, f"output={tmp_path / 'there'}"]
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = dlrc.run("orbit_pass", output=str(tmp_path / "here"), **KNOBS)
    one = here.gallery.folder / "rounds"
    (other,) = (tmp_path / "there").glob("*/rounds")
    names = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert names == sorted(path.relative_to(other) for path in other.rglob("*.*")) and len(names) > 4
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert {view.satellite for view in here.rounds[0].satellites if view.geometry} == {7, 8}
