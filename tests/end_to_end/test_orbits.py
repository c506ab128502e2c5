"""Captures from orbits with memory, flown by ranks of torchrun's: the bytes of a run in one process."""

import os
import subprocess
import sys
from pathlib import Path

import dlrc

ROOT = Path(__file__).resolve().parents[2]
KNOBS = {
    "rounds": 2, "satellites_per_rank": 12, "seed": 3, "capture.patch_px": 64, "capture.window_px": 128,
    "scene.size_px": 256, "dlrc.memory": "rounds",
}  # fmt: skip


def test_a_launched_run_from_orbits_is_the_run_flown_here(tmp_path):
    words = [f"{name}={value}" for name, value in KNOBS.items()]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command = [*torchrun, str(ROOT / "launch.py"), "scenario=orbit_pass", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, f"output={tmp_path / 'there'}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    here = dlrc.run("orbit_pass", output=str(tmp_path / "here"), **KNOBS)
    one = here.gallery.folder / "rounds"
    (other,) = (tmp_path / "there").glob("*/rounds")
    names = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert names == sorted(path.relative_to(other) for path in other.rglob("*.*")) and len(names) > 4
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert {view.satellite for view in here.rounds[0].satellites if view.geometry} == {7, 8}
