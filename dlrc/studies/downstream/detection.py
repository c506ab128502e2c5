"""What DLRC does to detection of objects: Table 1 of the paper, for who has STAR (or DOTA) and a detector.

data= is a split of STAR as its toolkit has it: images/NAME.png and annfiles/NAME.txt (`x1 y1 ... x4 y4 class
difficulty`, as in DOTA). Each picture is flown as the paper does (8 satellites, 256 px patches in a 512 px
window, lambda 0.0483), and the captures are written as they were, as rebuilt from independent streams and as
rebuilt with DLRC, with their boxes, in that same layout. detector= is your program, called once a folder of
pictures; it writes Task1_CLASS.txt (`picture score x1 y1 ... x4 y4`). No detector comes with this project:
none of its data hold boxes to train one on. Prints mAP at an overlap of 0.5 and its change; boxes that a
capture's border cuts count neither way. Every stage is kept below out=."""

from __future__ import annotations

import math
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from codec.models import registry
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_text
from constellation.common.knobs import Knobs, Several, Word
from constellation.common.progress import note, watched
from dlrc.commands.models import known_models
from dlrc.tasks.boxes.annotations import read_boxes, read_detections
from dlrc.tasks.boxes.captures import CUT, ORIGINAL, flown, variants
from dlrc.tasks.boxes.precision import Judged, judge, mean_average

RESAMPLES, SEED = 200, 0x57A2
HEAD = ("coded by", "captures", "bit/px", "mAP %", "change, points [95 %]", "mAP % (11 points)")


class DetectionKeys(Knobs):
    """Keys of this study."""

    data: Annotated[str, Field(min_length=1)]
    """a split: images/ and annfiles/"""
    out: Annotated[str, Field(min_length=1)] = "runs/detection"
    """folder of captures, detections and results"""
    models: Several[Word] = registry.whole()
    """codecs"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.0483
    """of their shipped checkpoints"""
    fly: Several[Annotated[str, Field(pattern=r"^[a-z0-9_.]+=")]] = ("capture.patch_px=256",)
    """further words of the scenario, as capture.window_px=1024 or rounds=1"""
    pictures: Annotated[int, Field(ge=1, le=10**6)] = 10**6
    """at most so many"""
    detector: str = ""
    """your program and its words, {images} and {detections} in them; none: detections are there already, or
    the captures alone are made"""


def study(given: Given) -> None:
    """Fly what is not there yet, call the detector where it has not been, print the table."""
    own: DetectionKeys = given.own
    known_models(own.models, "models")
    pictures = sorted((Path(own.data) / "images").glob("*.png"))[: own.pictures]
    if not pictures:
        raise UserError(f"data={own.data}: no images/*.png in it; expected images/ and annfiles/")
    out = make_folder(Path(own.out), "out")
    told = {model: _flown(own, model, pictures, out) for model in own.models}
    names = [ORIGINAL, *(variant for model in own.models for variant in variants(model))]
    for name in names:
        _detect(own.detector, out / name)
    if missing := [name for name in names if not any((out / name / "detections").glob("Task1_*.txt"))]:
        note(
            f"no detections of {', '.join(missing)}: captures and boxes are in {out}/VARIANT/images, annfiles"
        )
        return
    lines = _table(out, told)
    write_text(out / "detection.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def _flown(own: DetectionKeys, model: str, pictures: Sequence[Path], out: Path) -> dict[str, int]:
    board = None
    total: dict[str, int] = dict.fromkeys(("captures", "independent", "dlrc", "pixels"), 0)
    for number, picture in enumerate(watched(pictures, f"{model}: pictures")):
        words = [
            f"codec.model={model}",
            f"codec.lambda={own.lambda_}",
            f"seed={number}",
            "rounds=1",
            *own.fly,
        ]
        board, told = flown(picture, out, words, board)
        total = {name: total[name] + told[name] for name in total}
    return total


def _detect(detector: str, folder: Path) -> None:
    """Call the detector on a folder of captures, unless it has been; its words are given as they are."""
    target = folder / "detections"
    if not detector or any(target.glob("Task1_*.txt")):
        return
    make_folder(target, "out")
    given = {"{images}": str(folder / "images"), "{detections}": str(target)}
    words = [given.get(word, word) for word in shlex.split(detector)]
    try:
        done = subprocess.run(words, check=False)
    except OSError as error:
        raise UserError(f"detector: {words[0]}: {(error.strerror or str(error)).lower()}") from None
    if done.returncode:
        raise UserError(f"detector: ended with {done.returncode} on {folder / 'images'}")


def _table(out: Path, told: Mapping[str, Mapping[str, int]]) -> list[str]:
    truth, aside = (
        {path.stem: read_boxes(path) for path in sorted(folder.glob("*.txt"))}
        for folder in (out / ORIGINAL / "annfiles", out / CUT)
    )
    sources = sorted({name.partition("__")[0] for name in truth})
    of = np.array([sources.index(name.partition("__")[0]) for name in sorted(truth)])
    lines = [
        f"Objects: {sum(map(len, truth.values()))} whole in {len(truth)} captures of {len(sources)} pictures"
    ]
    lines += ["", f"| {' | '.join(HEAD)} |", "|" + " --- |" * len(HEAD)]
    first = judge(read_detections(out / ORIGINAL / "detections"), truth, aside)
    lines.append(_line(ORIGINAL, len(truth), 24.0, first, ""))
    for model, sizes in told.items():
        for name, kind in zip(variants(model), ("independent", "dlrc"), strict=True):
            found = judge(read_detections(out / name / "detections"), truth, aside)
            bits = 8 * sizes[kind] / sizes["pixels"]
            lines.append(_line(name, sizes["captures"], bits, found, _change(first, found, of)))
    return lines


def _line(name: str, captures: int, bits: float, found: Mapping[str, Judged], change: str) -> str:
    percent = [100 * mean_average(found, eleven=eleven) for eleven in (False, True)]
    shown = [f"{one:.2f}" if math.isfinite(one) else "-" for one in percent]
    return f"| {name} | {captures} | {bits:.3f} | {shown[0]} | {change or '-'} | {shown[1]} |"


def _change(first: Mapping[str, Judged], second: Mapping[str, Judged], of: np.ndarray) -> str:
    """Of mAP, in points, with an interval: whole pictures are drawn anew, the same for both. of: the picture
    that each capture is of."""
    count = int(of.max()) + 1
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([SEED, count])))
    drawn = random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)[:, of]
    each = np.array([mean_average(second, times) - mean_average(first, times) for times in drawn])
    each = each[np.isfinite(each)]
    value = mean_average(second) - mean_average(first)
    if not each.size or not math.isfinite(value):
        return ""
    low, high = np.quantile(each, (0.025, 0.975))
    return f"{100 * value:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


COMMAND = Command(
    name="study detection",
    about=__doc__ or "",
    own=DetectionKeys,
    work=study,
    examples=(
        "dlrc study detection data=STAR/val",
        'dlrc study detection data=STAR/val detector="python infer.py {images} {detections}"',
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
