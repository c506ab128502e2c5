"""Training a segmenter on pictures and masks, with resume, and marking pictures with it.

Every draw follows from (seed, step): a resumed run is an unbroken one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codec.imagery.scaling import WIDE
from codec.training.step import learning_rate
from constellation.common.errors import UserError
from constellation.common.files import replacing
from constellation.common.frozen import value
from constellation.common.progress import watched
from dlrc.tasks.unet import LEVELS, UNet

CROP_PX, BATCH, RATE, FURTHER_RATE = 128, 2, 2e-3, 1e-3
FURTHER_SEED = 1000  # further steps draw other crops
SAVED_EVERY = 100  # steps
LEVELS_TRIED = 200
Pair = tuple[np.ndarray, np.ndarray]  # counts uint16 [bands, H, W], mask bool [H, W]


@value
class Course:
    """Of a training. steps: of the optimiser. state: a file to go on from; None: none is kept."""

    steps: int
    seed: int
    state: Path | None = None


def crops(pairs: Sequence[Pair], seed: int, step: int, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    """(pictures [batch, bands, 128, 128] in 0..1, masks [batch, 128, 128]): half of them hold something to be
    marked, where there is anything; turned and mirrored. Smaller pictures are mirrored at their border."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence((0x5E6, seed, step))))
    pictures, masks = [], []
    for slot in range(batch):
        counts, mask = pairs[int(random.integers(len(pairs)))]
        counts, mask = _at_least(counts, CROP_PX), _at_least(mask[None], CROP_PX)[0]
        room = [side - CROP_PX for side in mask.shape]
        top, left = (int(random.integers(r + 1)) for r in room)
        if slot % 2 and mask.any():
            marked = np.argwhere(mask)
            row, col = marked[int(random.integers(len(marked)))]
            shift = random.integers(CROP_PX, size=2)
            top, left = (int(np.clip(p - s, 0, r)) for p, s, r in zip((row, col), shift, room, strict=True))
        rows, cols = slice(top, top + CROP_PX), slice(left, left + CROP_PX)
        turns, mirrored = int(random.integers(4)), bool(random.integers(2))
        part, wanted = np.rot90(counts[:, rows, cols], turns, (1, 2)), np.rot90(mask[rows, cols], turns)
        if mirrored:
            part, wanted = part[:, :, ::-1], wanted[:, ::-1]
        pictures.append(part.astype(np.float32) / WIDE)
        masks.append(wanted.astype(np.float32))
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(masks))


def _at_least(planes: np.ndarray, size: int) -> np.ndarray:
    pads = [(0, max(0, size - side)) for side in planes.shape[1:]]
    return np.pad(planes, [(0, 0), *pads], mode="reflect") if any(map(any, pads)) else planes


def fitted(pairs: Sequence[Pair], course: Course, what: str = "segmenter", begin: UNet | None = None) -> UNet:
    """A segmenter in evaluation mode, from scratch or going on from `begin`, which stays as it is. Raises
    `UserError` where its state is another's."""
    torch.manual_seed(course.seed)
    net = UNet(len(pairs[0][0]))
    if begin is None:
        values = np.concatenate([counts.reshape(len(counts), -1) for counts, _ in pairs], axis=1) / WIDE
        net.mean.copy_(torch.from_numpy(values.mean(axis=1)))
        net.deviation.copy_(torch.from_numpy(values.std(axis=1) + 1e-3))
    else:
        net.load_state_dict(begin.state_dict())
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster
    rate = RATE if begin is None else FURTHER_RATE
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate)
    first = resumed(course, net, optimizer)
    for step in watched(range(first, course.steps), what):
        optimizer.param_groups[0]["lr"] = learning_rate(rate, rate / 50, 0.7, step / course.steps)
        pictures, masks = crops(pairs, course.seed + (0 if begin is None else FURTHER_SEED), step)
        optimizer.zero_grad(set_to_none=True)
        shown = pictures.to(memory_format=torch.channels_last)
        F.binary_cross_entropy_with_logits(net(shown), masks).backward()
        optimizer.step()
        if (step + 1) % SAVED_EVERY == 0 or step + 1 == course.steps:
            keep(course, net, optimizer, step + 1)
    calibrate(net.eval(), pairs)
    return net


@torch.no_grad()
def calibrate(net: UNet, pairs: Sequence[Pair]) -> None:
    """Move the last bias so that logits above 0 give the best IoU on these pairs: a short training leaves
    probabilities of small classes low."""
    logits = np.concatenate([_logits(net, counts).ravel() for counts, _ in pairs])
    truth = np.concatenate([mask.ravel() for _, mask in pairs])
    inside, outside = np.sort(logits[truth]), np.sort(logits[~truth])
    levels = np.quantile(logits, np.linspace(0, 1, LEVELS_TRIED, endpoint=False))
    hits, wrong = (len(side) - np.searchsorted(side, levels, "right") for side in (inside, outside))
    best = int(np.argmax(hits / np.maximum(1, hits + wrong + len(inside) - hits)))
    _bias(net).sub_(float(levels[best]))


def _bias(net: UNet) -> Tensor:
    assert net.last.bias is not None
    return net.last.bias


def resumed(course: Course, net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """The step to begin with, after filling network and optimiser from the state, if any. Raises
    `UserError`."""
    if course.state is None or not course.state.is_file():
        return 0
    try:
        held = torch.load(course.state, map_location="cpu", weights_only=True)
        if held["steps"] != course.steps or held["seed"] != course.seed:
            raise ValueError(f"{held['steps']} steps with seed {held['seed']}")
        net.load_state_dict(held["net"])
        optimizer.load_state_dict(held["optimizer"])
        return int(held["step"])
    except (RuntimeError, KeyError, TypeError, ValueError, OSError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{course.state}: no state of this training ({reason[:120]}); remove it") from None


def keep(course: Course, net: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write the state, whole or not at all."""
    if course.state is None:
        return
    told = {"steps": course.steps, "seed": course.seed, "step": step}
    with replacing(course.state) as temporary:
        torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), **told}, temporary)


def marked(net: UNet, counts: np.ndarray) -> np.ndarray:
    """Bool [H, W] of counts uint16 [bands, H, W] of any size."""
    return _logits(net, counts) > 0


@torch.no_grad()
def _logits(net: UNet, counts: np.ndarray) -> np.ndarray:
    side = 2**LEVELS
    pads = [(0, -extent % side) for extent in counts.shape[1:]]
    padded = np.pad(counts, [(0, 0), *pads], mode="edge").astype(np.float32) / WIDE
    logits = net(torch.from_numpy(padded)[None])[0].numpy()
    return logits[: counts.shape[1], : counts.shape[2]]
