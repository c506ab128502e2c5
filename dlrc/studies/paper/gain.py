"""Figure A2: the end-to-end gain G_down of DLRC, for given contact windows and for windows computed from
orbits.

    python -m dlrc.studies.paper.gain scenario=edge_space_com [bpp=1.0] [saving_pct=38.91]
    [summary=runs/.../summary.json] [processors=4]
        [pipelined=false] [windows_per_day=4] [duration_s=600] [models=bmshj,mbt,cheng,elic] [days=1]
        [section.key=value ...]

Writes runs/gain-<digest>/: figureA2.png, gain.csv, scenario.yaml. Needs no torch. Compute times: the paper's
Table 2 (Titan V, 256 px); sync time: the worst T_round of the scenario for 2 KiB. The bits per pixel and the
saving are the paper's upper total saving and an assumed rate, unless `summary` names a run to take measured
ones from; the title says which. As in the paper a satellite waits for the part of the sync that entropy
modelling does not hide; with `pipelined=true` it works on the next patch meanwhile."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codec.models import registry
from constellation.clock import TABLE2_PATCH_PX, device_profile
from constellation.common.errors import UserError, user_errors_to_exit
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import DAY_S, contact_windows
from constellation.passes.downlink_gain import (
    REGIMES,
    DownlinkDay,
    Method,
    downlink_day,
    downlink_gain,
    methods_of,
    regime,
)
from constellation.scenario.scenario import Scenario, load_scenario
from constellation.sync.series import simulate
from dlrc.studies.common.options import choice, make_folder, number, split_arguments, whole_number
from dlrc.studies.paper.sync_files import write_csv, write_scenario

PAYLOAD_BYTES = 2048  # 256 signatures of 8 bytes: a patch of 256 px
MODELS = registry.names()
COLOURS = dict(zip(MODELS, ("#1f5fa8", "#3a8f5c", "#d9822b", "#8a4fa3"), strict=False))
RATES_BPS = np.geomspace(1e6, 1e10, 241)
DASHES = {MODELS[1]: (0, (5, 3))}  # the first and the second lie on each other
MAX_SUMMARY_BYTES = 1 << 20
DEFAULTS = {
    "scenario": "edge_space_com",
    "bpp": "1.0",
    "saving_pct": "38.91",
    "summary": "",
    "processors": "4",
    "windows_per_day": "4",
    "duration_s": "600",
    "models": ",".join(MODELS),
    "days": "1",
    "pipelined": "false",
}


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `given`: N_w and tau_w of the left panel, its rate is the axis."""

    scenario: Scenario
    bpp: float
    saving: float
    rates_from: str
    processors: int
    given: DownlinkDay
    models: tuple[str, ...]
    days: float
    pipelined: bool

    @property
    def folder(self) -> Path:
        key = f"{self.scenario.digest} {self.bpp} {self.saving} {self.processors} {self.given} {self.models} {self.days} {self.pipelined}"
        return Path(self.scenario.output) / f"gain-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def main(arguments: Sequence[str]) -> None:
    request = parse(arguments)
    t_sync_s = float(np.nanmax(simulate(request.scenario, [PAYLOAD_BYTES]).t_round_s))
    computed = orbits_day(request)
    methods = {
        model: methods_of(
            device_profile("titan_v", registry.seconds("titan_v")).compute_times(model, TABLE2_PATCH_PX, 20),
            request.bpp,
            request.saving,
            0.0 if request.pipelined else t_sync_s,
            request.processors,
        )
        for model in request.models
    }
    print(report(request, methods, computed, t_sync_s))
    make_folder(request.folder)
    write_csv(
        request.folder / "gain.csv",
        ["model", "windows", "windows_per_day", "duration_s", "rate_bps", "bits_per_day", "gain", "regime"],
        rows_of(methods, request.given, "given") + rows_of(methods, computed, "orbits"),
    )
    write_scenario(request.scenario, request.folder / "scenario.yaml")
    draw(request, methods, computed, request.folder / "figureA2.png")
    print(f"\nwrote {request.folder}/ (figureA2.png, gain.csv, scenario.yaml)")


def parse(arguments: Sequence[str]) -> Request:
    """Read the study's own keys; everything else is a scenario override. Raises `UserError`."""
    values, overrides = split_arguments(arguments, __doc__, DEFAULTS)
    models = tuple(dict.fromkeys(values["models"].split(",")))
    for model in models:
        if model not in MODELS:
            raise UserError(
                f"models={values['models']}: {model or 'nothing'} is no model of Table 2; there are: {', '.join(MODELS)}"
            )
    bpp, saving = (
        number("bpp", values["bpp"], 1e-4, 100),
        number("saving_pct", values["saving_pct"], -1000, 99.99) / 100,
    )
    source = f"assumed {bpp:g} bpp, {100 * saving:g} % saved"
    if values["summary"]:
        bpp, saving, source = rates_of_summary(Path(values["summary"]))
    given = DownlinkDay(
        number("windows_per_day", values["windows_per_day"], 0.01, 1000),
        number("duration_s", values["duration_s"], 1, DAY_S),
        0.0,
    )
    return Request(
        load_scenario(values["scenario"], overrides),
        bpp,
        saving,
        source,
        whole_number("processors", values["processors"], 1, 1024),
        given,
        models,
        number("days", values["days"], 0.05, 10),
        choice("pipelined", values["pipelined"], ("true", "false")) == "true",
    )


def rates_of_summary(path: Path) -> tuple[float, float, str]:
    """Total bpp without DLRC, share saved, and a label, from a run's `summary.json`. Raises `UserError`."""
    try:
        if path.stat().st_size > MAX_SUMMARY_BYTES:
            raise UserError(
                f"summary={path}: {path.stat().st_size} bytes, expected a summary.json of at most {MAX_SUMMARY_BYTES}"
            )
        summary = json.loads(path.read_text(encoding="utf-8"))
        without, with_dlrc = (float(summary["bpp"][kind]["total"]) for kind in ("independent", "dlrc"))
        name = f"{summary['model']['name']}, lambda {summary['model']['lambda']}"
    except OSError as error:
        raise UserError(f"summary={path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(
            f"summary={path}: expected the summary.json of a run, with bpp.independent.total and bpp.dlrc.total"
        ) from None
    if not (math.isfinite(without) and math.isfinite(with_dlrc) and without > 0 and with_dlrc > 0):
        raise UserError(f"summary={path}: {without} and {with_dlrc} bpp, expected finite rates above 0")
    return (
        without,
        1 - with_dlrc / without,
        f"measured {without:.3f} bpp, {100 - 100 * with_dlrc / without:.1f} % saved ({name})",
    )


def orbits_day(request: Request) -> DownlinkDay:
    """The average satellite's contacts with the scenario's station over `days` days. Raises `UserError` where
    there are none."""
    constellation, ground = load_constellation(request.scenario.orbit), request.scenario.ground
    windows = contact_windows(constellation, ground, 0.0, request.days * DAY_S)
    if not len(windows):
        raise UserError(
            f"ground.{ground.name}: no satellite rises above {ground.min_elevation_deg:g} deg there within {request.days:g} days; "
            "expected a station that the orbits pass (ground.latitude_deg, ground.longitude_deg)"
        )
    return downlink_day(windows, len(constellation))


def rows_of(methods: dict[str, tuple[Method, Method]], day: DownlinkDay, label: str) -> list[list]:
    """CSV rows along the rate axis, and (orbits) one more at the rate that the link budget gives."""
    rows = []
    for model, (baseline, dlrc) in methods.items():
        rates = RATES_BPS if label == "given" else np.sort(np.append(RATES_BPS, day.rate_bps))
        bits = rates * day.windows_per_day * day.duration_s
        gains, which = downlink_gain(baseline, dlrc, bits), regime(baseline, dlrc, bits)
        rows += [
            [
                model,
                label,
                f"{day.windows_per_day:.4f}",
                f"{day.duration_s:.2f}",
                f"{rate:.1f}",
                f"{volume:.1f}",
                f"{gain:.6f}",
                REGIMES[int(where)],
            ]
            for rate, volume, gain, where in zip(rates, bits, gains, which)
        ]
    return rows


def report(
    request: Request, methods: dict[str, tuple[Method, Method]], computed: DownlinkDay, t_sync_s: float
) -> str:
    """The printed table: per model the limits of the gain, where it leaves them, and the gain at the windows
    computed from orbits."""
    ground = request.scenario.ground
    lines = [
        f"End-to-end gain of DLRC: {request.rates_from}; Titan V (Table 2, 256 px), {request.processors} per satellite; "
        f"T_sync {1e3 * t_sync_s:.1f} ms (worst, 2 KiB, noise {request.scenario.link.noise}"
        f"{', behind the next patch' if request.pipelined else ''})",
        f"windows from orbits, {ground.name}, average satellite: {computed.windows_per_day:.2f} a day of {computed.duration_s:.0f} s at "
        f"{computed.rate_bps / 1e6:.1f} Mbit/s = {computed.bits_per_day / 8e9:.1f} GB a day",
        "",
        "model     ms per patch, without / with DLRC   full gain up to   no gain from   limit above   gain at the orbits' windows",
    ]
    for model, (baseline, dlrc) in methods.items():
        full, none = (downlink_for(dlrc), downlink_for(baseline) * dlrc_cost(baseline, dlrc))
        gain = float(downlink_gain(baseline, dlrc, computed.bits_per_day))
        lines.append(
            f"{model:8}  {1e3 * baseline.patch_time_s:12.2f} / {1e3 * dlrc.patch_time_s:8.2f} {'':11} {full / 8e9:10.1f} GB/d  {none / 8e9:9.1f} GB/d "
            f"{100 * (baseline.patch_time_s / dlrc.patch_time_s - 1):10.1f} %  {100 * gain:+8.1f} %  "
            f"({REGIMES[int(regime(baseline, dlrc, computed.bits_per_day))]})"
        )
    return "\n".join(
        lines
        + [
            "(full gain: both downlink-limited, G = bpp_B / bpp_D - 1 = "
            f"{100 * (1 / (1 - request.saving) - 1):+.1f} %; limit above: neither is, G = t_B / t_D - 1)"
        ]
    )


def downlink_for(method: Method) -> float:
    """Bits of downlink a day that carry all the method can process."""
    return DAY_S * TABLE2_PATCH_PX**2 * method.bpp / method.patch_time_s


def dlrc_cost(baseline: Method, dlrc: Method) -> float:
    """Production with DLRC over production without: at this share of the baseline's full downlink the gain is
    gone."""
    return min(1.0, baseline.patch_time_s / dlrc.patch_time_s)


def draw(
    request: Request, methods: dict[str, tuple[Method, Method]], computed: DownlinkDay, path: Path
) -> None:
    """Two panels over the downlink rate: given windows, and windows computed from orbits with the link
    budget's rate marked."""
    import os

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(10.4, 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    for axis, day, title in zip(
        panels,
        (request.given, computed),
        ("given windows", f"windows from orbits, {request.scenario.ground.name}"),
    ):
        for model, (baseline, dlrc) in methods.items():
            gain = downlink_gain(baseline, dlrc, RATES_BPS * day.windows_per_day * day.duration_s)
            axis.plot(
                RATES_BPS / 1e6,
                100 * gain,
                color=COLOURS[model],
                linewidth=1.6,
                linestyle=DASHES.get(model, "-"),
                label=model,
            )
        axis.axhline(0, color="#8a8a8a", linewidth=0.8)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_title(
            f"{title}: $N_w$ = {day.windows_per_day:.3g} a day, $\\tau_w$ = {day.duration_s:.0f} s",
            fontsize=10,
            loc="left",
        )
        axis.set_xlabel("downlink rate x, Mbit/s", fontsize=10)
        axis.grid(color="#e4e4e4", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    panels[1].axvline(computed.rate_bps / 1e6, color="#444444", linewidth=1, linestyle=(0, (4, 3)))
    panels[1].annotate(
        f"link budget: {computed.rate_bps / 1e6:.0f} Mbit/s",
        (computed.rate_bps / 1e6, 0.03),
        xycoords=("data", "axes fraction"),
        xytext=(-5, 0),
        textcoords="offset points",
        fontsize=9,
        rotation=90,
        ha="right",
        va="bottom",
        color="#444444",
    )
    panels[0].set_ylabel("$G_{down}$, %", fontsize=10)
    figure.suptitle(
        f"End-to-end gain of DLRC, 256 px, {request.processors} Titan V a satellite (Table 2); {request.rates_from}",
        fontsize=11,
    )
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(methods),
        fontsize=9,
        frameon=False,
    )
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    figure.savefig(temporary, format="png", dpi=150)
    temporary.replace(path)


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
