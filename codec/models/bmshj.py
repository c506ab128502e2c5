"""bmshj: the scale hyperprior of Balle, Minnen, Singh, Hwang and Johnston 2018. No context; h_a sees |y|."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from codec.models.layers import alternate, conv5, deconv5, same, set_gdn_transforms, up
from codec.models.model import (
    ZOO_LAMBDAS,
    Cells,
    Family,
    Given,
    LatentModel,
    OfMagnitude,
    Pass,
    Widths,
    Zoo,
    one_group,
)


def build(w: Widths) -> nn.Module:
    """CompressAI's ScaleHyperprior."""
    from compressai.models import ScaleHyperprior

    if w.stages:
        net = ScaleHyperprior(2, 2)
        set_gdn_transforms(net, w, nn.ReLU)
        net.h_s = alternate([up(w.n, w.n), up(w.n, w.n), same(w.n, w.m)], nn.ReLU, last=True)
        return net
    net = ScaleHyperprior(w.n, w.m)
    if w.bands != 3:
        net.g_a[0], net.g_s[-1] = conv5(w.bands, w.n), deconv5(w.n, w.bands)
    return net


def parts(net: Any, w: Widths) -> LatentModel:
    """One pass: h_s(z_hat) are the scales, the means are 0."""
    passes = (Pass(slice(0, w.m), Cells.ALL, None, None, (Given.HYPER,), None),)
    h_a = OfMagnitude(*net.h_a)
    return LatentModel(FAMILY, net, w, net.g_a, net.g_s, h_a, net.h_s, net.entropy_bottleneck, passes)


def widths_of(state: Mapping[str, Tensor]) -> Widths:
    """N and M from the transforms."""
    return Widths(int(state["g_a.0.weight"].shape[0]), int(state["g_a.6.weight"].shape[0]))


FAMILY = Family(
    name="bmshj",
    number=0,
    build=build,
    parts=parts,
    widths_of=widths_of,
    check=lambda w: one_group(w.checked(), "bmshj"),
    has_context=False,
    zoo=Zoo("bmshj2018-hyperprior", ZOO_LAMBDAS),
    seconds={"titan_v": (2.31e-3, 7.85e-3, 14.52e-3)},  # sum 24.68 ms, as in Table 2
)
