"""Small models, latents and layouts that the tests of the entropy coder share."""

from __future__ import annotations

import functools

import numpy as np
import torch

from codec.entropy.coder import EntropyCoder
from codec.entropy.layouts import FILL, KNOWN, ContextLayout
from codec.entropy.schedule import is_anchor
from codec.models.model import LatentModel
from codec.models.registry import build_model

FAMILIES = ("bmshj", "mbt", "cheng", "elic")


@functools.lru_cache(maxsize=None)
def small_model(name: str) -> LatentModel:
    """Random weights, livelier than PyTorch's initial ones, so that context matters."""
    torch.manual_seed(3)
    model = build_model(name, 16, 16 if name == "cheng" else 24, (4, 4, 8, 8) if name == "elic" else None)
    with torch.no_grad():
        for part in (model.h_s, *model.context_networks, *model.heads):
            for parameter in part.parameters() if part is not None else ():
                parameter.mul_(1.7)
                if parameter.dim() == 1:
                    parameter.add_(0.1)
    model.bottleneck.update(force=True)
    return model


@functools.lru_cache(maxsize=None)
def small_coder(name: str, portable: bool = True, grid: str = "fixed", backend: str = "auto") -> EntropyCoder:
    return EntropyCoder(small_model(name), portable=portable, grid=grid, backend=backend)


def latents(name: str, seed: int = 0, height: int = 8, width: int = 8) -> torch.Tensor:
    """y [1, M, H, W] with channels from dead to busy and a few values outside any table."""
    rng = np.random.default_rng(seed)
    m = small_model(name).m
    y = rng.standard_normal((1, m, height, width)) * np.exp(np.linspace(-3, 2, m))[None, :, None, None]
    y[0, 3, 0, 0], y[0, -1, -1, -1] = 300.0, -20000.0
    return torch.from_numpy(y).float()


def mixed_layout(
    family: str, seed: int, height: int = 8, width: int = 8, known: bool = True
) -> ContextLayout:
    """A layout of every fate: half kept, local copies of earlier positions, known and filled remote
    copies."""
    rng = np.random.default_rng(seed)
    cells = height * width
    fate = rng.choice(4, size=cells, p=(0.5, 0.2, 0.2, 0.1))
    order = np.arange(cells)
    if family == "elic":
        order = order[np.argsort(~is_anchor(height, width), kind="stable")]
    source, earlier = np.empty(cells, dtype=np.int32), []
    for p in order:
        if fate[p] == 1 and earlier:
            source[p] = rng.choice(earlier)
            continue
        source[p] = {2: KNOWN if known else FILL, 3: FILL}.get(int(fate[p]), p)
        earlier.append(p)
    return ContextLayout(height, width, source)


def consistent(y_hat: np.ndarray, layout: ContextLayout) -> np.ndarray:
    """y_hat with local copies equal to their representatives, as `context_map` sees it."""
    return layout.context_map(y_hat)


def with_references(layout: ContextLayout, y_hat: np.ndarray) -> tuple[ContextLayout, np.ndarray]:
    """The decoder's layout and `known` vectors [K, M] for an encoder's layout: every KNOWN position is given
    from outside."""
    at = np.flatnonzero(layout.source == KNOWN)
    reference = np.full((len(layout.source), 2), -1, dtype=np.int32)
    reference[at, 1] = np.arange(len(at))
    return ContextLayout(layout.height, layout.width, layout.source, reference), y_hat.reshape(
        len(y_hat), -1
    )[:, at].T.astype(np.int16)
