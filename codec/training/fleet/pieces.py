"""Many checkpoints as one stream in pieces of limited size, replaced while a run goes on: what a machine that
returns few, small files needs.

    python -m codec.training.fleet.pieces FOLDER TARGET     checkpoints of the pieces in FOLDER into TARGET

A checkpoint is packed by its bytes' place in float16: high bytes (sign, exponent) compress well, low ones
little."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from codec.models import registry
from codec.models.checkpoint import save_checkpoint
from codec.models.encoders.files import bind, save_encoder
from codec.models.model import Widths
from codec.models.shares import FLEET
from constellation.common.errors import UserError, user_errors_to_exit
from constellation.common.files import make_folder, write_bytes

MAGIC = b"DLRCFLT1"
HEADER = struct.Struct(
    "<8s8sHHI"
)  # magic, generation, number of this piece, how many, bytes of the index (piece 0)
MAX_STREAM_BYTES = 1 << 30
PIECE_BYTES, LIMIT_BYTES = 15 << 20, 60 << 20
PACKED = ".packed"


def pack(content: bytes) -> bytes:
    """Any bytes, smaller if they are mostly float16."""
    high, low = (zlib.compress(content[k::2], 6) for k in (1, 0))
    return struct.pack("<II", len(content), len(high)) + high + low


def unpack(packed: bytes, limit: int = 256 << 20) -> bytes:
    """What `pack` was given. Raises ValueError."""
    try:
        size, length = struct.unpack_from("<II", packed)
        if size > limit:
            raise ValueError(f"{size} bytes, expected at most {limit}")
        halves = []
        for part in (packed[8 + length :], packed[8 : 8 + length]):
            stream = zlib.decompressobj()
            halves.append(stream.decompress(part, (size + 1) // 2 + 1))
        content = np.empty(size, dtype=np.uint8)
        for k, half in enumerate(halves):
            content[k::2] = np.frombuffer(half, dtype=np.uint8)
    except (struct.error, zlib.error) as error:
        raise ValueError(str(error)) from None
    return content.tobytes()


@dataclass(frozen=True)
class Kept:
    """What a checkpoint is made of, on its way to another process."""

    label: str
    """its file's name"""
    name: str
    """the family"""
    widths: Widths
    lambda_: float
    steps: int
    notes: Mapping[str, str]
    state: Mapping[str, np.ndarray]
    """the network's, without tables"""
    encoder: bool = False
    """g_a alone"""


def pack_checkpoint(folder: str, kept: Kept, bits: int = 10) -> int:
    """Make a checkpoint and leave it, packed, as folder/label.packed; returns its bytes.

    `bits`: of the mantissas of convolutions that are kept, 10 is all of float16.
    """
    torch.set_num_threads(1)
    tensors = {key: torch.from_numpy(value).float() for key, value in kept.state.items()}
    if bits < 10:
        tensors = {k: _shorten(value, bits) if value.dim() == 4 else value for k, value in tensors.items()}
    path = Path(folder) / f"{kept.label}.safetensors"
    if kept.encoder:
        notes = {**kept.notes, "lambda": repr(kept.lambda_), "steps": str(kept.steps)}
        save_encoder(path, kept.name, kept.widths, tensors, notes)
    else:
        model = registry.build(kept.name, kept.widths)
        model.net.load_state_dict({**model.net.state_dict(), **tensors})
        save_checkpoint(path, model, kept.lambda_, kept.steps, kept.notes)
    packed = pack(path.read_bytes())
    write_bytes(path.with_suffix(path.suffix + PACKED), packed)
    path.unlink()
    return len(packed)


def packed_in(folder: str | Path) -> list[Path]:
    """The packed checkpoints in a folder, those that are complete."""
    return sorted(path for path in Path(folder).glob("*" + PACKED) if not path.name.startswith("."))


def write_pieces(folder: str, out: str, piece_bytes: int = PIECE_BYTES) -> int:
    """All packed checkpoints of a folder as pieces in `out`, each replaced whole; returns the bytes of
    all."""
    entries = [(path.name.removesuffix(PACKED), path.read_bytes()) for path in packed_in(folder)]
    index = [[name, len(data), hashlib.sha256(data).hexdigest()] for name, data in entries]
    head = json.dumps(index).encode()
    stream = head + b"".join(data for _, data in entries)
    count, generation = max(1, -(-len(stream) // piece_bytes)), os.urandom(8)
    for k in range(count):
        content = stream[k * piece_bytes : (k + 1) * piece_bytes]
        header = HEADER.pack(MAGIC, generation, k, count, len(head))
        write_bytes(Path(out) / f"fleet.{k}.piece", header + content)
    for path in Path(out).glob("fleet.*.piece"):
        if int(path.name.split(".")[1]) >= count:
            path.unlink()
    return len(stream)


def read_pieces(folder: str | Path) -> dict[str, bytes]:
    """The checkpoints in a folder of pieces, by file name. Those that a torn write or a lost piece damaged
    are left out, with a note. Raises `UserError` for files that are no pieces."""
    stream, length = _joined(Path(folder))
    try:
        index = [(str(name), int(count), str(sha)) for name, count, sha in json.loads(stream[:length])]
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{folder}: the index of the fleet's checkpoints cannot be read") from None
    files, at = {}, length
    for name, count, sha in index:
        data, at = stream[at : at + count], at + count
        content = None
        if count >= 0 and Path(name).name == name and hashlib.sha256(data).hexdigest() == sha:
            with contextlib.suppress(ValueError):
                content = unpack(data)
        if content is None:
            print(f"note: {Path(name).name} is damaged or incomplete and left out", flush=True)
        else:
            files[name] = content
    return files


def _joined(folder: Path) -> tuple[bytes, int]:
    """The stream of the generation with most pieces, zeros where one is missing, and the bytes of its
    index."""
    parts: dict[bytes, dict[int, bytes]] = {}
    counts: dict[bytes, tuple[int, int]] = {}
    for path in sorted(folder.glob("fleet.*.piece")):
        content = path.read_bytes()
        if len(content) < HEADER.size or content[:8] != MAGIC:
            raise UserError(f"{path.name}: no piece of a fleet's checkpoints")
        _, generation, k, count, length = HEADER.unpack_from(content)
        parts.setdefault(generation, {})[k] = content[HEADER.size :]
        counts[generation] = count, length
    generation = max(parts, key=lambda key: len(parts[key]), default=b"")
    found = parts.get(generation, {})
    size = max(map(len, found.values()), default=0)
    count, length = counts.get(generation, (0, 0))
    if 0 not in found or size * count > MAX_STREAM_BYTES:
        raise UserError(f"{folder}: no pieces of a fleet's checkpoints that can be read")
    return b"".join(found.get(k, b"").ljust(size, b"\0") for k in range(count)), length


def _shorten(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Float32 values rounded to mantissas of `bits` bits."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2.0 ** (bits + 1)), exponent - (bits + 1))


def main(arguments: Sequence[str]) -> None:
    """Write the checkpoints of the pieces in a folder, `arguments[0]`, into another. Raises `UserError`."""
    if len(arguments) != 2:
        raise UserError("expected the folder of the pieces and a folder for the checkpoints")
    target = make_folder(Path(arguments[1]), "TARGET")
    for name, content in read_pieces(arguments[0]).items():
        write_bytes(target / name, content)
        print(f"{name} {len(content)}", flush=True)
    for path in sorted(target.glob("*.safetensors")):
        name, _, at = path.stem.partition("_")
        if name in FLEET and FLEET[name].teacher:
            host = target / f"{FLEET[name].teacher}_{at}.safetensors"
            if host.is_file():
                bind(path, host)
            else:
                print(f"note: {path.name} stays without a decoder, {host.name} is not there", flush=True)


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
