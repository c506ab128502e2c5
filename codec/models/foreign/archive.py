"""CompressAI's own checkpoints, `codec.weights=FILE.pth.tar`: taken in once, as one of ours beside the file.

A file may hold a state dict or, as CompressAI's training writes them, a dict with one under `state_dict`; its
keys may begin with `module.` (DataParallel); tables of the entropy models may be there, stale or absent: they
are made anew. Parameters become float16, as in every checkpoint of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from codec.models.foreign.zoo import MAX_ZOO_BYTES, from_compressai, read_tensors
from codec.models.model import LatentModel
from codec.models.storage import sha256_of
from constellation.common.errors import UserError

SUFFIXES = (".tar", ".pth", ".pt")
KEY = "state_dict"
PARALLEL = "module."


def is_archive(path: str | Path) -> bool:
    """Whether a file's name is that of torch's own format."""
    return Path(path).suffix.lower() in SUFFIXES


def read_archive(path: Path, name: str) -> tuple[LatentModel, str]:
    """The codec of family `name` in a file of CompressAI's, and the SHA-256 of the file.

    Raises `UserError` where the file is missing, too large, no file of tensors, or holds another network."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"weights {path.name}: {(error.strerror or str(error)).lower()}") from None
    if size > MAX_ZOO_BYTES:
        raise UserError(f"weights {path.name}: {size} bytes, expected at most {MAX_ZOO_BYTES}")
    model, _ = from_compressai(name, read_tensors(path, state_of))
    return model, sha256_of(path)


def state_of(content: Any) -> Mapping[str, Tensor]:
    """The state dict in what a file holds, without the prefix of DataParallel. Raises ValueError."""
    state = content.get(KEY, content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise ValueError(f"no state dict, and none under {KEY!r}")
    if strange := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        raise ValueError(f"{strange[0]!r} is no tensor")
    return {str(key).removeprefix(PARALLEL): value for key, value in state.items()}
