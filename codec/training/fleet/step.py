"""The loss of `codec.training.step` with shapes that never vary and every random number drawn on the device,
so that a step can be a CUDA graph.

What differs: halo batches code parts of 8 x 8 cells only; holes in the context are drawn image by image; z's
grid follows its prior by bisection (`follow_medians`), so that there is no auxiliary loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.entropy import smooth
from codec.entropy.smooth import gaussian_likelihood
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.surroundings import RING
from codec.training.step import hyper_likelihood

PART = 8  # cells of the side of a part that is coded alone
MARGIN = 2  # cells of a crop's border that bear its mark
FAR = 1 << 20
QUANTILE_RADIUS, QUANTILE_STEPS = 512.0, 24


@dataclass(frozen=True)
class Switches:
    """What changes during a run, as tensors on the device that a captured step reads anew each time: float32
    [] each."""

    lambda_: Tensor
    rounded: Tensor
    """1: the rate is taken at round(y), 0: at y + noise"""
    holes: Tensor
    """share of images with holes in their context"""


@dataclass(frozen=True)
class Kind:
    """What stays during a run, and is captured with a step."""

    halo: bool
    """code a part of each crop, with surroundings"""
    bf16: bool
    """g_a and g_s in bfloat16"""


def forward_transform(layers: nn.Sequential, x: Tensor, bf16: bool) -> Tensor:
    """g_a: bfloat16 but for its last convolution, whose sums decide about integers."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
        for layer in layers[:-1]:
            x = layer(x)
    return layers[-1](x.float())


@dataclass(frozen=True, eq=False)
class Seen:
    """Crops and what g_a made of them."""

    x: Tensor
    """[B, 3, H, W]"""
    y: Tensor
    """[B, M, H/16, W/16]"""


def rate_and_distortion(
    model: LatentModel, seen: Seen, switches: Switches, random: torch.Generator | None, kind: Kind
) -> tuple[Tensor, Tensor]:
    """(bits per pixel, mean squared error of 0..1 values) of crops, differentiable."""
    x, y, whole = seen.x, seen.y, seen.y
    index = None
    if kind.halo:
        index = draw_parts(y.shape[0], y.shape[-1], random, y.device)
        y = _take(y, index.part, PART)
        x = _cut_pixels(x, index)
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    z = model.hyper_analysis(y)
    medians = model.medians()
    z_hat = z + (torch.round(z - medians) + medians - z).detach()
    z_bits = -torch.log2(hyper_likelihood(model, z + _noise(z, random))).sum()
    y_round = torch.round(y).detach()
    y_hat = y + (y_round - y).detach()
    rated = y + torch.where(switches.rounded > 0.5, y_round - y, _noise(y, random)).detach()
    context, weight = y_hat, None
    if model.has_context:
        known = ~draw_holes((y.shape[0], y.shape[2], y.shape[3]), switches.holes, random)
        known = known.to(y.dtype)
        context, weight = y_hat * known, known / known.mean((1, 2, 3), keepdim=True)
    means, scales = smooth.parameters(model, z_hat, context)
    y_bits = -torch.log2(gaussian_likelihood(rated, means, scales)).sum(1, keepdim=True)
    y_bits = y_bits.sum() if weight is None else (y_bits * weight).sum()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=kind.bf16):
        x_hat = model.g_s(y_hat if index is None else surrounded(whole, index))
    if index is not None:
        edge = RING * LATENT_STRIDE_PX
        x_hat = x_hat[..., edge:-edge, edge:-edge]
    return (y_bits + z_bits) / pixels, F.mse_loss(x_hat.float(), x)


@torch.no_grad()
def follow_medians(model: LatentModel) -> None:
    """Set the quantiles of z's prior by bisection, without waiting for the device: what CompressAI's
    auxiliary loss tends to."""
    bottleneck = model.bottleneck
    low = torch.full_like(bottleneck.quantiles, -QUANTILE_RADIUS)
    high = -low
    for _ in range(QUANTILE_STEPS):
        middle = (low + high) / 2
        above = bottleneck._logits_cumulative(middle, stop_gradient=True) > bottleneck.target
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    bottleneck.quantiles.copy_((low + high) / 2)


def draw_holes(shape: tuple[int, int, int], share: Tensor, random: torch.Generator | None) -> Tensor:
    """Vectors that are remote copies, bool [batch, 1, height, width] for `shape` = (batch, height, width),
    never all of one image: rectangles in three of four images that have any."""
    (batch, height, width), device = shape, share.device
    u = torch.rand(batch, 12, 1, 1, generator=random, device=device)
    rows = torch.arange(height, device=device)[None, :, None]
    columns = torch.arange(width, device=device)[None, None, :]
    holes = torch.zeros(batch, height, width, dtype=torch.bool, device=device)
    for k, use in ((2, None), (6, u[:, 1] > 0.5)):
        tall, wide = 1 + (u[:, k] * height).floor(), 1 + (u[:, k + 1] * width).floor()
        top, left = (u[:, k + 2] * (height - tall + 1)).floor(), (u[:, k + 3] * (width - wide + 1)).floor()
        inside = (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)
        holes = holes | (inside if use is None else inside & use)
    scattered = torch.rand(batch, height, width, generator=random, device=device) < 0.1 + 0.5 * u[:, 1]
    holes = torch.where(u[:, 0] < 0.25, scattered, holes) & (u[:, 10] < share)
    first = (rows == 0) & (columns == 0)
    return (holes & ~(first & holes.all(2, keepdim=True).all(1, keepdim=True)))[:, None]


@dataclass(frozen=True)
class Parts:
    """One part of each image's latent map."""

    corner: Tensor
    """[B, 2], its first cell"""
    part: Tensor
    """flat cells of it, [B, PART^2]"""
    fill: Tensor
    """cells that g_s is given for the part and the ring around it, [B, (PART + 2 RING)^2]"""
    own: Tensor
    """[B, 1, H, W], whether a cell is in the part"""


def draw_parts(batch: int, side: int, random: torch.Generator | None, device: torch.device) -> Parts:
    """A part of each of `batch` maps of side x side cells; its ring is filled by up to three rectangles of
    the map that other satellites are taken to have sent, and elsewhere by the nearest of what is there
    (`codec.surroundings.ring_index`)."""
    u = torch.rand(batch, 17, generator=random, device=device)
    corner = MARGIN + (u[:, :2] * (side - 2 * MARGIN - PART + 1)).floor().long()
    cells = torch.arange(side, device=device)
    r, c = corner[:, 0, None, None], corner[:, 1, None, None]
    own = _box(cells, r, c, PART, PART)
    inner = (cells >= MARGIN) & (cells < side - MARGIN)
    sent = _sent(u[:, 2:], cells, side) & inner[:, None] & inner[None, :]
    have = (sent | own) & _box(cells, r - RING, c - RING, PART + 2 * RING, PART + 2 * RING)
    span = torch.arange(PART + 2 * RING, device=device) - RING
    wanted_row, wanted_column = corner[:, 0, None] + span, corner[:, 1, None] + span
    apart = (wanted_row[:, :, None, None, None] - cells[None, None, None, :, None]) ** 2 + (
        wanted_column[:, None, :, None, None] - cells[None, None, None, None, :]
    ) ** 2
    apart = apart.flatten(3).flatten(1, 2) + (~have).long().mul(FAR).flatten(1)[:, None]
    inside = torch.arange(PART, device=device)
    part = (r + inside[None, :, None]) * side + c + inside[None, None, :]
    return Parts(corner, part.flatten(1), apart.argmin(2), own[:, None])


def _sent(u: Tensor, cells: Tensor, side: int) -> Tensor:
    """Up to three rectangles of each map, bool [B, side, side], from uniform numbers u [B, 15]."""
    known = torch.zeros(len(u), side, side, dtype=torch.bool, device=u.device)
    for k in (0, 5, 10):
        v = u[:, k : k + 5, None, None]
        tall, wide = (MARGIN + (v[:, n] * (side - 5)).floor() for n in (1, 2))
        top = MARGIN + (v[:, 3] * (side - 3 - tall)).floor()
        left = MARGIN + (v[:, 4] * (side - 3 - wide)).floor()
        known = known | ((v[:, 0] < 0.6) & _box(cells, top, left, tall, wide))
    return known


def _box(cells: Tensor, top: Tensor, left: Tensor, tall: Tensor | int, wide: Tensor | int) -> Tensor:
    """Whether a cell is in a rectangle, bool [B, side, side]; top and left [B, 1, 1]."""
    rows, columns = cells[None, :, None], cells[None, None, :]
    return (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)


def surrounded(y: Tensor, parts: Parts) -> Tensor:
    """round(y) [B, M, H, W] of the part and its ring; only the part itself passes gradients on: others code
    the rest."""
    rounded = torch.round(y).detach()
    values = torch.where(parts.own, y + (rounded - y).detach(), rounded)
    return _take(values, parts.fill, PART + 2 * RING)


def _take(values: Tensor, cells: Tensor, side: int) -> Tensor:
    taken = values.flatten(2).gather(2, cells[:, None].expand(-1, values.shape[1], -1))
    return taken.unflatten(2, (side, side)).contiguous(memory_format=torch.channels_last)


def _cut_pixels(x: Tensor, parts: Parts) -> Tensor:
    along = torch.arange(PART * LATENT_STRIDE_PX, device=x.device)
    rows, columns = (parts.corner[:, k, None] * LATENT_STRIDE_PX + along for k in (0, 1))
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _noise(like: Tensor, random: torch.Generator | None) -> Tensor:
    batch, channels, height, width = like.shape
    return (
        torch.rand(batch, height, width, channels, generator=random, device=like.device).permute(0, 3, 1, 2)
        - 0.5
    )


def marks(runs: Sequence[Any]) -> list[torch.cuda.Event]:
    """Where the streams of these runs (codec/training/fleet/run.py) are now, for `await_marks`."""
    events = []
    for stream in {id(run.stream): run.stream for run in runs if run.stream is not None}.values():
        event = torch.cuda.Event()
        event.record(stream)
        events.append(event)
    return events


def await_marks(events: Sequence[torch.cuda.Event]) -> None:
    """Wait until the device has come so far."""
    for event in events:
        event.synchronize()
