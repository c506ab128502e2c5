"""Figures 6 and 7: rate and quality with and without DLRC, on real streams of every model, beside JPEG 2000,
JPEG XL, AVIF, WebP and CCSDS 122.

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
from dlrc.studies.common.baselines import QUALITIES, Point, container_overhead, measure, seen_in
from dlrc.studies.common.comparison import bd_rates, codecs_text, compared_of, dlrc_rates, write_results
from dlrc.studies.common.shared_ground import share_ground
from dlrc.studies.common.sights import Sights
from dlrc.studies.common.statistics import Line, summarise
from dlrc.studies.common.terms import FLOWN, refuse_estimates
from dlrc.studies.paper.rd_figures import draw
from dlrc.studies.paper.rd_halo import (
    HALO_FIELDS,
    against_plain,
    against_plain_table,
    halo_rows,
    ring_gain,
    ring_table,
)
from dlrc.studies.paper.rd_report import TABLE_FIELDS, breakdown_table, markdown, saving_table, table_rows
from dlrc.studies.paper.rd_rounds import (
    Configuration,
    Logbook,
    Row,
    board_of,
    fly_missing,
    lambdas_of,
    pictures_digest,
)
from dlrc.studies.questions.margin import MARGIN_SHARE, Margin, margin_of, margin_table
from nodes.process.preflight import check_inputs


class RdKeys(Knobs):
    """Keys of this study."""

    models: Several[Word] = registry.whole()
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
    shared: Annotated[int, Field(ge=0, le=1000)] = 10
    """windows on which classical codecs code by footprint what several satellites see"""
    shared_codecs: Several[Literal[tuple(QUALITIES)]] = ("jpeg2000",)  # type: ignore[valid-type]
    """which ones do"""


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
    own: RdKeys

    @property
    def folder(self) -> Path:
        return Path(self.scenario.output) / f"rd-{self.scenario.digest}"

    @property
    def dense(self) -> Sights:
        """What satellites see in the windows that other codecs are measured on."""
        return Sights(self.scenario.scene, self.scenario.capture, self.scenario.seed)


def study(given: Given) -> None:
    """Fly what has not been flown, print, write."""
    request = request_of(given)
    first = request.models[0]  # one stands for all, before a folder is made
    check_inputs(
        Configuration(first, request.lambdas[first][0], request.densities[0], 0).scenario(request.overrides)
    )
    make_folder(request.folder)
    write_scenario(request.scenario, request.folder / "scenario.yaml")
    margins = measure_margins(request)
    configurations = configurations_of(request, margins)
    print(
        f"{len(configurations)} configurations, {request.windows} windows each, into {request.folder}/",
        flush=True,
    )
    logbooks = [Logbook(request.folder, c, request.overrides) for c in configurations]
    fly_missing(logbooks, request.windows, request.decode)
    rows = {book.configuration: [r for r in book.rows() if r.round < request.windows] for book in logbooks}
    lines = {c: summarise(found, request.windows) for c, found in rows.items()}
    patches = min(request.baselines, request.windows, request.decode)  # the same ones for models and codecs
    pictures, points = pictures_digest(request.scenario.scene), []
    if patches:
        points = measure(seen_in(request.dense), patches, request.folder / "baselines.csv", pictures)
    write_csv(request.folder / "table.csv", TABLE_FIELDS, table_rows(lines))
    if halos := against_plain(rows):
        write_csv(request.folder / "halo.csv", HALO_FIELDS, halo_rows(halos))
    print("\n".join(report(request, margins, lines, rows, points)))
    if request.surroundings and any(c.halo_px for c in configurations):
        print("\nPSNR, dB, of DLRC's images by what g_s is given around a patch's latents")
        wide = [c for c in configurations if c.halo_px]
        gains = {c: ring_gain(c, request.overrides, request.surroundings) for c in wide}
        print("\n".join(ring_table(gains)))
    if request.own.shared:
        print("\n".join(shared_table(request)))
    folder = write_results(request.folder / "compressai", compared_of(rows, points), points)
    print(f"\nwrote {folder}/ (rate and quality in CompressAI's evaluation layout)")
    where = "real held-out scenes" if request.scenario.scene.path else "built-in procedural scene"
    draw(request.folder, where, lines, rows, points)
    some = f"{'halo.csv, ' if halos else ''}{'baselines.csv, ' if points else ''}"
    print(f"\nwrote {request.folder}/ (rows/, table.csv, {some}curves.png, breakdown.png)")


def shared_table(request: Request) -> list[str]:
    """Classical codecs with footprints beside the same alone: what the savings of DLRC stand against."""
    lambdas = sorted({value for values in request.lambdas.values() for value in values})
    head = ["overlap", "codec", "lambda", "alone, bpp", "by footprint, bpp", "bytes saved, %"]
    head.append("its dPSNR of the mean MSE, dB")
    rows, windows = [], min(request.own.shared, request.windows)
    for density in request.densities:
        scenario = load_scenario(density, request.overrides)
        sights = Sights(scenario.scene, scenario.capture, scenario.seed)
        for codec in dict.fromkeys(request.own.shared_codecs):
            for found in share_ground(sights, scenario.satellites, windows, lambdas, codec):
                rates = (f"{found.bpp_alone:.4f}", f"{found.bpp:.4f}", f"{found.saved_pct:.1f}")
                rows.append([density, codec, f"{found.lambda_:g}", *rates, f"{found.d_psnr_db:+.2f}"])
    about = "Each satellite leaves out, by footprint, what one before it sees; geometry known"
    return ["", about, *markdown(head, rows)]


def request_of(given: Given) -> Request:
    """The keys as the study needs them. Raises `UserError`."""
    own: RdKeys = given.own
    scenario = load_scenario("dense", given.words)
    refuse_estimates(scenario.codec)
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
        own,
    )


def measure_margins(request: Request) -> dict[tuple[str, float], Margin]:
    """Border margin of every checkpoint asked for."""
    if not request.margin:
        return {}
    return {
        (model, value): margin_of(
            board_of(Configuration(model, value, "dense", 0).scenario(request.overrides).codec),
            request.dense,
            request.margin,
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
            "Border margin: share of positions whose whole vector does not change when the patch is seen in "
            "its surroundings, by depth in latent cells; margin: first depth from which on "
            f"{100 * MARGIN_SHARE:g} % agree",
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
        compared, count = compared_of(rows, points), len({point.round for point in points})
        overhead = container_overhead(request.dense.look(0, 0)[0].image)
        where = f"satellite 0's patches in {count} dense windows"
        text += codecs_text(compared, points, overhead, where)
        text += [*bd_rates(compared, points), *dlrc_rates(lines)]
    return text


def scene_text(request: Request, rows: Mapping[Configuration, Sequence[Row]]) -> str:
    """Which scenes the windows come from."""
    if not request.scenario.scene.path:
        return "Scene: built-in procedural scene (not a picture of anything; no word about real imagery)"
    names = {
        density: sorted({row.scene for c, found in rows.items() if c.density == density for row in found})
        for density in request.densities
    }
    return f"Scenes: {request.scenario.scene.path}; " + "; ".join(
        f"{density}: {len(found)} images" for density, found in names.items()
    )


COMMAND = Command(
    name="study rd",
    about=__doc__ or "",
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
