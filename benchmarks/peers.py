"""Other simulators beside ours on the same elements and the same job: positions, link lengths, route delays,
CPU time, memory.

A Walker shell is written as two-line elements, which both read; links are its +grid, routes those of the
least light time from satellite 0 to all, at every instant. Each runs in an interpreter of its own: DSNS in
`python=`, which may be another environment's (pip install dsns). Times are CPU seconds with imports."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs
from constellation.links.topology import grid_edges
from constellation.orbit.orbits import load_constellation
from constellation.scenario.network import OrbitKnobs

EPOCH = "2026-01-01T00:00:00Z"
MOST_STATES = 2**26

_MEASURE = """
import json, resource
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}))
"""
_OURS = """
import sys, numpy as np
from constellation.links.budget import rate_bps
from constellation.links.routing import minimum_delay_paths
from constellation.links.topology import Topology
from constellation.orbit.orbits import load_constellation
from constellation.scenario.network import OrbitKnobs, SyncKnobs
folder, steps, step_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
pairs = np.load(folder + "/pairs.npy").astype(np.int32)
shell = load_constellation(OrbitKnobs(source="tle", path=folder + "/shell.tle", epoch="2026-01-01T00:00:00Z"))
sync = SyncKnobs(speed_of_light_m_s=299792458.0, relay_s=0.0)
block = max(1, 200_000 // len(shell))
kept, lengths, delays = [], [], []
for start in range(0, steps, block):
    positions = shell.positions_teme_km(np.arange(start, min(steps, start + block)) * step_s)
    for here in positions:
        length = np.linalg.norm(here[pairs[:, 0]] - here[pairs[:, 1]], axis=1)
        topology = Topology(len(shell), pairs, length, np.ones(len(pairs)), "given", "given")
        delays.append(minimum_delay_paths(topology, [0], 0.0, sync).path_s[0])
        lengths.append(length)
    kept.append(positions[-1])
np.savez(folder + "/ours.npz", last=kept[-1], length=lengths[-1], delay=delays[-1])
"""
_DSNS = """
import sys, datetime, types, numpy as np
sys.modules.setdefault("pyrender", types.ModuleType("pyrender"))
import networkit
from dsns.constellation import FixedISLHelper, TLEConstellation
from dsns.helpers import IDHelper
from networkit.distance import Dijkstra
folder, steps, step_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
pairs = np.load(folder + "/pairs.npy")
lines = open(folder + "/shell.tle").read().splitlines()
tles = [(a, b) for a, b in zip(lines[1::3], lines[2::3])]
epoch = datetime.datetime(2026, 1, 1)
shell = TLEConstellation("shell", tles, FixedISLHelper([]), IDHelper(), epoch)
ids = [satellite.sat_id for satellite in shell.satellites]
shell.isl_helper = FixedISLHelper([(ids[a], ids[b]) for a, b in pairs])
for step in range(steps):
    shell.update(step * step_s)
    here = shell.satellite_positions
    length = np.linalg.norm(here[pairs[:, 0]] - here[pairs[:, 1]], axis=1)
    graph = networkit.Graph(len(lines) // 3, weighted=True)
    for (a, b), metres in zip(pairs.tolist(), length.tolist()):
        graph.addEdge(a, b, metres / 299792458.0)
    delay = Dijkstra(graph, 0).run().getDistances()
np.savez(folder + "/dsns.npz", last=here / 1e3, length=length / 1e3, delay=delay)
"""


class PeersKeys(Knobs):
    """Keys of this benchmark."""

    python: str = sys.executable
    """interpreter that has dsns"""
    pattern: str = "53:1000/25/1"
    """of the shell, at 550 km"""
    steps: Annotated[int, Field(ge=1, le=100_000)] = 60
    """instants"""
    step_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """between them"""


def bench(given: Given) -> None:
    """Run both, compare, print."""
    own: PeersKeys = given.own
    with tempfile.TemporaryDirectory() as folder:
        count = write_job(Path(folder), own.pattern)
        if count * own.steps > MOST_STATES:
            raise UserError(
                f"steps={own.steps}: {count * own.steps} positions, expected at most {MOST_STATES}"
            )
        ours = _run(sys.executable, _OURS, folder, own)
        dsns = _run(own.python, _DSNS, folder, own)
        print(f"{count} satellites of {own.pattern}, +grid, {own.steps} instants; CPU seconds with imports")
        print("            CPU s   peak MiB")
        for name, figures in (("ours", ours), ("DSNS", dsns)):
            found = "not installed in python=" if figures is None else ""
            cost = "" if figures is None else f"{figures['cpu_s']:9.2f} {figures['peak_mib']:10.0f}"
            print(f"{name:8}{cost}{found}")
        if ours and dsns:
            print(f"DSNS takes {dsns['cpu_s'] / ours['cpu_s']:.1f} times our CPU time")
            print("\n".join(differences(Path(folder))))


def write_job(folder: Path, pattern: str) -> int:
    """The shell as two-line elements, and its +grid pairs; how many satellites there are."""
    from sgp4.exporter import export_tle

    shell = load_constellation(OrbitKnobs(pattern=pattern, epoch=EPOCH))
    lines = [
        line
        for name, record in zip(shell.names, shell.satrecs, strict=True)
        for line in (name, *export_tle(record))
    ]
    (folder / "shell.tle").write_text("\n".join(lines) + "\n", encoding="ascii")
    np.save(folder / "pairs.npy", grid_edges(shell))
    return len(shell)


def differences(folder: Path) -> list[str]:
    """The largest differences at the last instant, a line each."""
    ours, dsns = np.load(folder / "ours.npz"), np.load(folder / "dsns.npz")
    position_m = 1e3 * float(np.linalg.norm(ours["last"] - dsns["last"], axis=1).max())
    length_m = 1e3 * float(np.abs(ours["length"] - dsns["length"]).max())
    delay_us = 1e6 * float(np.abs(ours["delay"] - dsns["delay"]).max())
    return [
        f"largest difference at the last instant: positions {position_m:.3g} m, link lengths "
        f"{length_m:.3g} m, route delays {delay_us:.3g} us"
    ]


def _run(python: str, program: str, folder: str, own: PeersKeys) -> dict[str, float] | None:
    """CPU time and memory of a program in an interpreter of its own; None where a package is missing."""
    words = [python, "-c", program + _MEASURE, folder, str(own.steps), str(own.step_s)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"python={python}: {error.strerror}") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        if "ModuleNotFoundError" in last[0] and python == own.python and program is _DSNS:
            return None
        raise UserError(f"{Path(python).name}: {last[0][:200]}")
    return json.loads(done.stdout.splitlines()[-1])


COMMAND = Command(
    name="bench peers",
    about=__doc__ or "",
    own=PeersKeys,
    work=bench,
    examples=(
        "dlrc bench peers python=/opt/dsns/bin/python",
        "dlrc bench peers pattern=53:10000/100/1 steps=10",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
