"""Files of trained fusions: safetensors, float16, for one codec each.

A fusion is trained for the latents of one codec: its file names that codec's SHA-256, and is refused beside
another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from codec.models.checkpoint import CheckpointInfo
from codec.models.model import MAX_CHANNELS, LatentModel
from codec.prediction.fusion import Fusion
from constellation.common.errors import UserError
from constellation.common.files import write_bytes

FOLDER = Path(__file__).resolve().parent / "weights"
MAX_BYTES = 64 << 20
VERSION = "1"
DIGEST_BYTES = 4  # of the file's SHA-256, that a stream carries


def shipped_fusion(info: CheckpointInfo, folder: Path = FOLDER) -> Path | None:
    """The file that ships for a codec, if any: by family and lambda."""
    path = folder / f"{info.model}_lambda{info.lambda_:g}.safetensors"
    return path if path.is_file() else None


def save_fusion(path: str | os.PathLike, fusion: Fusion, codec_sha256: str, notes: Mapping[str, str]) -> None:
    """Write in float16 (temporary name, then renamed). notes: further metadata."""
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().half().contiguous() for key, value in fusion.state_dict().items()}
    for key, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise UserError(
                f"fusion {Path(path).name}: {key} is not finite in float16, so nothing was written"
            )
    metadata = {"codec": codec_sha256, "hidden": str(fusion.hidden), "version": VERSION, **notes}
    write_bytes(Path(path), _ordered(save(tensors, metadata)))


def load_fusion(
    path: str | os.PathLike, model: LatentModel, codec_sha256: str | None
) -> tuple[Fusion, bytes]:
    """(the fusion in evaluation mode, float32 on the CPU; the first DIGEST_BYTES of its file's SHA-256).

    codec_sha256: of the codec that it must have been trained for; None: any that fits. Raises `UserError`."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise UserError(f"fusion {path.name}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"fusion {path.name}: {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            fusion = _announced(path.name, file.metadata() or {}, model, codec_sha256)
            expected = {key: list(value.shape) for key, value in fusion.state_dict().items()}
            found = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            if found != expected:
                odd = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
                raise UserError(
                    f"fusion {path.name}: {odd[0]} does not fit {model.name} N={model.n} M={model.m}"
                )
            state = {key: file.get_tensor(key).float() for key in expected}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"fusion {path.name}: not a readable safetensors file ({error})") from None
    for key, value in state.items():
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"fusion {path.name}: {key} holds a value that is not finite")
    fusion.load_state_dict(state)
    return fusion.eval().requires_grad_(False), hashlib.sha256(path.read_bytes()).digest()[:DIGEST_BYTES]


def _announced(
    name: str, metadata: Mapping[str, str], model: LatentModel, codec_sha256: str | None
) -> Fusion:
    if metadata.get("version") != VERSION:
        raise UserError(f"fusion {name}: version {metadata.get('version')!r}, expected {VERSION}")
    if codec_sha256 is not None and metadata.get("codec") != codec_sha256:
        raise UserError(
            f"fusion {name}: was trained for the codec {metadata.get('codec', '')[:12]}, not for "
            f"{codec_sha256[:12]}; train one with `dlrc train-prediction`"
        )
    hidden = metadata.get("hidden", "")
    if not hidden.isdigit() or not 2 <= int(hidden[:6]) <= MAX_CHANNELS:
        raise UserError(
            f"fusion {name}: metadata hidden={hidden!r}, expected a number from 2 to {MAX_CHANNELS}"
        )
    return Fusion(model, int(hidden))


def _ordered(content: bytes) -> bytes:
    """safetensors bytes with the header's keys in order: equal runs, equal files."""
    import json

    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(dict(sorted(header.items())), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]
