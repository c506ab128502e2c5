"""The plain sequential decoder that codec/entropy/coder.py must agree with: one position at a time, windows
recomputed, Python integers.

Straight from the definitions: block floating point (codec/entropy/exact.py), rANS (codec/entropy/rans.py),
the order of codec/entropy/schedule.py. Shares with the code under test only the shipped Gaussian tables and
the checkpoint's tables."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from codec.entropy.tables import gaussian_tables

LOW = 1 << 32


class PlainRans:
    """One rANS stream, read symbol by symbol with Python integers."""

    def __init__(self, stream: bytes) -> None:
        words = [int.from_bytes(stream[i : i + 2], "little") for i in range(0, len(stream), 2)]
        self.state = words[0] << 32 | words[1] << 16 | words[2]
        self.words = words[3:]

    def _take(self, start: int, frequency: int) -> None:
        self.state = frequency * (self.state >> 16) + (self.state & 0xFFFF) - start
        if self.state < LOW:
            self.state = self.state << 16 | self.words.pop(0)

    def _bits(self, count: int) -> int:
        if not count:
            return 0
        value = (self.state & 0xFFFF) >> (16 - count)
        self._take(value << (16 - count), 1 << (16 - count))
        return value

    def symbol(self, code, table: int) -> int:
        size, first = int(code.size[table]), int(code.first[table])
        cdf = code.cdf[code.offset[table] : code.offset[table] + size + 2].tolist()
        slot = self.state & 0xFFFF
        index = max(i for i in range(size + 1) if cdf[i] <= slot)
        self._take(cdf[index], cdf[index + 1] - cdf[index])
        if index < size:
            return first + index
        sign, bits = divmod(self._bits(6), 32)
        excess = (1 << bits) + ((self._bits(bits - 8) << 8 | self._bits(8)) if bits > 8 else self._bits(bits))
        return first - excess if sign else first + size + excess - 1

    def ended(self) -> bool:
        return self.state == LOW and not self.words


def exponent_of(largest: float, bits: int = 15, limit: int = 32639) -> int:
    if largest <= 0:
        return 0
    e = min(40, bits - math.frexp(largest)[1])
    return e - (math.floor(largest * 2.0**e + 0.5) > limit)


def integers(values: torch.Tensor) -> tuple[torch.Tensor, int]:
    e = exponent_of(float(values.abs().max()))
    return torch.floor(values * 2.0**e + 0.5), e


def integer_weights(weight: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """8-bit weights with one exponent per output channel (dimension `axis`), and 2^-exponent per channel."""
    moved = weight.detach().double().movedim(axis, 0)
    exponents = torch.tensor([float(exponent_of(float(channel.abs().max()), 7, 127)) for channel in moved])
    scale = torch.ldexp(torch.ones(len(exponents), dtype=torch.float64), exponents.int())
    whole = torch.floor(moved * scale.reshape(-1, *[1] * (moved.dim() - 1)) + 0.5)
    return whole.movedim(0, axis), 1 / scale


def flatten(module: nn.Module) -> list[nn.Module]:
    return (
        [leaf for child in module for leaf in flatten(child)]
        if isinstance(module, nn.Sequential)
        else [module]
    )


def plain_network(module: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """The network over one map [C, H, W] in float64, sums of integers by torch's own (transposed)
    convolutions."""
    for layer in flatten(module):
        if isinstance(layer, nn.PixelShuffle):
            values = layer(values[None])[0]
        elif isinstance(layer, nn.LeakyReLU):
            values = torch.where(values >= 0, values, values * layer.negative_slope)
        elif isinstance(layer, nn.ReLU):
            values = torch.where(values >= 0, values, values * 0.0)
        else:
            mantissa, e = integers(values)
            transposed = isinstance(layer, nn.ConvTranspose2d)
            weight, unit = integer_weights(layer.weight, 1 if transposed else 0)
            if transposed:
                sums = F.conv_transpose2d(
                    mantissa[None], weight, None, layer.stride, layer.padding, layer.output_padding
                )[0]
            else:
                sums = F.conv2d(mantissa[None], weight, None, 1, layer.padding)[0]
            values = sums * (2.0**-e * unit)[:, None, None] + layer.bias.detach().double()[:, None, None]
    return values


def plain_rows(module: nn.Module, row: torch.Tensor) -> torch.Tensor:
    return plain_network(module, row.reshape(-1, 1, 1)).reshape(-1)


def plain_window(
    layer: nn.Module, vectors: dict[tuple[int, int], torch.Tensor], row: int, column: int
) -> torch.Tensor:
    """The masked convolution at one position over integer vectors: their step is 1."""
    weight, unit = integer_weights(layer.weight.detach() * layer.mask, 0)
    sums = torch.zeros(weight.shape[0], dtype=torch.float64)
    for r, c in np.argwhere(layer.mask[0, 0].numpy() > 0):
        vector = vectors.get((row + int(r) - 2, column + int(c) - 2))
        if vector is not None:
            sums += weight[:, :, r, c] @ vector
    return sums * unit + layer.bias.detach().double()


def table_of(scale: float, mean: float) -> tuple[int, int]:
    tables = gaussian_tables()
    index = sum(threshold < scale for threshold in tables.thresholds.tolist())
    steps = int(tables.steps[index])
    whole, fraction = divmod(math.floor(mean * steps + 0.5), steps)
    return int(tables.base[index]) + fraction, whole


def plain_order(family: str, known: np.ndarray) -> list[int]:
    """Kept positions by depth of dependence (mbt, cheng), or raster."""
    (height, width), source_of = known.shape, known.reshape(-1).tolist()
    kept = [p for p, source in enumerate(source_of) if source == p]
    if family in ("bmshj", "elic"):
        return kept
    depth: dict[int, int] = {}
    for p, source in enumerate(source_of):
        row, column = divmod(p, width)
        window = [(row + r, column + c) for r in (-2, -1, 0) for c in range(-2, 3) if (r, c) < (0, 0)]
        inside = [r * width + c for r, c in window if 0 <= r < height and 0 <= c < width]
        depth[p] = (
            1 + max([depth[c] for c in inside], default=0)
            if source == p
            else depth[source]
            if source >= 0
            else 0
        )
    return sorted(kept, key=lambda p: (depth[p], p))


def plain_decode(model, item, known: dict[int, np.ndarray]) -> np.ndarray:
    """y_context [M, H, W] of one stream on the fixed grid; known: vectors of positions whose source is KNOWN,
    by position."""
    (height, width) = item.known.shape
    z = plain_decode_hyper(model, item)
    hyper = plain_network(model.h_s, z)[:, :height, :width]
    vectors = {p: torch.zeros(model.m, dtype=torch.float64) for p in range(height * width)}
    vectors.update({p: torch.from_numpy(value.astype(np.float64)) for p, value in known.items()})
    sources = [s if s >= 0 else p for p, s in enumerate(item.known.reshape(-1).tolist())]

    def context():
        return {divmod(p, width): vectors[source] for p, source in enumerate(sources)}

    stream, order = PlainRans(item.y_bytes) if item.y_bytes else None, plain_order(model.name, item.known)
    code = gaussian_tables().code

    def receive(p: int, parameters: torch.Tensor, start: int) -> None:
        scales, means = parameters.chunk(2)
        for c in range(len(scales)):
            table, whole = table_of(float(scales[c]), float(means[c]))
            vectors[p][start + c] = whole + stream.symbol(code, table)

    if model.name != "elic":
        for p in order:
            at = hyper[(slice(None), *divmod(p, width))]
            if model.name == "bmshj":
                receive(p, torch.cat((at, torch.zeros_like(at))), 0)
            else:
                seen = plain_window(model.passes[0].window, context(), *divmod(p, width))
                receive(p, plain_rows(model.heads[0], torch.cat((at, seen))), 0)
    else:
        _plain_elic(model, hyper, order, vectors, context, receive)
    assert stream is None or stream.ended()
    return torch.stack(list(context().values()), dim=1).reshape(-1, height, width).numpy()


def _plain_elic(model, hyper, order, vectors, context, receive) -> None:
    height, width = hyper.shape[1:]
    start = 0
    for k, size in enumerate(model.widths.groups):
        if k:
            earlier = torch.stack([context()[divmod(p, width)][:start] for p in range(height * width)], dim=1)
            channel = plain_elic_channel(model.passes[2 * k].earlier, earlier.reshape(start, height, width))
        for follower in (False, True):
            for p in order_of_parity(order, width, follower):
                row, column = divmod(p, width)
                group = {at: vector[start : start + size] for at, vector in context().items()}
                spatial = (
                    plain_window(model.passes[2 * k + 1].window, group, row, column)
                    if follower
                    else torch.zeros(2 * size, dtype=torch.float64)
                )
                parts = (
                    [spatial, channel[:, row, column], hyper[:, row, column]]
                    if k
                    else [spatial, hyper[:, row, column]]
                )
                receive(p, plain_rows(model.heads[k], torch.cat(parts)), start)
        start += size


def order_of_parity(order: list[int], width: int, follower: bool) -> list[int]:
    return [p for p in sorted(order) if (sum(divmod(p, width)) % 2 == 1) == follower]


def plain_elic_channel(module: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """The first layer's inputs are integers whose step is 1; later ones have a step per map."""
    first, *rest = flatten(module)
    weight, unit = integer_weights(first.weight, 0)
    sums = F.conv2d(values[None], weight, None, 1, first.padding)[0]
    return plain_network(
        nn.Sequential(*rest), sums * unit[:, None, None] + first.bias.detach().double()[:, None, None]
    )


def plain_decode_hyper(model, item) -> torch.Tensor:
    """z_hat [N, h, w], float64."""
    from codec.entropy.tables import bottleneck_tables

    code = bottleneck_tables(model.bottleneck)
    h, w = (-(-side // 4) for side in item.known.shape)
    stream = PlainRans(item.z_bytes)
    symbols = [[stream.symbol(code, c) for c in range(model.n)] for _ in range(h * w)]
    assert stream.ended()
    medians = torch.floor(model.medians().double().reshape(-1, 1, 1) * 65536 + 0.5) / 65536
    return torch.tensor(symbols, dtype=torch.float64).T.reshape(-1, h, w) + medians
