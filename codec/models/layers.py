"""Layers that several families share, and the slimmer networks whose widths grow as the picture shrinks.

`Widths(n, m)` is CompressAI's class as it is. `Widths(n, m, stages=(32, 64, 128))` keeps its parts, their
names and their order of calculation, with these differences, so that m = 320 channels fit a small computer
and a small file:

- transforms: channels of the three inner stages as given. The last stage, where nearly all weights are, has a
  kernel of 4 x 4 that overlaps its neighbours by one cell on each side (cheng: 3 x 3, and on the way back
  1 x 1 before the shuffle).
- elic, cheng: the attention at M channels is at the third stage's. The shortcuts of cheng's strided blocks
  see all of a 2 x 2 cell (CompressAI's: a quarter), so that a linear transform passes through them.
- entropy: z has n channels, everything between it and the parameters of y `Widths.hidden` = 3 n / 2; kernels
  4 x 4 where the size changes; elic's contexts see 3 x 3 cells.

Only layers that codec/entropy/exact.py computes exactly stand between z_hat, context and parameters."""

from __future__ import annotations

from typing import Any

from torch import nn

from codec.models.model import Cells, Given, LatentModel, Pass, Widths


def conv5(before: int, after: int) -> nn.Conv2d:
    """5 x 5, half the size."""
    return nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2)


def deconv5(before: int, after: int) -> nn.ConvTranspose2d:
    """5 x 5, twice the size."""
    return nn.ConvTranspose2d(before, after, kernel_size=5, stride=2, padding=2, output_padding=1)


def down(before: int, after: int) -> nn.Conv2d:
    """4 x 4, half the size."""
    return nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1)


def up(before: int, after: int) -> nn.ConvTranspose2d:
    """4 x 4, twice the size."""
    return nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1)


def same(before: int, after: int) -> nn.Conv2d:
    """3 x 3, the same size."""
    return nn.Conv2d(before, after, kernel_size=3, padding=1)


def alternate(layers: list[nn.Module], activation: type[nn.Module], last: bool = False) -> nn.Sequential:
    """`layers` with an activation between two of them (and after the last)."""
    between = [part for layer in layers for part in (layer, activation(inplace=True))]
    return nn.Sequential(*(between if last else between[:-1]))


def set_gdn_transforms(net: Any, w: Widths, activation: type[nn.Module]) -> None:
    """Give a network of bmshj or mbt transforms with GDN, h_a and z's prior at the widths `w`, which have
    stages."""
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import GDN

    a, b, c = w.stages
    net.N, net.M = w.n, w.m
    net.entropy_bottleneck = EntropyBottleneck(w.n)
    net.g_a = nn.Sequential(conv5(w.bands, a), GDN(a), conv5(a, b), GDN(b), conv5(b, c), GDN(c), down(c, w.m))
    net.g_s = nn.Sequential(
        *(up(w.m, c), GDN(c, inverse=True), deconv5(c, b), GDN(b, inverse=True)),
        *(deconv5(b, a), GDN(a, inverse=True), deconv5(a, w.bands)),
    )
    net.h_a = alternate([same(w.m, w.n), down(w.n, w.n), down(w.n, w.n)], activation)


def set_raster_context(net: Any, w: Widths) -> None:
    """Give a network of mbt or cheng its context model at the widths `w`, which have stages."""
    from compressai.layers import MaskedConv2d, conv1x1

    inner = 3 * w.n
    net.context_prediction = MaskedConv2d(w.m, w.hidden, kernel_size=5, padding=2, stride=1)
    net.entropy_parameters = alternate(
        [conv1x1(2 * w.hidden, inner), conv1x1(inner, inner), conv1x1(inner, 2 * w.m)], nn.LeakyReLU
    )


def raster_passes(net: Any, w: Widths) -> tuple[Pass, ...]:
    """The one pass of Minnen et al. 2018, figure 1: 1x1 layers over cat(h_s(z_hat), 5x5 causal window)."""
    inputs = (Given.HYPER, Given.WINDOW)
    return (Pass(slice(0, w.m), Cells.ALL, net.context_prediction, None, inputs, net.entropy_parameters),)


def of_google(family: Any, net: Any, w: Widths, passes: tuple[Pass, ...]) -> LatentModel:
    """The parts of a network that keeps them where CompressAI's Google models do."""
    return LatentModel(family, net, w, net.g_a, net.g_s, net.h_a, net.h_s, net.entropy_bottleneck, passes)
