"""Multiply-adds of a codec's networks per pixel of the picture, counted from its own layers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from codec.models.encoders.lsconv import TAPS, LSConv
from codec.models.model import HYPER_STRIDE_PX, LATENT_STRIDE_PX, LatentModel

CELL_PX = LATENT_STRIDE_PX**2


def on_board(model: LatentModel) -> dict[str, float]:
    """Multiply-adds per px of what a board computes: g_a; the hyperprior (h_a, h_s); the context model, whole
    kernels counted though masks hide half of some. Biases, activations and norms are left out."""
    side = 2 * HYPER_STRIDE_PX
    y = torch.zeros(1, model.m, side // LATENT_STRIDE_PX, side // LATENT_STRIDE_PX)
    z = torch.zeros(1, model.n, side // HYPER_STRIDE_PX, side // HYPER_STRIDE_PX)
    x = torch.zeros(1, model.widths.bands, side, side)
    hyper = counted(model.h_a, y) + counted(model.h_s, z)
    networks = [*model.context_networks, *{id(h): h for h in model.heads if h is not model.h_s}.values()]
    return {
        "g_a": counted(model.g_a, x) / side**2,
        "hyperprior": hyper / side**2,
        "context": sum(weights(network) for network in networks) / CELL_PX,
    }


@torch.no_grad()
def counted(network: nn.Module, given: Tensor) -> float:
    """Multiply-adds of a network for one input."""
    found: list[float] = []

    def count(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        if isinstance(layer, nn.ConvTranspose2d):
            found.append(layer.weight[0].numel() * given[0].numel())
        elif isinstance(layer, nn.Conv2d):
            found.append(layer.weight[0].numel() * out.numel())
        elif isinstance(layer, LSConv):
            found.append(TAPS * out.numel())
        elif type(layer).__name__ == "GDN":
            found.append(out.shape[1] * out.numel())

    handles = [layer.register_forward_hook(count) for layer in network.modules()]
    try:
        network(given)
    finally:
        for handle in handles:
            handle.remove()
    return float(sum(found))


def weights(network: nn.Module) -> float:
    """Multiply-adds of convolutions at one position, of a network that keeps the size."""
    return float(sum(layer.weight.numel() for layer in network.modules() if isinstance(layer, nn.Conv2d)))


def parameters(networks: Iterable[nn.Module]) -> int:
    """Parameters of networks, each once."""
    return sum(p.numel() for p in {id(p): p for n in networks for p in n.parameters()}.values())
