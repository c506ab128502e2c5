"""What a stream says about its prediction, and what the entropy coder makes of it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from constellation.common.frozen import value

ROOT_PX = 32  # a root of the motion's quad-tree, and of its reference
CELL_PX = 8  # the finest block of motion
LATENT_PX = 16  # one position of the latent grid; its level is one choice
HYPER_POSITIONS = 4  # positions of the latent grid, each side, for one of the hyper-latents
LEVELS = 4  # 0: coded without prediction; 1 to 3: experts of the fusion


@value
class Guide:
    """All that a stream says about how it is predicted: integers only, for a patch of P x P px and R
    references.

    sources: satellites referred to, each before the coder in its round's order.
    placements: int32 [R, 8], homographies from px of the patch to px of the reference, fixed point.
    gains, offsets: int32 [R, 3], of each channel, fixed point.
    roots: uint8 [P/32, P/32]: 0 no reference, 1 to R a reference, above that R + the number of a pair, from 1
    (pairs in the order (1, 2), (1, 3), (2, 3) ...).
    levels: uint8 [P/16, P/16]: 0 coded without prediction, 1 to 3 how much it is trusted. A root has a
    reference where one of its positions has a level.
    hyper: bool [P/64, P/64] (rounded up), which hyper-latents are sent; the others are taken as zero.
    motion: int16 [P/8, P/8, 2], 1/8 px, (dy, dx). depth: uint8 [P/8, P/8], 0: a block of 32 px, 1: 16, 2:
    8."""

    sources: tuple[int, ...]
    placements: np.ndarray
    gains: np.ndarray
    offsets: np.ndarray
    roots: np.ndarray
    levels: np.ndarray
    hyper: np.ndarray
    motion: np.ndarray
    depth: np.ndarray


def all_sent(levels: np.ndarray) -> np.ndarray:
    """`Guide.hyper` of a patch that sends all of its hyper-latents."""
    rows, columns = (-(-side // HYPER_POSITIONS) for side in levels.shape)
    return np.ones((rows, columns), dtype=bool)


class Correction(Protocol):
    """What corrects entropy parameters in the light of a prediction: codec/prediction/exact.py."""

    def features(self, hyper: np.ndarray, prediction: Prediction, shape: tuple[int, ...]) -> np.ndarray:
        """What is made of h_s(z_hat) [H * W, P] and a prediction: [H * W, any]."""
        ...

    def parameters(
        self, number: int, features: np.ndarray, parameters: np.ndarray, y_pred: np.ndarray
    ) -> np.ndarray:
        """Corrected scales and means [n, 2 C] of pass `number` at n positions, from their rows of features,
        those without prediction [n, 2 C], and y_pred [n, C]."""
        ...


@value
class Prediction:
    """A predicted patch on the latent grid, H x W positions in raster order.

    y: float64 [H*W, M], exact analysis of the predicted picture. planes: float64 [H*W, 3]: coverage 0 to 1,
    roughness of the motion, its depth. levels: uint8 [H*W]. hyper: bool [h*w], which hyper-latents are sent.
    fusion: what corrects entropy parameters in its light."""

    y: np.ndarray
    planes: np.ndarray
    levels: np.ndarray
    hyper: np.ndarray
    fusion: Correction

    def known_hyper(self, z_symbols: np.ndarray) -> np.ndarray:
        """What a decoder knows of the hyper-latents, int32 [N, h, w]: zero where they are not sent."""
        return z_symbols * self.hyper.reshape(z_symbols.shape[1:])
