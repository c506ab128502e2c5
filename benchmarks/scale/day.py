"""CPU time and memory of a day of a large constellation, streamed: at every instant positions, links, what of
them came and went, and the routes of given pairs; then all passes over the ground stations.

The span is `orbit.duration_s` in steps of `orbit.step_s`. Instants go by one after the other and passes some
satellites at a time, so memory does not grow with the span. It is the largest resident set of this process,
imports included."""

from __future__ import annotations

import csv
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import replacing
from constellation.common.knobs import Knobs, Says, Several
from constellation.common.progress import watched
from constellation.common.text import counted
from constellation.links.moments import moments
from constellation.links.pruning import LinkRules
from constellation.links.routing import minimum_delay_paths
from constellation.orbit.orbits import Constellation, load_constellation, sample_times_s
from constellation.passes.contacts import ContactWindows, contact_blocks
from constellation.scenario.load import NETWORK
from constellation.scenario.network import GroundKnobs
from constellation.scenario.scenario import NetworkScenario

Pair = tuple[int, int]
SATELLITES_AT_ONCE = 100  # whose passes are looked for together: 50 MB of a day


class DayKeys(Knobs):
    """Keys of this benchmark."""

    pairs: Several[Annotated[str, Field(pattern=r"^\d{1,6}-\d{1,6}$"), Says("two satellites, as 0-500")]] = ()
    """whose routes are found at every instant; several from one satellite cost what one does; none: from 0 to
    the one halfway through the constellation"""
    payload_kib: Annotated[float, Field(ge=0, le=1e9)] = 2.0
    """what is sent"""
    passes: bool = True
    """whether all passes over the ground stations are found, too"""
    to: str = ""
    """file for a line an instant (CSV)"""


@dataclass
class Tally:
    """What a day came to. links, setups, teardowns: of every instant. delay_s, hops: by pair, of every
    instant, inf and -1 where there is no way. contact_s: of all passes. seen: who has any."""

    links: list[int] = field(default_factory=list)
    setups: list[int] = field(default_factory=list)
    teardowns: list[int] = field(default_factory=list)
    delay_s: list[np.ndarray] = field(default_factory=list)
    hops: list[np.ndarray] = field(default_factory=list)
    passes: int = 0
    contact_s: float = 0.0
    seen: set[int] = field(default_factory=set)


def bench(given: Given) -> None:
    """A day, and a line a step."""
    network, own = given.subject, given.own
    began_s = time.process_time()
    satellites = load_constellation(network.orbit)
    took = [("orbits", time.process_time() - began_s, _peak_mib())]
    pairs = pairs_of(own.pairs, len(satellites))
    tally, began_s = Tally(), time.process_time()
    rows = instants(network, satellites, pairs, own.payload_kib, tally)
    if own.to:
        write_rows(Path(own.to), pairs, rows)
    else:
        for _ in rows:
            pass
    took.append(("positions, links, routes", time.process_time() - began_s, _peak_mib()))
    if own.passes:
        began_s = time.process_time()
        for found in windows(satellites, network.ground, network.orbit.duration_s):
            tally.passes += len(found)
            tally.contact_s += float(found.duration_s.sum())
            tally.seen |= set(found.satellite.tolist())
        took.append(("passes", time.process_time() - began_s, _peak_mib()))
    print("\n".join(said(network, satellites, pairs, tally)))
    print(f"{'':26}{'CPU s':>9} {'peak MiB':>9}")
    for name, cpu_s, peak_mib in took:
        print(f"{name:26}{cpu_s:9.2f} {peak_mib:9.0f}")


def pairs_of(words: tuple[str, ...], count: int) -> list[Pair]:
    """Pairs of satellites from words. Raises `UserError`."""
    pairs = [(int(first), int(second)) for first, second in (word.split("-") for word in words)]
    for pair in pairs:
        if max(pair) >= count or pair[0] == pair[1]:
            raise UserError(f"pairs={pair[0]}-{pair[1]}: expected two of the satellites 0 to {count - 1}")
    return pairs or ([(0, count // 2)] if count > 1 else [])


def instants(
    network: NetworkScenario, satellites: Constellation, pairs: list[Pair], payload_kib: float, tally: Tally
) -> Iterator[list[float | int]]:
    """A row an instant, as of `write_rows`; all of them into the tally."""
    rules = LinkRules(network.topology, network.link, network.sync)
    sources = sorted({first for first, _ in pairs})
    place = [sources.index(first) for first, _ in pairs], [second for _, second in pairs]
    times_s = sample_times_s(network.orbit)
    for moment in watched(moments(satellites, rules, times_s), "instants", len(times_s)):
        events = moment.events
        tally.links.append(len(moment.topology.edges))
        tally.setups.append(0 if events is None else events.setups)
        tally.teardowns.append(0 if events is None else events.teardowns)
        row: list[float | int] = [moment.time_s, tally.links[-1], tally.setups[-1], tally.teardowns[-1]]
        if pairs:
            paths = minimum_delay_paths(moment.topology, sources, 1024 * payload_kib, network.sync)
            tally.delay_s.append(paths.flow_s[place])
            tally.hops.append(paths.hops[place])
            row += [
                one for pair in zip(paths.flow_s[place].tolist(), paths.hops[place].tolist()) for one in pair
            ]
        yield row


def windows(satellites: Constellation, ground: GroundKnobs, duration_s: float) -> Iterator[ContactWindows]:
    """All passes over all stations, some satellites at a time."""
    for station in ground.each:
        yield from contact_blocks(satellites, station, 0.0, duration_s, SATELLITES_AT_ONCE)


def write_rows(path: Path, pairs: list[Pair], rows: Iterator[list[float | int]]) -> None:
    """A line an instant as it goes by, the whole file or none. Raises `UserError`."""
    columns = [f"{what}_{a}_{b}" for a, b in pairs for what in ("delay_s", "hops")]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time_s", "links", "setups", "teardowns", *columns])
        writer.writerows(rows)


def said(network: NetworkScenario, satellites: Constellation, pairs: list[Pair], tally: Tally) -> list[str]:
    """What a day came to, in words."""
    links = tally.links
    lines = [
        f"{len(satellites)} satellites, rule={network.topology.rule}, {len(links)} instants, "
        f"{network.orbit.step_s:g} s apart: {min(links)} to {max(links)} links, {sum(tally.setups)} set up, "
        f"{sum(tally.teardowns)} taken down"
    ]
    for number, (first, second) in enumerate(pairs):
        delays_s = np.array([one[number] for one in tally.delay_s])
        hops = np.array([one[number] for one in tally.hops])
        there = np.isfinite(delays_s)
        figures = "never joined"
        if there.any():
            low, mean, high = (f(1e3 * delays_s[there]) for f in (np.min, np.mean, np.max))
            fewest, most = hops[there].min(), hops[there].max()
            figures = f"{low:.1f} to {high:.1f} ms, mean {mean:.1f}, {fewest} to {most} hops"
        lines.append(f"from {first} to {second}: {figures}, {100 * there.mean():.1f} % of instants")
    if tally.passes:
        lines.append(
            f"{tally.passes} passes of {len(tally.seen)} satellites over "
            f"{counted(len(network.ground.each), 'station')}, {tally.contact_s / 3600:.1f} h"
        )
    return lines


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


COMMAND = Command(
    name="bench day",
    about=__doc__ or "",
    own=DayKeys,
    work=bench,
    subject=NETWORK,
    honours=("name", "orbit", "topology", "link", "sync", "ground"),
    default="edge_space_com",
    examples=(
        "dlrc bench day orbit.pattern=53:50000/200/1 topology.rule=grid orbit.duration_s=86400",
        "dlrc bench day orbit.source=tle orbit.path=FILE topology.rule=grid pairs=0-500,0-900 to=day.csv",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
