"""Encoder files: g_a of one codec alone, for a board whose entropy model and ground decoder are another
checkpoint's, its host's.

The metadata is a checkpoint's, with `part` = encoder, `decoder` = the host's family and `decoder_sha256` =
the SHA-256 of its file, so that the digest of an encoder file tells both. The host lies beside it, or is one
that ships."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from codec.models import registry
from codec.models.model import LatentModel, Widths
from codec.models.storage import WEIGHTS_FOLDER, sha256_of
from constellation.common.errors import UserError
from constellation.common.files import write_bytes

PREFIX = "g_a."
PART = "encoder"


def save_encoder(
    path: Path, name: str, widths: Widths, tensors: Mapping[str, Tensor], notes: Mapping[str, str]
) -> None:
    """Write the tensors of `tensors` that belong to g_a as float16 safetensors. `notes`: metadata, among them
    lambda and steps; decoder and decoder_sha256, or `bind` adds them later."""
    own = {key: value.half().contiguous() for key, value in tensors.items() if key.startswith(PREFIX)}
    if bad := [key for key, value in own.items() if not bool(torch.isfinite(value).all())]:
        raise UserError(f"weights {path.name}: {bad[0]} is not finite in float16, so nothing was written")
    optional = {"groups": list(widths.groups), "stages": list(widths.stages)}
    metadata = {
        "model": name,
        "part": PART,
        "N": str(widths.n),
        "M": str(widths.m),
        "norm": widths.norm,
        "precision": "float16",
        **{key: json.dumps(value) for key, value in optional.items() if value},
        **({"bands": str(widths.bands)} if widths.bands != 3 else {}),
        **notes,
    }
    write_bytes(path, serialized(own, metadata))


def serialized(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """safetensors bytes with the header's keys in order (the library's own order changes from process to
    process): equal runs, equal files."""
    from safetensors.torch import save

    content = save(dict(tensors), dict(metadata))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(dict(sorted(header.items())), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def bind(path: Path, host: Path) -> None:
    """Write into an encoder file which checkpoint its entropy model and decoder are. Raises `UserError`."""
    from safetensors import safe_open

    with safe_open(host, framework="pt") as file:
        named = {"decoder": (file.metadata() or {}).get("model", ""), "decoder_sha256": sha256_of(host)}
    with safe_open(path, framework="pt") as file:
        metadata, keys = file.metadata() or {}, file.keys()
        tensors = {key: file.get_tensor(key) for key in keys}
    if not is_encoder(path.name, metadata):
        raise UserError(f"weights {path.name}: is a whole checkpoint, expected an encoder file")
    write_bytes(path, serialized(tensors, {**metadata, **named}))


def is_encoder(name: str, metadata: Mapping[str, str]) -> bool:
    """Whether a file holds g_a alone. Raises `UserError` for a part that there is not."""
    part = metadata.get("part", "")
    if part not in ("", PART):
        raise UserError(f"weights {name}: metadata part={part[:40]!r}, expected {PART} or none")
    return part == PART


def host_of(name: str, metadata: Mapping[str, str]) -> tuple[str, str]:
    """(family, SHA-256) of the checkpoint that an encoder file names. Raises `UserError`."""
    decoder, digest = metadata.get("decoder", ""), metadata.get("decoder_sha256", "")
    if decoder not in registry.names() or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UserError(
            f"weights {name}: is an encoder whose metadata name decoder={decoder[:40]!r} with SHA-256 "
            f"{digest[:12]!r}, expected a model and 64 hex digits"
        )
    return decoder, digest


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def host_file(path: Path, metadata: Mapping[str, str]) -> Path:
    """The checkpoint that an encoder file names, of its lambda: beside it, or shipped. Raises `UserError`."""
    decoder, digest = host_of(path.name, metadata)
    stem = f"{decoder}_lambda{_number(metadata.get('lambda', '')):g}"
    candidates = [folder / f"{stem}.safetensors" for folder in (path.parent, WEIGHTS_FOLDER)]
    there = {file: sha256_of(file) for file in dict.fromkeys(candidates) if file.is_file()}
    for file, found in there.items():
        if found == digest:
            return file
    what = f"found {', '.join(found[:12] for found in there.values())}" if there else "there is none"
    raise UserError(
        f"weights {path.name}: its decoder is {stem}.safetensors with SHA-256 {digest[:12]}, beside it or "
        f"shipped: {what}"
    )


def placed_before(host: LatentModel, name: str, widths: Widths, file: str = "") -> LatentModel:
    """A codec of family `name` with a fresh g_a and all other parts `host`'s own modules. Raises `UserError`
    where they do not fit together."""
    model = registry.build(name, widths)
    found, theirs = replace(model.widths, norm=""), replace(host.widths, norm="")
    same = len(model.passes) == len(host.passes) and model.family.has_context == host.family.has_context
    if found != theirs or not same:
        raise UserError(
            f"weights {file}: an encoder of N={found.n} M={found.m} stages={list(found.stages)} "
            f"groups={list(found.groups)}, its decoder {host.name} has N={theirs.n} M={theirs.m} "
            f"stages={list(theirs.stages)} groups={list(theirs.groups)}"
        )
    for part, module in host.net.named_children():
        if part != PREFIX[:-1]:
            setattr(model.net, part, module)
    return replace(model.family.parts(model.net, model.widths), host=host)
