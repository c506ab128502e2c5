"""Training pictures as one array of bytes on the device, and random crops of them without a copy from the
host or a shape that varies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codec.imagery.pictures import decode
from codec.imagery.reader import SUFFIXES, open_image
from constellation.common.errors import UserError

LARGEST_SHRINK = 1.5  # crops are taken from up to so many times their side
SHARE_SHRUNK, SHARE_BRIGHTENED, LARGEST_GAIN = 0.5, 0.3, 0.2  # gain: e^-0.2 to e^0.2


def read_tiles(folder: str | Path, smallest: int, threads: int = 8) -> list[np.ndarray]:
    """The RGB pictures of a folder, sorted by name, uint8 [H, W, 3], those of at least `smallest` px."""
    files = (
        sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        if Path(folder).is_dir()
        else []
    )
    if not files:
        raise UserError(f"data={folder}: no pictures found, expected {', '.join(SUFFIXES)}")

    def read(file: Path) -> np.ndarray:
        return decode(open_image(file, f"data {file.name}"))

    with ThreadPoolExecutor(threads) as pool:
        tiles = [tile for tile in pool.map(read, files) if min(tile.shape[:2]) >= smallest]
    if not tiles:
        raise UserError(f"data={folder}: no picture of {smallest} px on its shorter side")
    return tiles


class TilePool:
    """Crops of tiles, drawn on the device in proportion to their areas: turned, mirrored, half of them
    shrunk, some brighter or darker."""

    def __init__(self, tiles: list[np.ndarray], device: torch.device) -> None:
        sizes = np.array([t.shape[:2] for t in tiles], dtype=np.int64)
        areas = sizes.prod(1)
        self.pixels = torch.from_numpy(np.concatenate([t.reshape(-1, 3) for t in tiles])).to(device)
        self.start = torch.from_numpy(np.cumsum(areas) - areas).to(device)
        self.sizes = torch.from_numpy(sizes).to(device)
        self.until = torch.from_numpy(np.cumsum(areas) / areas.sum()).float().to(device)

    def crops(self, batch: int, side: int, random: torch.Generator | None) -> Tensor:
        """float32 [batch, 3, side, side] in 0..1, multiples of 1/255, channels last in memory."""
        device = self.pixels.device
        u = torch.rand(batch, 10, generator=random, device=device)
        tile = torch.searchsorted(self.until, u[:, 0].contiguous()).clamp_max(len(self.start) - 1)
        height, width = self.sizes[tile].unbind(1)
        room = (torch.minimum(height, width) - 1).float() / (side - 1)
        shrink = torch.where(
            u[:, 1] < SHARE_SHRUNK,
            1 + u[:, 2] * (room.clamp_max(LARGEST_SHRINK) - 1).clamp_min(0),
            torch.ones_like(room),
        )
        extent = shrink * (side - 1)
        top, left = u[:, 3] * (height - extent), u[:, 4] * (width - extent)
        whole = shrink == 1
        top, left = (torch.where(whole, v.floor(), v) for v in (top, left))
        along = torch.arange(side, device=device) * shrink[:, None]
        down = torch.where((u[:, 5] < 0.5)[:, None], extent[:, None] - along, along)
        right = torch.where((u[:, 6] < 0.5)[:, None], extent[:, None] - along, along)
        turned = (u[:, 7] < 0.5)[:, None, None]
        rows = top[:, None, None] + torch.where(turned, down[:, None, :], down[:, :, None])
        columns = left[:, None, None] + torch.where(turned, right[:, :, None], right[:, None, :])
        last_row, last_column = (height - 1)[:, None, None], (width - 1)[:, None, None]
        rows, columns = (
            torch.minimum(rows.clamp_min(0), last_row),
            torch.minimum(columns.clamp_min(0), last_column),
        )
        r, c = rows.floor().long(), columns.floor().long()
        fr, fc = (rows - r)[..., None], (columns - c)[..., None]
        r1, c1 = torch.minimum(r + 1, last_row), torch.minimum(c + 1, last_column)
        base, stride = self.start[tile][:, None, None], width[:, None, None]
        upper = self._at(base + r * stride + c) * (1 - fc) + self._at(base + r * stride + c1) * fc
        lower = self._at(base + r1 * stride + c) * (1 - fc) + self._at(base + r1 * stride + c1) * fc
        values = upper * (1 - fr) + lower * fr
        gain = torch.where(
            u[:, 8] < SHARE_BRIGHTENED, torch.exp((2 * u[:, 9] - 1) * LARGEST_GAIN), torch.ones_like(room)
        )
        values = torch.round(values * gain[:, None, None, None]).clamp(0, 255) / 255
        return values.permute(0, 3, 1, 2)

    def _at(self, index: Tensor) -> Tensor:
        return self.pixels[index].float()
