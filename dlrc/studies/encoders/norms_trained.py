"""The norms of an encoder with dynamic kernels, each trained for equal steps from the codec that ships: its
loss on held-out patches, and the bytes that its satellites save, from real streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.models import elic
from codec.models.checkpoint import load_checkpoint
from codec.models.encoders import rsllic
from codec.models.storage import WEIGHTS_FOLDER
from constellation.common.files import make_folder
from constellation.common.progress import watched
from dlrc.studies.common.statistics import Line, bootstrap, summarise
from dlrc.studies.encoders.courses import CURVE_POINTS, Course, School
from dlrc.studies.encoders.norms_keys import NormKeys
from dlrc.studies.paper.rd_rounds import Configuration, Logbook

LAMBDA = 0.013
START = WEIGHTS_FOLDER / f"{rsllic.FAMILY.name}_lambda{LAMBDA:g}.safetensors"
TEACHER = WEIGHTS_FOLDER / f"{elic.FAMILY.name}_lambda{LAMBDA:g}.safetensors"


@dataclass(frozen=True)
class Flights:
    """What a norm's satellites saved under one overlap and halo."""

    norm: str
    density: str
    halo_px: int
    line: Line


def school_of(own: NormKeys) -> School:
    """Where the norms are trained: g_a alone, before elic's entropy model and decoder. Raises `UserError`."""
    w = load_checkpoint(START)[0].widths
    shape = [f"n={w.n}", f"m={w.m}", f"widths={','.join(map(str, w.stages))}"]
    shape += [f"groups={','.join(map(str, w.groups))}"] if w.groups else []
    words = (
        *(f"model={rsllic.FAMILY.name}", f"lambda={LAMBDA!r}", f"data={own.train}", f"init={START}"),
        *(f"teacher={TEACHER}", "freeze=true", *shape, f"batch={own.batch}", f"crop={own.crop_px}"),
        *(f"lr={own.lr!r}", "lr_end=0", "decay=1", "warmup=10", "missing_context=0", "val_share=0"),
        *(f"steps={own.steps}", f"val_every={max(1, own.steps // CURVE_POINTS)}", f"seed={own.seed}"),
    )
    return School(make_folder(Path(own.out), "out"), words, own.data, own.judge)


def trained(own: NormKeys) -> dict[str, Course]:
    """Every norm's training. Raises `UserError`."""
    school = school_of(own)
    return {
        norm: school.course(f"{rsllic.FAMILY.name}-{norm}-{own.steps}", f"norm={norm}")
        for norm in watched(own.norms, "norms")
    }


def flown(own: NormKeys, courses: dict[str, Course]) -> list[Flights]:
    """Rounds of every norm, overlap and halo; kept below out=, so that none is flown twice."""
    found = []
    cases = [(density, halo) for density in own.overlaps for halo in dict.fromkeys((0, own.halo_px))]
    for density, halo in watched(cases, "overlaps and halos") if own.rounds else ():
        for norm, course in courses.items():
            words = [f"codec.weights={course.path}", f"satellites={own.satellites}", f"scene.path={own.data}"]
            configuration = Configuration(rsllic.FAMILY.name, LAMBDA, density, halo)
            logbook = Logbook(Path(own.out), configuration, words)
            logbook.fly(range(own.rounds), own.rounds)
            found.append(Flights(norm, density, halo, summarise(logbook.rows(), own.rounds)))
    return found


def loss_rows(courses: dict[str, Course]) -> list[dict[str, Any]]:
    """Loss, rate, quality of each norm; percent against the first, with an interval over patches."""
    first, rows = next(iter(courses.values())), []
    weight = LAMBDA * 255**2
    base = first.figures[:, 0] + weight * first.figures[:, 1]
    for norm, course in courses.items():
        loss, bpp, psnr_db = course.judged(LAMBDA)
        mine = course.figures[:, 0] + weight * course.figures[:, 1]
        against = bootstrap((mine, base), lambda a, b: 100 * (a / b - 1))
        row = {"norm": norm, "loss": loss, "bpp": bpp, "psnr_db": psnr_db, "against_pct": against.value}
        rows.append({**row, "against_low": against.low, "against_high": against.high})
    return rows


def loss_table(rows: Sequence[dict[str, Any]], steps: int) -> list[str]:
    """Markdown."""
    first = rows[0]["norm"]
    head = (
        f"norm, {steps} steps",
        "R + lambda D",
        "bpp (estimate)",
        "PSNR, dB",
        f"against {first}, % [95 %]",
    )
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in rows:
        against = (
            ""
            if row["norm"] == first
            else "{:+.1f} [{:+.1f}, {:+.1f}]".format(
                *(row[f"against_{end}"] for end in ("pct", "low", "high"))
            )
        )
        cells = (row["norm"], f"{row['loss']:.4f}", f"{row['bpp']:.4f}", f"{row['psnr_db']:.2f}", against)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def saving_rows(flights: Sequence[Flights]) -> list[dict[str, Any]]:
    """A row a norm, overlap and halo."""
    rows = []
    for one in flights:
        line = one.line
        row: dict[str, Any] = {"norm": one.norm, "overlap": one.density, "halo_px": one.halo_px}
        row |= {"streams": line.streams, "exact": line.exact, "of_oracle_pct": line.of_oracle.value}
        for name in ("y_saved", "total_saved"):
            estimate = getattr(line, name)
            row |= {f"{name}_pct": estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        rows.append(row)
    return rows


def saving_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown."""
    head = (
        "norm",
        "overlap",
        "halo px",
        "y bits saved, %",
        "of oracle, %",
        "all bits saved, %",
        "exact streams",
    )
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in rows:
        figures = (f"{row[key]:.1f}" for key in ("y_saved_pct", "of_oracle_pct", "total_saved_pct"))
        cells = (
            row["norm"],
            row["overlap"],
            str(row["halo_px"]),
            *figures,
            f"{row['exact']} of {row['streams']}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines
