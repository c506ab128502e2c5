"""cheng: Cheng, Sun, Takeuchi and Katto 2020, with attention. mbt's context model; one width at uniform
widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from codec.models.layers import alternate, of_google, raster_passes, set_raster_context
from codec.models.model import ZOO_LAMBDAS, Family, LatentModel, Widths, Zoo, one_group
from constellation.common.errors import UserError


def build(w: Widths) -> nn.Module:
    """CompressAI's Cheng2020Attention."""
    from compressai.layers import ResidualBlockWithStride, subpel_conv3x3
    from compressai.models import Cheng2020Attention

    if w.stages:
        return _slim(w)
    net = Cheng2020Attention(w.n)
    if w.bands != 3:
        net.g_a[0], net.g_s[-1] = ResidualBlockWithStride(w.bands, w.n, 2), subpel_conv3x3(w.n, w.bands, 2)
    return net


def _slim(w: Widths) -> nn.Module:
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import AttentionBlock, ResidualBlock, conv3x3, subpel_conv3x3
    from compressai.models import Cheng2020Attention

    a, b, c = w.stages
    net = Cheng2020Attention(4)
    net.N, net.M = w.n, w.m
    net.entropy_bottleneck = EntropyBottleneck(w.n)
    net.g_a = nn.Sequential(
        *(_smaller(w.bands, a), ResidualBlock(a, a), _smaller(a, b), AttentionBlock(b), ResidualBlock(b, b)),
        *(_smaller(b, c), ResidualBlock(c, c), AttentionBlock(c), conv3x3(c, w.m, stride=2)),
    )
    net.g_s = nn.Sequential(
        *(_larger(w.m, c, pointwise=True), AttentionBlock(c), ResidualBlock(c, c), _larger(c, b)),
        *(AttentionBlock(b), ResidualBlock(b, b), _larger(b, a), ResidualBlock(a, a)),
        subpel_conv3x3(a, w.bands, 2),
    )
    n, hidden = w.n, w.hidden
    smaller, larger = conv3x3(n, n, stride=2), subpel_conv3x3(n, n, 2)
    net.h_a = alternate(
        [conv3x3(w.m, n), conv3x3(n, n), smaller, conv3x3(n, n), conv3x3(n, n, stride=2)], nn.LeakyReLU
    )
    net.h_s = alternate(
        [conv3x3(n, n), larger, conv3x3(n, n), subpel_conv3x3(n, n, 2), conv3x3(n, hidden)], nn.LeakyReLU
    )
    set_raster_context(net, w)
    return net


def _smaller(before: int, after: int) -> nn.Module:
    from compressai.layers import ResidualBlockWithStride

    block = ResidualBlockWithStride(before, after, stride=2)
    block.skip = nn.Conv2d(before, after, kernel_size=2, stride=2)
    return block


def _larger(before: int, after: int, pointwise: bool = False) -> nn.Module:
    from compressai.layers import ResidualBlockUpsample, conv1x1

    block = ResidualBlockUpsample(before, after, 2)
    block.upsample = nn.Sequential(conv1x1(before, 4 * after), nn.PixelShuffle(2))
    if pointwise:
        block.subpel_conv = nn.Sequential(conv1x1(before, 4 * after), nn.PixelShuffle(2))
    return block


def parts(net: Any, w: Widths) -> LatentModel:
    """One pass along a wavefront."""
    return of_google(FAMILY, net, w, raster_passes(net, w))


def widths_of(state: Mapping[str, Tensor]) -> Widths:
    """The one width."""
    n = int(state["g_a.0.conv1.weight"].shape[0])
    return Widths(n, n)


def check(w: Widths) -> Widths:
    """At uniform widths n and m are the same."""
    if w.n != w.m and not w.stages:
        raise UserError(
            f"model cheng: n={w.n} and m={w.m}, expected the same number (Cheng2020 has one width)"
        )
    return one_group(w.checked(), "cheng")


FAMILY = Family(
    name="cheng",
    number=2,
    build=build,
    parts=parts,
    widths_of=widths_of,
    check=check,
    has_context=True,
    zoo=Zoo("cheng2020-attn", ZOO_LAMBDAS[:6]),
    # 985.84 ms; Table 2's total is 985.83. Holds CompressAI's loop over positions (centred grid), which the
    # fixed grid does not need on board: for this family the profile is slow
    seconds={"titan_v": (7.41e-3, 963.95e-3, 14.48e-3)},
)
