"""CompressAI's pretrained networks (photographs, centred grid), `codec.weights=zoo`.

A network is one download into torch's cache. The digits of its SHA-256 are part of CompressAI's own file
names; a file that has others is not opened, and of a file that fits only tensors are taken, no code."""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codec.models import registry
from codec.models.compressai_shim import ensure_compressai
from codec.models.model import LatentModel, mask_context_weights
from constellation.common.errors import UserError

DIGITS = 8  # of a SHA-256 in CompressAI's file names
MAX_ZOO_BYTES = 512 << 20


def zoo_checkpoint(name: str, lambda_: float) -> tuple[LatentModel, str]:
    """CompressAI's network of a family, ready to code, and the SHA-256 of its tensors.

    Raises `UserError` for a family or a lambda that the zoo lacks, without a network, and for a file that is
    not what CompressAI published."""
    family = registry.family(name)
    if family.zoo is None:
        known = ", ".join(other for other in registry.names() if registry.family(other).zoo is not None)
        raise UserError(f"codec.weights zoo: CompressAI has no pretrained {name}, expected one of {known}")
    lambdas = family.zoo.lambdas
    quality = next((q for q, value in enumerate(lambdas, 1) if math.isclose(value, lambda_, rel_tol=1e-6)), 0)
    if not quality:
        raise UserError(
            f"codec.lambda={lambda_:g}: the zoo has {name} at {', '.join(f'{value:g}' for value in lambdas)}"
        )
    ensure_compressai()
    from compressai.zoo.image import model_urls

    return from_compressai(name, read_state(fetch(model_urls[family.zoo.architecture]["mse"][quality])))


def fetch(url: str) -> Path:
    """The file behind one of CompressAI's addresses, from torch's cache if it is there; its hash fits its
    name."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rsplit("/", 1)[-1]
    wanted = path.name.split(".")[0][-DIGITS:]
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=wanted, progress=False)
        except (OSError, RuntimeError, ValueError) as error:  # no network; a torn or foreign download
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise UserError(
                f"codec.weights zoo: {path.name} could not be fetched, the zoo needs a network ({reason})"
            ) from None
    if path.stat().st_size > MAX_ZOO_BYTES:
        raise UserError(f"codec.weights zoo: {path} has over {MAX_ZOO_BYTES} bytes")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(wanted):
        raise UserError(
            f"codec.weights zoo: {path} has SHA-256 {found[:DIGITS]}..., CompressAI published {wanted}...; "
            "delete it"
        )
    return path


def read_state(path: Path) -> Mapping[str, Tensor]:
    """The tensors of one of CompressAI's files, under the names of today's classes."""
    return read_tensors(path, lambda content: content)


def read_tensors(path: Path, state_of: Callable[[Any], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    """`state_of` what a file of torch's holds, under the names of today's classes; no code of the file
    runs. Raises `UserError`."""
    from compressai.zoo.pretrained import load_pretrained

    try:
        state = state_of(torch.load(path, map_location="cpu", weights_only=True))
        return load_pretrained(dict(state))
    except (
        *(pickle.UnpicklingError, RuntimeError, EOFError, OSError),
        *(AttributeError, TypeError, ValueError, KeyError),
    ) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(f"weights {path.name}: not a file of tensors ({reason})") from None


def from_compressai(name: str, state: Mapping[str, Tensor]) -> tuple[LatentModel, str]:
    """A codec from the state dict of CompressAI's own class, ready to code, and the SHA-256 of its
    tensors."""
    family = registry.family(name)
    try:
        model = registry.build(name, family.widths_of(state))
        model.net.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(f"weights: no state of CompressAI's {name} ({reason})") from None
    mask_context_weights(model)
    model.net.update()
    digest = hashlib.sha256()
    for key, tensor in sorted(model.net.state_dict().items()):
        digest.update(key.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return model, digest.hexdigest()
