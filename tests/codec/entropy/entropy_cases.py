"""Small models, latents and layouts that the tests of the entropy coder share."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
import torch

from codec.entropy.coder import EntropyCoder, context_map
from codec.entropy.decoder import DecodedLatents, StreamItem, decode
from codec.entropy.encoder import encode
from codec.entropy.order import rank
from codec.maps.assignment import FILL, KNOWN
from codec.maps.references import References
from codec.models.model import LatentModel
from codec.models.registry import build_model
from constellation.common.errors import BitstreamError

FAMILIES = ("bmshj", "mbt", "cheng", "elic")


@functools.cache
def small_model(name: str) -> LatentModel:
    """Random weights, livelier than PyTorch's initial ones, so that context matters."""
    torch.manual_seed(3)
    model = build_model(name, 16, 16 if name == "cheng" else 24, (4, 4, 8, 8) if name == "elic" else None)
    with torch.no_grad():
        for part in (model.h_s, *model.context_networks, *model.heads):
            for parameter in part.parameters():
                parameter.mul_(1.7)
                if parameter.dim() == 1:
                    parameter.add_(0.1)
    model.bottleneck.update(force=True)
    return model


@functools.cache
def small_coder(name: str, portable: bool = True, grid: str = "fixed", backend: str = "auto") -> EntropyCoder:
    return EntropyCoder(small_model(name), portable=portable, grid=grid, backend=backend)


def latents(name: str, seed: int = 0, height: int = 8, width: int = 8) -> torch.Tensor:
    """y [1, M, H, W] with channels from dead to busy and a few values outside any table."""
    rng = np.random.default_rng(seed)
    m = small_model(name).m
    y = rng.standard_normal((1, m, height, width)) * np.exp(np.linspace(-3, 2, m))[None, :, None, None]
    y[0, 3, 0, 0], y[0, -1, -1, -1] = 300.0, -20000.0
    return torch.from_numpy(y).float()


def kept_everywhere(height: int, width: int) -> np.ndarray:
    """What is known where every position is kept, int32 [H, W]."""
    return np.arange(height * width, dtype=np.int32).reshape(height, width)


def mixed_known(family: str, seed: int, height: int = 8, width: int = 8, known: bool = True) -> np.ndarray:
    """What is known of a map of every fate, int32 [H, W]: half kept, local copies of earlier positions, exact
    and other remote copies."""
    rng = np.random.default_rng(seed)
    cells = height * width
    fate = rng.choice(4, size=cells, p=(0.5, 0.2, 0.2, 0.1))
    source, earlier = np.empty(cells, dtype=np.int32), []
    for p in np.argsort(rank(small_model(family).passes, height, width).reshape(-1)):
        if fate[p] == 1 and earlier:
            source[p] = rng.choice(earlier)
            continue
        source[p] = {2: KNOWN if known else FILL, 3: FILL}.get(int(fate[p]), p)
        earlier.append(p)
    return source.reshape(height, width)


@dataclass(frozen=True)
class Coded:
    """Streams as the decoder gets them, what the last one decodes to, and its y_hat before that."""

    items: tuple[StreamItem, ...]
    references: References | None
    context: np.ndarray
    y_hat: np.ndarray

    @property
    def item(self) -> StreamItem:
        return self.items[-1]


def coded_case(name: str, known: np.ndarray, seed: int = 0, coder: EntropyCoder | None = None) -> Coded:
    """Latents coded under `known`; what they refer to is kept by a stream before them that sees the same."""
    coder = coder or small_coder(name)
    y = latents(name, seed, *known.shape)
    y_hat, z = np.rint(y[0].numpy()).astype(np.int32), coder.hyper_symbols(y)
    items, cells = [], np.arange(known.size, dtype=np.int64)
    for one in (kept_everywhere(*known.shape), known) if (known == KNOWN).any() else (known,):
        coded = encode(coder, z, y_hat, one)
        items.append(StreamItem(coded.z_bytes, coded.y_bytes, one, coded.y_digest))
    references = None
    if len(items) == 2:
        own = np.where(known.reshape(-1) == KNOWN, cells, cells + known.size)
        first = np.array([0, known.size, 2 * known.size])
        references = References((0, 1), first, np.concatenate((cells, own)))
    return Coded(tuple(items), references, context_map(y_hat, known), y_hat)


def decoded(name: str, case: Coded, **changes) -> DecodedLatents | BitstreamError:
    """What the last stream of a case decodes to, with changes to its item."""
    items = (*case.items[:-1], dataclasses.replace(case.item, **changes))
    return decode(small_coder(name), items, case.references)[-1]
