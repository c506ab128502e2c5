"""rsllic: elic's entropy model and decoder behind the analysis transform of RS-LLIC (Liu et al., TGRS 2026):
four strided convolutions, two LSConv blocks after each of the first three; no attention, no GDN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from codec.models import elic
from codec.models.encoders.lsconv import NORMS, SHARED, LSConv
from codec.models.layers import conv5
from codec.models.model import Family, LatentModel, Widths
from constellation.common.errors import UserError

NORM = "frozen"  # where nothing is said


def check(w: Widths) -> Widths:
    """elic's widths, a norm among `NORMS`, and inner channels in multiples of eight."""
    w = replace(elic.check(replace(w, norm="")), norm=w.norm or NORM)
    if w.norm not in NORMS:
        raise UserError(f"model rsllic: norm={w.norm!r}, expected one of {', '.join(NORMS)}")
    if any(width % SHARED for width in w.stages or (w.n,)):
        raise UserError(
            f"model rsllic: widths {list(w.stages or (w.n,))}, expected multiples of {SHARED} (one dynamic "
            "kernel serves eight channels)"
        )
    return w


def halve(before: int, after: int) -> nn.Conv2d:
    """3 x 3, half the size."""
    return nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1)


def build(w: Widths) -> nn.Module:
    """elic's network with another g_a."""
    net: Any = elic.build(w)
    a, b, c = w.stages or (w.n,) * 3

    def blocks(width: int) -> list[nn.Module]:
        return [LSConv(width, w.norm) for _ in range(2)]

    net.g_a = nn.Sequential(
        *(conv5(w.bands, a), *blocks(a), halve(a, b), *blocks(b), halve(b, c), *blocks(c), halve(c, w.m))
    )
    return net


def parts(net: Any, w: Widths) -> LatentModel:
    """elic's passes."""
    return elic.parts(net, w, FAMILY)


def widths_of(state: Mapping[str, Tensor]) -> Widths:
    """N, M, groups; a norm that stands beside the convolutions is the published one, none is `frozen`."""
    norm = "group" if "g_a.1.norm.weight" in state else NORM
    return replace(elic.widths_of(state, "g_a.9.weight"), norm=norm)


FAMILY = Family(
    name="rsllic",
    number=4,
    build=build,
    parts=parts,
    widths_of=widths_of,
    check=check,
    has_context=True,
    zoo=None,
    seconds={"titan_v": elic.with_analysis(0.70)},  # of elic's on one thread of an AMD EPYC at N=128, M=320
    whole=False,
)
