"""Figure 10: how long a signature round takes, and whether the network under it is degenerate.

Writes runs/sync-<digest>/: index.html, a page of latency by payload, noise, link rule, contention and
collective over a day, where the time goes, and whether it hides behind each codec's entropy modelling
(sync_day.csv, .json, .png and sync_hiding.csv hold its numbers); figure10.png, sync.csv (one row per payload
and instant), payloads.csv (the printed table), scenario.yaml. Needs no torch, but for the codecs' times.
`compare=true` (a minute or two) prints a table over noise formulas and link rules (which of them can the
paper's Figure 10 have used?) and one over contention and all_gather schedules."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.files import make_folder
from constellation.common.knobs import Knobs, Several
from constellation.orbit.orbits import load_constellation
from constellation.scenario.load import SCENARIO, write_scenario
from constellation.scenario.scenario import Scenario
from constellation.sync.series import Setting, SyncSeries
from constellation.sync.simulation import simulate
from dlrc.studies.common.terms import NETWORK
from dlrc.studies.paper.sync_files import (
    draw_figure10,
    percent,
    unheard_notes,
    write_payloads_csv,
    write_steps_csv,
)

KIB = 1024
PAPER_PAYLOADS_KIB = (
    2.0,
    8.0,
    32.0,
    128.0,
)  # patches of 256, 512, 1024, 2048 px, 8 bytes a signature (section 4.2)


MANY_TERMINALS = 8  # optical crosslinks of today's constellations: 4 or fewer a satellite


class SyncKeys(Knobs):
    """Keys of this study."""

    payloads_kib: Several[Annotated[float, Field(ge=0, le=2**30)]] = PAPER_PAYLOADS_KIB
    """signature payloads of a satellite; the paper's four"""
    compare: bool = False
    """other noise formulas, link rules, contention and schedules too"""
    page: bool = True
    """the page too, a minute for a thousand satellites"""
    streams_kib: Annotated[float, Field(ge=0, le=2**30)] = 4.0
    """on the page, an independent stream that cross-view coding exchanges in place of signatures; 0: none"""
    hours: Annotated[float, Field(gt=0, le=24.0 * 366)] = 24.0
    """of the page, from the epoch on"""
    instants: Annotated[int, Field(ge=1, le=10000)] = 48
    """of the page, evenly apart"""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    scenario: Scenario
    payloads_kib: tuple[float, ...]
    compare: bool
    day: tuple[float, float, int] = (4.0, 24.0, 48)  # of the page: streams_kib, hours, instants

    @property
    def folder(self) -> Path:
        """runs/sync-<digest>; the digest covers the scenario and, where they are not the defaults, the
        payloads and the page's day."""
        digest = self.scenario.digest
        for own, usual in ((self.payloads_kib, PAPER_PAYLOADS_KIB), (self.day, Request.day)):
            if own != usual:
                digest = hashlib.sha256(f"{digest} {own}".encode()).hexdigest()[:8]
        return Path(self.scenario.output) / f"sync-{digest}"


def study(given: Given) -> None:
    """Simulate, print, write."""
    request = request_of(given)
    setting = Setting.of(request.scenario)
    load_constellation(setting.orbit)  # a bad file is told before any folder is made
    make_folder(request.folder)
    began = time.perf_counter()
    series = simulate(setting, [kib * KIB for kib in request.payloads_kib])
    took_s = time.perf_counter() - began
    print(report(series, request))
    write_all(series, request)
    print(
        f"\nsimulated in {took_s:.1f} s; wrote {request.folder}/ (figure10.png, sync.csv, payloads.csv, "
        "scenario.yaml)"
    )
    if request.compare:
        from dlrc.studies.paper.sync_compare import compare_collectives, compare_networks

        print("\n" + compare_networks(setting, request.payloads_kib))
        print("\n" + compare_collectives(setting, request.payloads_kib))
    if given.own.page:
        from dlrc.studies.lab.sync_story import tell

        print(f"\nthe page, where it all can be compared: {tell(given, request.folder)}")


def request_of(given: Given) -> Request:
    """The keys as the study needs them."""
    own: SyncKeys = given.own
    return Request(given.subject, own.payloads_kib, own.compare, (own.streams_kib, own.hours, own.instants))


def report(series: SyncSeries, request: Request) -> str:
    """The printed account of one run: times per payload, hops, and what the network's changes cost."""
    lines = [
        f"Sync rounds of {series.participants.shape[1]} satellites of {series.constellation}, "
        f"{len(series.times_s)} instants, noise {series.noise}, rule {series.rule}, {series.schedule}, "
        f"{series.contention}",
        "",
        " payload      T_sync mean   T_round mean   T_round max    spread   fixed part   direct links   "
        "unheard",
    ]
    for p, kib in enumerate(request.payloads_kib):
        figures = series.figures(p)
        spread = figures.t_round_std_s / figures.t_round_mean_s
        lines.append(
            f"{kib:6g} KiB   {_ms(figures.t_sync_mean_s)} {_ms(figures.t_round_mean_s)}   "
            f"{_ms(figures.t_round_max_s)}   {percent(spread, 6)}   {percent(figures.control_share, 8)}   "
            f"{percent(figures.direct_share, 10)}   {percent(figures.unheard_share, 7)}"
        )
    lines += [
        "(spread: standard deviation of T_round over the window; fixed part: t_ctrl in the mean T_sync; "
        "unheard: ordered pairs that no path joins, which no time counts)",
        "",
    ]
    if series.participants.shape[1] > 1:
        lines += ["hops of the minimum-delay routes, share of ordered pairs"]
        lines += [
            f"{kib:6g} KiB   {_histogram(series.hop_histogram(p))}"
            for p, kib in enumerate(request.payloads_kib)
        ]
    else:
        lines += ["one satellite: nobody to exchange signatures with, T_sync is the fixed part alone"]
    lines += ["", _omega(series)]
    return "\n".join(lines + _warnings(series))


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:10.2f} ms" if math.isfinite(seconds) else f"{'undefined':>13}"


def _histogram(counts: np.ndarray) -> str:
    shares = 100 * counts / max(1, counts.sum())
    parts = [
        f"{hops if hops else 'unheard'}: {share:.1f} %" for hops, share in enumerate(shares) if counts[hops]
    ]
    if len(parts) > 8:
        many = shares[8:].sum()
        parts = [f"{hops if hops else 'unheard'}: {shares[hops]:.1f} %" for hops in range(8) if counts[hops]]
        parts.append(f"8 to {len(counts) - 1}: {many:.1f} %")
    return "   ".join(parts)


def _omega(series: SyncSeries) -> str:
    if not series.events:
        return "Omega_topo: one instant, no events"
    omega_s = np.array([event.omega_s for event in series.events])
    setups, teardowns = (
        np.mean([getattr(event, name) for event in series.events]) for name in ("setups", "teardowns")
    )
    return (
        f"Omega_topo per step, whole constellation: mean {omega_s.mean():.3f} s, max {omega_s.max():.3f} s "
        f"({setups:.0f} set-ups, {teardowns:.0f} teardowns on average); not part of T_round"
    )


def _warnings(series: SyncSeries) -> list[str]:
    lines = list(series.notes)
    present = series.present
    wanted = series.participants.shape[1]
    if (present < wanted).any():
        lines.append(
            f"note: fewer than {wanted} satellites see the region at {(present < wanted).sum()} instants "
            f"(none at {(present == 0).sum()})"
        )
    figures = [series.figures(p) for p in range(len(series.payload_bytes))]
    cut_off = sorted({satellite for t in range(len(present)) for satellite in _unheard(series, t)})
    if cut_off:
        steps = sum(bool(_unheard(series, t)) for t in range(len(present)))
        some = ", ".join(map(str, cut_off[:8])) + (" ..." if len(cut_off) > 8 else "")
        lines.append(
            f"note: the region is disconnected at {steps} instants; not heard by everybody: {len(cut_off)} "
            f"satellites ({some}); at {100 * figures[0].silent_share:.1f} % of the instants nobody hears "
            "anybody"
        )
    if wanted > 1 and all(each.direct_share == 1.0 for each in figures):
        lines.append(
            "note: every pair is one hop apart at every instant: routing, relays and the rest of the "
            "constellation play no part"
        )
    return lines + _terminals(series)


def _terminals(series: SyncSeries) -> list[str]:
    """The distance rule gives every satellite as many links as it has neighbours."""
    if series.rule != "distance" or not series.events:
        return []
    per_satellite = 2 * float(np.mean([event.links for event in series.events])) / series.satellites
    if per_satellite <= MANY_TERMINALS:
        return []
    return [
        f"note: topology.rule=distance gives a satellite {per_satellite:.0f} links on average; no satellite "
        "has that many terminals, so Omega_topo is that of links that could exist (rules grid and nearest "
        "count terminals)"
    ]


def _unheard(series: SyncSeries, t: int) -> list[int]:
    count = int((series.participants[t] >= 0).sum())
    missing = (series.hops[:, t, :count, :count] < 0).any(axis=(0, 2))
    return series.participants[t, :count][missing].tolist()


def write_all(series: SyncSeries, request: Request) -> None:
    """The pictures and tables of the run; each under a temporary name first."""
    write_steps_csv(series, request.folder / "sync.csv")
    write_payloads_csv(series, request.folder / "payloads.csv")
    write_scenario(request.scenario, request.folder / "scenario.yaml", unheard_notes(series))
    draw_figure10(series, request.folder / "figure10.png")


COMMAND = Command(
    name="study sync",
    about=__doc__ or "",
    own=SyncKeys,
    work=study,
    subject=SCENARIO,
    honours=NETWORK,
    default="edge_space_com",
    examples=("dlrc study sync", "dlrc study sync link.noise=paper payloads_kib=2,8 compare=true"),
)

if __name__ == "__main__":
    main_of(COMMAND)
