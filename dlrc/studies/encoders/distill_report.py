"""What a study of distillation found: a line a way, a file of numbers, curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from constellation.common.files import write_records, write_text
from dlrc.studies.common.figures import save
from dlrc.studies.common.statistics import LEVEL, Estimate, bootstrap
from dlrc.studies.encoders.courses import Course
from dlrc.studies.encoders.distill_keys import DistillKeys

STARTS = {"teacher": "fresh blocks between elic's convolutions", "random": "all fresh"}
COLOURS = {"none": "0.35", "latent": "tab:blue", "paper": "tab:orange"}


@dataclass(frozen=True)
class Group:
    """All seeds of one way. way: none, latent, paper."""

    way: str
    steps: int
    courses: tuple[Course, ...]

    def losses(self, lambda_: float) -> np.ndarray:
        """R + lambda D over all patches, float64 [seeds]."""
        return np.array([course.judged(lambda_)[0] for course in self.courses])

    def by_patch(self, lambda_: float) -> np.ndarray:
        """R + lambda D of each patch, mean over seeds, float64 [patches]."""
        figures = np.mean([course.figures for course in self.courses], axis=0)
        return figures[:, 0] + lambda_ * 255**2 * figures[:, 1]


def paired(differences: np.ndarray) -> Estimate:
    """Mean of differences, one a seed, with the interval of Student's t; no interval of one alone."""
    count, middle = len(differences), float(differences.mean())
    if count < 2:
        return Estimate(middle, float("nan"), float("nan"))
    reach = float(student_t.ppf((1 + LEVEL) / 2, count - 1) * differences.std(ddof=1) / np.sqrt(count))
    return Estimate(middle, middle - reach, middle + reach)


def records(own: DistillKeys, groups: Sequence[Group], lambda_: float) -> list[dict[str, Any]]:
    """A row a way. against_none: percent of the loss of the first `none` whose steps it has, or of a longer
    one, with intervals over seeds (t) and over patches (bootstrap)."""
    rows = []
    for group in groups:
        losses = group.losses(lambda_)
        judged = np.mean([course.judged(lambda_) for course in group.courses], axis=0)
        row: dict[str, Any] = {
            "model": own.model,
            "start": own.start,
            "way": group.way,
            "steps": group.steps,
            "seeds": len(losses),
            "loss": losses.mean(),
            "loss_sd": losses.std(ddof=1),
            "bpp": judged[1],
            "psnr_db": judged[2],
            "cpu_s_per_step": np.nanmedian([course.cpu_s_per_step for course in group.courses]),
        }
        for label, rival in rivals(groups).items():
            row |= _against(group, rival, lambda_, label)
        rows.append(row)
    return rows


def rivals(groups: Sequence[Group]) -> dict[str, Group]:
    """`none` of equal steps, and those with more where there are any."""
    plain = sorted((group for group in groups if group.way == "none"), key=lambda group: group.steps)
    return dict(zip(("none", "longer", "longest"), plain, strict=False))


def _against(group: Group, rival: Group, lambda_: float, label: str) -> dict[str, float]:
    base = rival.losses(lambda_)
    seeds = paired(100 * (group.losses(lambda_) / base - 1))
    columns = group.by_patch(lambda_), rival.by_patch(lambda_)
    patches = bootstrap(columns, lambda mine, theirs: 100 * (mine / theirs - 1))
    return {
        f"against_{label}_pct": seeds.value,
        **{f"against_{label}_t_{end}": getattr(seeds, end) for end in ("low", "high")},
        **{f"against_{label}_patches_{end}": getattr(patches, end) for end in ("low", "high")},
    }


def table(rows: Sequence[dict[str, Any]], labels: Mapping[str, int]) -> list[str]:
    """Markdown. labels: steps of every `none` that others are compared with."""
    head = [
        "imitates",
        "steps",
        "seeds",
        "R + lambda D",
        "spread (sd)",
        "bpp (estimate)",
        "PSNR, dB",
        "CPU s/step",
    ]
    for label, steps in labels.items():
        title = "against none" if label == "none" else f"against none of {steps} steps"
        head += [f"{title}, % [t over seeds]", "[bootstrap over patches]"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in rows:
        cells = [
            row["way"],
            str(row["steps"]),
            str(row["seeds"]),
            f"{row['loss']:.4f}",
            f"{row['loss_sd']:.4f}",
        ]
        cells += [f"{row['bpp']:.4f}", f"{row['psnr_db']:.2f}", f"{row['cpu_s_per_step']:.2f}"]
        for label in labels:
            value, low, high = (row[f"against_{label}{end}"] for end in ("_pct", "_t_low", "_t_high"))
            ends = [row[f"against_{label}_patches_{end}"] for end in ("low", "high")]
            rival = row["way"] == "none" and value == 0
            cells += ["", ""] if rival else [Estimate(value, low, high).text(2, sign=True)]
            cells += [] if rival else [f"[{ends[0]:+.2f}, {ends[1]:+.2f}]"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def report(own: DistillKeys, groups: Sequence[Group], lambda_: float, teacher_loss: float) -> list[str]:
    """The lines to print; writes the files."""
    folder, rows = Path(own.out), records(own, groups, lambda_)
    write_records(folder / "distill.csv", rows)
    curves = [{"way": g.way, "steps": g.steps, "curves": [c.curve for c in g.courses]} for g in groups]
    told = {"keys": own.model_dump(exclude={"data", "train", "out", "teacher"}), "lambda": lambda_}
    told |= {"teacher_loss": teacher_loss, "patches": len(groups[0].courses[0].figures)}
    write_text(folder / "distill.json", json.dumps({**told, "rows": rows, "curves": curves}, indent=1) + "\n")
    draw(own, groups, lambda_, folder / "distill.png")
    return [
        f"{own.model} before the teacher's decoder, start {own.start}, {own.batch} crops of {own.crop_px} "
        f"px, {own.exactness}, lambda {lambda_:g}; {told['patches']} held-out patches; the teacher: "
        f"{teacher_loss:.4f}\n",
        *table(rows, {label: group.steps for label, group in rivals(groups).items()}),
        f"\nwrote {folder}/ (distill.csv, distill.json, distill.png)",
    ]


def draw(own: DistillKeys, groups: Sequence[Group], lambda_: float, path: Path) -> None:
    """Curves over steps: mean of the seeds, and from the least to the greatest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.3), layout="constrained")
    figure.suptitle(
        f"{own.model} learns before elic's decoder, {STARTS[own.start]}\nlambda {lambda_:g}, "
        f"{own.batch} crops of {own.crop_px} px a step, {own.exactness}; {own.seeds} seeds: mean and range"
    )
    titles = ("training crops (y + noise)", "held-out patches (rounded), one a scene")
    for axes, column, title in zip(figure.subplots(1, 2), (1, 2), titles, strict=True):
        for group in groups:
            values = np.array([course.curve for course in group.courses])
            steps, losses = values[0, :, 0], values[:, :, column]
            style = "--" if group.steps > own.steps else "-"
            label = f"{group.way}, {group.steps} steps"
            axes.plot(steps, losses.mean(0), style, marker=".", color=COLOURS[group.way], label=label)
            axes.fill_between(steps, losses.min(0), losses.max(0), color=COLOURS[group.way], alpha=0.15)
        axes.set(xlabel="optimiser steps", ylabel="R + lambda D", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    save(figure, path)
