"""What of a network's state a checkpoint holds: all but what is the same for every codec of its family.

The Gaussian conditional's tables and the masks of masked convolutions are made on load. Of a masked
convolution's weight [out, in, rows, columns] only the taps that its mask lets through are stored, [out, in,
taps] in raster order: half of a window less its centre, causal or checkerboard. Files that hold whole weights
and masks load too."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor


def is_made(key: str) -> bool:
    """Whether a tensor is made on load, whatever the file says."""
    return "gaussian_conditional" in key or key.endswith(".mask")


def packed_shape(key: str, shape: list[int], keys: Collection[str]) -> list[int]:
    """The shape in which a tensor of the state dict with these `keys` is stored."""
    if key.endswith(".weight") and _mask_of(key) in keys:
        return [*shape[:2], shape[2] * shape[3] // 2]
    return shape


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state dict that are stored, in the shapes in which they are."""
    found = {}
    for key, tensor in state.items():
        if is_made(key):
            continue
        mask = state.get(_mask_of(key)) if key.endswith(".weight") else None
        found[key] = tensor if mask is None else tensor[..., mask[0, 0] > 0]
    return found


def unpacked(stored: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A whole state dict: stored tensors, zeros where a mask hides a tap, and what is made from `state`, that
    of a fresh network. Shapes have been checked against `packed_shape`."""
    found = {key: tensor for key, tensor in state.items() if is_made(key)}
    for key, tensor in stored.items():
        if is_made(key):
            continue
        if tensor.dim() == 3 and _mask_of(key) in state:
            whole = torch.zeros_like(state[key], dtype=tensor.dtype)
            whole[..., state[_mask_of(key)][0, 0] > 0] = tensor
            tensor = whole
        found[key] = tensor
    return found


def _mask_of(key: str) -> str:
    return key.removesuffix(".weight") + ".mask"
