"""Tuning a codec on the training folds of a task, alone or together with a segmenter.

Alone: R + lambda 255^2 MSE. Joint: + mu BCE of the segmenter's marks on decoded pictures, whose gradient
reaches the codec; the control is the same loop, start, steps and draws, with mu = 0: the segmenter learns on
the same decoded pictures, and the codec hears nothing of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.entropy import smooth
from codec.entropy.smooth import gaussian_likelihood
from codec.models.checkpoint import load_checkpoint
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.training.bands.start import of_three
from codec.training.initialise import rescale_latents
from codec.training.step import learning_rate, optimizer_for, straight_through_round
from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.common.progress import watched
from dlrc.tasks.fitting import Course, Pair, crops, keep, resumed
from dlrc.tasks.unet import UNet

RATE, JOINT_RATE = 2e-4, 1e-4
MOST_SKIPPED = 10  # steps without a finite gradient, one after the other
SAMPLE = 4  # crops that the first and last layer are fitted on


@value
class Aim:
    """What is minimised. mu: weight of the segmenter's loss in the codec's."""

    lambda_: float
    mu: float = 0.0


@value
class Start:
    """Where a codec begins. weights: a checkpoint of 8-bit RGB. lambda_: what an error is to cost, as for
    RGB: of B bands B / 3 of it weighs their mean squared error, so a band's error costs the same in all."""

    model: str
    weights: Path
    lambda_: float

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.model}_{self.lambda_:g}"

    def weight(self, bands: int) -> float:
        """Lambda of the mean over so many bands."""
        return self.lambda_ * bands / 3


def start_of(folder: Path, model: str, lambda_: float) -> Start:
    """From the checkpoint of this family in `folder` whose lambda is the nearest. Raises `UserError`."""
    found = {}
    for path in sorted(folder.glob(f"{model}_lambda*.safetensors")):
        with contextlib.suppress(ValueError):
            found[float(path.stem.partition("_lambda")[2])] = path
    if not found:
        raise UserError(f"init={folder}: no {model}_lambda*.safetensors to begin from")
    nearest = min(found, key=lambda one: abs(math.log(one / lambda_)))
    return Start(model, found[nearest], lambda_)


def begun(start: Start, pairs: Sequence[Pair], rgb: bool = False) -> LatentModel:
    """A codec for these pictures from a checkpoint of 8-bit RGB: first and last layer by least squares (rgb:
    as they are), and the latents so much finer or coarser as lambda is larger or smaller than it was. Raises
    `UserError`."""
    source, info = load_checkpoint(start.weights)
    model = source if rgb else of_three(source.name, source, crops(pairs, 0, 0, SAMPLE)[0])
    with torch.no_grad():
        rescale_latents(model, math.sqrt(start.lambda_ / info.lambda_))
    return model


def terms(model: LatentModel, x: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(bits per pixel, mean squared error, decoded pictures) of pictures x [B, bands, H, W] in 0..1, with
    gradients, on the fixed grid."""
    y = model.analysis(x)
    z = model.hyper_analysis(y)
    medians = model.medians()
    z_hat = straight_through_round(z - medians) + medians
    z_likelihood = model.bottleneck(z, training=True)[1]
    noise = torch.rand(y.shape, generator=random) - 0.5
    y_hat = straight_through_round(y)
    means, scales = smooth.parameters(model, z_hat, y_hat)
    bits = -torch.log2(gaussian_likelihood(y + noise, means, scales)).sum() - torch.log2(z_likelihood).sum()
    x_hat = model.synthesis(y_hat)
    pixels = y.shape[0] * y.shape[2] * y.shape[3] * LATENT_STRIDE_PX**2
    return bits / pixels, F.mse_loss(x_hat, x), x_hat


def tuned(
    model: LatentModel, pairs: Sequence[Pair], aim: Aim, course: Course, segmenter: UNet | None = None
) -> None:
    """Train `model`, and `segmenter` with it, in place. Raises `UserError`."""
    joint = segmenter is not None
    model.net.train()
    torch.manual_seed(course.seed)
    rate = JOINT_RATE if joint else RATE
    optimizer = optimizer_for(model, rate)
    both = nn.ModuleList([model.net])
    if segmenter is not None:
        segmenter.train()
        both.append(segmenter)
        optimizer.add_param_group({"params": list(segmenter.parameters()), "lr": 10 * rate})
    first, skipped = resumed(course, both, optimizer), 0
    for step in watched(range(first, course.steps), "joint" if joint else "codec"):
        optimizer.param_groups[0]["lr"] = learning_rate(rate, rate / 20, 0.7, step / course.steps)
        pictures, masks = crops(pairs, course.seed, step)
        random = torch.Generator().manual_seed(_seed(course.seed, step))
        torch.manual_seed(step)  # the bottleneck's noise
        bpp, mse, x_hat = terms(model, pictures, random)
        loss = bpp + aim.lambda_ * 255**2 * mse + model.bottleneck.loss()
        if segmenter is not None:
            shown = x_hat if aim.mu else x_hat.detach()
            error = F.binary_cross_entropy_with_logits(segmenter(shown.clamp(0, 1)), masks)
            loss = loss + (aim.mu or 1.0) * error
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.net.parameters(), 1.0)
        skipped = 0 if bool(torch.isfinite(norm)) else skipped + 1
        if skipped > MOST_SKIPPED:
            raise UserError(f"tuning: no finite gradient in {skipped} steps, the last of them {step}")
        if not skipped:  # else as in codec/training: a step without a finite gradient is left out
            optimizer.step()
    if first < course.steps:
        keep(course, both, optimizer, course.steps)
    both.eval()


def _seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])
