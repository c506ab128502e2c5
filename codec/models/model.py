"""The four image codecs by name, and one uniform way into their parts.

Every network is CompressAI's own class with CompressAI's state-dict layout (`codec.models.families`: at
uniform widths its checkpoints load here and ours load there; with `stages` the layers are slimmer). What
differs between the classes is where the parts sit and in which order a tensor is cut; `LatentModel` hides
that and nothing else:

    name   class (CompressAI 1.2.8)                  latent context                                      mean, scale
    bmshj  ScaleHyperprior                           none; h_a sees |y|                                  0, h_s(z_hat)
    mbt    JointAutoregressiveHierarchicalPriors     5x5 masked convolution, raster order                chunk 1, chunk 0
    cheng  Cheng2020Attention (M = N)                5x5 masked convolution, raster order                chunk 1, chunk 0
    elic   Elic2022Official                          channel groups, and a checkerboard within each      chunk 1, chunk 0 of each group

Chunk 0 is always the scales, chunk 1 the means. The checkerboard's anchors are the positions with (row +
column) even."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from codec.models.families import BUILDERS, Widths
from constellation.common.errors import UserError

MODEL_NAMES = ("bmshj", "mbt", "cheng", "elic")
LATENT_STRIDE_PX = 16  # one latent position per 16 x 16 px
HYPER_STRIDE_PX = 64  # one hyper-latent position per 64 x 64 px: image sides are multiples of it
FULL_ELIC_GROUPS = (
    16,
    16,
    32,
    64,
)  # channels of ELIC's first four groups at full width; the fifth takes the rest
MAX_CHANNELS = 1024


@dataclass(frozen=True)
class LatentModel:
    """A codec network with its parts under the names of the literature, whatever CompressAI's class calls
    them.

    x: [B, 3, H, W] in 0..1, H and W multiples of 64 px.  y = g_a(x): [B, M, H/16, W/16].  z = hyper_analysis(y): [B, N, H/64, W/64].
    """

    name: str  # one of MODEL_NAMES
    net: nn.Module  # CompressAI's module, owner of the state dict
    n: int  # channels of z, and of the transforms where there are no `stages`
    m: int  # channels of y
    g_a: nn.Module
    g_s: nn.Module
    h_a: nn.Module
    h_s: nn.Module
    entropy_bottleneck: nn.Module
    context_prediction: nn.Module | None = None  # mbt, cheng: 5x5 masked convolution over M channels
    entropy_parameters: nn.Module | None = None  # mbt, cheng: 1x1 convolutions of cat(h_s(z_hat), context)
    groups: tuple[int, ...] = ()  # elic: channels of each group; the next three have one entry per group
    channel_context: tuple[nn.Module | None, ...] = ()  # earlier groups -> 2 g_k; None for the first group
    spatial_context: tuple[nn.Module, ...] = ()  # checkerboard masked convolution, g_k -> 2 g_k
    param_aggregation: tuple[nn.Module, ...] = ()  # 1x1 convolutions of cat(spatial, channel, h_s(z_hat))
    stages: tuple[
        int, ...
    ] = ()  # channels of the transforms at 1/2, 1/4, 1/8 of the side, where they are not uniform

    @property
    def widths(self) -> Widths:
        return Widths(self.n, self.m, self.stages, self.groups)

    @property
    def has_context(self) -> bool:
        """Whether the entropy parameters of y depend on other vectors of y (all but bmshj)."""
        return self.name != "bmshj"

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def analysis(self, x: Tensor) -> Tensor:
        """y = g_a(x)."""
        return self.g_a(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """x_hat = g_s(y_hat), not clamped."""
        return self.g_s(y_hat)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """z = h_a(|y|) for bmshj, h_a(y) for the others."""
        return self.h_a(y.abs() if self.name == "bmshj" else y)

    def medians(self) -> Tensor:
        """Medians of z's prior, the centre of its quantisation grid: [1, N, 1, 1]."""
        return self.entropy_bottleneck._get_medians().detach().reshape(1, -1, 1, 1)

    def quantize_hyper(self, z: Tensor) -> Tensor:
        """z_hat = round(z - median) + median, CompressAI's rule; no gradient."""
        medians = self.medians()
        return torch.round(z - medians) + medians


def default_elic_groups(m: int) -> tuple[int, ...]:
    """ELIC's channel groups for M latent channels: the paper's 16, 16, 32, 64, rest, halved until the rest is
    no smaller than an eighth of M.

    >>> default_elic_groups(192), default_elic_groups(96)
    ((16, 16, 32, 64, 64), (8, 8, 16, 32, 32))
    """
    divisor = 1
    while m - sum(FULL_ELIC_GROUPS) // divisor < max(1, m // 8) and divisor < 16:
        divisor *= 2
    head = tuple(size // divisor for size in FULL_ELIC_GROUPS)
    if m - sum(head) < 1:
        raise UserError(f"m={m}: elic needs at least 9 latent channels")
    return (*head, m - sum(head))


def _check_widths(name: str, n: int, m: int, groups: Sequence[int] | None, stages: Sequence[int]) -> None:
    if name not in MODEL_NAMES:
        raise UserError(f"model {name!r}: expected one of {', '.join(MODEL_NAMES)}")
    for label, value in (("n", n), ("m", m)):
        if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= MAX_CHANNELS:
            raise UserError(f"{label}={value!r}: expected a whole number from 2 to {MAX_CHANNELS}")
    if stages and (
        len(stages) != 3 or not all(type(s) is int and 2 <= s <= MAX_CHANNELS and s % 2 == 0 for s in stages)
    ):
        raise UserError(f"stages={list(stages)}: expected three even numbers from 2 to {MAX_CHANNELS}")
    if name == "cheng" and n != m and not stages:
        raise UserError(f"model cheng: n={n} and m={m}, expected the same number (Cheng2020 has one width)")
    if name == "elic" and n % 2:
        raise UserError(f"model elic: n={n}, expected an even number (its bottleneck blocks halve it)")
    if groups is not None:
        if name != "elic":
            raise UserError(f"model {name}: has no channel groups, found groups={list(groups)}")
        if (
            not all(isinstance(g, int) and g > 0 for g in groups)
            or sum(groups) != m
            or not 2 <= len(groups) <= 16
        ):
            raise UserError(
                f"model elic: groups={list(groups)}, expected 2 to 16 positive numbers that add up to m={m}"
            )


def build_model(
    name: str, n: int, m: int, groups: Sequence[int] | None = None, stages: Sequence[int] = ()
) -> LatentModel:
    """A codec of that name and those widths with fresh random weights (torch's global generator), in
    evaluation mode.

    `groups` is for elic alone (None: `default_elic_groups(m)`); `stages`: see `codec.models.families`. Raises
    `UserError` for an unknown name or impossible widths."""
    _check_widths(name, n, m, groups, stages)
    groups = tuple(groups or default_elic_groups(m)) if name == "elic" else ()
    net = BUILDERS[name](Widths(n, m, tuple(stages), groups))
    return wrap_network(name, net.eval(), tuple(stages))


def wrap_network(name: str, net: Any, stages: tuple[int, ...] = ()) -> LatentModel:
    """Give the parts of a CompressAI network of the family `name` their uniform names; nothing is copied.
    `stages`: of one built with them."""
    n, m = widths_of(name, net.state_dict())
    if name != "elic":
        context = (
            {}
            if name == "bmshj"
            else {"context_prediction": net.context_prediction, "entropy_parameters": net.entropy_parameters}
        )
        return LatentModel(
            name,
            net,
            n,
            m,
            net.g_a,
            net.g_s,
            net.h_a,
            net.h_s,
            net.entropy_bottleneck,
            stages=stages,
            **context,
        )
    hyper, latent = net.latent_codec.hyper, net.latent_codec.y
    codecs = [latent.latent_codec[f"y{k}"] for k in range(len(latent.groups))]
    channel = [latent.channel_context[f"y{k}"] if k else None for k in range(len(latent.groups))]
    return LatentModel(
        name,
        net,
        n,
        m,
        net.g_a,
        net.g_s,
        hyper.h_a,
        hyper.h_s,
        hyper.entropy_bottleneck,
        groups=tuple(latent.groups),
        channel_context=tuple(channel),
        spatial_context=tuple(c.context_prediction for c in codecs),
        param_aggregation=tuple(c.entropy_parameters for c in codecs),
        stages=stages,
    )


def widths_of(name: str, state: dict[str, Tensor]) -> tuple[int, int]:
    """(N, M) as a state dict of the family `name` shows them. Raises KeyError where a tensor is missing."""
    part = "latent_codec.hyper." if name == "elic" else ""
    return int(state[f"{part}entropy_bottleneck.quantiles"].shape[0]), int(
        state[f"{part}h_a.0.weight"].shape[1]
    )
