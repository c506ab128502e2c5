"""Tables of `dlrc.studies.paper.sync compare=true`: the same window under other networks, and under other
collectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constellation.orbit.orbits import sample_times_s
from constellation.scenario.scenario import Scenario
from constellation.sync.series import SyncSeries, simulate

KIB = 1024
HYPERPRIOR_MODELLING_S = (
    7.85e-3  # Table 2, BMSHJ, 256 px: what a hyperprior-only model can hide the round behind
)
NETWORKS = (
    ("ktb", "distance"),
    ("paper", "distance"),
    ("ktb", "nearest"),
    ("paper", "nearest"),
    ("ktb", "grid"),
    ("paper", "grid"),
)
SCHEDULES, CONTENTIONS = ("unicast", "ring", "tree"), ("parallel", "serial", "shared")
COLLECTIVE_INSTANTS = 48


def compare_networks(scenario: Scenario, payloads_kib: Sequence[float]) -> str:
    """Mean and worst T_sync under each noise formula and link rule, direct links, and what can hide behind
    Table 2."""
    sizes = "".join(f"{f'{kib:g} KiB':>18}" for kib in payloads_kib)
    lines = [
        "T_sync mean / max, ms, of the same window",
        f"noise  rule      {sizes}   direct   spread   hidden by a hyperprior-only model",
    ]
    for noise, rule in NETWORKS:
        if rule == "grid" and scenario.orbit.source != "walker":
            continue
        series = simulate(
            _with(scenario, link={"noise": noise}, topology={"rule": rule}),
            [kib * KIB for kib in payloads_kib],
        )
        times = "".join(f"{1e3 * np.nanmean(t):9.1f} /{1e3 * np.nanmax(t):7.1f}" for t in series.t_sync_s)
        t_round_s = series.t_round_s[-1]
        spread = 100 * np.nanstd(t_round_s) / np.nanmean(t_round_s)
        lines.append(
            f"{series.noise:6} {rule:9} {times}  {100 * series.direct_share(-1):5.1f} %  {spread:5.1f} %   {_hidden(series)}"
        )
    lines.append(
        "(direct and spread: of the last payload; hidden: max T_sync at most 7.85 ms, Table 2, times the payload / 2 KiB)"
    )
    return "\n".join(lines)


def compare_collectives(scenario: Scenario, payloads_kib: Sequence[float]) -> str:
    """Mean T_round of each all_gather schedule under each view of contention, with both noise formulas, for
    the smallest and largest payload."""
    times_s = sample_times_s(scenario.orbit)
    times_s = times_s[:: max(1, len(times_s) // COLLECTIVE_INSTANTS)]
    payloads = sorted({min(payloads_kib), max(payloads_kib)})
    lines = [
        f"T_round mean, ms, over {len(times_s)} instants, rule {scenario.topology.rule}",
        "noise  schedule  contention" + "".join(f"{f'{kib:g} KiB':>12}" for kib in payloads),
    ]
    for noise in ("ktb", "paper"):
        for schedule in SCHEDULES:
            for contention in CONTENTIONS:
                changed = _with(
                    scenario, link={"noise": noise}, sync={"schedule": schedule, "contention": contention}
                )
                series = simulate(changed, [kib * KIB for kib in payloads], times_s)
                cells = "".join(f"{1e3 * np.nanmean(t):12.1f}" for t in series.t_round_s)
                lines.append(f"{series.noise:6} {schedule:9} {contention:10}{cells}")
    return "\n".join(lines)


def _with(scenario: Scenario, **sections: dict) -> Scenario:
    values = scenario.model_dump(by_alias=True)
    for section, changes in sections.items():
        values[section].update(changes)
    return Scenario.model_validate(values)


def _hidden(series: SyncSeries) -> str:
    """From which payload on the round is shorter than BMSHJ's entropy modelling of Table 2, taken to grow
    with the patch's area."""
    hidden = [
        size
        for p, size in enumerate(series.payload_bytes)
        if np.nanmax(series.t_sync_s[p]) <= HYPERPRIOR_MODELLING_S * size / (2 * KIB)
    ]
    return f"from {min(hidden) / KIB:g} KiB on" if hidden else "never"
