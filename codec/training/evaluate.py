"""Rate and PSNR of checkpoints on held-out pictures.

Prints one Markdown row per checkpoint. The rate is an estimate (likelihoods on the fixed grid, full context);
real bytes are what `dlrc study rd` measures. The last column says what missing context costs: the bits of the
right half of each patch when nothing of its left half is known, against the same bits with full context."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from codec.entropy import smooth
from codec.entropy.smooth import gaussian_likelihood
from codec.models.checkpoint import WEIGHTS_FOLDER, load_checkpoint
from codec.models.model import LatentModel
from codec.training.data import CropSampler, open_pictures
from codec.training.step import evaluate
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched

SCENES = (
    "airport_planet_scene1.png",
    "city_hrrsd_06900.jpg",
    "farmland_oam_5dded5bc_georef.tif",
    "harbour_dota_P0706.png",
    "suburb_massachusetts_22978945_georef.tif",
)
PATCHES_PER_SCENE, PATCH_PX, SEED = 4, 256, 7


@torch.no_grad()
def missing_context_cost(model: LatentModel, x: Tensor) -> float:
    """Relative extra bits of the right half of y when the left half is unknown: 0.05 is 5 percent."""
    y = model.analysis(x)
    z_hat, y_hat = model.quantize_hyper(model.hyper_analysis(y)), torch.round(y)
    half, bits = y.shape[-1] // 2, []
    for context in (y_hat, torch.cat((torch.zeros_like(y_hat[..., :half]), y_hat[..., half:]), dim=-1)):
        means, scales = smooth.parameters(model, z_hat, context)
        bits.append(float(-torch.log2(gaussian_likelihood(y_hat, means, scales))[..., half:].sum()))
    return bits[1] / bits[0] - 1


def held_out_patches(folder: str, scenes: tuple[str, ...]) -> list[Tensor]:
    """One batch per scene, float32 [4, 3, 256, 256] in 0..1; the same patches on every machine."""
    return [
        torch.from_numpy(
            CropSampler(open_pictures(Path(folder) / name), PATCH_PX, SEED).batch(0, range(PATCHES_PER_SCENE))
        ).float()
        / 255
        for name in scenes
    ]


class EvaluateKeys(Knobs):
    """Keys of this command."""

    data: Annotated[str, Field(min_length=1)]
    """folder of the pictures"""
    weights: Several[str] | None = None
    """checkpoints; none: all shipped ones"""
    scenes: Several[str] = SCENES
    """names of pictures in the folder"""


def compare(given: Given) -> None:
    """Print one row per checkpoint; a bad one is refused before anything is printed."""
    own: EvaluateKeys = given.own
    files: Sequence[str | Path] = own.weights or sorted(WEIGHTS_FOLDER.glob("*.safetensors"))
    for file in files:
        load_checkpoint(file)
    patches = held_out_patches(own.data, own.scenes)
    print(
        f"| checkpoint | N, M | steps (last run) | bpp (estimate) | PSNR, dB | R + lambda D | missing context |\n|{' --- |' * 7}"
    )
    for file in watched(files, "checkpoints"):
        model, info = load_checkpoint(file)
        figures = np.array([evaluate(model, x) for x in patches])
        loss = figures[:, 0] + info.lambda_ * 255**2 * 10 ** (-figures[:, 1] / 10)
        cost = (
            f"+{100 * np.mean([missing_context_cost(model, x) for x in patches]):.1f} %"
            if model.has_context
            else "none needed"
        )
        print(
            f"| `{Path(file).stem}` | {info.n}, {info.m} | {info.steps} | {figures[:, 0].mean():.3f} | {figures[:, 1].mean():.2f} | {loss.mean():.3f} | {cost} |",
            flush=True,
        )


COMMAND = Command(
    name="evaluate",
    about=__doc__ or "",
    own=EvaluateKeys,
    work=compare,
    examples=(
        "dlrc evaluate data=FOLDER",
        "dlrc evaluate data=FOLDER weights=mine.safetensors scenes=a.png,b.tif",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
