"""elic: He, Yang, Peng, Ma, Qin and Wang 2022. Channel groups, and a checkerboard within each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any, cast

from torch import Tensor, nn

from codec.models.layers import alternate, conv5, deconv5, down, same, up
from codec.models.model import Cells, Family, Given, LatentModel, Pass, Widths
from constellation.common.errors import UserError

FULL_GROUPS = (16, 16, 32, 64)  # channels of the first four groups at full width; the fifth takes the rest
MAX_GROUPS = 16


def default_groups(m: int) -> tuple[int, ...]:
    """Channel groups for M latent channels: the paper's 16, 16, 32, 64, rest, halved until the rest is no
    smaller than an eighth of M.

    >>> default_groups(192), default_groups(96)
    ((16, 16, 32, 64, 64), (8, 8, 16, 32, 32))
    """
    divisor = 1
    while m - sum(FULL_GROUPS) // divisor < max(1, m // 8) and divisor < 16:
        divisor *= 2
    head = tuple(size // divisor for size in FULL_GROUPS)
    if m - sum(head) < 1:
        raise UserError(f"m={m}: elic needs at least 9 latent channels")
    return (*head, m - sum(head))


def check(w: Widths) -> Widths:
    """Groups that add up to m, the default ones where none are given."""
    w = w.checked()
    if w.n % 2:
        raise UserError(f"model elic: n={w.n}, expected an even number (its bottleneck blocks halve it)")
    groups = w.groups or default_groups(w.m)
    positive = all(type(g) is int and g > 0 for g in groups)
    if not positive or sum(groups) != w.m or not 2 <= len(groups) <= MAX_GROUPS:
        raise UserError(
            f"model elic: groups={list(groups)}, expected 2 to {MAX_GROUPS} positive numbers that add up to "
            f"m={w.m}"
        )
    return replace(w, groups=groups)


def build(w: Widths) -> nn.Module:
    """CompressAI's Elic2022Official."""
    from compressai.models.sensetime import Elic2022Official

    if w.stages:
        return _slim(w)
    net = Elic2022Official(w.n, w.m, groups=list(w.groups))
    if w.bands != 3:
        cast(nn.Sequential, net.g_a)[0] = conv5(w.bands, w.n)
        cast(nn.Sequential, net.g_s)[-1] = deconv5(w.n, w.bands)
    return net


def _slim(w: Widths) -> nn.Module:
    from compressai.entropy_models import EntropyBottleneck
    from compressai.models.sensetime import AttentionBlock, Elic2022Official, ResidualBottleneckBlock

    def blocks(width: int) -> list[nn.Module]:
        return [ResidualBottleneckBlock(width, width) for _ in range(3)]

    a, b, c = w.stages
    net = Elic2022Official(2, w.m, groups=list(w.groups))
    net.g_a = nn.Sequential(
        *(conv5(w.bands, a), *blocks(a), conv5(a, b), *blocks(b), AttentionBlock(b)),
        *(conv5(b, c), *blocks(c), AttentionBlock(c), down(c, w.m)),
    )
    net.g_s = nn.Sequential(
        *(up(w.m, c), AttentionBlock(c), *blocks(c), deconv5(c, b), AttentionBlock(b), *blocks(b)),
        *(deconv5(b, a), *blocks(a), deconv5(a, w.bands)),
    )
    hyper = cast(Any, net.latent_codec.hyper)  # a HyperLatentCodec; its container says Module
    hyper.entropy_bottleneck = EntropyBottleneck(w.n)
    hyper.h_a = alternate([same(w.m, w.n), down(w.n, w.n), down(w.n, w.n)], nn.ReLU)
    hyper.h_s = alternate([up(w.n, w.n), up(w.n, w.hidden), same(w.hidden, w.hidden)], nn.ReLU)
    _set_contexts(net.latent_codec.y, w)
    return net


def _set_contexts(latent: Any, w: Widths) -> None:
    from compressai.layers import CheckerboardMaskedConv2d, conv1x1

    inner = 2 * w.n
    for k, (start, size) in enumerate(zip([0, *accumulate(w.groups)], w.groups, strict=False)):
        codec, given = latent.latent_codec[f"y{k}"], w.hidden + 2 * size * (2 if k else 1)
        if k:
            latent.channel_context[f"y{k}"] = alternate(
                [same(start, w.n), same(w.n, w.n), conv1x1(w.n, 2 * size)], nn.ReLU
            )
        codec.context_prediction = CheckerboardMaskedConv2d(
            size, 2 * size, kernel_size=3, stride=1, padding=1
        )
        codec.entropy_parameters = alternate(
            [conv1x1(given, inner), conv1x1(inner, inner), conv1x1(inner, 2 * size)], nn.ReLU
        )


def parts(net: Any, w: Widths, family: Family | None = None) -> LatentModel:
    """Two passes for each channel group (equation 4): anchors from h_s(z_hat) and earlier groups, then the
    others, which also see the anchors. `family`: elic, or one that shares all but the encoder."""
    hyper, latent = net.latent_codec.hyper, net.latent_codec.y
    passes = []
    for k, (start, size) in enumerate(zip([0, *accumulate(w.groups)], w.groups, strict=False)):
        codec, channels = latent.latent_codec[f"y{k}"], slice(start, start + size)
        earlier = latent.channel_context[f"y{k}"] if k else None
        inputs = (Given.WINDOW, Given.EARLIER, Given.HYPER) if k else (Given.WINDOW, Given.HYPER)
        for cells, window in ((Cells.ANCHORS, None), (Cells.OTHERS, codec.context_prediction)):
            passes.append(Pass(channels, cells, window, earlier, inputs, codec.entropy_parameters))
    bottleneck = hyper.entropy_bottleneck
    return LatentModel(
        family or FAMILY, net, w, net.g_a, net.g_s, hyper.h_a, hyper.h_s, bottleneck, tuple(passes)
    )


def widths_of(state: Mapping[str, Tensor], last: str = "g_a.13.weight") -> Widths:
    """N and M from the transforms, the groups from their heads' biases. last: the layer that makes y."""
    pattern, groups = "latent_codec.y.latent_codec.y{}.entropy_parameters.4.bias", []
    while pattern.format(len(groups)) in state:
        groups.append(int(state[pattern.format(len(groups))].shape[0]) // 2)
    return Widths(int(state["g_a.0.weight"].shape[0]), int(state[last].shape[0]), groups=tuple(groups))


TITAN_V = (8.31e-3, 251.45e-3, 14.31e-3)


def with_analysis(share: float) -> tuple[float, float, float]:
    """The paper's times of this family on a Titan V where g_a takes `share` of them: an estimate for encoders
    that the paper does not have."""
    return (share * TITAN_V[0], *TITAN_V[1:])


FAMILY = Family(
    name="elic",
    number=3,
    build=build,
    parts=parts,
    widths_of=widths_of,
    check=check,
    has_context=True,
    zoo=None,
    # 274.07 ms. Holds CompressAI's loop over positions (centred grid), which the fixed grid does not need on
    # board: for this family the profile is slow
    seconds={"titan_v": TITAN_V},
)
