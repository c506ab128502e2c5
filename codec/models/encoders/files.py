"""Encoder files: g_a of one codec alone, for a board whose entropy model and ground decoder are another
checkpoint's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from codec.models.model import Widths
from constellation.common.errors import UserError
from constellation.common.files import write_bytes

PREFIX = "g_a."


def save_encoder(
    path: Path, name: str, widths: Widths, tensors: Mapping[str, Tensor], notes: Mapping[str, str]
) -> None:
    """Write the tensors of `tensors` that belong to g_a as float16 safetensors. `notes`: metadata, among them
    lambda and steps."""
    from safetensors.torch import save

    own = {key: value.half().contiguous() for key, value in tensors.items() if key.startswith(PREFIX)}
    if bad := [key for key, value in own.items() if not bool(torch.isfinite(value).all())]:
        raise UserError(f"weights {path.name}: {bad[0]} is not finite in float16, so nothing was written")
    optional = {"groups": list(widths.groups), "stages": list(widths.stages)}
    metadata = {
        "model": name,
        "part": "encoder",
        "N": str(widths.n),
        "M": str(widths.m),
        "norm": widths.norm,
        "precision": "float16",
        **{key: json.dumps(value) for key, value in optional.items() if value},
        **notes,
    }
    content = save(own, {key: metadata[key] for key in sorted(metadata)})
    write_bytes(path, content)
