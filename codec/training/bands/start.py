"""Begin a codec of any bands from a trained one of three: only the first and the last layer are new.

The bands are turned, lengths kept, so that their principal components lie where those of the old codec's
pictures lie: three pseudo-colours, which its first layer reads (for one band: grey). The last layer is linear
in what it is given, so its best weights for the new pictures follow by least squares, rounding and all.
Everything between is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.models import registry
from codec.models.model import LatentModel
from constellation.common.errors import UserError

RIDGE = 1e-4  # of the mean square of the features: what they do not tell apart stays small
# What principal components of RGB pictures are, in columns (brightness, and two hues), and their mean, 0..1
COLOURS = np.linalg.qr(np.array([[1.0, 1.0, 1.0], [-1.0, 0.0, 1.0], [1.0, -2.0, 1.0]]).T)[0]
MIDDLE = 0.4
_TABLES = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")


def pseudo_colours(sample: Tensor) -> tuple[Tensor, Tensor]:
    """(matrix [3, bands], offset [3]) that turn pictures [B, bands, H, W] in 0..1 into three colours, with
    the lengths of their (at most) three leading components kept."""
    values = sample.double().transpose(0, 1).flatten(1)
    mean = values.mean(1)
    centred = values - mean[:, None]
    _, vectors = torch.linalg.eigh(centred @ centred.T / values.shape[1])
    leading = vectors.flip(1)[:, : min(3, len(mean))]
    leading = leading * torch.sign(leading.sum(0, keepdim=True) + 1e-12)  # brighter stays brighter
    colours = torch.from_numpy(COLOURS * np.sign(COLOURS.sum(0) + 1e-12))[:, : leading.shape[1]]
    matrix = colours @ leading.T
    return matrix.float(), (MIDDLE - matrix @ mean).float()


@torch.no_grad()
def spread(source: LatentModel, target: LatentModel, sample: Tensor) -> None:
    """Make `target` (of the same family and widths but for its bands) what `source` is, for pictures like
    sample [B, bands, H, W] in 0..1. Raises `UserError` where they differ in more."""
    theirs, ours = source.net.state_dict(), target.net.state_dict()
    kept = {k: v for k, v in theirs.items() if not k.endswith(_TABLES) and ours[k].shape == v.shape}
    differing = [k for k in theirs if k not in ours or (ours[k].shape != theirs[k].shape and k not in kept)]
    if source.widths.bands != 3 or source.name != target.name or len(theirs) != len(ours):
        raise UserError(
            f"init: holds {source.name} of {source.widths.bands} bands, expected {target.name} of 3"
        )
    if any(not k.endswith(_TABLES) and not _at_an_end(k, source) for k in differing):
        raise UserError("init: other widths than n=, m=, widths=, groups= say, and other bands as well")
    target.net.load_state_dict({**ours, **kept})
    matrix, offset = pseudo_colours(sample)
    for mine, other in zip(_readers(target.g_a[0]), _readers(source.g_a[0]), strict=True):
        mine.weight.copy_(torch.einsum("ochw,cb->obhw", other.weight, matrix))
        mine.bias.copy_(other.bias + torch.einsum("ochw,c->o", other.weight, offset))
    fit_last_layer(target, sample)


def _at_an_end(key: str, model: LatentModel) -> bool:
    """Whether a tensor is of the first layer of g_a or the last of g_s."""
    return key.startswith(("g_a.0.", f"g_s.{len(model.g_s) - 1}."))


def _readers(layer: nn.Module) -> list[Any]:
    """The convolutions that read the picture: one, or a block's first and its shortcut."""
    if isinstance(layer, nn.Conv2d):
        return [layer]
    block: Any = layer
    return [block.conv1, block.skip]


@torch.no_grad()
def fit_last_layer(model: LatentModel, sample: Tensor) -> None:
    """Set the last layer of g_s to the least squares fit of sample [B, bands, H, W] from rounded latents."""
    layer = model.g_s[-1]
    values = torch.round(model.analysis(sample))
    for part in list(model.g_s)[:-1]:
        values = part(values)
    if isinstance(layer, nn.ConvTranspose2d):
        _fit_transposed(layer, values, sample)
    else:
        shuffled: Any = layer
        _fit_convolution(shuffled[0], values, F.pixel_unshuffle(sample, 2))


def _fit_convolution(layer: nn.Conv2d, values: Tensor, wanted: Tensor) -> None:
    side = layer.kernel_size[0]
    solved = _least_squares(F.unfold(values, side, padding=side // 2), wanted.flatten(2))
    layer.weight.copy_(solved[:-1].T.reshape(layer.weight.shape))
    _bias(layer).copy_(solved[-1])


def _fit_transposed(layer: nn.ConvTranspose2d, values: Tensor, wanted: Tensor) -> None:
    """Each of the four phases of a layer that doubles the size is a convolution of its own: output 2 i + p
    sees input i - s through tap 2 s + p + padding."""
    taps, padding = layer.kernel_size[0], int(layer.padding[0])  # type: ignore[arg-type]
    reach = taps // 2
    around, biases = F.unfold(values, 2 * reach + 1, padding=reach), []
    around = around.unflatten(1, (values.shape[1], 2 * reach + 1, 2 * reach + 1))
    layer.weight.zero_()
    for row in range(2):
        for col in range(2):
            at = [[(s, 2 * s + p + padding) for s in range(-reach, reach + 1)] for p in (row, col)]
            rows, cols = ([(reach - s, k) for s, k in part if 0 <= k < taps] for part in at)
            seen = around[:, :, [i for i, _ in rows]][:, :, :, [i for i, _ in cols]].flatten(1, 3)
            solved = _least_squares(seen, wanted[:, :, row::2, col::2].flatten(2))
            shape = values.shape[1], len(rows), len(cols), wanted.shape[1]
            weight = solved[:-1].reshape(shape).permute(0, 3, 1, 2)
            for i, (_, k) in enumerate(rows):
                for j, (_, m) in enumerate(cols):
                    layer.weight[:, :, k, m] = weight[:, :, i, j]
            biases.append(solved[-1])
    _bias(layer).copy_(torch.stack(biases).mean(0))  # the phases share one


def _bias(layer: Any) -> Tensor:
    return layer.bias


def _least_squares(features: Tensor, wanted: Tensor) -> Tensor:
    """[F + 1, C]: weights and, last, bias; of features [B, F, P] and what they are to give, [B, C, P]."""
    x = features.transpose(0, 1).flatten(1).double()
    y = wanted.transpose(0, 1).flatten(1).double()
    x_mean, y_mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, y = x - x_mean, y - y_mean
    square = x @ x.T
    square += RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    weights = torch.linalg.solve(square, x @ y.T)
    return torch.cat([weights, y_mean.T - x_mean.T @ weights]).float()


def of_three(name: str, source: LatentModel, sample: Tensor) -> LatentModel:
    """A codec for pictures like sample [B, bands, H, W] in 0..1, begun from `source`, of three bands."""
    from dataclasses import replace

    target = registry.build(name, replace(source.widths, bands=sample.shape[1]))
    spread(source, target, sample)
    return target


def counts_to_unit(batches: Sequence[np.ndarray] | np.ndarray) -> Tensor:
    """Float32 in 0..1 of uint8 or uint16 counts."""
    values = np.asarray(batches)
    return torch.from_numpy(values.astype(np.float32) / np.iinfo(values.dtype).max)
