"""Files of trained nets: safetensors, float16, for one codec's decoder each.

A net learns what one decoder does wrong: its file names the SHA-256 of that codec's checkpoint, and is
refused beside another. A foreign file until names, shapes and values have been checked; nothing is
unpickled."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from codec.models.checkpoint import CheckpointInfo
from codec.models.encoders.files import serialized
from codec.models.storage import sha256_of
from constellation.common.errors import UserError
from constellation.common.files import write_bytes
from ground.compensation import FOLDER
from ground.compensation.nets import KINDS, Kind, Regressor, Shape, net_of

MAX_BYTES = 16 << 20
VERSION = "1"


@dataclass(frozen=True)
class Trained:
    """A net in evaluation mode, float32 on the CPU, and the SHA-256 of its file."""

    net: Regressor
    sha256: str

    @property
    def kind(self) -> Kind:
        return self.net.shape.kind


def shipped_net(kind: str, codec: CheckpointInfo) -> Path:
    """The file that ships for a codec. Raises `UserError` where none does."""
    path = FOLDER / f"{kind}_{codec.model}_lambda{codec.lambda_:g}.safetensors"
    if path.is_file():
        return path
    found = ", ".join(sorted(one.stem for one in FOLDER.glob("*.safetensors"))) or "none"
    raise UserError(
        f"ground.compensation={kind}: no weights ship for {codec.model} at lambda {codec.lambda_:g} "
        f"(shipped: {found}); train some with `dlrc train-compensation` and name them in "
        "ground.compensation_weights"
    )


def save_net(
    path: str | os.PathLike, net: Regressor, codec: CheckpointInfo, notes: Mapping[str, str]
) -> None:
    """Write in float16 (temporary name, then renamed). notes: further metadata."""
    tensors = {key: value.detach().cpu().half().contiguous() for key, value in net.state_dict().items()}
    for key, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"compensation {Path(path).name}: {key} is not finite, so nothing was written")
    told = {
        "version": VERSION,
        "kind": net.shape.kind,
        "channels": str(net.shape.channels),
        "layers": str(net.shape.layers),
        "model": codec.model,
        "lambda": repr(codec.lambda_),
        "codec": codec.sha256,
    }
    write_bytes(Path(path), serialized(tensors, {**notes, **told}))


def load_net(path: str | os.PathLike, codec: CheckpointInfo, kind: str) -> Trained:
    """A net that was trained for the codec of that checkpoint. Raises `UserError`, one line."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    what = f"compensation {path.name}"
    if not path.is_file():
        raise UserError(f"{what}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{what}: {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            net = _announced(what, file.metadata() or {}, codec, kind)
            expected = {key: list(value.shape) for key, value in net.state_dict().items()}
            found = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            if found != expected:
                odd = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
                raise UserError(f"{what}: {odd[0]} does not fit the {kind} that it announces")
            state = {key: file.get_tensor(key).float() for key in expected}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{what}: not a readable safetensors file ({error})") from None
    for key, value in state.items():
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"{what}: {key} holds a value that is not finite")
    net.load_state_dict(state)
    return Trained(net.eval().requires_grad_(False), sha256_of(path))


def _announced(what: str, metadata: Mapping[str, str], codec: CheckpointInfo, kind: str) -> Regressor:
    held = metadata.get("kind", "")
    if metadata.get("version") != VERSION or held not in KINDS:
        raise UserError(f"{what}: holds no net of `dlrc train-compensation`, version {VERSION}")
    if held != kind:
        raise UserError(f"{what}: holds a {held}, ground.compensation asks for {kind}")
    if metadata.get("codec") != codec.sha256:
        raise UserError(
            f"{what}: was trained for {metadata.get('model', '?')[:40]} at lambda "
            f"{metadata.get('lambda', '?')[:20]} ({metadata.get('codec', '')[:12]}), the decoder is "
            f"{codec.model} at lambda {codec.lambda_:g} ({codec.sha256[:12]})"
        )
    sides = [metadata.get(key, "") for key in ("channels", "layers")]
    if not all(side.isdigit() and len(side) < 6 for side in sides):
        raise UserError(f"{what}: metadata channels, layers are {', '.join(sides)}, expected two numbers")
    return net_of(Shape(held, *map(int, sides)))
