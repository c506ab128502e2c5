"""Which optimiser brings a codec furthest in equal processor time?

Adam, SOAP (Adam in the eigenbasis of Shampoo's preconditioners) and Muon (orthogonalised momentum), each from
the Karhunen-Loeve transform of the training pictures, on the same crops with the same noise, the learning
rate falling to nothing in half a cosine. First a few steps tell what a step costs; then each optimiser gets
`short` processor minutes at every one of its `rates`, and at doubled or halved ones for as long as the best
of them is the highest or the lowest; then `minutes` at its best rate and every seed. Judged
by the loss of `dlrc evaluate` on held-out patches, the rates by a cut of one patch a scene. Every training
is kept below out= and resumes to the bit, so a study that was cut off goes on. Writes optimisers.csv,
optimisers.json, optimisers.png."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from codec.models import bmshj
from codec.models.model import HYPER_STRIDE_PX
from codec.training.step import OPTIMIZERS, optimizers_of
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records, write_text
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from dlrc.studies.common.figures import save
from dlrc.studies.common.statistics import Estimate, bootstrap
from dlrc.studies.encoders.courses import Course, School
from nodes.process.device import one_thread

SHAPE = ("n=64", "m=320", "widths=32,64,128")  # that ships
PROBE_STEPS = 24  # that tell what a step costs
RATES, FURTHER_RATES = (5e-4, 1e-3, 2e-3), 5  # what is tried at first, and how many more at most
COLOURS = {"adam": "tab:blue", "soap": "tab:green", "muon": "tab:orange"}


class OptimiserKeys(Knobs):
    """Keys of this study."""

    data: Annotated[str, Field(min_length=1)]
    """folder of the scenes that `dlrc evaluate` takes"""
    train: Annotated[str, Field(min_length=1)]
    """pictures to train on"""
    out: Annotated[str, Field(min_length=1)] = "runs/optimisers"
    """folder of the trainings and of the results"""
    optimisers: Several[Literal[OPTIMIZERS]] = OPTIMIZERS  # type: ignore[valid-type]
    """to compare, the first with each of the others"""
    model: str = bmshj.FAMILY.name
    """codec's family, at the widths that ship"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """loss = R + lambda * 255^2 * MSE"""
    minutes: Annotated[float, Field(gt=0, le=10_000)] = 12.0
    """of one core, each training"""
    short: Annotated[float, Field(gt=0, le=10_000)] = 2.0
    """minutes of the trainings that choose a rate"""
    rates: Several[Annotated[float, Field(gt=0, le=1)]] = ()
    """learning rates to begin with; none: 5e-4, 1e-3, 2e-3"""
    seeds: Annotated[int, Field(ge=1, le=20)] = 1
    """trainings of each optimiser"""
    batch: Annotated[int, Field(ge=1, le=256)] = 4
    """crops of a step"""
    crop_px: Annotated[int, Field(ge=64, le=1024, multiple_of=HYPER_STRIDE_PX)] = 256
    """side of a crop"""
    precision: Literal["float32", "bf16"] = "bf16"
    """of the transforms; bf16 is slow on processors without it"""
    patches: Annotated[int, Field(ge=1, le=100)] = 6
    """of each scene, to judge by; 6: the 84 of `dlrc evaluate`"""


@dataclass(frozen=True)
class Contender:
    """One optimiser. tried: held-out loss at the end of a short training, by rate; courses: a seed each, at
    the best of them."""

    kind: str
    cpu_s_per_step: float
    tried: dict[float, float]
    courses: tuple[Course, ...]

    @property
    def rate(self) -> float:
        """The one whose short training ended lowest."""
        return best_rate(self.tried)

    def by_patch(self, lambda_: float) -> np.ndarray:
        """R + lambda D of each patch, mean over seeds, float64 [patches]."""
        figures = np.mean([course.figures for course in self.courses], axis=0)
        return figures[:, 0] + lambda_ * 255**2 * figures[:, 1]


def best_rate(tried: dict[float, float]) -> float:
    """The rate of the least finite loss. Raises `UserError` where every training ran away."""
    finite = {rate: loss for rate, loss in tried.items() if np.isfinite(loss)}
    if not finite:
        raise UserError(f"rates={','.join(map(str, tried))}: no training stayed finite; expected lower ones")
    return min(finite, key=lambda rate: finite[rate])


def rates_tried(school: School, own: OptimiserKeys, kind: str, cost_s: float) -> dict[float, float]:
    """Held-out loss at the end of a short training, by rate."""

    def loss_at(rate: float) -> float:
        return school.course(*course_of(kind, rate, steps_in(own.short, cost_s), 0)).curve[-1][2]

    tried = {rate: loss_at(rate) for rate in own.rates or RATES}
    for _ in range(FURTHER_RATES):
        best = best_rate(tried)
        rate = 2 * max(tried) if best == max(tried) else min(tried) / 2 if best == min(tried) else None
        if rate is None:
            break
        tried[rate] = loss_at(rate)
    return tried


def study(given: Given) -> None:
    """Train what is not there yet, judge, print, write."""
    own: OptimiserKeys = given.own
    one_thread()
    for kind in set(own.optimisers) - {"adam"}:
        optimizers_of(kind)  # refused before an hour of training
    school = School(make_folder(Path(own.out), "out"), words_of(own), own.data, own.patches)
    school.curve_patches  # noqa: B018 - pictures that are not there are refused before hours of training
    costs = {kind: cost_s(school, kind) for kind in watched(own.optimisers, "costs of a step")}
    tried = {kind: rates_tried(school, own, kind, costs[kind]) for kind in watched(own.optimisers, "rates")}
    found: dict[str, list[Course]] = {}
    for seed, kind in watched([(s, k) for s in range(own.seeds) for k in own.optimisers], "trainings"):
        words = course_of(kind, best_rate(tried[kind]), steps_in(own.minutes, costs[kind]), seed)
        found.setdefault(kind, []).append(school.course(*words))
    contenders = [Contender(k, costs[k], tried[k], tuple(found[k])) for k in own.optimisers]
    print("\n".join(report(own, contenders)))


def words_of(own: OptimiserKeys) -> tuple[str, ...]:
    """Of all trainings."""
    return (
        *(f"model={own.model}", f"lambda={own.lambda_!r}", f"data={own.train}", "init=klt"),
        *(*SHAPE, f"batch={own.batch}", f"crop={own.crop_px}"),
        *("lr_end=0", "decay=1", "warmup=10", "missing_context=0", "val_share=0"),
        f"precision={own.precision}",
    )


def cost_s(school: School, kind: str) -> float:
    """CPU seconds of one step, kept when measured: what is left of a study takes the same steps."""
    kept = school.folder / f"{kind}.cost.json"
    if kept.is_file():
        try:
            return float(json.loads(kept.read_text(encoding="utf-8"))["cpu_s_per_step"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"out={school.folder}: {kept.name} is no cost of a step; remove it") from None
    seconds = school.course(*course_of(kind, RATES[0], PROBE_STEPS, 0)).cpu_s_per_step
    write_text(kept, json.dumps({"cpu_s_per_step": seconds}) + "\n")
    return seconds


def steps_in(minutes: float, cpu_s_per_step: float) -> int:
    """Optimiser steps in so much processor time, at least as many as the warm-up."""
    return max(PROBE_STEPS, round(60 * minutes / cpu_s_per_step))


def course_of(kind: str, rate: float, steps: int, seed: int) -> tuple[str, ...]:
    """Name and words of one training."""
    every = steps if steps <= PROBE_STEPS else max(1, steps // 12)
    name = f"{kind}-{rate:g}-{steps}-seed{seed}"
    return (name, f"optimizer={kind}", f"lr={rate!r}", f"seed={seed}", f"steps={steps}", f"val_every={every}")


def records(own: OptimiserKeys, contenders: list[Contender]) -> list[dict[str, Any]]:
    """A row an optimiser. against_first_pct: of the loss, with a bootstrap over patches."""
    rows, first = [], contenders[0].by_patch(own.lambda_)
    for one in contenders:
        judged = np.mean([course.judged(own.lambda_) for course in one.courses], axis=0)
        mine = one.by_patch(own.lambda_)
        against = bootstrap((mine, first), lambda a, b: 100 * (a / b - 1))
        rows.append(
            {
                "optimiser": one.kind,
                "rate": one.rate,
                "cpu_s_per_step": one.cpu_s_per_step,
                "steps": int(one.courses[0].curve[-1][0]),
                "seeds": len(one.courses),
                "loss": judged[0],
                "bpp": judged[1],
                "psnr_db": judged[2],
                "against_first_pct": against.value,
                "against_first_low": against.low,
                "against_first_high": against.high,
                "tried": " ".join(f"{rate:g}:{loss:.4f}" for rate, loss in one.tried.items()),
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown."""
    head = ["optimiser", "rate", "CPU s/step", "steps", "seeds", "R + lambda D", "bpp (estimate)", "PSNR, dB"]
    head += [f"against {rows[0]['optimiser']}, % [bootstrap over patches]", "short trainings, rate:loss"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in rows:
        ends = (row[f"against_first_{end}"] for end in ("pct", "low", "high"))
        cells = [row["optimiser"], f"{row['rate']:g}", f"{row['cpu_s_per_step']:.3f}", str(row["steps"])]
        cells += [str(row["seeds"]), f"{row['loss']:.4f}", f"{row['bpp']:.4f}", f"{row['psnr_db']:.2f}"]
        cells += ["" if row is rows[0] else Estimate(*ends).text(2, sign=True), row["tried"]]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def report(own: OptimiserKeys, contenders: list[Contender]) -> list[str]:
    """The lines to print; writes the files."""
    folder, rows = Path(own.out), records(own, contenders)
    write_records(folder / "optimisers.csv", rows)
    told = {"keys": own.model_dump(exclude={"data", "train", "out"}), "rows": rows}
    told |= {"curves": {c.kind: [course.curve for course in c.courses] for c in contenders}}
    write_text(folder / "optimisers.json", json.dumps(told, indent=1) + "\n")
    draw(own, contenders, folder / "optimisers.png")
    patches = len(contenders[0].courses[0].figures)
    return [
        f"{own.model}, lambda {own.lambda_:g}, {own.minutes:g} minutes of a core each, {own.batch} crops of "
        f"{own.crop_px} px, {own.precision}; {patches} held-out patches\n",
        *table(rows),
        f"\nwrote {folder}/ (optimisers.csv, optimisers.json, optimisers.png)",
    ]


def draw(own: OptimiserKeys, contenders: list[Contender], path: Path) -> None:
    """Held-out loss over processor minutes, a line a seed; and over the rates that were tried."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.3), layout="constrained")
    figure.suptitle(f"{own.model}, lambda {own.lambda_:g}: equal processor time, not equal steps")
    left, right = figure.subplots(1, 2)
    for one in contenders:
        colour = COLOURS[one.kind]
        for k, course in enumerate(one.courses):
            steps, _, losses = np.array(course.curve).T
            label = f"{one.kind}, rate {one.rate:g}" if k == 0 else None
            left.plot(steps * one.cpu_s_per_step / 60, losses, marker=".", color=colour, label=label)
        right.plot(*zip(*sorted(one.tried.items()), strict=True), marker="o", color=colour, label=one.kind)
    left.set(xlabel="minutes of a core", ylabel="R + lambda D, cuts of held-out patches")
    rates = sorted({rate for one in contenders for rate in one.tried})
    right.set(xlabel="learning rate", xscale="log", title=f"{own.short:g} minutes each")
    right.set_xticks(rates, [f"{rate:g}" for rate in rates], rotation=30)
    right.minorticks_off()
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    save(figure, path)


COMMAND = Command(
    name="study optimisers",
    about=__doc__ or "",
    own=OptimiserKeys,
    work=study,
    examples=(
        "dlrc study optimisers data=SCENES train=PICTURES",
        "dlrc study optimisers data=SCENES train=PICTURES minutes=60 seeds=3 optimisers=adam,soap",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
