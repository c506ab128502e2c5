"""What the fusion is trained on: a view's integers, what the hyperprior says, and a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from codec.entropy import smooth
from codec.models.model import LatentModel
from codec.prediction.fusion import Fusion
from codec.prediction.search.registration import predicted_whole
from codec.training.prediction.pairs import PairSampler
from constellation.common.frozen import value

PRICES = (2500.0, 5000.0, 10000.0)  # of a bit of motion
WHITE = 255 * 64.0  # of a predicted picture


@value
class Batch:
    """Samples side by side, float32 each: y_hat [B, M, H, W], z_hat [B, N, H/4, W/4], y_pred [B, M, H, W],
    planes [B, 3, H, W]."""

    y_hat: Tensor
    z_hat: Tensor
    y_pred: Tensor
    planes: Tensor


def sample(model: LatentModel, pairs: PairSampler, number: int) -> dict[str, Tensor]:
    """One sample, of batch 1, in float16 (which holds the integers of y): a pure function of the number."""
    pair = pairs.pair(number)
    price = PRICES[number % len(PRICES)]
    with torch.no_grad():
        decoded = model.synthesis(torch.round(model.analysis(_tensor(pair.reference / 255.0))))
        seen = (decoded[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        picture, planes = predicted_whole(pair.current.copy(), seen, pair.placement, price)
        y = model.analysis(_tensor(pair.current / 255.0))
        y_pred = model.analysis(_tensor(picture / WHITE))
        z_hat = model.quantize_hyper(model.hyper_analysis(y))
    grid = torch.from_numpy(planes.astype(np.float32).T.reshape(1, 3, *y.shape[-2:]))
    found = {"y_hat": torch.round(y), "z_hat": z_hat, "y_pred": y_pred, "planes": grid}
    return {key: held.clamp(-60000, 60000).half() for key, held in found.items()}


def batch_of(samples: list[dict[str, Tensor]]) -> Batch:
    """The samples in one batch."""
    parts: dict[str, Any] = {k: torch.cat([one[k] for one in samples]).float() for k in samples[0]}
    return Batch(**parts)


class Rates:
    """Bits of a batch, plain and fused.

    without: bool [B, 1, H/4, W/4], hyper-latents that a predicted patch does not send; fused bits go without
    them, plain ones do not."""

    def __init__(self, model: LatentModel, batch: Batch, without: Tensor) -> None:
        self.model, self.batch = model, batch
        with torch.no_grad():
            self.means, self.scales = smooth.parameters(model, batch.z_hat, batch.y_hat)
            self.plain = bits(batch.y_hat, self.means, self.scales)
            z_hat = torch.where(without, model.medians(), batch.z_hat)
            self.hyper = model.h_s(z_hat)
            if without.any():
                self.means, self.scales = smooth.parameters(model, z_hat, batch.y_hat)

    def fused(self, fusion: Fusion, levels: Tensor) -> Tensor:
        """Bits at each position, [B, H, W], with these levels (int [B, H, W])."""
        features = fusion.features(self.hyper, self.batch.y_pred, self.batch.planes, levels)
        total, seen = torch.zeros(()), set()
        for number, step in enumerate(self.model.passes):
            c = step.channels
            if c.start in seen:  # passes over the same channels share their head
                continue
            seen.add(c.start)
            scales, means = fusion(
                number, features, self.scales[:, c], self.means[:, c], self.batch.y_pred[:, c]
            )
            total = total + bits(self.batch.y_hat[:, c], means, scales)
        return total

    def first_levels(self) -> Tensor:
        """Levels 1 to 3 by how much nearer y_pred is than the hyperprior's mean: int [B, H/2, W/2]."""
        b = self.batch
        off, plain = (roots((b.y_hat - mean).abs().sum(1)) for mean in (b.y_pred, self.means))
        ratio = off / (plain + 4)
        return 1 + (ratio < 1.1).long() + (ratio < 0.75).long()


def left_out(random: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Which hyper-latents are not sent, bool [B, 1, h, w]: none in half of the samples, all in a sixth, a
    share of its own in each of the others."""
    kind, count = random.random(shape[0]), shape[0]
    share = np.select([kind < 1 / 2, kind < 2 / 3], [np.zeros(count), np.ones(count)], random.random(count))
    return torch.from_numpy(random.random((count, 1, *shape[-2:])) < share[:, None, None, None])


def bits(values: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """[B, H, W] of [B, C, H, W]."""
    return -torch.log2(smooth.gaussian_likelihood(values, means, scales)).sum(1)


def roots(x: Tensor) -> Tensor:
    """Sums over 32 px roots, [B, H/2, W/2] of [B, H, W]."""
    b, h, w = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2).sum((2, 4))


def spread(levels: Tensor) -> Tensor:
    """Of roots to positions."""
    return levels.repeat_interleave(2, 1).repeat_interleave(2, 2)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))[None]
