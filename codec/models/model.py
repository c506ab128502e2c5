"""What every codec is to the rest of the program: transforms, a hyperprior, and a list of coding passes.

Every network is CompressAI's own class with CompressAI's state-dict layout (at uniform widths its checkpoints
load here and ours load there; with `Widths.stages` the layers are slimmer, see codec/models/layers.py). A
family (codec/models/registry.py) says how such a network is built and where its parts sit. How its latents
are coded follows from `LatentModel.passes` alone:

    x -> g_a -> y -> h_a -> z -> (bottleneck) -> z_hat -> h_s -> HYPER ------\\
                y_hat, this pass's channels -> window ----------> WINDOW ---- head -> scales, means of y
                y_hat, earlier passes' channels -> earlier -----> EARLIER --/

The checkerboard's anchors are the positions with (row + column) even."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from constellation.common.errors import UserError
from constellation.common.frozen import value

if TYPE_CHECKING:  # CompressAI is imported where a network is built: it takes seconds
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import MaskedConv2d
    from compressai.models import CompressionModel

LATENT_STRIDE_PX = 16  # one latent position per 16 x 16 px
HYPER_STRIDE_PX = 64  # one hyper-latent position per 64 x 64 px: image sides are multiples of it
MAX_CHANNELS = 1024
MAX_BANDS = 32
STAGES = 3  # inner stages of the transforms, at 1/2, 1/4 and 1/8 of the picture's side


@dataclass(frozen=True)
class Widths:
    """Channels of one codec, from which the shape of every tensor of its checkpoint follows."""

    n: int
    """of z (and, without `stages`, of the transforms)"""
    m: int
    """of y"""
    stages: tuple[int, ...] = ()
    """of the transforms at 1/2, 1/4, 1/8 of the picture's side, or () for CompressAI's uniform n"""
    groups: tuple[int, ...] = ()
    """of the groups that are coded one after the other, which add up to m; () for one"""
    bands: int = 3
    """of the picture"""
    norm: str = ""
    """of the dynamic kernels of an encoder that has such (codec/models/encoders/lsconv.py); "" for none"""

    @property
    def hidden(self) -> int:
        """Channels inside the entropy model of a network with `stages`."""
        return 3 * self.n // 2

    def checked(self) -> Widths:
        """These widths, if any family could have them; else `UserError`."""
        for label, number, low, high in (
            ("n", self.n, 2, MAX_CHANNELS),
            ("m", self.m, 2, MAX_CHANNELS),
            ("bands", self.bands, 1, MAX_BANDS),
        ):
            if type(number) is not int or not low <= number <= high:
                raise UserError(f"{label}={number!r}: expected a whole number from {low} to {high}")
        even = all(type(s) is int and 2 <= s <= MAX_CHANNELS and s % 2 == 0 for s in self.stages)
        if self.stages and (len(self.stages) != STAGES or not even):
            raise UserError(
                f"stages={list(self.stages)}: expected three even numbers from 2 to {MAX_CHANNELS}"
            )
        if self.norm:
            raise UserError(f"norm={self.norm!r}: this model has no norm to choose")
        return self


class Cells(Enum):
    """Which positions a pass codes: all, the checkerboard's anchors, or the others."""

    ALL = "all"
    ANCHORS = "anchors"
    OTHERS = "others"


class Given(Enum):
    """What the head of a pass reads."""

    HYPER = "hyper"  # h_s(z_hat)
    WINDOW = "window"  # the masked convolution over the pass's own channels
    EARLIER = "earlier"  # the network over the channels of earlier passes


@dataclass(frozen=True, eq=False)
class Pass:
    """One step of the entropy coding of y: some channels at some positions, all of them at once unless
    `window` sees what the pass itself codes (then along a wavefront, codec/entropy/order.py)."""

    channels: slice
    """what it codes"""
    cells: Cells
    """where"""
    window: MaskedConv2d | None
    """CompressAI's masked convolution over `channels`"""
    earlier: nn.Module | None
    """convolutions over channels 0 .. channels.start, complete by then; passes sharing it are in a row"""
    inputs: tuple[Given, ...]
    """of `head`, in the order of its weights; one whose network is None counts as zeros"""
    head: nn.Module | None
    """1x1 convolutions -> scales, means of `channels`; None: HYPER are the scales, the means are 0"""

    @cached_property
    def offsets(self) -> np.ndarray:
        """The cells that `window` sees, int64 [cells, 2]: (row, column) from its own, in raster order."""
        if self.window is None:
            return np.zeros((0, 2), dtype=np.int64)
        mask = mask_of(self.window)[0, 0].cpu().numpy()
        return np.argwhere(mask > 0) - np.array(mask.shape) // 2


def mask_of(window: MaskedConv2d) -> Tensor:
    """What a masked convolution sees, 1 or 0 like its weight [N, C, k, k]."""
    return cast(Tensor, window.mask)  # a registered buffer, which torch's types take for any module


@value
class LatentModel:
    """A codec network with its parts under the names of the literature, whatever its class calls them.

    x: [B, bands, H, W] in 0..1, H and W multiples of 64 px.  y = g_a(x): [B, M, H/16, W/16].
    z = h_a(y): [B, N, H/64, W/64]."""

    family: Family
    net: CompressionModel
    """CompressAI's module, owner of the state dict"""
    widths: Widths
    g_a: nn.Sequential
    g_s: nn.Sequential
    h_a: nn.Sequential
    h_s: nn.Sequential
    bottleneck: EntropyBottleneck
    """z's prior"""
    passes: tuple[Pass, ...]
    """how y is coded, first to last; together they cover every channel at every position once"""
    host: LatentModel | None = None
    """the codec whose entropy model and decoder, the same modules, come after this g_a; none: its own"""

    @property
    def ground(self) -> LatentModel:
        """The codec that decodes what this one codes: its host, or itself."""
        return self.host or self

    @property
    def name(self) -> str:
        """The family's name."""
        return self.family.name

    @property
    def n(self) -> int:
        """Channels of z."""
        return self.widths.n

    @property
    def m(self) -> int:
        """Channels of y."""
        return self.widths.m

    @property
    def has_context(self) -> bool:
        """Whether the entropy parameters of y depend on other vectors of y."""
        return any(step.window is not None or step.earlier is not None for step in self.passes)

    @property
    def heads(self) -> tuple[nn.Module, ...]:
        """The networks whose outputs are scales and means of y: heads of passes, each once, or h_s."""
        return tuple(dict.fromkeys(step.head for step in self.passes if step.head is not None)) or (self.h_s,)

    @property
    def context_networks(self) -> tuple[nn.Module, ...]:
        """The networks that read y_hat where y is coded: windows, and those over earlier channels, each
        once."""
        read = [part for step in self.passes for part in (step.earlier, step.window)]
        return tuple(dict.fromkeys(part for part in read if part is not None))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.net.parameters()).device

    def analysis(self, x: Tensor) -> Tensor:
        """y = g_a(x)."""
        return self.g_a(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """x_hat = g_s(y_hat), not clamped."""
        return self.g_s(y_hat)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """z = h_a(y)."""
        return self.h_a(y)

    def medians(self) -> Tensor:
        """Medians of z's prior, the centre of its quantisation grid: [1, N, 1, 1]."""
        return self.bottleneck._get_medians().detach().reshape(1, -1, 1, 1)

    def quantize_hyper(self, z: Tensor) -> Tensor:
        """z_hat = round(z - median) + median, CompressAI's rule; no gradient."""
        medians = self.medians()
        return torch.round(z - medians) + medians


def mask_context_weights(model: LatentModel) -> None:
    """Zero what the context masks hide: CompressAI's decoder reads the weight without its mask."""
    for step in model.passes:
        if step.window is not None:
            step.window.weight.data *= mask_of(step.window)


@dataclass(frozen=True)
class Zoo:
    """CompressAI's pretrained networks of a family: its name for them, and the lambda of quality 1, 2, ...
    (MSE)."""

    architecture: str
    lambdas: tuple[float, ...]


ZOO_LAMBDAS = (0.0018, 0.0035, 0.0067, 0.013, 0.025, 0.0483, 0.0932, 0.18)


@dataclass(frozen=True, eq=False)
class Family:
    """A kind of codec; one file beside this one each."""

    name: str
    number: int
    """in containers"""
    build: Callable[[Widths], Any]
    """a network of checked widths with fresh random weights (torch's global generator)"""
    parts: Callable[[Any, Widths], LatentModel]
    """the parts of such a network; nothing is copied"""
    widths_of: Callable[[Mapping[str, Tensor]], Widths]
    """what a state dict of CompressAI's shows; KeyError where a tensor is missing"""
    check: Callable[[Widths], Widths]
    """widths with what they leave open filled in, or `UserError`"""
    has_context: bool
    """whether vectors of y are coded in the light of others: `LatentModel.has_context`, without a network"""
    zoo: Zoo | None
    seconds: Mapping[str, tuple[float, float, float]]
    """analysis, entropy modelling and coding of one 256 px patch on a device of constellation/clock.py, s"""
    whole: bool = True
    """false: an encoder that usually comes before another family's entropy model and decoder"""


class OfMagnitude(nn.Sequential):
    """Layers that are given |y|: the hyper-analysis of Balle et al. 2018."""

    def forward(self, input: Tensor) -> Tensor:
        """The layers' output for |input|."""
        return super().forward(input.abs())


def one_group(widths: Widths, family: str) -> Widths:
    """These widths, if they have no channel groups; for families without."""
    if widths.groups:
        raise UserError(f"model {family}: has no channel groups, found groups={list(widths.groups)}")
    return widths
