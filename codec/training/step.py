"""What one training step computes; `codec/training/trainer.py` is the loop around it.

Design choices
- The loss is R + lambda * 255^2 * MSE, R in bits per pixel, plus the bottleneck's auxiliary loss for its
  quantiles.
- Fixed grid: g_s and the context always see round(y), with the gradient straight through. The rate is taken
  at y + uniform noise during the first `1 - rounding` of the run (a smooth proxy that also moves zero-mean
  channels) and at round(y) after that.
- Missing context: in a share of the batches some vectors (rectangles, or scattered positions) are zero in the
  context and not counted in the rate, as remote copies are; the rate of the rest is scaled up to the whole
  map, so that lambda keeps its meaning.
- Halo (a share of the batches, 192 px crops and wider): only a part of the crop's latents is coded, latents
  that saw their surroundings, and g_s is given a ring around them as the ground gives it
  (codec.surroundings): other satellites' vectors (rectangles of the crop) or the nearest of its own.
- Distillation (optional, first share of a run): the codec works on the latents of a trained teacher while g_a
  learns to imitate them, so that the transforms and the entropy model learn side by side from the first step;
  then g_a takes over and all train together.
- Every random number of a step follows from (seed, step, rank), and which crops it sees from (seed, step,
  slot): the state of a run is the network, the optimiser and the step number, nothing else, and a resumed run
  repeats an unbroken one to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.entropy import smooth
from codec.entropy.smooth import LIKELIHOOD_MIN, gaussian_likelihood
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.surroundings import RING, ring_index
from codec.training.students import Lesson, staged
from constellation.common.errors import UserError

OPTIMIZERS = ("adam", "soap", "muon")
QUANTILES_LR = 1e-3
IMITATION_WEIGHT = 0.1  # Adam makes it nearly irrelevant: while g_a imitates, no other loss reaches it


@dataclass(frozen=True)
class StepKnobs:
    """What a step does besides the weights: see `codec.training.knobs.TrainKnobs` for the meaning of each."""

    lambda_: float
    grid: str  # fixed | centred
    rounded_rate: bool  # rate at round(y) instead of y + noise
    bf16: bool  # g_a and g_s in bfloat16


def straight_through_round(values: Tensor) -> Tensor:
    """round(values) with the gradient of the identity."""
    return values + (torch.round(values) - values).detach()


def missing_positions(batch: int, height: int, width: int, random: torch.Generator) -> Tensor:
    """Which vectors a step treats as remote copies: bool [batch, 1, height, width], never all of one image.

    Three in four images lose rectangles (as overlapping views do), the rest scattered positions (as hash
    matches do)."""
    missing = torch.zeros(batch, 1, height, width, dtype=torch.bool)
    for image in missing[:, 0]:
        draw = torch.rand(10, generator=random).tolist()
        if draw[0] < 0.25:
            image |= torch.rand(height, width, generator=random) < 0.1 + 0.5 * draw[1]
        else:
            for k in range(1 + int(2 * draw[1])):
                rows, columns = 1 + int(draw[2 + 4 * k] * height), 1 + int(draw[3 + 4 * k] * width)
                top, left = (
                    int(draw[4 + 4 * k] * (height - rows + 1)),
                    int(draw[5 + 4 * k] * (width - columns + 1)),
                )
                image[top : top + rows, left : left + columns] = True
        if bool(image.all()):
            image[0, 0] = False
    return missing


@dataclass(frozen=True)
class HaloViews:
    """Parts of a batch's latents that are coded alone. corners: (row, col) of each image's part, in latent
    cells. side: of every part. fill: for each image the flat indices of the cells that g_s is given, int64
    [side + 2 RING, side + 2 RING] (`codec.surroundings.ring_index`)."""

    corners: tuple[tuple[int, int], ...]
    side: int
    fill: Tensor

    def cut(self, values: Tensor, stride: int = 1) -> Tensor:
        """Each image's part of values [B, C, H, W] on a grid `stride` times finer than the latents."""
        side = self.side * stride
        return torch.stack(
            [
                v[:, r * stride : r * stride + side, c * stride : c * stride + side]
                for v, (r, c) in zip(values, self.corners, strict=True)
            ]
        )

    def surrounded(self, y_hat: Tensor) -> Tensor:
        """y_hat [B, M, H, W] -> [B, M, side + 2 RING, side + 2 RING]; only the part itself passes gradients:
        others code the rest."""
        own = torch.zeros_like(y_hat[:, :1], dtype=torch.bool)
        for mask, (r, c) in zip(own[:, 0], self.corners, strict=True):
            mask[r : r + self.side, c : c + self.side] = True
        values = torch.where(own, y_hat, y_hat.detach()).flatten(2)
        index = self.fill.flatten(1)[:, None].expand(-1, values.shape[1], -1)
        return values.gather(2, index).unflatten(2, self.fill.shape[1:])


def halo_views(batch: int, side: int, random: torch.Generator, device: torch.device) -> HaloViews:
    """Parts of 8 x 8 or (side - 4) x (side - 4) cells of crops of `side` cells, at least two cells, the
    widest border margin but cheng's, from the crop's border; and up to three rectangles of the crop that
    other satellites are taken to have sent."""
    part = 8 if float(torch.rand((), generator=random)) < 0.5 else (side - 4) // 4 * 4
    corners, fills = [], []
    for _ in range(batch):
        draw = torch.rand(2 + 3 * 5, generator=random).tolist()
        row, col = (2 + int(d * (side - 4 - part + 1)) for d in draw[:2])
        known = np.zeros((side, side), bool)
        for k in range(3):
            use, *place = draw[2 + 5 * k : 7 + 5 * k]
            height, width = (2 + int(p * (side - 5)) for p in place[:2])
            top, left = 2 + int(place[2] * (side - 3 - height)), 2 + int(place[3] * (side - 3 - width))
            known[top : top + height, left : left + width] |= use < 0.6
        known[:2], known[-2:], known[:, :2], known[:, -2:] = (
            False,
            False,
            False,
            False,
        )  # these bear the mark of the crop's own border
        known[row : row + part, col : col + part] = True
        corners.append((row, col))
        fills.append(ring_index(known, row, col, part, part))
    return HaloViews(tuple(corners), part, torch.from_numpy(np.stack(fills)).to(device))


@dataclass(frozen=True)
class Batch:
    """What one step works on."""

    x: Tensor
    """[B, 3, H, W] in 0..1"""
    random: torch.Generator
    """of the noise"""
    missing: Tensor | None = None
    """vectors to treat as remote copies, bool [B, 1, h, w] of the coded latents"""
    taught: Tensor | None = None
    """a teacher's y to work on, and for g_a to imitate"""
    halo: HaloViews | None = None
    """parts to code and to judge instead of whole crops"""
    lesson: Lesson | None = None
    """what g_a should come near to besides"""


class RateDistortion(nn.Module):
    """The codec as one differentiable function from pictures to loss, for DistributedDataParallel to wrap."""

    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self.model, self.net = model, model.net

    def forward(self, batch: Batch, knobs: StepKnobs) -> dict[str, Tensor]:
        """Scalars `loss` (with the auxiliary loss), `bpp`, `mse` (of 0..1 values)."""
        model, x, halo = self.model, batch.x, batch.halo
        with torch.autocast(x.device.type, torch.bfloat16, enabled=knobs.bf16):
            y, seen = staged(model.g_a, batch.lesson.layers if batch.lesson else (), x)
        y, imitation, whole = y.float(), 0.0, None
        if batch.lesson is not None:
            imitation = batch.lesson.error(seen)
        if batch.taught is not None:
            imitation = IMITATION_WEIGHT * (y - batch.taught).square().sum(1).mean()
            y = batch.taught
        if halo is not None:
            whole, y, x = y, halo.cut(y), halo.cut(x, LATENT_STRIDE_PX)
        pixels = x.shape[0] * x.shape[2] * x.shape[3]
        z = model.hyper_analysis(y)
        medians = model.medians()
        z_hat = straight_through_round(z - medians) + medians
        z_likelihood = model.bottleneck(z, training=True)[1]
        noise = torch.rand(y.shape, generator=batch.random).to(y.device) - 0.5
        y_hat = straight_through_round(y) if knobs.grid == "fixed" else y + noise
        rated = y_hat if knobs.rounded_rate and knobs.grid == "fixed" else y + noise
        context, counted = y_hat, None
        if batch.missing is not None:
            counted = (~batch.missing).to(y.dtype)
            context = y_hat * counted
        means, scales = smooth.parameters(model, z_hat, context)
        y_bits = -torch.log2(gaussian_likelihood(rated, means, scales)).sum(1, keepdim=True)
        if counted is not None:
            y_bits = y_bits * counted / counted.mean((1, 2, 3), keepdim=True)
        bpp = (y_bits.sum() - torch.log2(z_likelihood).sum()) / pixels
        with torch.autocast(x.device.type, torch.bfloat16, enabled=knobs.bf16):
            x_hat = model.synthesis(y_hat if halo is None else halo.surrounded(straight_through_round(whole)))
        if halo is not None:
            edge = RING * LATENT_STRIDE_PX
            x_hat = x_hat[..., edge:-edge, edge:-edge]
        mse = F.mse_loss(x_hat.float(), x)
        loss = bpp + knobs.lambda_ * 255**2 * mse + model.bottleneck.loss() + imitation
        return {"loss": loss, "bpp": bpp.detach(), "mse": mse.detach()}


def hyper_likelihood(model: LatentModel, values: Tensor) -> Tensor:
    """Probability of the unit interval around each value of z [B, N, h, w] under its prior, as rows
    [N, 1, B h w]."""
    rows = values.transpose(0, 1).reshape(values.shape[1], 1, -1)
    return model.bottleneck._likelihood(rows)[0].clamp_min(LIKELIHOOD_MIN)


class Teacher:
    """The latents of a trained codec, as targets: its `channels` most varying channels, y [B, channels, H/16,
    W/16]."""

    def __init__(self, model: LatentModel, channels: int, sample: Tensor) -> None:
        if model.m < channels:
            raise UserError(
                f"teacher: has {model.m} latent channels, the new codec {channels}; expected at least as many"
            )
        self.g_a = model.g_a
        with torch.no_grad():
            variance = torch.round(self.g_a(sample)).var((0, 2, 3))
        self.chosen = variance.argsort(descending=True, stable=True)[:channels].sort().values

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        return self.g_a(x)[:, self.chosen]


def optimizer_for(model: LatentModel, lr: float, kind: str = "adam") -> torch.optim.Optimizer:
    """What changes the weights after each step, in groups of which the last holds the bottleneck's quantiles:
    only its auxiliary loss moves them, at CompressAI's 1e-3 whatever `lr` is. kind: adam; soap (Adam in the
    eigenbasis of Shampoo's preconditioners, Vyas et al. 2024); muon (orthogonalised momentum for convolution
    kernels between the first and last layer, Jordan et al. 2024, scaled to Adam's size of a step; Adam for
    the rest). Raises `UserError` where their package is not installed."""
    named = list(model.net.named_parameters())
    quantiles = [p for name, p in named if name.endswith(".quantiles")]
    weights = [p for name, p in named if not name.endswith(".quantiles")]
    last = {"params": quantiles, "lr": QUANTILES_LR}
    if kind == "adam":
        return torch.optim.Adam([{"params": weights, "lr": lr}, last])
    package = optimizers_of(kind)
    if kind == "soap":
        plain = {**last, "max_precondition_dim": 1}  # no eigenbasis: Adam
        return package.SOAP([{"params": weights, "lr": lr}, plain], weight_decay=0.0)
    ends = {id(p) for p in (*model.g_a[0].parameters(), *model.g_s[-1].parameters())}
    inner = [p for p in weights if p.dim() == 4 and id(p) not in ends]
    held = {id(p) for p in inner}
    rest = [p for p in weights if id(p) not in held]
    groups = [
        {"params": inner, "lr": lr, "use_muon": True, "use_adjusted_lr": True},
        {"params": rest, "lr": lr, "use_muon": False, "betas": (0.9, 0.999), "eps": 1e-8},
        {**last, "use_muon": False, "betas": (0.9, 0.999), "eps": 1e-8},
    ]
    return package.Muon(groups)


def optimizers_of(kind: str) -> Any:
    """The package of an optimiser that torch does not have as wanted here; an extra, which nothing but a
    comparison needs. Raises `UserError` where it is not installed."""
    try:
        import pytorch_optimizer
    except ImportError:
        raise UserError(
            f"optimizer={kind}: needs the package pytorch-optimizer, which is not installed; "
            "expected it, or optimizer=adam"
        ) from None
    return pytorch_optimizer


def trained_by(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Its parameters but the quantiles."""
    return [p for group in optimizer.param_groups[:-1] for p in group["params"]]


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Of all groups but the quantiles'."""
    for group in optimizer.param_groups[:-1]:
        group["lr"] = lr


def learning_rate(lr: float, lr_end: float, decay: float, progress: float) -> float:
    """`lr` until the last `decay` of the run, then half a cosine down to `lr_end`; progress in 0..1."""
    if decay <= 0 or progress <= 1 - decay:
        return lr
    t = min(1.0, (progress - (1 - decay)) / decay)
    return lr_end + (lr - lr_end) * 0.5 * (1 + math.cos(math.pi * t))
