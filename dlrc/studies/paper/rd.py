"""Figures 6 and 7: rate and quality with and without DLRC, on real streams of every model, beside JPEG 2000,
JPEG XL and WebP.

Each window is one round of the scenario `dense` or `sparse`: eight satellites, real streams, the ground's own
decoder for the first `decode` windows (bytes alone for the rest). Writes runs/rd-<digest>/: rows/*.csv (one
line per satellite and window, appended as it is flown; a second call goes on where the first stopped),
table.csv, halo.csv, baselines.csv, curves.png, breakdown.png. Intervals are 95 %, by bootstrap over windows.
Without `scene.path` the built-in scene is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from codec.models import registry
from codec.models.model import LATENT_STRIDE_PX
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_csv
from constellation.common.knobs import Knobs, Several, Word
from constellation.scenario.load import SCENARIO, load_scenario, write_scenario
from constellation.scenario.scenario import Scenario
from dlrc.commands.models import known_models
from dlrc.studies.common.baselines import (
    QUALITIES,
    Point,
    bd_rate,
    container_overhead,
    curve,
    distances,
    measure,
    patch,
    pooled,
)
from dlrc.studies.common.statistics import Line, summarise
from dlrc.studies.common.terms import FLOWN, refuse_estimates
from dlrc.studies.paper.rd_figures import draw_breakdown, draw_curves
from dlrc.studies.paper.rd_halo import (
    HALO_FIELDS,
    against_plain,
    against_plain_table,
    halo_rows,
    ring_gain,
    ring_table,
)
from dlrc.studies.paper.rd_report import (
    TABLE_FIELDS,
    baseline_table,
    breakdown_table,
    saving_table,
    table_rows,
)
from dlrc.studies.paper.rd_rounds import (
    Configuration,
    Row,
    fly_missing,
    lambdas_of,
    pictures_digest,
    read_rows,
    rows_file,
)
from dlrc.studies.questions.margin import MARGIN_SHARE, Margin, margin_of, margin_table


class RdKeys(Knobs):
    """Keys of this study."""

    models: Several[Word] = registry.names()
    """families"""
    lambdas: Several[Annotated[float, Field(gt=0, le=10)]] | Literal["shipped"] = (0.013,)
    """of shipped checkpoints; shipped: all of a model"""
    windows: Annotated[int, Field(ge=1, le=100000)] = 100
    """rounds of every configuration"""
    density: Several[Literal["dense", "sparse"]] = ("dense", "sparse")
    """overlaps: scenarios to fly"""
    halo: Several[Annotated[int, Field(ge=0, le=1024, multiple_of=LATENT_STRIDE_PX)] | Literal["auto"]] = (
        0,
        "auto",
    )
    """surroundings in px seen beyond a patch; auto: as the model's measured margin needs"""
    decode: Annotated[int, Field(ge=0, le=100000)] | None = None
    """first windows that the ground decodes; none: all"""
    baselines: Annotated[int, Field(ge=0, le=10000)] = 100
    """patches on which other codecs are measured"""
    margin: Annotated[int, Field(ge=0, le=1000)] = 12
    """windows on which border margins are measured; auto needs some"""
    surroundings: Annotated[int, Field(ge=0, le=1000)] = 4
    """windows on which it is measured what g_s makes of haloed latents, by what lies around them"""


@dataclass(frozen=True)
class Request:
    """What the command line asks for. halos: px, or None for `auto`."""

    models: tuple[str, ...]
    lambdas: dict[str, list[float]]
    windows: int
    densities: tuple[str, ...]
    halos: tuple[int | None, ...]
    decode: int
    baselines: int
    margin: int
    surroundings: int
    overrides: tuple[str, ...]
    scenario: Scenario

    @property
    def folder(self) -> Path:
        return Path(self.scenario.output) / f"rd-{self.scenario.digest}"


def study(given: Given) -> None:
    """Fly what has not been flown, print, write."""
    request = request_of(given)
    make_folder(request.folder)
    write_scenario(request.scenario, request.folder / "scenario.yaml")
    margins = measure_margins(request)
    configurations = configurations_of(request, margins)
    print(
        f"{len(configurations)} configurations, {request.windows} windows each, into {request.folder}/",
        flush=True,
    )
    fly_missing(request.folder, configurations, request.overrides, request.windows, request.decode)
    scenarios = {c: c.scenario(request.overrides) for c in configurations}
    rows = {
        c: [r for r in read_rows(rows_file(request.folder, c, s), s.satellites) if r.round < request.windows]
        for c, s in scenarios.items()
    }
    lines = {c: summarise(found, request.windows) for c, found in rows.items()}
    patches = min(request.baselines, request.windows, request.decode)  # the same ones for models and codecs
    points = (
        measure(_dense(request), patches, request.folder / "baselines.csv", pictures_digest(request.scenario))
        if patches
        else []
    )
    write_csv(request.folder / "table.csv", TABLE_FIELDS, table_rows(lines))
    if halos := against_plain(rows):
        write_csv(request.folder / "halo.csv", HALO_FIELDS, halo_rows(halos))
    print("\n".join(report(request, margins, lines, rows, points)))
    if request.surroundings and any(c.halo_px for c in configurations):
        print("\nPSNR, dB, of DLRC's images by what g_s is given around a patch's latents")
        print(
            "\n".join(
                ring_table(
                    {
                        c: ring_gain(c, request.overrides, request.surroundings)
                        for c in configurations
                        if c.halo_px
                    }
                )
            )
        )
    draw(request, lines, rows, points)
    print(
        f"\nwrote {request.folder}/ (rows/, table.csv, {'halo.csv, ' if halos else ''}{'baselines.csv, ' if points else ''}curves.png, breakdown.png)"
    )


def request_of(given: Given) -> Request:
    """The keys as the study needs them. Raises `UserError`."""
    own: RdKeys = given.own
    scenario = refuse_estimates(load_scenario("dense", given.words))
    models = known_models(own.models)
    halos = tuple(dict.fromkeys(None if halo == "auto" else halo for halo in own.halo))
    if None in halos and not own.margin:
        raise UserError("margin=0: halo=auto needs at least one window to measure the margin on")
    return Request(
        models,
        lambdas_of(models, own.lambdas),
        own.windows,
        tuple(dict.fromkeys(own.density)),
        halos,
        own.windows if own.decode is None else own.decode,
        own.baselines,
        own.margin,
        own.surroundings,
        given.words,
        scenario,
    )


def _dense(request: Request) -> Scenario:
    return load_scenario("dense", request.overrides)


def measure_margins(request: Request) -> dict[tuple[str, float], Margin]:
    """Border margin of every checkpoint asked for."""
    if not request.margin:
        return {}
    return {
        (model, value): margin_of(
            Configuration(model, value, "dense", 0).scenario(request.overrides), request.margin
        )
        for model in request.models
        for value in request.lambdas[model]
    }


def configurations_of(request: Request, margins: Mapping[tuple[str, float], Margin]) -> list[Configuration]:
    """Every combination asked for, in the order of the table."""
    return list(
        dict.fromkeys(
            Configuration(model, value, density, margins[model, value].halo_px if halo is None else halo)
            for halo in request.halos
            for density in request.densities
            for model in request.models
            for value in request.lambdas[model]
        )
    )


def model_points(rows: Sequence[Row], points: Sequence[Point]) -> dict[int, tuple[float, float, float]]:
    """(bpp, PSNR, MS-SSIM) without DLRC by window, of satellite 0's decoded patches: those of `points`, or
    all where there are none."""
    known = {point.round for point in points}
    return {
        row.round: (8 * (row.y_i + row.z_i + row.header_i) / row.pixels, row.psnr_i, row.ms_ssim_i)
        for row in rows
        if row.satellite == 0 and row.decoded and (not known or row.round in known)
    }


def report(
    request: Request,
    margins: Mapping[tuple[str, float], Margin],
    lines: Mapping[Configuration, Line],
    rows: Mapping[Configuration, Sequence[Row]],
    points: Sequence[Point],
) -> list[str]:
    """All printed tables, Markdown."""
    text = ["", scene_text(request, rows)]
    if margins:
        text += [
            "",
            f"Border margin: share of positions whose whole vector does not change when the patch is seen in its surroundings, by depth in "
            f"latent cells; margin: first depth from which on {100 * MARGIN_SHARE:g} % agree",
            *margin_table(margins),
        ]
    text += [
        "",
        "Savings of DLRC (95 % intervals over windows)",
        *saving_table(lines),
        "",
        "Bits per pixel",
        *breakdown_table(lines),
    ]
    if halos := against_plain(rows):
        text += ["", "DLRC with a halo against independent coding without one", *against_plain_table(halos)]
    if points:
        overhead = container_overhead(patch(_dense(request), 0, 0))
        compared = {
            (c.model, c.lambda_): model_points(found, points)
            for c, found in rows.items()
            if c.density == "dense" and c.halo_px == 0
        }
        gaps = {
            (key, codec): distances(points, codec, found)
            for key, found in compared.items()
            for codec in QUALITIES
        }
        text += [
            "",
            f"Without DLRC against other codecs, on satellite 0's patches in {len({p.round for p in points})} dense windows, at each model's own rate",
            "(mean MSE: of all patches as one, where each codec gives every patch the quality that minimises bpp + lambda 255^2 MSE, at the lambda that makes its",
            "mean rate the model's; per patch: at the model's rate on each patch, mean ± 95 %). Codecs at their best for PSNR (dlrc/studies/common/baselines.py). Our",
            f"bytes are whole containers. Not counted: {overhead['jpeg2000']} bytes of JP2 boxes and comment, {overhead['jpegxl']} of JPEG XL's container (bare codestreams); counted: "
            f"WebP's RIFF container, {overhead['webp']} bytes",
            *baseline_table(compared, gaps, {codec: curve(points, codec) for codec in QUALITIES}),
        ]
        text += bd_rates(compared, lines, points)
    return text


def scene_text(request: Request, rows: Mapping[Configuration, Sequence[Row]]) -> str:
    """Which scenes the windows come from."""
    if not request.scenario.scene.path:
        return "Scene: built-in procedural scene (not a picture of anything; numbers say nothing about real imagery)"
    names = {
        density: sorted({row.scene for c, found in rows.items() if c.density == density for row in found})
        for density in request.densities
    }
    return f"Scenes: {request.scenario.scene.path}; " + "; ".join(
        f"{density}: {len(found)} images" for density, found in names.items()
    )


def bd_rates(
    compared: Mapping[tuple[str, float], Mapping[int, tuple[float, float, float]]],
    lines: Mapping[Configuration, Line],
    points: Sequence[Point],
) -> list[str]:
    """BD-rates of models with three lambdas and more: against the other codecs, and with DLRC against
    without."""
    text = []
    for model in dict.fromkeys(model for model, _ in compared):
        own = np.array(
            sorted(
                pooled(list(found.values()))
                for (name, _), found in compared.items()
                if name == model and found
            )
        )
        if len(own) < 3:
            continue
        parts = [f"{codec} {bd_rate(curve(points, codec), own):+.1f} %" for codec in QUALITIES]
        text += [
            "",
            f"BD-rate of {model} (without DLRC, {len(own)} lambdas, PSNR of the mean MSE, negative: fewer bits) against "
            + ", ".join(parts),
        ]
        for density in ("dense", "sparse"):
            found = [
                (
                    sum(v for k, v in line.bpp.items() if k.endswith("_d")),
                    sum(v for k, v in line.bpp.items() if k.endswith("_i")),
                    line.psnr_i.value,
                    line.psnr_i.value + line.d_psnr.value,
                )
                for c, line in lines.items()
                if c.model == model and c.density == density and c.halo_px == 0
            ]
            if len(found) >= 3:
                table = np.array(sorted(found))
                text.append(
                    f"BD-rate of DLRC against {model} alone, {density}: {bd_rate(table[:, [1, 2]], table[:, [0, 3]]):+.1f} %"
                )
    return text


def draw(
    request: Request,
    lines: Mapping[Configuration, Line],
    rows: Mapping[Configuration, Sequence[Row]],
    points: Sequence[Point],
) -> None:
    """Both figures. The curves show satellite 0's patches where baselines were measured, scaled by each
    density's measured saving."""
    where = "real held-out scenes" if request.scenario.scene.path else "built-in procedural scene"
    models: dict[tuple[str, float], dict[str, tuple[float, float, float]]] = {}
    for configuration, found in rows.items():
        if configuration.halo_px or not any(row.decoded for row in found):
            continue
        line, key = lines[configuration], (configuration.model, configuration.lambda_)
        base = list(model_points(found, points).values())
        if configuration.density == "dense":
            models.setdefault(key, {})["independent"] = pooled(base)
        if "independent" in models.get(key, {}):
            rate, psnr, similarity = models[key]["independent"]
            models[key][configuration.density] = (
                rate * (1 - line.total_saved.value / 100),
                psnr + line.d_psnr.value,
                similarity + line.d_ms_ssim.value,
            )
    if models:
        baselines = {codec: curve(points, codec) for codec in QUALITIES} if points else {}
        draw_curves(
            models,
            baselines,
            f"Rate and quality with and without DLRC, no halo; {where}",
            request.folder / "curves.png",
        )
    shown = {c: line for c, line in lines.items() if c.lambda_ == 0.013} or dict(lines)
    draw_breakdown(
        shown,
        f"Bits per pixel: pale without DLRC, full with DLRC; {where}, lambda {next(iter(shown)).lambda_:g}",
        request.folder / "breakdown.png",
    )


COMMAND = Command(
    name="study rd",
    about=__doc__,
    own=RdKeys,
    work=study,
    subject=SCENARIO,
    honours=FLOWN,
    sets={
        "scenario": "density",
        "codec.model": "models",
        "codec.lambda": "lambdas",
        "codec.weights": "",
        "capture.halo_px": "halo",
        "capture.window_px": "density",
    },
    default="dense",
    examples=(
        "dlrc study rd models=bmshj windows=2 halo=0 baselines=0 margin=0",
        "dlrc study rd scene.path=FOLDER lambdas=shipped",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
