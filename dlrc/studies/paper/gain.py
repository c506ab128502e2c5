"""Figure A2: the end-to-end gain G_down of DLRC, for given contact windows and for windows computed from
orbits.

Writes runs/gain-<digest>/: figureA2.png, gain.csv, scenario.yaml. Compute times: the paper's
Table 2 (Titan V, 256 px); sync time: the worst T_round of the scenario for 2 KiB, with the share of pairs
that no path joins beside it (they exchange nothing, so the saving is one of rounds in which everybody hears
everybody; where nobody hears anybody there is no gain to speak of). The bits per pixel and the saving are the
paper's upper total saving and an assumed rate, unless `summary` names a run to take measured ones from; the
title says which, and where they are the estimate of an open-context run. As in the paper a satellite waits
for the part of the sync that entropy modelling does not hide; with `pipelined=true` it works on the next
patch meanwhile."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from codec.models import registry
from constellation.clock import TABLE2_PATCH_PX, device_profile
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_csv
from constellation.common.knobs import Knobs, Several, Word
from constellation.orbit.orbits import load_constellation
from constellation.passes.contacts import DAY_S, contact_windows
from constellation.passes.downlink_gain import REGIMES, DownlinkDay, Method, downlink_day, methods_of, regime
from constellation.scenario.load import SCENARIO, write_scenario
from constellation.scenario.scenario import Scenario
from constellation.sync.series import Figures, Setting
from constellation.sync.simulation import simulate
from dlrc.commands.models import known_models
from dlrc.studies.common.terms import NETWORK, STATION
from dlrc.studies.paper.gain_figure import COLUMNS, Findings, draw, rows_of

PAYLOAD_BYTES = 2048  # 256 signatures of 8 bytes: a patch of 256 px
MODELS = registry.whole()
MAX_SUMMARY_BYTES = 1 << 20


class GainKeys(Knobs):
    """Keys of this study."""

    bpp: Annotated[float, Field(ge=1e-4, le=100)] = 1.0
    """assumed rate without DLRC, bits per pixel"""
    saving_pct: Annotated[float, Field(ge=-1000, le=99.99)] = 38.91
    """assumed saving of all bytes"""
    summary: str = ""
    """summary.json of a run to take both from instead"""
    processors: Annotated[int, Field(ge=1, le=1024)] = 4
    """of a satellite"""
    windows_per_day: Annotated[float, Field(ge=0.01, le=1000)] = 4.0
    """given contact windows"""
    duration_s: Annotated[float, Field(ge=1, le=DAY_S)] = 600.0
    """of a given window"""
    models: Several[Word] = MODELS
    """rows of Table 2"""
    days: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    """of orbits that windows are computed for"""
    pipelined: bool = False
    """work on the next patch while the sync lasts"""


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
        rates = f"{self.bpp} {self.saving} {self.processors} {self.given}"
        key = f"{self.scenario.digest} {rates} {self.models} {self.days} {self.pipelined}"
        return Path(self.scenario.output) / f"gain-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def study(given: Given) -> None:
    """Simulate, print, write."""
    request = request_of(given)
    load_constellation(request.scenario.orbit)  # a bad file is told before any folder is made
    make_folder(request.folder)
    findings = find(request)
    print(report(request, findings))
    rows = rows_of(findings, findings.given, "given") + rows_of(findings, findings.computed, "orbits")
    write_csv(request.folder / "gain.csv", COLUMNS, rows)
    notes = (findings.constellation, findings.unheard, *findings.notes)
    write_scenario(request.scenario, request.folder / "scenario.yaml", notes)
    draw(findings, request.folder / "figureA2.png")
    print(f"\nwrote {request.folder}/ (figureA2.png, gain.csv, scenario.yaml)")


def find(request: Request) -> Findings:
    """Sync rounds, contacts, and each model's two methods. Raises `UserError`."""
    series = simulate(Setting.of(request.scenario), [PAYLOAD_BYTES])
    sync = series.figures(0)
    exposed_s = sync.t_round_max_s if math.isfinite(sync.t_round_max_s) and not request.pipelined else 0.0
    methods = {
        model: methods_of(
            device_profile("titan_v", registry.seconds("titan_v")).compute_times(model, TABLE2_PATCH_PX, 20),
            request.bpp,
            request.saving,
            exposed_s,
            request.processors,
        )
        for model in request.models
    }
    return Findings(
        methods=methods,
        sync=sync,
        given=request.given,
        computed=orbits_day(request),
        station=request.scenario.ground.name,
        constellation=f"{request.scenario.satellites} of {series.satellites} satellites, "
        f"{series.constellation}",
        rates_from=request.rates_from,
        processors=request.processors,
        notes=series.notes,
    )


def request_of(given: Given) -> Request:
    """The keys as the study needs them. Raises `UserError` for a summary that is none."""
    own: GainKeys = given.own
    bpp, saving = own.bpp, own.saving_pct / 100
    source = f"assumed {bpp:g} bpp, {100 * saving:g} % saved"
    if own.summary:
        bpp, saving, source = rates_of_summary(Path(own.summary))
    day = DownlinkDay(own.windows_per_day, own.duration_s, 0.0)
    models = known_models(own.models)
    return Request(given.subject, bpp, saving, source, own.processors, day, models, own.days, own.pipelined)


def rates_of_summary(path: Path) -> tuple[float, float, str]:
    """Total bpp without DLRC, share saved, and a label, from a run's `summary.json`. Raises `UserError`."""
    try:
        if path.stat().st_size > MAX_SUMMARY_BYTES:
            raise UserError(
                f"summary={path}: {path.stat().st_size} bytes, expected a summary.json of at most "
                f"{MAX_SUMMARY_BYTES}"
            )
        summary = json.loads(path.read_text(encoding="utf-8"))
        without, with_dlrc = (float(summary["bpp"][kind]["total"]) for kind in ("independent", "dlrc"))
        name = f"{summary['model']['name']}, lambda {summary['model']['lambda']}"
        estimate = summary["bpp"].get("kind") == "estimate" or summary.get("context") == "open"
    except OSError as error:
        raise UserError(f"summary={path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(
            f"summary={path}: expected the summary.json of a run, with bpp.independent.total and "
            "bpp.dlrc.total"
        ) from None
    if not (math.isfinite(without) and math.isfinite(with_dlrc) and without > 0 and with_dlrc > 0):
        raise UserError(f"summary={path}: {without} and {with_dlrc} bpp, expected finite rates above 0")
    kind = "ESTIMATE (open loop, not decodable) of" if estimate else "measured"
    saved_pct = 100 - 100 * with_dlrc / without
    return without, 1 - with_dlrc / without, f"{kind} {without:.3f} bpp, {saved_pct:.1f} % saved ({name})"


def orbits_day(request: Request) -> DownlinkDay:
    """The average satellite's contacts with the scenario's station over `days` days. Raises `UserError` where
    there are none."""
    constellation, ground = load_constellation(request.scenario.orbit), request.scenario.ground
    windows = contact_windows(constellation, ground, 0.0, request.days * DAY_S)
    if not len(windows):
        raise UserError(
            f"ground.{ground.name}: no satellite rises above {ground.min_elevation_deg:g} deg there within "
            f"{request.days:g} days; expected a station that the orbits pass (ground.latitude_deg, "
            "ground.longitude_deg)"
        )
    return downlink_day(windows, len(constellation))


def report(request: Request, findings: Findings) -> str:
    """The printed table: per model the limits of the gain, where it leaves them, and the gain at the windows
    computed from orbits."""
    scenario, computed = request.scenario, findings.computed
    lines = [
        f"End-to-end gain of DLRC, {findings.constellation}: {request.rates_from}; Titan V (Table 2, 256 "
        f"px), "
        f"{request.processors} per satellite; T_sync {_sync_time(findings.sync)} (worst, 2 KiB, noise "
        f"{scenario.link.noise}{', behind the next patch' if request.pipelined else ''}), {findings.unheard}",
        f"windows from orbits, {scenario.ground.name}, average satellite: {computed.windows_per_day:.2f} "
        f"a day "
        f"of {computed.duration_s:.0f} s at {computed.rate_bps / 1e6:.1f} Mbit/s = "
        f"{computed.bits_per_day / 8e9:.1f} GB a day (every contact used in full, an antenna for each "
        f"satellite)",
        "",
        "model     ms per patch, without / with DLRC   full gain up to   no gain from   limit above   "
        "gain at the "
        "orbits' windows",
    ]
    lines += [_line(findings, model) for model in findings.methods]
    if findings.defined:
        full_pct = 100 * (1 / (1 - request.saving) - 1)
        lines.append(
            f"(full gain: both downlink-limited, G = bpp_B / bpp_D - 1 = {full_pct:+.1f} %; limit above: "
            f"neither is, "
            "G = t_B / t_D - 1)"
        )
    if 0 < findings.sync.unheard_share < 1:
        lines.append(
            f"note: {findings.unheard}: they deduplicate nothing among them, so the gain is at most this"
        )
    return "\n".join([*lines, *findings.notes])


def _line(findings: Findings, model: str) -> str:
    baseline, dlrc = findings.methods[model]
    if not findings.defined:
        return f"{model:8}  undefined: nobody hears anybody at any instant, so there is no DLRC to gain by"
    full, none = downlink_for(dlrc), downlink_for(baseline) * dlrc_cost(baseline, dlrc)
    bits = np.asarray(findings.computed.bits_per_day)
    limit_pct = 100 * (baseline.patch_time_s / dlrc.patch_time_s - 1)
    return (
        f"{model:8}  {1e3 * baseline.patch_time_s:12.2f} / {1e3 * dlrc.patch_time_s:8.2f} {'':11} "
        f"{full / 8e9:10.1f} GB/d  {none / 8e9:9.1f} GB/d {limit_pct:10.1f} %  "
        f"{100 * float(findings.gain(model, bits)):+8.1f} %  ({REGIMES[int(regime(baseline, dlrc, bits))]})"
    )


def _sync_time(sync: Figures) -> str:
    return f"{1e3 * sync.t_round_max_s:.1f} ms" if math.isfinite(sync.t_round_max_s) else "undefined"


def downlink_for(method: Method) -> float:
    """Bits of downlink a day that carry all the method can process."""
    return DAY_S * TABLE2_PATCH_PX**2 * method.bpp / method.patch_time_s


def dlrc_cost(baseline: Method, dlrc: Method) -> float:
    """Production with DLRC over production without: at this share of the baseline's full downlink the gain is
    gone."""
    return min(1.0, baseline.patch_time_s / dlrc.patch_time_s)


COMMAND = Command(
    name="study gain",
    about=__doc__ or "",
    own=GainKeys,
    work=study,
    subject=SCENARIO,
    honours=(*NETWORK, *STATION),
    default="edge_space_com",
    examples=("dlrc study gain", "dlrc study gain summary=runs/dense-b7111418/summary.json days=3"),
)

if __name__ == "__main__":
    main_of(COMMAND)
