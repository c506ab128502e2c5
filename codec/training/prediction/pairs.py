"""Two views of one ground, made from one picture: what a satellite and its neighbour might see.

Displacement: shifts, rotation and scale, smooth relief seen under two angles, raised blocks that hide what is
behind them, texture that moved meanwhile. Radiometry: gain, offset, shading, noise, blur, clouds, foreign
objects, grey pictures. Some views overlap in part, some show other ground, some cannot be registered, some
are the same to the bit: a fusion that never met bad predictions trusts them all."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codec.imagery.pictures import Picture
from codec.training.data import CropSampler
from constellation.common.errors import UserError
from constellation.common.frozen import value

PATCH_PX = 256
MARGIN_PX = 24  # of the neighbour's picture around the patch, at least
CROP_PX = PATCH_PX + 2 * MARGIN_PX
WIDE_PX = 400  # crops from which views that overlap in part are cut
IDENTICAL, PARTIAL, UNRELATED, ROUGH = 0.07, 0.17, 0.15, 0.15  # shares of kinds of pairs


@value
class ViewPair:
    """current: uint8 [P, P, 3], to be coded. reference: uint8 [P, P, 3], the neighbour's. placement: int32
    [8], what is known about where the patch lies in it (`Guide.placements`)."""

    current: np.ndarray
    reference: np.ndarray
    placement: np.ndarray


class PairSampler:
    """Pairs by number: a pure function of (seed, number)."""

    def __init__(self, pictures: list[Picture], seed: int) -> None:
        """Raises `UserError` where no picture has CROP_PX."""
        if not any(min(p.height, p.width) >= CROP_PX for p in pictures):
            raise UserError(f"data=: no picture has {CROP_PX} px on its shorter side")
        self.seed, self.near = seed, CropSampler(pictures, CROP_PX, seed)
        wide = [p for p in pictures if min(p.height, p.width) >= WIDE_PX]
        self.wide = CropSampler(wide, WIDE_PX, seed + 1) if wide else None

    def pair(self, number: int) -> ViewPair:
        """The pair of this number."""
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, number, 77))))
        kind = random.random()
        if kind < IDENTICAL:
            crop = self._crop(self.near, number, 0)
            one = _pixels(crop[:, :, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX])
            return ViewPair(one, one, np.zeros(8, dtype=np.int32))
        partial = kind < IDENTICAL + PARTIAL and self.wide is not None
        crop = self._crop(self.wide if partial and self.wide else self.near, number, 0)
        spare = crop.shape[-1] - PATCH_PX
        origin = random.integers(0, spare + 1, 2) if partial else np.array([spare // 2, spare // 2])
        offset = random.integers(0, spare + 1, 2) if partial else origin
        rigid, field = _displacement(random, unrelated=random.random() < ROUGH)
        current = _look(crop, origin, rigid + field)
        reference = crop[:, :, offset[0] : offset[0] + PATCH_PX, offset[1] : offset[1] + PATCH_PX]
        if random.random() < UNRELATED:
            other = self._crop(self.near, number, 1)
            current = other[:, :, :PATCH_PX, :PATCH_PX]
        strangers = self._crop(self.near, number, 2)[:, :, :PATCH_PX, :PATCH_PX]
        current, reference = _radiometry(random, current, reference, strangers)
        known = _corners(random, rigid) + np.tile(origin - offset, 4)
        placement = np.rint(16 * known).astype(np.int32)
        return ViewPair(_pixels(current), _pixels(reference), placement)

    def _crop(self, sampler: CropSampler, number: int, purpose: int) -> Tensor:
        """float32 [1, 3, S, S] in 0..1."""
        return torch.from_numpy(sampler.batch(number, range(purpose, purpose + 1))).float() / 255


def _pixels(x: Tensor) -> np.ndarray:
    """uint8 [P, P, 3] of [1, 3, P, P] in 0..1."""
    return np.ascontiguousarray((x[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def _grid() -> tuple[Tensor, Tensor]:
    line = torch.arange(PATCH_PX, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return y, x


def _smooth(random: np.random.Generator, scale_px: float, channels: int = 1) -> Tensor:
    """A smooth random field of unit deviation, [channels, P, P]."""
    n = max(2, round(PATCH_PX / scale_px) + 1)
    nodes = torch.from_numpy(random.standard_normal((1, channels, n, n)).astype(np.float32))
    return F.interpolate(nodes, size=(PATCH_PX, PATCH_PX), mode="bicubic", align_corners=True)[0]


def _displacement(random: np.random.Generator, unrelated: bool) -> tuple[Tensor, Tensor]:
    """(rigid, the rest), px [2, P, P] each as (dy, dx): where in the neighbour's picture a pixel lies."""
    y, x = _grid()
    rigid, field = torch.zeros(2, PATCH_PX, PATCH_PX), torch.zeros(2, PATCH_PX, PATCH_PX)
    if random.random() < 0.75:
        rigid += torch.from_numpy(random.uniform(-4, 4, 2).astype(np.float32))[:, None, None]
    if random.random() < 0.3:
        turn, stretch = random.uniform(-0.03, 0.03), random.uniform(-0.01, 0.01)
        dy, dx = y - PATCH_PX / 2, x - PATCH_PX / 2
        rigid += torch.stack((turn * dx + stretch * dy, stretch * dx - turn * dy))
    angle = random.uniform(0, 2 * math.pi)
    slant = torch.tensor([math.sin(angle), math.cos(angle)])[:, None, None]
    if random.random() < 0.6:
        height = _smooth(random, random.uniform(40, 130)) * random.uniform(0, 5)
        if random.random() < 0.5:
            height = height + _smooth(random, random.uniform(12, 40)) * random.uniform(0, 2)
        field += height * slant
    if unrelated:  # relief too rough to be followed
        field += _smooth(random, random.uniform(6, 16)) * random.uniform(3, 12) * slant
    if random.random() < 0.4:
        for _ in range(int(random.integers(1, 9))):
            _raise_block(random, field, slant)
    if random.random() < 0.25:  # what moved meanwhile: crowns, waves, cars
        moved = _smooth(random, random.uniform(60, 200))[0] > random.uniform(-0.6, 0.8)
        far = random.uniform(12, 30, 2) * random.choice([-1, 1], 2)
        way = torch.from_numpy(far.astype(np.float32))[:, None, None]
        stir = _smooth(random, random.uniform(8, 30), 2) * random.uniform(1, 6)
        field = torch.where(moved[None], field + way + stir, field)
    return rigid, field


def _raise_block(random: np.random.Generator, field: Tensor, slant: Tensor) -> None:
    """A roof: it lies elsewhere in the other view, and where it stood there is ground nobody had seen."""
    h, w = (int(v) for v in random.integers(12, 64, 2))
    top, left = (int(random.integers(0, PATCH_PX - side)) for side in (h, w))
    away = (slant[:, 0, 0] * random.uniform(2, 12)).round().int().tolist()
    base = field[:, top + h // 2, left + w // 2].clone()[:, None, None]
    hidden = torch.from_numpy(random.uniform(-30, 30, 2).astype(np.float32))[:, None, None]
    field[:, top : top + h, left : left + w] = base + hidden
    rows = slice(max(top + away[0], 0), max(min(top + away[0] + h, PATCH_PX), 0))
    columns = slice(max(left + away[1], 0), max(min(left + away[1] + w, PATCH_PX), 0))
    field[:, rows, columns] = base - torch.tensor(away).float()[:, None, None]


def _look(crop: Tensor, origin: np.ndarray, displacement: Tensor) -> Tensor:
    """The crop's [1, 3, S, S] pixels at `origin` + displacement: [1, 3, P, P]. Whole px are copied as they
    are."""
    y, x = _grid()
    at = torch.stack((x + displacement[1] + float(origin[1]), y + displacement[0] + float(origin[0])), -1)
    grid = (at + 0.5) / crop.shape[-1] * 2 - 1
    return F.grid_sample(crop, grid[None], mode="bicubic", padding_mode="reflection", align_corners=False)


def _corners(random: np.random.Generator, rigid: Tensor) -> np.ndarray:
    """What registration knows of the rigid part at the corners, px [8]: all of it, its mean, or nothing."""
    inner, kind = rigid.numpy(), random.random()
    corners = np.stack([inner[:, a, b] for a in (0, -1) for b in (0, -1)])
    if kind < 0.35:
        return np.zeros(8)
    if kind < 0.55:
        return np.tile(np.rint(corners.mean(axis=0)), 4)
    return (corners + random.normal(0, 0.3, (4, 2))).reshape(8)


def _radiometry(
    random: np.random.Generator, current: Tensor, reference: Tensor, strangers: Tensor
) -> tuple[Tensor, Tensor]:
    """Both views as their sensors and skies show them."""
    if random.random() < 0.2:
        current, reference, strangers = (
            x.mean(1, keepdim=True).expand(-1, 3, -1, -1) for x in (current, reference, strangers)
        )
    if random.random() < 0.3:
        current = _softened(random, current)
    elif random.random() < 0.25:
        reference = _softened(random, reference)
    if random.random() < 0.6:
        current = current * random.uniform(0.9, 1.1) + random.uniform(-0.03, 0.03)
        if random.random() < 0.3:
            tint = torch.from_numpy(random.uniform(0.95, 1.05, (1, 3, 1, 1)).astype(np.float32))
            current = current * tint
    if random.random() < 0.2:
        current = current * (1 + _smooth(random, random.uniform(60, 200))[None] * random.uniform(0, 0.08))
    if random.random() < 0.6:
        shape = (1, 3 if random.random() < 0.7 else 1, PATCH_PX, PATCH_PX)
        noise = torch.from_numpy(random.standard_normal(shape).astype(np.float32))
        current = current + noise * random.uniform(0, 5) / 255
    if random.random() < 0.15:
        side = int(random.integers(32, 160))
        top, left = (int(v) for v in random.integers(0, PATCH_PX - side + 1, 2))
        current = current.clone()
        current[:, :, top : top + side, left : left + side] = strangers[:, :, :side, :side]
    current = _clouded(random, current) if random.random() < 0.12 else current
    return current, _clouded(random, reference) if random.random() < 0.12 else reference


def _softened(random: np.random.Generator, x: Tensor) -> Tensor:
    """Seen through another telescope: coarser, or blurred."""
    if random.random() < 0.5:
        side = int(PATCH_PX / random.uniform(1.1, 1.8))
        small = F.interpolate(x, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
        return F.interpolate(small, size=(PATCH_PX, PATCH_PX), mode="bicubic", align_corners=False)
    line = torch.exp(-(torch.arange(-3, 4).float() ** 2) / 2 / random.uniform(0.3, 1.2) ** 2)
    line = line / line.sum()
    kernel = (line[:, None] * line[None]).expand(3, 1, 7, 7)
    return F.conv2d(F.pad(x, (3,) * 4, mode="replicate"), kernel, groups=3)


def _clouded(random: np.random.Generator, x: Tensor) -> Tensor:
    """Under clouds over part of the view."""
    shape = _smooth(random, random.uniform(60, 160)) + 0.4 * _smooth(random, random.uniform(12, 40))
    veil = torch.sigmoid(6 * (shape - random.uniform(0.2, 1.5)))[None] * random.uniform(0.6, 1.0)
    white = random.uniform(0.8, 1.0) + 0.05 * _smooth(random, 20)[None]
    return x * (1 - veil) + white * veil
