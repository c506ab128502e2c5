"""Checkpoints beside JPEG 2000, JPEG XL, AVIF, WebP and CCSDS 122 on held-out patches, in bytes of real
streams that the ground decodes.

The patches are those of `dlrc evaluate` (256 px, some from each lossless scene), so what is compared is what
the loss of training is judged on; `dlrc study rd` has windows that a constellation flies over, fewer and
harder ones. Intervals are 95 %, by bootstrap over scenes: patches of a scene are alike. Writes OUT/:
baselines.csv (a second call codes only what is missing), models.csv, curves.png, compressai/*.json."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from codec.models.checkpoint import load_checkpoint
from codec.models.storage import WEIGHTS_FOLDER
from codec.training.evaluate import LOSSLESS, held_out_patches
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import naming
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
    out: str = "runs/codecs"
    """folder for tables"""


def study(given: Given) -> None:
    """Code, decode, compare, print, write."""
    keys: CodecsKeys = given.own
    one_thread()
    files = [Path(file) for file in keys.weights or sorted(WEIGHTS_FOLDER.glob("*.safetensors"))]
    for file in files:
        naming("weights")(load_checkpoint)(file)  # a bad one is refused before anything is coded
    patches = held_out_patches(keys.data, keys.scenes, keys.patches).transpose(0, 2, 3, 1)
    patches = np.ascontiguousarray(patches)
    folder = make_folder(Path(keys.out), "out")
    digest = hashlib.sha256(patches.tobytes()).hexdigest()
    points = measure(
        lambda number: (patches[number], None), len(patches), folder / "baselines.csv", digest, keys.rivals
    )
    compared = {}
    for file in watched(files, "checkpoints"):
        model, info = load_checkpoint(file)
        compared[info.model, info.lambda_] = _coded(learned(model, info), patches)
    scene_of = {number: number // keys.patches for number in range(len(patches))}
    where = f"{len(patches)} held-out patches of {len(keys.scenes)} scenes"
    print("\n".join(codecs_text(compared, points, container_overhead(patches[0]), where)))
    print("\n".join(bd_rates(compared, points, scene_of, "scenes")))
    write_records(folder / "models.csv", _records(compared, keys))
    write_results(folder / "compressai", compared, points)
    own = {key: {"independent": pooled(list(found.values()))} for key, found in compared.items()}
    curves = {codec: curve(points, codec) for codec in measured_codecs(points)}
    draw_curves(own, curves, f"Rate and quality (up and left is better), {where}", folder / "curves.png")
    print(f"\nwrote {folder}/ (baselines.csv, models.csv, curves.png, compressai/ in CompressAI's layout)")


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
