"""The fusion: the network that corrects the entropy parameters of y in the light of a predicted y.

One trunk reads what the hyperprior says, y_pred and what is known about the registration, on the latent grid;
a head for every slice of channels that is coded at once corrects its scales and means, position by position,
so that context models keep their wavefronts. There are no exponentials in it, so it can be computed exactly
(codec/prediction/exact.py):

- a scale s travels as L(s), log2 with straight lines between the powers of two, whose inverse is exact;
- mean' = (1 - g) mean + g y_pred + b with the gate g = 0.5 + 0.5 u / (1 + |u|).

Three levels of trust are three experts of the one network, told apart by a one-hot input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codec.models.model import LatentModel

PLANES = 3  # coverage, roughness of the motion, its depth
EXPERTS = 3  # levels 1 to 3
SLOPE = 0.01  # of leaky ReLUs
SCALE_MIN = 0.11  # where the tables of y begin
LOG_MIN, LOG_MAX = -4.0, 9.0  # L' is kept within: below and above all tables
INNER = 128  # channels inside a head
_FRACTION_BITS, _EXPONENT_BIAS = 23, 127  # of float32
HIDDEN = {True: 160, False: 176}  # default channels of the trunk, with and without a context model


class Fusion(nn.Module):
    """hyper [B, P, H, W], y_pred [B, M, H, W], planes [B, 3, H, W], levels [B, H, W] -> `features`; and for
    each pass, features, scales and means of its channels -> `forward`, corrected scales and means."""

    def __init__(self, model: LatentModel, hidden: int = 0, hyper_channels: int | None = None) -> None:
        """Zeros in the last layers: an untrained fusion keeps the scales and halves the way to y_pred."""
        super().__init__()
        self.reads_parameters = model.has_context
        """whether heads see scales and means: without a context model the trunk has seen all there is"""
        self.hidden = hidden or HIDDEN[model.has_context]
        self.slices = tuple(dict.fromkeys((p.channels.start, p.channels.stop) for p in model.passes))
        self._head_of = [self.slices.index((p.channels.start, p.channels.stop)) for p in model.passes]
        self.log_hyper = model.passes[0].head is None
        given = (hyper_channels or _hyper_channels(model)) + model.m + PLANES + EXPERTS
        self.trunk = nn.Sequential(
            nn.Conv2d(given, self.hidden, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(self.hidden, self.hidden, 3, padding=1),
            nn.LeakyReLU(SLOPE),
        )
        self.heads = nn.ModuleList(self._new_head(stop - start) for start, stop in self.slices)

    def _new_head(self, channels: int) -> nn.Sequential:
        if self.reads_parameters:
            layers = [nn.Conv2d(self.hidden + 2 * channels, INNER, 1), nn.LeakyReLU(SLOPE)]
            last = nn.Conv2d(INNER, 3 * channels, 1)
        else:
            layers, last = [], nn.Conv2d(self.hidden, 3 * channels, 1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        return nn.Sequential(*layers, last)

    def head(self, pass_number: int) -> nn.Sequential:
        """The layers that correct a pass: passes over the same channels share theirs."""
        layers = self.heads[self._head_of[pass_number]]
        assert isinstance(layers, nn.Sequential)
        return layers

    def features(self, hyper: Tensor, y_pred: Tensor, planes: Tensor, levels: Tensor) -> Tensor:
        """[B, hidden, H, W]. levels: int [B, H, W], 0 to 3."""
        experts = [(levels == level).to(y_pred.dtype) for level in range(1, EXPERTS + 1)]
        first = log_of_scale(hyper) if self.log_hyper else hyper
        return self.trunk(torch.cat([first, y_pred, planes, torch.stack(experts, 1)], 1))

    def forward(
        self, pass_number: int, features: Tensor, scales: Tensor, means: Tensor, y_pred: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(scales', means') of a pass's channels, [B, C, H, W] each like the given ones; y_pred: of the same
        channels."""
        logs = log_of_scale(scales)
        given = torch.cat([features, logs, means], 1) if self.reads_parameters else features
        a, b, u = self.head(pass_number)(given).chunk(3, 1)
        gate = 0.5 + 0.5 * u / (1 + u.abs())
        return scale_of_log(logs + a), (1 - gate) * means + gate * y_pred + b


def log_of_scale(scales: Tensor) -> Tensor:
    """L(max(s, 0.11)) of float32: log2 at powers of two, straight in between."""
    bounded = scales.clamp_min(SCALE_MIN)
    exponent = bounded.detach().view(torch.int32) >> _FRACTION_BITS
    power = (exponent << _FRACTION_BITS).view(torch.float32)  # the power of two at or below
    return bounded / power + (exponent - _EXPONENT_BIAS - 1).to(scales.dtype)


def scale_of_log(logs: Tensor) -> Tensor:
    """The inverse, of logs within LOG_MIN and LOG_MAX; outside, the gradient passes unchanged."""
    bounded = logs + (logs.detach().clamp(LOG_MIN, LOG_MAX) - logs.detach())
    floor = bounded.detach().floor()
    power = ((floor.to(torch.int32) + _EXPONENT_BIAS) << _FRACTION_BITS).view(torch.float32)
    return (1 + bounded - floor) * power


def _hyper_channels(model: LatentModel) -> int:
    last = [layer for layer in model.h_s.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))][-1]
    return last.out_channels
