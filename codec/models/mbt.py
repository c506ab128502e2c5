"""mbt: Minnen, Balle and Toderici 2018, joint autoregressive and hierarchical priors. A 5x5 causal window,
raster order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from codec.models.layers import (
    alternate,
    conv5,
    deconv5,
    of_google,
    raster_passes,
    same,
    set_gdn_transforms,
    set_raster_context,
    up,
)
from codec.models.model import ZOO_LAMBDAS, Family, LatentModel, Widths, Zoo, one_group


def build(w: Widths) -> nn.Module:
    """CompressAI's JointAutoregressiveHierarchicalPriors."""
    from compressai.models import JointAutoregressiveHierarchicalPriors

    if w.stages:
        net = JointAutoregressiveHierarchicalPriors(2, 3)
        set_gdn_transforms(net, w, nn.LeakyReLU)
        net.h_s = alternate([up(w.n, w.n), up(w.n, w.hidden), same(w.hidden, w.hidden)], nn.LeakyReLU)
        set_raster_context(net, w)
        return net
    net = JointAutoregressiveHierarchicalPriors(w.n, w.m)
    if w.bands != 3:
        net.g_a[0], net.g_s[-1] = conv5(w.bands, w.n), deconv5(w.n, w.bands)
    return net


def parts(net: Any, w: Widths) -> LatentModel:
    """One pass along a wavefront."""
    return of_google(FAMILY, net, w, raster_passes(net, w))


def widths_of(state: Mapping[str, Tensor]) -> Widths:
    """N and M from the transforms."""
    return Widths(int(state["g_a.0.weight"].shape[0]), int(state["g_a.6.weight"].shape[0]))


FAMILY = Family(
    name="mbt",
    number=1,
    build=build,
    parts=parts,
    widths_of=widths_of,
    check=lambda w: one_group(w.checked(), "mbt"),
    has_context=True,
    zoo=Zoo("mbt2018", ZOO_LAMBDAS),
    # 24.71 ms. The row can only be CompressAI's mean-and-scale hyperprior, which has no context loop
    seconds={"titan_v": (2.39e-3, 7.98e-3, 14.34e-3)},
)
