"""Sync rounds over a 12 h window: wall, CPU and memory, growth with the constellation, and the ratio to a
plain networkx loop, from one run.

Every simulation runs in a fresh interpreter (imports and numba's compilation count; nothing is cached on
disk). The networkx loop gets its edges and rates ready made: it builds one graph per instant and payload and
runs `single_source_dijkstra` from the 8 participants; its time is extrapolated to all instants. Agreement of
the delays is checked on the same sample."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from constellation.orbit.orbits import MAX_INSTANTS
from constellation.orbit.walker import MAX_SATELLITES
from constellation.scenario.load import SCENARIO, load_scenario
from constellation.scenario.scenario import Scenario

PAYLOADS = [2048.0, 8192.0, 32768.0, 131072.0]
LEAST_SATELLITES = 8  # the participants
PLANES = {1000: 25}  # the paper's shell; other sizes are as square as their divisors allow


class SyncKeys(Knobs):
    """Keys of this benchmark."""

    steps: Annotated[int, Field(ge=1, le=MAX_INSTANTS)] = 720
    """instants simulated"""
    networkx_steps: Annotated[int, Field(ge=1, le=10**4)] = 2
    """instants of the networkx loop"""
    sizes: Several[Annotated[int, Field(ge=LEAST_SATELLITES, le=MAX_SATELLITES)]] = (100, 1000, 10000)
    """satellites of the constellation"""
    child: Annotated[int, Field(ge=0, le=len(PAYLOADS))] = 0
    """number of payloads, in the interpreter that a measurement starts; 0: measure"""


def bench(given: Given) -> None:
    """Print one row per size and number of payloads, then the networkx loop's time."""
    own, overrides = given.own, list(given.words)
    if own.child:
        return _child(own.child, own.steps, own.sizes[0], overrides)
    print(f"{own.steps} instants, 8 participants, knobs: {' '.join(overrides) or 'defaults'}")
    print("satellites  payloads   wall s    CPU s   peak MiB")
    ours_s = None
    measured = [(size, payloads) for size in own.sizes for payloads in ((1, 4) if size < 10000 else (1,))]
    for size, payloads in watched(measured, "sizes"):
        figures = _measure(size, own.steps, payloads, overrides)
        print(
            f"{size:10}  {payloads:8} {figures['wall_s']:8.2f} {figures['cpu_s']:8.2f} "
            f"{figures['peak_mib']:10.0f}"
        )
        if size == 1000 and payloads == 4:
            ours_s = figures
    if ours_s:
        reference_s, worst = _networkx(own.networkx_steps, overrides)
        whole_s = reference_s * own.steps
        print(
            f"networkx loop, 1000 satellites, 4 payloads: {whole_s:.0f} s of CPU extrapolated from "
            f"{own.networkx_steps} instants; {whole_s / ours_s['cpu_s']:.0f} times ours; delays agree to "
            f"{worst:.1e} relative"
        )
    _counting()


def _measure(size: int, steps: int, payloads: int, overrides: list[str]) -> dict:
    command = [
        sys.executable,
        "-m",
        "benchmarks.sync",
        f"child={payloads}",
        f"steps={steps}",
        f"sizes={size}",
        *overrides,
    ]
    began = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(f"benchmark of {size} satellites: {result.stderr.strip()[-300:]}")
    return {**json.loads(result.stdout.splitlines()[-1]), "wall_s": time.perf_counter() - began}


def pattern_of(size: int) -> str:
    """A Walker pattern of so many satellites: as many planes as its largest divisor up to the square root."""
    square = next(planes for planes in range(math.isqrt(size), 0, -1) if size % planes == 0)
    planes = PLANES.get(size, square)
    return f"53:{size}/{planes}/{1 if planes > 1 else 0}"


def _scenario(size: int, overrides: list[str]) -> Scenario:
    return load_scenario("edge_space_com", [f"orbit.pattern={pattern_of(size)}", *overrides])


def _child(payloads: int, steps: int, size: int, overrides: list[str]) -> None:
    from constellation.sync.series import Setting
    from constellation.sync.simulation import simulate

    scenario = _scenario(size, overrides)
    simulate(Setting.of(scenario), PAYLOADS[-payloads:], np.arange(steps) * scenario.orbit.step_s)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}))


def _networkx(sample: int, overrides: list[str]) -> tuple[float, float]:
    """CPU seconds per instant of the plain loop, and the worst relative difference of its delays."""
    import networkx

    from constellation.links.routing import hop_delay_s
    from constellation.links.topology import select_region, topology_at
    from constellation.orbit.orbits import load_constellation
    from constellation.sync.series import Setting
    from constellation.sync.simulation import simulate
    from constellation.sync.timing import times_of_arrivals

    scenario = _scenario(1000, overrides)
    constellation = load_constellation(scenario.orbit)
    times_s = np.arange(sample) * 6 * scenario.orbit.step_s
    positions_km = constellation.positions_itrs_km(times_s)
    series = simulate(Setting.of(scenario), PAYLOADS, times_s)
    spent_s, worst = 0.0, 0.0
    for t, position_km in enumerate(positions_km):
        members = select_region(position_km, scenario.region, scenario.satellites).tolist()
        topology = topology_at(position_km, scenario.topology, scenario.link, constellation)
        for p, payload in enumerate(PAYLOADS):
            delay_s = hop_delay_s(topology.distance_km, topology.rate_bps, payload, scenario.sync)
            edges = [(a, b, s) for (a, b), s in zip(topology.edges.tolist(), delay_s.tolist())]
            began = time.process_time()
            graph = networkx.Graph()
            graph.add_weighted_edges_from(edges)
            found = [networkx.single_source_dijkstra(graph, source) for source in members]
            spent_s += time.process_time() - began
            flow_s = np.array(
                [
                    [lengths[d] + max(len(paths[d]) - 2, 0) * scenario.sync.relay_s for d in members]
                    for lengths, paths in found
                ]
            )
            t_sync_s = times_of_arrivals(flow_s, scenario.sync.control_s)[2]
            worst = max(worst, float(np.abs(series.t_sync_s[p, t] / t_sync_s - 1).max()))
    return spent_s / sample, worst


def _counting() -> None:
    """The link-counting sweep against listing the links of both instants and intersecting them."""
    from constellation.links.churn import distance_churn
    from constellation.links.topology import topology_at, topology_events
    from constellation.orbit.orbits import load_constellation
    from constellation.scenario.network import LinkKnobs, TopologyKnobs

    first, second = load_constellation(_scenario(1000, []).orbit).positions_itrs_km(np.array([0.0, 60.0]))
    distance_churn(first, second, 3000.0)
    began = time.process_time()
    before, after, both = distance_churn(first, second, 3000.0)
    swept_s = time.process_time() - began
    began = time.process_time()
    events = topology_events(
        *(topology_at(p, TopologyKnobs(), LinkKnobs()) for p in (first, second)), TopologyKnobs(), LinkKnobs()
    )
    listed_s = time.process_time() - began
    assert (events.setups, events.teardowns) == (after - both, before - both)
    print(
        f"counting links that come and go, 1000 satellites: sweep {1e3 * swept_s:.2f} ms, listing "
        f"{1e3 * listed_s:.2f} ms, {listed_s / swept_s:.0f} times"
    )


COMMAND = Command(
    name="bench sync",
    about=__doc__,
    own=SyncKeys,
    work=bench,
    subject=SCENARIO,
    honours=("satellites", "orbit", "link", "topology", "sync", "region"),
    sets={"scenario": "", "orbit.pattern": "sizes", "orbit.source": "", "orbit.duration_s": "steps"},
    default="edge_space_com",
    examples=(
        "dlrc bench sync sizes=100,1000 steps=60",
        "dlrc bench sync sizes=50000 steps=2 topology.rule=grid",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
