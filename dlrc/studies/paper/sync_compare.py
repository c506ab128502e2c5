"""Tables of `dlrc study sync compare=true`: the same window under other networks, and under other
collectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from constellation.orbit.orbits import sample_times_s
from constellation.sync.series import Figures, Setting, SyncSeries
from constellation.sync.simulation import simulate
from dlrc.studies.paper.sync_files import percent

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


def compare_networks(setting: Setting, payloads_kib: Sequence[float]) -> str:
    """Mean and worst T_sync under each noise formula and link rule, who is unheard, direct links, and what
    can hide behind Table 2."""
    sizes = "".join(f"{f'{kib:g} KiB':>18}" for kib in payloads_kib)
    lines = [
        f"T_sync mean / max, ms, of the same window, {setting.label}",
        f"noise  rule      {sizes}   unheard   direct   spread   hidden by a hyperprior-only model",
    ]
    for noise, rule in NETWORKS:
        series = simulate(_with(setting, noise, rule=rule), [kib * KIB for kib in payloads_kib])
        each = [series.figures(p) for p in range(len(payloads_kib))]
        times = "".join(f"{_ms(one.t_sync_mean_s, 9)} /{_ms(one.t_round_max_s, 7)}" for one in each)
        last = each[-1]
        spread = last.t_round_std_s / last.t_round_mean_s
        lines.append(
            f"{series.noise:6} {rule:9} {times}  {percent(last.unheard_share, 6)} "
            f"{percent(last.direct_share, 6)} {percent(spread, 6)}   {_hidden(series, each)}"
        )
    lines.append(
        "(unheard: ordered pairs of the last payload that no path joins, which no time counts; direct and "
        "spread: of the last payload; hidden: max T_sync at most 7.85 ms, Table 2, times the payload / 2 KiB)"
    )
    return "\n".join(lines)


def compare_collectives(setting: Setting, payloads_kib: Sequence[float]) -> str:
    """Mean T_round of each all_gather schedule under each view of contention, with both noise formulas, for
    the smallest and largest payload."""
    times_s = sample_times_s(setting.orbit)
    times_s = times_s[:: max(1, len(times_s) // COLLECTIVE_INSTANTS)]
    payloads = sorted({min(payloads_kib), max(payloads_kib)})
    lines = [
        f"T_round mean, ms, over {len(times_s)} instants, rule {setting.topology.rule}, {setting.label}",
        "noise  schedule  contention" + "".join(f"{f'{kib:g} KiB':>12}" for kib in payloads) + "   unheard",
    ]
    for noise in ("ktb", "paper"):
        for schedule in SCHEDULES:
            for contention in CONTENTIONS:
                changed = _with(setting, noise, schedule=schedule, contention=contention)
                series = simulate(changed, [kib * KIB for kib in payloads], times_s)
                each = [series.figures(p) for p in range(len(payloads))]
                cells = "".join(_ms(one.t_round_mean_s, 12) for one in each)
                unheard = percent(max(one.unheard_share for one in each), 6)
                lines.append(f"{series.noise:6} {schedule:9} {contention:10}{cells}  {unheard}")
    return "\n".join(lines)


def _ms(seconds: float, width: int) -> str:
    return f"{1e3 * seconds:{width}.1f}" if math.isfinite(seconds) else f"{'undef.':>{width}}"


def _with(setting: Setting, noise: str, rule: str = "", **sync: str) -> Setting:
    topology = setting.topology.model_copy(update={"rule": rule}) if rule else setting.topology
    link = setting.link.model_copy(update={"noise": noise})
    return replace(setting, topology=topology, link=link, sync=setting.sync.model_copy(update=sync))


def _hidden(series: SyncSeries, each: Sequence[Figures]) -> str:
    """From which payload on the round is shorter than BMSHJ's entropy modelling of Table 2, taken to grow
    with the patch's area."""
    if each[-1].unheard_share == 1:
        return "undefined: nobody is heard"
    hidden = [
        size
        for size, one in zip(series.payload_bytes, each, strict=True)
        if one.t_round_max_s <= HYPERPRIOR_MODELLING_S * size / (2 * KIB)
    ]
    return f"from {min(hidden) / KIB:g} KiB on" if hidden else "never"
