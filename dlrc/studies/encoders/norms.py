"""What an encoder's norm does to equal ground: two patches of a scene, shifted by whole latent cells, and the
share of common cells whose rounded vectors are equal, by how far the cell is from the nearer border.

rsllic ships with statistics frozen and folded away (`frozen`). `group, emulated` is the same network with
each kernel's taps brought, in every patch, to the mean and variance that they have over the pictures: what
the published GroupNorm does, without a training of its own. elic has no norm.

With train=PICTURES every norm is trained for equal steps from the rsllic that ships (its own statistics and
gains fitted to the kernels that were there, then g_a alone towards R + lambda D), and also shown are the loss
on held-out patches and the bytes saved by real streams, under each overlap, without and with halo. Trainings
and rounds are kept below out=, where norms.csv, norms_loss.csv, norms_saved.csv and norms.png are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from codec.models.checkpoint import load_checkpoint, load_weights
from codec.models.encoders import rsllic
from codec.models.encoders.lsconv import EPS, TAPS, LSConv
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.training.data import CropSampler, open_pictures
from codec.training.evaluate import LOSSLESS, SEED
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import write_records
from dlrc.studies.encoders.norms_figure import EqualRow, draw
from dlrc.studies.encoders.norms_keys import NormKeys
from dlrc.studies.encoders.norms_trained import (
    flown,
    loss_rows,
    loss_table,
    saving_rows,
    saving_table,
    trained,
)
from nodes.process.device import one_thread

DEPTHS = (1, 2, 3, 4, 5, 6)


class PatchStatistics(nn.Module):
    """Brings each kernel's taps, in every patch, to a mean and variance [K] each: GroupNorm's rule."""

    def __init__(self, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.mean, self.variance = mean, variance

    def forward(self, x: Tensor) -> Tensor:
        """[B, 9 K, H, W] -> the same shape."""
        taps = x.unflatten(1, (-1, TAPS))
        variance, mean = torch.var_mean(taps, (2, 3, 4), correction=0, keepdim=True)
        shape = (1, -1, 1, 1, 1)
        gain = torch.sqrt((self.variance.reshape(shape) + EPS) / (variance + EPS))
        return ((taps - mean) * gain + self.mean.reshape(shape)).flatten(1, 2)


@torch.no_grad()
@contextmanager
def by_patch(model: LatentModel, sample: Tensor) -> Iterator[None]:
    """The model with norms over whole patches, for as long as the block lasts; statistics from `sample`."""
    blocks = [block for block in model.g_a.modules() if isinstance(block, LSConv)]
    seen: dict[int, Tensor] = {}
    hooks = []
    for number, block in enumerate(blocks):

        def keep(_layer: nn.Module, _given: Any, out: Any, number: int = number) -> None:
            seen[number] = out

        hooks.append(block.kernels.register_forward_hook(keep))
    model.analysis(sample)
    for hook in hooks:
        hook.remove()
    before = [block.norm for block in blocks]
    for k, block in enumerate(blocks):
        variance, mean = torch.var_mean(seen[k].unflatten(1, (-1, TAPS)), (0, 2, 3, 4), correction=0)
        block.norm = PatchStatistics(mean, variance)
    try:
        yield
    finally:
        for block, norm in zip(blocks, before, strict=True):
            block.norm = norm


@torch.no_grad()
def equal_by_depth(model: LatentModel, windows: Tensor, keys: NormKeys, halo_px: int) -> np.ndarray:
    """Shares [depths + 1] of equal vectors in windows [K, 3, S, S]: by depth (the last holds all deeper
    ones), and of all common cells last."""
    cells, cut, most = keys.patch_px // LATENT_STRIDE_PX, halo_px // LATENT_STRIDE_PX, max(DEPTHS)
    span, start = keys.patch_px + 2 * halo_px, (windows.shape[-1] - keys.patch_px) // 2
    first = (start - keys.shift * LATENT_STRIDE_PX // 2) // LATENT_STRIDE_PX * LATENT_STRIDE_PX - halo_px
    counts = np.zeros((most + 1, 2))
    for window in windows:
        seen = []
        for corner in (first, first + keys.shift * LATENT_STRIDE_PX):
            y = model.analysis(window[None, :, corner : corner + span, corner : corner + span])[0]
            seen.append(torch.round(y[:, cut : cut + cells, cut : cut + cells]))
        k = keys.shift
        equal = (seen[0][:, k:, k:] == seen[1][:, : cells - k, : cells - k]).all(0).numpy()
        rows = np.arange(cells - k)
        inner = np.minimum(rows, rows[::-1])  # from the nearer border of either patch, cells
        depth = np.minimum(np.minimum(inner[:, None], inner[None, :]), most - 1)
        for d in range(most):
            counts[d] += equal[depth == d].sum(), (depth == d).sum()
        counts[most] += equal.sum(), equal.size
    return counts[:, 0] / np.maximum(counts[:, 1], 1)


def windows_of(keys: NormKeys, side: int) -> Tensor:
    """Random windows of the scenes that are large enough, [K, 3, side, side] in 0..1."""
    found = []
    for name in LOSSLESS:
        try:
            sampler = CropSampler(open_pictures(Path(keys.data) / name), side, SEED)
        except UserError:
            continue
        found.append(sampler.batch(0, range(keys.patches)))
    if not found:
        raise UserError(f"data={keys.data}: no scene of {side} px, expected those of `dlrc evaluate`")
    return torch.from_numpy(np.concatenate(found)).float() / 255


def study(given: Given) -> None:
    """Print one row per codec, norm and halo; with train= also what each trained norm loses and saves."""
    keys: NormKeys = given.own
    one_thread()
    side = keys.patch_px + (keys.shift + 1) * LATENT_STRIDE_PX + 2 * keys.halo_px
    windows = windows_of(keys, side)
    courses = trained(keys) if keys.train else {}
    equal = equal_rows(keys, windows, {norm: course.path for norm, course in courses.items()})
    if not courses:
        return
    folder, losses = Path(keys.out), loss_rows(courses)
    print("\n" + "\n".join(loss_table(losses, keys.steps)), flush=True)
    write_records(folder / "norms.csv", equal_records(equal))
    write_records(folder / "norms_loss.csv", losses)
    saved = saving_rows(flown(keys, courses))
    if saved:
        print("\n" + "\n".join(saving_table(saved)))
        write_records(folder / "norms_saved.csv", saved)
    draw(equal, saved, folder / "norms.png")
    print(f"\nwrote {folder}/ (norms.csv, norms_loss.csv, norms_saved.csv, norms.png)")


def equal_rows(keys: NormKeys, windows: Tensor, files: dict[str, Path]) -> list[EqualRow]:
    """Rows of the codecs that ship and of the trained norms in `files`, printed one by one."""
    print(f"{len(windows)} pairs of {keys.patch_px} px, shifted by {keys.shift} cells; equal vectors, %\n")
    print(f"| codec, norm | halo px | {' | '.join(f'depth {d}' for d in DEPTHS)}+ | all |")
    print(f"|{' --- |' * (3 + len(DEPTHS))}")
    rows: list[EqualRow] = []
    for name in keys.models:
        model = load_weights("", name, 0.013)[0]
        rows += tell(f"{name}, {model.widths.norm or 'no norm'}", keys, windows, model)
        if model.widths.norm:
            with by_patch(model, windows[..., : keys.patch_px, : keys.patch_px]):
                rows += tell(f"{name}, group, emulated", keys, windows, model)
    for norm, path in files.items():
        rows += tell(f"{rsllic.FAMILY.name}, {norm}, trained", keys, windows, load_checkpoint(path)[0])
    return rows


def tell(label: str, keys: NormKeys, windows: Tensor, model: LatentModel) -> list[EqualRow]:
    """The rows of one norm, without and with halo, printed."""
    rows = []
    for halo in dict.fromkeys((0, keys.halo_px)):
        shares = equal_by_depth(model, windows, keys, halo)
        rows.append((label, halo, shares))
        print(f"| {label} | {halo} | {' | '.join(f'{100 * s:.1f}' for s in shares)} |", flush=True)
    return rows


def equal_records(rows: Sequence[EqualRow]) -> list[dict[str, object]]:
    """`norms.csv`."""
    names = [f"depth_{d}_pct" for d in DEPTHS] + ["all_pct"]
    return [
        {"codec": codec, "halo_px": halo, **dict(zip(names, 100 * shares, strict=True))}
        for codec, halo, shares in rows
    ]


COMMAND = Command(
    name="study norms",
    about=__doc__ or "",
    own=NormKeys,
    work=study,
    examples=(
        "dlrc study norms data=SCENES",
        "dlrc study norms data=SCENES train=PICTURES models=elic,rsllic steps=1000",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
