"""What of a network's state a checkpoint holds: all but what is the same for every codec of its family.

The Gaussian conditional's tables, the masks of masked convolutions and the least likelihood are made on load.
Of a masked convolution's weight [out, in, rows, columns] only the taps that its mask lets through are stored,
[out, in, taps] in raster order: half of a window less its centre, causal or checkerboard. Files that hold
whole weights and masks load too."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from constellation.common.errors import UserError

WEIGHTS_FOLDER = Path(__file__).resolve().parent / "weights"
BOTTLENECK_TABLES = ("_quantized_cdf", "_offset", "_cdf_length")
MAX_TABLE_LENGTH = 1 << 14  # symbols of one z channel: far above any trained bottleneck


def sha256_of(path: Path) -> str:
    """Of a file, hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def is_table(key: str) -> bool:
    """Whether a tensor is one of the integer tables that z is coded with."""
    return key.rsplit(".", 1)[-1] in BOTTLENECK_TABLES


def is_made(key: str) -> bool:
    """Whether a tensor is made on load, whatever the file says. The least likelihood, 1e-9, is among them:
    float16 has no such number, and with 0 in its place the training of a loaded codec has no gradient where z
    is unlikely."""
    return "gaussian_conditional" in key or key.endswith((".mask", "likelihood_lower_bound.bound"))


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


def check_header(file: Any, expected: Mapping[str, list[int]], what: str, announced: str) -> None:
    """Names, shapes and types of every tensor of an open safetensors file against those of the announced
    network, before either is in memory. Raises `UserError`."""
    found = set(file.keys())
    missing = sorted(key for key in expected if key not in found and not is_made(key))
    extra = sorted(found - expected.keys())
    if missing or extra:
        odd = f"lacks {missing[0]}" if missing else f"has a foreign tensor {extra[0]}"
        raise UserError(f"{what}: {odd} ({len(missing)} missing, {len(extra)} foreign), expected {announced}")
    for key in found:
        piece = file.get_slice(key)
        shape, kind = list(piece.get_shape()), piece.get_dtype()
        stored = packed_shape(key, expected[key], expected)
        if not _fits(key, kind, shape, expected[key]) and not _fits(key, kind, shape, stored):
            wanted = "an int32 table" if is_table(key) else f"floats of shape {expected[key]}"
            raise UserError(f"{what}: {key} is {kind} {shape}, expected {wanted}")


def _fits(key: str, kind: str, shape: list[int], expected: list[int]) -> bool:
    if is_table(key):
        sides = 2 if key.endswith("_quantized_cdf") else 1
        return kind == "I32" and len(shape) == sides and all(s <= MAX_TABLE_LENGTH for s in shape)
    if key.endswith("scale_table"):
        return kind in ("F16", "F32") and len(shape) == 1 and shape[0] <= 1024
    return kind in ("F16", "BF16", "F32") and shape == expected
