"""Checkpoints beside JPEG 2000, JPEG XL, AVIF, WebP and CCSDS 122 on held-out patches, in bytes of real
streams that the ground decodes.

The patches are those of `dlrc evaluate` (256 px, some from each lossless scene), so what is compared is what
the loss of training is judged on; `dlrc study rd` has windows that a constellation flies over, fewer and
harder ones. Intervals are 95 % and count scenes, not patches, which are alike in a scene: by bootstrap over
scenes, or t-intervals whose variance is that of whole scenes. Writes OUT/: baselines.csv (a second call codes
only what is missing), models.csv, curves.png, compressai/*.json."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from codec.models.checkpoint import CheckpointInfo, load_checkpoint
from codec.training.evaluate import LOSSLESS, checkpoints, held_out_patches
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from dlrc.studies.common.baselines import QUALITIES, container_overhead, measure
from dlrc.studies.common.comparison import (
    Compared,
    Patches,
    bd_rates,
    codecs_text,
    measured_codecs,
    write_results,
)
from dlrc.studies.common.statistics import curve, pooled
from dlrc.studies.paper.rd_figures import draw_curves
from dlrc.tasks.coded import BYTE_STEP, Coder, learned
from ground.metrics import bpp, quality
from nodes.process.device import one_thread


class CodecsKeys(Knobs):
    """Keys of this study."""

    data: Annotated[str, Field(min_length=1)]
    """folder of the scenes"""
    weights: Several[str] | None = None
    """checkpoints; none: all shipped ones"""
    scenes: Several[str] = LOSSLESS
    """names of pictures in the folder"""
    patches: Annotated[int, Field(ge=1, le=1000)] = 6
    """of each scene"""
    rivals: Several[Literal[tuple(QUALITIES)]] = tuple(QUALITIES)  # type: ignore[valid-type]
    """codecs to compare with"""
    out: Annotated[str, Field(min_length=1)] = "runs/codecs"
    """folder for tables"""

    @field_validator("scenes", "rivals")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):  # what is counted twice makes intervals too narrow
            raise ValueError("expected each once")
        return names


def study(given: Given) -> None:
    """Code, decode, compare, print, write."""
    keys: CodecsKeys = given.own
    one_thread()
    files = _told_apart(checkpoints(keys.weights))  # a bad one is refused before anything is coded
    patches = held_out_patches(keys.data, keys.scenes, keys.patches).transpose(0, 2, 3, 1)
    patches = np.ascontiguousarray(patches)
    folder = make_folder(Path(keys.out), "out")
    digest = hashlib.sha256(patches.tobytes()).hexdigest()
    points = measure(
        lambda number: (patches[number], None), len(patches), folder / "baselines.csv", digest, keys.rivals
    )
    compared = {}
    for key, file in watched(files.items(), "checkpoints"):
        compared[key] = _coded(learned(*load_checkpoint(file)), patches)
    scene_of = {number: number // keys.patches for number in range(len(patches))}
    where = f"{len(patches)} held-out patches of {len(keys.scenes)} scenes"
    print("\n".join(codecs_text(compared, points, container_overhead(patches[0]), where, scene_of)))
    print("\n".join(bd_rates(compared, points, scene_of, "scenes")))
    write_records(folder / "models.csv", _records(compared, keys))
    write_results(folder / "compressai", compared, points)
    own = {key: {"independent": pooled(list(found.values()))} for key, found in compared.items()}
    curves = {codec: curve(points, codec) for codec in measured_codecs(points)}
    draw_curves(own, curves, f"Rate and quality (up and left is better), {where}", folder / "curves.png")
    print(f"\nwrote {folder}/ (baselines.csv, models.csv, curves.png, compressai/ in CompressAI's layout)")


def _told_apart(infos: Mapping[Path, CheckpointInfo]) -> dict[tuple[str, float], Path]:
    """Files by name and lambda: the family where its files are of one folder, else with the folder too, or
    with the name of the file; a curve is of one name. Raises `UserError`."""
    ways: tuple[Callable[[Path], str], ...] = (
        lambda file: infos[file].model,
        lambda file: f"{infos[file].model} in {file.resolve().parent.name}",
        lambda file: f"{infos[file].model} {file.stem}",
    )
    families = {(info.model, file.resolve().parent) for file, info in infos.items()}
    mixed = len(families) > len({model for model, _ in families})
    for way in ways[int(mixed) :]:
        found = {(way(file), info.lambda_): file for file, info in infos.items()}
        if len(found) == len(infos):
            return found
    raise UserError(
        "weights: found two files of one family, lambda, folder name and name, expected other names"
    )


def _coded(coder: Coder, patches: np.ndarray) -> Patches:
    """(bpp, PSNR, MS-SSIM) of patches uint8 [K, P, P, 3], by number."""
    found = {}
    for number, patch in enumerate(patches):
        coded = coder(patch.transpose(2, 0, 1).astype(np.uint16) * BYTE_STEP)
        picture = (coded.counts // BYTE_STEP).astype(np.uint8).transpose(1, 2, 0)
        measured = quality(patch, np.ascontiguousarray(picture))
        assert measured is not None, "every pixel of a patch is valid"
        found[number] = (bpp(coded.size, patch[..., 0].size), measured.psnr_db, measured.ms_ssim)
    return found


def _records(compared: Compared, keys: CodecsKeys) -> list[dict[str, float | str | int]]:
    """A row a checkpoint and patch."""
    return [
        {
            "model": model,
            "lambda": lambda_,
            "scene": keys.scenes[number // keys.patches],
            "patch": number,
            **dict(zip(("bpp", "psnr_db", "ms_ssim"), figures, strict=True)),
        }
        for (model, lambda_), found in compared.items()
        for number, figures in found.items()
    ]


COMMAND = Command(
    name="study codecs",
    about=__doc__ or "",
    own=CodecsKeys,
    work=study,
    examples=(
        "dlrc study codecs data=FOLDER",
        "dlrc study codecs data=FOLDER weights=a.safetensors,b.safetensors rivals=jpeg2000",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
