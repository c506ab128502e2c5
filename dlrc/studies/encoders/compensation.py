"""What a net on the ground adds to decoded pictures, and what it costs in truth: PSNR, MS-SSIM and detail of
none, regressor, diffusion and diffusion with another scene's metadata, on held-out scenes.

Differences are paired, with 95 % intervals by bootstrap over scenes. `rate` is the honest question: how much
more rate the same family, at its next higher lambda, would need for the same PSNR (rates are estimates, as
`dlrc evaluate` makes them). `detail` is the mean gradient of a picture over that of its original, percent:
above 100 a net invents. A perceptual measure with trained weights is not at hand, and none is claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from codec.models import bmshj
from codec.models.checkpoint import CheckpointInfo, load_weights
from codec.models.model import LatentModel
from codec.models.storage import WEIGHTS_FOLDER
from codec.training.evaluate import LOSSLESS, held_out_patches, rate_and_error
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError, naming
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Word
from constellation.common.progress import watched
from dlrc.studies.common.statistics import Estimate, bootstrap
from ground.compensation.apply import Compensator, metadata_of
from ground.compensation.files import load_net, shipped_net
from ground.compensation.marks import write_generated
from ground.compensation.nets import KINDS
from ground.compensation.trainer import decoded_by, gsd_by_name
from ground.files import write_png
from ground.metrics import ms_ssim, psnr_db
from nodes.process.device import one_thread

SHUFFLED = "diffusion, others' metadata"


class CompensationStudyKeys(Knobs):
    """Keys of this study."""

    data: Annotated[str, Field(min_length=1)]
    """folder of the scenes that `dlrc evaluate` takes"""
    model: Word = bmshj.FAMILY.name
    """family of the codec"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """of its shipped checkpoint"""
    regressor: str = ""
    """file of its weights; none: the shipped ones, or no such row"""
    diffusion: str = ""
    """file of its weights; none: the shipped ones, or no such row"""
    metadata: str = ""
    """CSV file with columns path and gsd_m: what a diffusion is told of a scene"""
    patches: Annotated[int, Field(ge=1, le=100)] = 2
    """of 256 px from each scene"""
    steps: Annotated[int, Field(ge=1, le=200)] = 8
    """of the diffusion"""
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """of its noise"""
    out: str = ""
    """folder for compensation.csv and the first patch of every scene; none: nothing is written"""


@dataclass(frozen=True)
class Patch:
    """original, decoded: uint8 [P, P, 3]. bpp: estimate, of the codec and of its next higher lambda.
    told: to a diffusion, its own scene's metadata and another's."""

    scene: int
    original: np.ndarray
    decoded: np.ndarray
    higher: np.ndarray
    bpp: tuple[float, float]
    told: tuple[np.ndarray, np.ndarray]


Made = Callable[[Patch], np.ndarray]


def patches_of(keys: CompensationStudyKeys, codecs: tuple[LatentModel, LatentModel]) -> Iterator[Patch]:
    """The held-out patches, decoded by a codec and by that of the next higher rate."""
    gsd_m = gsd_by_name(keys.metadata) if keys.metadata else {}
    told = [metadata_of(gsd_m.get(name)) for name in LOSSLESS]
    known = [place for place, name in enumerate(LOSSLESS) if name in gsd_m]
    others = dict(zip(known, known[1:] + known[:1], strict=True))  # each scene's metadata are another's
    crops = held_out_patches(keys.data, LOSSLESS, keys.patches)
    for place, crop in enumerate(crops):
        scene, x = place // keys.patches, torch.from_numpy(crop)[None].float() / 255
        with torch.no_grad():
            rates = [float(rate_and_error(codec, x)[0, 0]) for codec in codecs]
        decoded, higher = (_pixels(decoded_by(codec, x)) for codec in codecs)
        original = np.ascontiguousarray(crop.transpose(1, 2, 0))
        pair = told[scene], told[others.get(scene, scene)]
        yield Patch(scene, original, decoded, higher, (rates[0], rates[1]), pair)


def _pixels(x: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray((x[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def detail(picture: np.ndarray, original: np.ndarray) -> float:
    """Mean absolute gradient over that of the original, percent."""
    sums = [
        sum(float(np.abs(np.diff(one.astype(np.int32), axis=axis)).sum()) for axis in (0, 1))
        for one in (picture, original)
    ]
    return 100 * sums[0] / max(sums[1], 1.0)


def makers(keys: CompensationStudyKeys, codec: CheckpointInfo) -> dict[str, Made]:
    """What there is to compare, by name. Raises `UserError` where there is no net at all."""
    found: dict[str, Made] = {"none": lambda patch: patch.decoded}
    for kind in KINDS:
        named = getattr(keys, kind)
        try:
            path = Path(named) if named else shipped_net(kind, codec)
        except UserError:
            print(f"note: no weights of a {kind} for {codec.model} at lambda {codec.lambda_:g}; no row")
            continue
        net = Compensator(naming(kind)(load_net)(path, codec, kind), keys.seed, keys.steps)
        found[kind] = lambda patch, net=net: net.picture(patch.decoded, patch.told[0])
        if kind == "diffusion" and keys.metadata:
            found[SHUFFLED] = lambda patch, net=net: net.picture(patch.decoded, patch.told[1])
    if len(found) == 1:
        raise UserError("regressor=, diffusion=: no net to study; train one with `dlrc train-compensation`")
    return found


def measured(patches: list[Patch], made: Mapping[str, Made]) -> list[dict[str, float | str | int]]:
    """A row a patch and maker."""
    rows = []
    for patch in watched(patches, "patches"):
        for name, make in {**made, "higher": lambda patch: patch.higher}.items():
            picture = make(patch)
            rows.append(
                {
                    "scene": LOSSLESS[patch.scene],
                    "made_by": name,
                    "bpp": patch.bpp[name == "higher"],
                    "psnr_db": psnr_db(patch.original, picture),
                    "ms_ssim": ms_ssim(patch.original, picture),
                    "detail_pct": detail(picture, patch.original),
                }
            )
    return rows


def by_scene(rows: list[dict], name: str, column: str) -> np.ndarray:
    """Means over the patches of each scene, in the order of `LOSSLESS`."""
    held = [[row[column] for row in rows if row["scene"] == s and row["made_by"] == name] for s in LOSSLESS]
    return np.array([np.mean(values) if values else np.nan for values in held])


def worth(rows: list[dict], name: str) -> Estimate:
    """Percent of rate that the codec's next higher lambda would ask for the same gain in PSNR."""
    gain = by_scene(rows, name, "psnr_db") - by_scene(rows, "none", "psnr_db")
    step_db = by_scene(rows, "higher", "psnr_db") - by_scene(rows, "none", "psnr_db")
    step = np.log2(by_scene(rows, "higher", "bpp") / by_scene(rows, "none", "bpp"))
    return bootstrap([gain, step_db, step], lambda g, d, r: 100 * (2 ** (g / d * r / len(gain)) - 1))


def table(rows: list[dict], names: list[str]) -> str:
    """Markdown: means, and differences to none with their intervals."""
    count = len(LOSSLESS)
    out = ["| made by | PSNR dB | against none | MS-SSIM | against none | detail % | worth of rate % |"]
    out.append("| --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        psnr, ssim, fine = (by_scene(rows, name, c) for c in ("psnr_db", "ms_ssim", "detail_pct"))
        change = bootstrap([psnr - by_scene(rows, "none", "psnr_db")], lambda s: s / count)
        changes = bootstrap([ssim - by_scene(rows, "none", "ms_ssim")], lambda s: s / count)
        told = (
            ("", "", "")
            if name == "none"
            else (change.text(3, True), changes.text(4, True), worth(rows, name).text(1, True))
        )
        out.append(
            f"| {name} | {psnr.mean():.2f} | {told[0]} | {ssim.mean():.4f} | {told[1]} | {fine.mean():.1f} | "
            f"{told[2]} |"
        )
    return "\n".join(out)


def next_higher(model: str, lambda_: float) -> float:
    """The next lambda above that ships for a family. Raises `UserError`."""
    held = sorted(
        float(path.stem.rpartition("lambda")[2]) for path in WEIGHTS_FOLDER.glob(f"{model}_lambda*")
    )
    above = [one for one in held if one > lambda_]
    if not above:
        raise UserError(
            f"lambda={lambda_:g}: no higher one ships for {model}; there are {', '.join(map(str, held))}"
        )
    return above[0]


def study(given: Given) -> None:
    """Measure, print the table, and write what was asked for."""
    keys: CompensationStudyKeys = given.own
    one_thread()
    codec, info = load_weights("", keys.model, keys.lambda_)
    higher = next_higher(keys.model, keys.lambda_)
    made = makers(keys, info.ground)
    patches = list(patches_of(keys, (codec, load_weights("", keys.model, higher)[0])))
    rows = measured(patches, made)
    rates = [by_scene(rows, name, "bpp").mean() for name in ("none", "higher")]
    print(
        f"{len(patches)} patches of {len(LOSSLESS)} scenes, {keys.model} at lambda {keys.lambda_:g}: "
        f"{rates[0]:.4f} bpp; at lambda {higher:g} {rates[1]:.4f} bpp (estimates)\n"
    )
    print(table(rows, [*made, "higher"]))
    if keys.out:
        _write(make_folder(Path(keys.out), "out"), keys, patches, made)
        write_records(Path(keys.out) / "compensation.csv", rows)


def _write(folder: Path, keys: CompensationStudyKeys, patches: list[Patch], made: Mapping[str, Made]) -> None:
    for patch in patches[:: keys.patches]:
        stem = Path(LOSSLESS[patch.scene]).stem
        write_png(folder / f"{stem}.original.png", patch.original)
        write_png(folder / f"{stem}.decoded.png", patch.decoded)
        for kind in KINDS:
            if kind in made:
                write_generated(folder / f"{stem}.{kind}.png", made[kind](patch))


COMMAND = Command(
    name="study compensation",
    about=__doc__ or "",
    own=CompensationStudyKeys,
    work=study,
    examples=("dlrc study compensation data=FOLDER", "dlrc study compensation data=FOLDER diffusion=FILE"),
)

if __name__ == "__main__":
    main_of(COMMAND)
