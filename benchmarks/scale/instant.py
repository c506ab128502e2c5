"""CPU time and memory of one instant of a large constellation: orbits read or made, positions, links, and the
routes from some satellites to all.

Memory is the largest resident set of this process up to the end of each step, imports included."""

from __future__ import annotations

import resource
import time
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs
from constellation.links.routing import minimum_delay_paths
from constellation.links.topology import topology_at
from constellation.orbit.orbits import load_constellation
from constellation.scenario.load import NETWORK


class InstantKeys(Knobs):
    """Keys of this benchmark."""

    sources: Annotated[int, Field(ge=1, le=1000)] = 1
    """satellites, the first ones, whose routes to all are found"""
    payload_kib: Annotated[float, Field(ge=0, le=1e9)] = 2.0
    """what is sent"""
    at_s: Annotated[float, Field(ge=0, le=3.2e7)] = 0.0
    """the instant, after orbit.epoch"""


def bench(given: Given) -> None:
    """Walk through one instant and print a line a step."""
    network, own = given.subject, given.own
    took: list[tuple[str, float, float]] = []

    def step(name: str, began_s: float) -> None:
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        took.append((name, time.process_time() - began_s, peak_mib))

    step("imports", 0.0)
    began_s = time.process_time()
    satellites = load_constellation(network.orbit)
    step("orbits", began_s)
    began_s = time.process_time()
    positions_km = satellites.positions_teme_km(np.array([own.at_s]))[0]
    step("positions", began_s)
    began_s = time.process_time()
    topology = topology_at(positions_km, network.topology, network.link, satellites)
    step("links, the first time", began_s)
    began_s = time.process_time()
    topology = topology_at(positions_km, network.topology, network.link, satellites)
    step("links, once more", began_s)
    began_s = time.process_time()
    sources = np.arange(min(own.sources, len(satellites)))
    paths = minimum_delay_paths(topology, sources, 1024 * own.payload_kib, network.sync)
    step(f"routes from {len(sources)}", began_s)
    reached = int(np.isfinite(paths.path_s).sum())
    print(
        f"{len(satellites)} satellites, rule={network.topology.rule}: {len(topology.edges)} links, "
        f"{reached} of {paths.path_s.size} routes, at most {int(paths.hops.max())} hops"
    )
    print(f"{'':24}{'CPU s':>9} {'peak MiB':>9}")
    for name, cpu_s, peak_mib in took:
        print(f"{name:24}{cpu_s:9.2f} {peak_mib:9.0f}")


COMMAND = Command(
    name="bench instant",
    about=__doc__ or "",
    own=InstantKeys,
    work=bench,
    subject=NETWORK,
    honours=("name", "orbit", "topology", "link", "sync"),
    default="edge_space_com",
    examples=(
        "dlrc bench instant orbit.pattern=53:50000/200/1 topology.rule=grid",
        "dlrc bench instant orbit.source=omm orbit.path=FILE topology.rule=grid",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
