"""The networks of the four families: CompressAI's own classes at uniform widths, and slimmer ones whose
widths grow as the picture shrinks.

`Widths(n, m)` is CompressAI's class as it is. `Widths(n, m, stages=(32, 64, 128))` keeps its parts, their
names and their order of calculation, with these differences, so that m = 320 channels fit a small computer
and a small file:

    transforms   channels of the three inner stages as given; the last stage, where nearly all weights are, has a kernel of 4 x 4 that overlaps its
                 neighbours by one cell on each side (cheng: 3 x 3, and on the way back 1 x 1 before the
                 shuffle)
    elic, cheng  the attention at M channels is at the third stage's; the shortcuts of cheng's strided blocks see all of a 2 x 2 cell (CompressAI's: a
                 quarter), so that a linear transform passes through them
    entropy      z has n channels, everything between it and the parameters of y `hidden` = 3 n / 2; kernels 4 x 4 where the size changes; elic's
                 contexts see 3 x 3 cells

Everything follows from (n, m, stages, groups), which a checkpoint announces and its tensors must agree with.
Only layers that `codec.entropy.exact` computes exactly stand between z_hat, context and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from torch import nn

from codec.models.torchvision_shim import ensure_torchvision_imports


@dataclass(frozen=True)
class Widths:
    """Channels of one codec. n: of z (and, without `stages`, of the transforms).  m: of y.  stages: of the transforms at 1/2, 1/4, 1/8 of the picture's
    side, or () for CompressAI's uniform n.  groups: elic's channel groups, which add up to m."""

    n: int
    m: int
    stages: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()

    @property
    def hidden(self) -> int:
        """Channels inside the entropy model of a network with `stages`."""
        return 3 * self.n // 2


def build_bmshj(w: Widths) -> nn.Module:
    """Balle et al. 2018."""
    ensure_torchvision_imports()
    from compressai.models import ScaleHyperprior

    if not w.stages:
        return ScaleHyperprior(w.n, w.m)
    net = ScaleHyperprior(2, 2)
    _set_google(net, w)
    net.h_s = nn.Sequential(
        _up(w.n, w.n),
        nn.ReLU(inplace=True),
        _up(w.n, w.n),
        nn.ReLU(inplace=True),
        _same(w.n, w.m),
        nn.ReLU(inplace=True),
    )
    return net


def build_mbt(w: Widths) -> nn.Module:
    """Minnen et al. 2018."""
    ensure_torchvision_imports()
    from compressai.models import JointAutoregressiveHierarchicalPriors

    if not w.stages:
        return JointAutoregressiveHierarchicalPriors(w.n, w.m)
    net = JointAutoregressiveHierarchicalPriors(2, 3)
    _set_google(net, w)
    net.h_s = nn.Sequential(
        _up(w.n, w.n),
        nn.LeakyReLU(inplace=True),
        _up(w.n, w.hidden),
        nn.LeakyReLU(inplace=True),
        _same(w.hidden, w.hidden),
    )
    _set_raster_context(net, w)
    return net


def build_cheng(w: Widths) -> nn.Module:
    """Cheng et al. 2020, with attention."""
    ensure_torchvision_imports()
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import (
        AttentionBlock,
        ResidualBlock,
        ResidualBlockUpsample,
        ResidualBlockWithStride,
        conv1x1,
        conv3x3,
        subpel_conv3x3,
    )
    from compressai.models import Cheng2020Attention

    if not w.stages:
        return Cheng2020Attention(w.n)

    def smaller(before: int, after: int) -> nn.Module:
        block = ResidualBlockWithStride(before, after, stride=2)
        block.skip = nn.Conv2d(before, after, kernel_size=2, stride=2)
        return block

    def larger(before: int, after: int, pointwise: bool = False) -> nn.Module:
        block = ResidualBlockUpsample(before, after, 2)
        block.upsample = nn.Sequential(conv1x1(before, 4 * after), nn.PixelShuffle(2))
        if pointwise:
            block.subpel_conv = nn.Sequential(conv1x1(before, 4 * after), nn.PixelShuffle(2))
        return block

    a, b, c = w.stages
    net = Cheng2020Attention(4)
    net.N, net.M = w.n, w.m
    net.entropy_bottleneck = EntropyBottleneck(w.n)
    net.g_a = nn.Sequential(
        smaller(3, a),
        ResidualBlock(a, a),
        smaller(a, b),
        AttentionBlock(b),
        ResidualBlock(b, b),
        smaller(b, c),
        ResidualBlock(c, c),
        AttentionBlock(c),
        conv3x3(c, w.m, stride=2),
    )
    net.g_s = nn.Sequential(
        larger(w.m, c, pointwise=True),
        AttentionBlock(c),
        ResidualBlock(c, c),
        larger(c, b),
        AttentionBlock(b),
        ResidualBlock(b, b),
        larger(b, a),
        ResidualBlock(a, a),
        subpel_conv3x3(a, 3, 2),
    )
    net.h_a = nn.Sequential(
        conv3x3(w.m, w.n),
        nn.LeakyReLU(inplace=True),
        conv3x3(w.n, w.n),
        nn.LeakyReLU(inplace=True),
        conv3x3(w.n, w.n, stride=2),
        nn.LeakyReLU(inplace=True),
        conv3x3(w.n, w.n),
        nn.LeakyReLU(inplace=True),
        conv3x3(w.n, w.n, stride=2),
    )
    net.h_s = nn.Sequential(
        conv3x3(w.n, w.n),
        nn.LeakyReLU(inplace=True),
        subpel_conv3x3(w.n, w.n, 2),
        nn.LeakyReLU(inplace=True),
        conv3x3(w.n, w.n),
        nn.LeakyReLU(inplace=True),
        subpel_conv3x3(w.n, w.n, 2),
        nn.LeakyReLU(inplace=True),
        conv3x3(w.n, w.hidden),
    )
    _set_raster_context(net, w)
    return net


def build_elic(w: Widths) -> nn.Module:
    """He et al. 2022."""
    ensure_torchvision_imports()
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import CheckerboardMaskedConv2d, conv1x1
    from compressai.models.sensetime import AttentionBlock, Elic2022Official, ResidualBottleneckBlock

    if not w.stages:
        return Elic2022Official(w.n, w.m, groups=list(w.groups))

    def blocks(width: int) -> list[nn.Module]:
        return [ResidualBottleneckBlock(width, width) for _ in range(3)]

    a, b, c = w.stages
    net = Elic2022Official(2, w.m, groups=list(w.groups))
    net.g_a = nn.Sequential(
        _conv5(3, a),
        *blocks(a),
        _conv5(a, b),
        *blocks(b),
        AttentionBlock(b),
        _conv5(b, c),
        *blocks(c),
        AttentionBlock(c),
        _down(c, w.m),
    )
    net.g_s = nn.Sequential(
        _up(w.m, c),
        AttentionBlock(c),
        *blocks(c),
        _deconv5(c, b),
        AttentionBlock(b),
        *blocks(b),
        _deconv5(b, a),
        *blocks(a),
        _deconv5(a, 3),
    )
    hyper, latent = net.latent_codec.hyper, net.latent_codec.y
    hyper.entropy_bottleneck = EntropyBottleneck(w.n)
    hyper.h_a = nn.Sequential(
        _same(w.m, w.n), nn.ReLU(inplace=True), _down(w.n, w.n), nn.ReLU(inplace=True), _down(w.n, w.n)
    )
    hyper.h_s = nn.Sequential(
        _up(w.n, w.n),
        nn.ReLU(inplace=True),
        _up(w.n, w.hidden),
        nn.ReLU(inplace=True),
        _same(w.hidden, w.hidden),
    )
    known = [0, *accumulate(w.groups)]
    for k, size in enumerate(w.groups):
        codec, side = latent.latent_codec[f"y{k}"], w.hidden + 2 * size * (2 if k else 1)
        if k:
            latent.channel_context[f"y{k}"] = nn.Sequential(
                _same(known[k], w.n),
                nn.ReLU(inplace=True),
                _same(w.n, w.n),
                nn.ReLU(inplace=True),
                conv1x1(w.n, 2 * size),
            )
        codec.context_prediction = CheckerboardMaskedConv2d(
            size, 2 * size, kernel_size=3, stride=1, padding=1
        )
        inner = 2 * w.n
        codec.entropy_parameters = nn.Sequential(
            conv1x1(side, inner),
            nn.ReLU(inplace=True),
            conv1x1(inner, inner),
            nn.ReLU(inplace=True),
            conv1x1(inner, 2 * size),
        )
    return net


BUILDERS = {"bmshj": build_bmshj, "mbt": build_mbt, "cheng": build_cheng, "elic": build_elic}


def _set_google(net: nn.Module, w: Widths) -> None:
    """Transforms with GDN, h_a and z's prior of bmshj and mbt."""
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import GDN

    a, b, c = w.stages
    activation = nn.ReLU if type(net).__name__ == "ScaleHyperprior" else nn.LeakyReLU
    net.N, net.M = w.n, w.m
    net.entropy_bottleneck = EntropyBottleneck(w.n)
    net.g_a = nn.Sequential(_conv5(3, a), GDN(a), _conv5(a, b), GDN(b), _conv5(b, c), GDN(c), _down(c, w.m))
    net.g_s = nn.Sequential(
        _up(w.m, c),
        GDN(c, inverse=True),
        _deconv5(c, b),
        GDN(b, inverse=True),
        _deconv5(b, a),
        GDN(a, inverse=True),
        _deconv5(a, 3),
    )
    net.h_a = nn.Sequential(
        _same(w.m, w.n), activation(inplace=True), _down(w.n, w.n), activation(inplace=True), _down(w.n, w.n)
    )


def _set_raster_context(net: nn.Module, w: Widths) -> None:
    from compressai.layers import MaskedConv2d, conv1x1

    net.context_prediction = MaskedConv2d(w.m, w.hidden, kernel_size=5, padding=2, stride=1)
    inner = 3 * w.n
    net.entropy_parameters = nn.Sequential(
        conv1x1(2 * w.hidden, inner),
        nn.LeakyReLU(inplace=True),
        conv1x1(inner, inner),
        nn.LeakyReLU(inplace=True),
        conv1x1(inner, 2 * w.m),
    )


def _conv5(before: int, after: int) -> nn.Module:
    return nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2)


def _deconv5(before: int, after: int) -> nn.Module:
    return nn.ConvTranspose2d(before, after, kernel_size=5, stride=2, padding=2, output_padding=1)


def _down(before: int, after: int) -> nn.Module:
    return nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1)


def _up(before: int, after: int) -> nn.Module:
    return nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1)


def _same(before: int, after: int) -> nn.Module:
    return nn.Conv2d(before, after, kernel_size=3, padding=1)
