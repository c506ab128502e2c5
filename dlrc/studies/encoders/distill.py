"""Does an encoder before a teacher's decoder learn faster by imitating the teacher?

Encoders of one family, trained from the same start on the same crops with the same noise, before elic's
entropy model and decoder, which stay: `none`, towards R + lambda D alone; `latent`, also towards elic's y;
`paper`, also towards elic's features after each of its four halvings. Each with several seeds, of start,
crops and noise. `longer=` gives `none` more steps besides, as many as the teacher's passes cost: one number,
or one for each of the other two (their times a step in the table say how many). Judged by
the loss of `dlrc evaluate` on held-out patches. Every training is kept below out= and resumes to the bit, so
a study that was cut off goes on. Writes distill.csv, distill.json, distill.png."""

from __future__ import annotations

from pathlib import Path

from codec.models import elic
from codec.models.checkpoint import CheckpointInfo, load_checkpoint
from codec.models.storage import WEIGHTS_FOLDER
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError, naming
from constellation.common.files import make_folder
from constellation.common.progress import watched
from dlrc.studies.encoders.courses import CURVE_POINTS, Course, School, judged_codec
from dlrc.studies.encoders.distill_keys import DistillKeys
from dlrc.studies.encoders.distill_report import Group, report
from nodes.process.device import one_thread


def study(given: Given) -> None:
    """Train what is not there yet, judge, print, write."""
    own: DistillKeys = given.own
    one_thread()
    teacher = Path(own.teacher or WEIGHTS_FOLDER / f"{elic.FAMILY.name}_lambda0.013.safetensors")
    model, info = naming("teacher")(load_checkpoint)(teacher)
    if model.name != elic.FAMILY.name:
        raise UserError(f"teacher={teacher.name}: is {model.name}, expected {elic.FAMILY.name}")
    school = School(make_folder(Path(own.out), "out"), words_of(own, teacher, info), own.data, own.patches)
    school.curve_patches  # noqa: B018 - pictures that are not there are refused before hours of training
    found: dict[tuple[str, int], list[Course]] = {}
    for seed, (way, steps) in watched(plan(own), "trainings"):
        found.setdefault((way, steps), []).append(school.course(*course_of(own, way, steps, seed)))
    groups = [Group(way, steps, tuple(courses)) for (way, steps), courses in found.items()]
    reference = judged_codec(teacher, school.held_out, info.lambda_)
    print("\n".join(report(own, groups, info.lambda_, reference[0])))


def plan(own: DistillKeys) -> list[tuple[int, tuple[str, int]]]:
    """(seed, (way, steps)) of every training, seed by seed, so that a study cut off is balanced."""
    kinds = [(way, own.steps) for way in own.ways]
    more = {round(own.steps * longer) for longer in own.longer} - {own.steps}
    kinds[1:1] = [("none", steps) for steps in sorted(more)]
    return [(seed, kind) for seed in range(own.seeds) for kind in kinds]


def words_of(own: DistillKeys, teacher: Path, info: CheckpointInfo) -> tuple[str, ...]:
    """Of all trainings."""
    w = info.widths
    shape = [f"n={w.n}", f"m={w.m}"]
    shape += [
        f"{key}={','.join(map(str, v))}" for key, v in (("widths", w.stages), ("groups", w.groups)) if v
    ]
    start = ["init=random"] if own.start == "random" else []
    return (
        *(
            f"model={own.model}",
            f"lambda={info.lambda_!r}",
            f"data={own.train}",
            f"teacher={teacher}",
            "freeze=true",
            f"precision={own.precision}",
        ),
        *(f"batch={own.batch}", f"crop={own.crop_px}", f"lr={own.lr!r}", "lr_end=0", "decay=1", "warmup=10"),
        *("missing_context=0", "val_share=0"),
        *shape,
        *start,
    )


def course_of(own: DistillKeys, way: str, steps: int, seed: int) -> tuple[str, ...]:
    """Name and words of one training."""
    imitation = [] if way == "none" else [f"kd={own.kd!r}", f"kd_target={way}"]
    every = max(1, steps // CURVE_POINTS)
    exact = f"-{own.precision}" if own.precision != "auto" else ""
    name = f"{own.model}-{own.start}-{way}-{steps}-seed{seed}{exact}"
    return (name, f"seed={seed}", f"steps={steps}", f"val_every={every}", *imitation)


COMMAND = Command(
    name="study distill",
    about=__doc__ or "",
    own=DistillKeys,
    work=study,
    examples=(
        "dlrc study distill data=SCENES train=PICTURES",
        "dlrc study distill data=SCENES train=PICTURES model=cosmic steps=5000 batch=16 crop_px=256",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
