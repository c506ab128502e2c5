"""What a single Gaussian as likelihood costs against a mixture of three: an estimate, without training.

Molliere et al. code with a mixture of Gaussians; the codecs here with one. Of the latents of a shipped
checkpoint on held-out patches, mean and scale of each symbol are as the entropy model says; then each channel
(or each scale: 16 classes of what the model predicts) gets a mixture of its own, of offsets and widths in
units of that scale, fitted to half of the pictures and judged on the other half. Ideal code lengths, no
streams; a network that were trained with a mixture could differ, and would give other latents as well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from codec.entropy import smooth
from codec.entropy.smooth import LIKELIHOOD_MIN, SCALE_MIN
from codec.models import registry
from codec.models.checkpoint import load_checkpoint
from codec.models.storage import WEIGHTS_FOLDER
from codec.training.evaluate import LOSSLESS, held_out_patches
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched

CLASSES = 16  # of scales, evenly spaced in their logarithm
RATE = 0.05


class MixtureKeys(Knobs):
    """Keys of this command."""

    data: Annotated[str, Field(min_length=1)]
    """folder of scenes"""
    weights: str = ""
    """a checkpoint; none: the one of cheng that ships"""
    scenes: Several[str] = LOSSLESS
    """names of pictures in the folder"""
    patches: Annotated[int, Field(ge=1, le=100)] = 2
    """of each picture, 256 px"""
    components: Annotated[int, Field(ge=1, le=8)] = 3
    """Gaussians of the mixture"""
    by: Several[Literal["channel", "scale"]] = ("channel", "scale")
    """what has a mixture of its own"""
    steps: Annotated[int, Field(ge=1, le=10**5)] = 150
    """of fitting"""


def measure(given: Given) -> None:
    """Print bits per symbol of Gaussian and mixture, on the half that was not fitted to."""
    own: MixtureKeys = given.own
    path = Path(own.weights or WEIGHTS_FOLDER / f"{registry.whole()[2]}_lambda0.013.safetensors")
    patches = held_out_patches(own.data, own.scenes, own.patches)
    residual, scale = _symbols(path, patches, own.patches)
    half = len(residual) // 2
    pixels = half * patches.shape[-1] ** 2 * own.patches
    print(f"{path.stem}: {len(residual)} pictures, {half} of them judged; y alone; estimates")
    for by in own.by:
        classes = _classes(scale, by)
        fit = _Mixture(int(classes.max()) + 1, own.components)
        fit.train(residual[half:], scale[half:], classes[half:], own.steps)
        one = float(
            _Mixture(1, 1).bits(residual[:half], scale[:half], torch.zeros_like(classes[:half])).sum()
        )
        more = float(fit.bits(residual[:half], scale[:half], classes[:half]).sum())
        told = f"{own.components} Gaussians for each {by} ({fit.classes}): {more / pixels:.4f} bit/px"
        print(f"{told}, one Gaussian {one / pixels:.4f}: {100 * (more / one - 1):+.2f} %")


@torch.no_grad()
def _symbols(path: Path, patches: np.ndarray, each: int) -> tuple[Tensor, Tensor]:
    """(y_hat - mean, scale), float32 [pictures, symbols of a channel, M]."""
    model, _ = load_checkpoint(path)
    residuals, scales = [], []
    for some in watched(torch.from_numpy(patches).split(each), "pictures"):
        y = model.analysis(some.float() / 255)
        y_hat, z = torch.round(y), model.quantize_hyper(model.hyper_analysis(y))
        means, scale = smooth.parameters(model, z, y_hat)
        residuals.append((y_hat - means).movedim(1, -1).flatten(0, 2))
        scales.append(scale.clamp_min(SCALE_MIN).movedim(1, -1).flatten(0, 2))
    order = torch.randperm(len(residuals), generator=torch.Generator().manual_seed(0))
    return torch.stack(residuals)[order], torch.stack(scales)[order]


def _classes(scale: Tensor, by: str) -> Tensor:
    """int64, of the shape of `scale`."""
    if by == "channel":
        return torch.arange(scale.shape[-1]).expand(scale.shape)
    low, high = np.log(SCALE_MIN), np.log(32.0)
    return ((scale.log() - low) / (high - low) * CLASSES).long().clamp(0, CLASSES - 1)


class _Mixture:
    """Mixtures, one a class: logarithms of shares and widths, and offsets, [classes, components] each; at the
    start all components are the Gaussian itself, but a little apart."""

    def __init__(self, classes: int, components: int) -> None:
        self.classes = classes
        apart = torch.linspace(-1, 1, components) if components > 1 else torch.zeros(1)
        self.shares = torch.zeros(classes, components)
        self.widths = (0.3 * apart).expand(classes, components).clone()
        self.offsets = (0.05 * apart).expand(classes, components).clone()

    def bits(self, residual: Tensor, scale: Tensor, classes: Tensor) -> Tensor:
        """Of each symbol."""
        total = torch.zeros_like(residual)
        shares = torch.softmax(self.shares, 1)
        for k in range(self.shares.shape[1]):
            width = scale * self.widths[:, k].exp()[classes]
            away = residual - scale * self.offsets[:, k][classes]
            mass = torch.special.ndtr((away.abs() * -1 + 0.5) / width) - torch.special.ndtr(
                (away.abs() * -1 - 0.5) / width
            )
            total = total + shares[:, k][classes] * mass
        return -torch.log2(total.clamp_min(LIKELIHOOD_MIN))

    def train(self, residual: Tensor, scale: Tensor, classes: Tensor, steps: int) -> None:
        """Fit to a tenth of the symbols at a time."""
        parts = [self.shares, self.widths, self.offsets]
        for part in parts:
            part.requires_grad_()
        optimizer, count = torch.optim.Adam(parts, RATE), residual.shape[1]
        random = torch.Generator().manual_seed(1)
        for _ in watched(range(steps), "mixture"):
            rows = torch.randperm(count, generator=random)[: max(1, count // 10)]
            optimizer.zero_grad()
            self.bits(residual[:, rows], scale[:, rows], classes[:, rows]).mean().backward()
            optimizer.step()
        for part in parts:
            part.requires_grad_(False)


COMMAND = Command(
    name="bench mixture",
    about=__doc__ or "",
    own=MixtureKeys,
    work=measure,
    examples=("dlrc bench mixture data=FOLDER",),
)

if __name__ == "__main__":
    main_of(COMMAND)
