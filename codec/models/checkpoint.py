"""Checkpoints: safetensors files that hold one codec, what it is, and the integer tables its entropy
bottleneck codes with.

The tensors are CompressAI's state dict, parameters in float16 (float32 on load), without what is the same for
every codec (codec/models/storage.py). The entropy bottleneck's tables are stored as int32 and kept as they
are on load: made from floats, they could come out differently on another machine, and then streams would not
decode.

A checkpoint is a foreign file until every name, shape, type and table in it has been checked against the
network that its metadata announces; nothing is unpickled, and nothing is allocated before the header fits."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from codec.imagery.scaling import Bands, bands_told
from codec.models import registry
from codec.models.compressai_shim import fill_gaussian_tables
from codec.models.encoders.files import PREFIX, host_file, host_of, is_encoder, placed_before, serialized
from codec.models.encoders.lsconv import folded_state
from codec.models.foreign.archive import is_archive, read_archive
from codec.models.foreign.zoo import zoo_checkpoint
from codec.models.model import LatentModel, Widths, mask_context_weights
from codec.models.storage import (
    MAX_TABLE_LENGTH,
    WEIGHTS_FOLDER,
    check_header,
    is_made,
    is_table,
    packed,
    sha256_of,
    unpacked,
)
from constellation.common.errors import UserError, naming
from constellation.common.files import write_bytes

MAX_CHECKPOINT_BYTES = 256 << 20
CDF_TOTAL = 1 << 16  # CompressAI's 16-bit probabilities


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself, and what identifies it."""

    model: str
    """the family's name"""
    widths: Widths
    lambda_: float
    """the loss was R + lambda * 255^2 * MSE"""
    steps: int
    """optimiser steps of the last training run"""
    data_digest: str
    """SHA-256 (first 16 hex digits) of the training pictures' names and sizes, or a free description"""
    sha256: str
    """of the file; of the parameters where there is no file (zoo)"""
    bands: Bands | None = None
    """scale of each band; None: the codec sees 8-bit RGB"""
    host: CheckpointInfo | None = None
    """of an encoder file, which holds g_a alone: what it names for the rest"""

    @property
    def ground(self) -> CheckpointInfo:
        """Of the codec that decodes what this one codes: its own, or its host's."""
        return self.host or self

    @property
    def n(self) -> int:
        """Channels of z."""
        return self.widths.n

    @property
    def m(self) -> int:
        """Channels of y."""
        return self.widths.m


# ---------------------------------------------------------------- writing


def save_checkpoint(
    path: str | os.PathLike, model: LatentModel, lambda_: float, steps: int, notes: Mapping[str, str] = {}
) -> CheckpointInfo:
    """Write `model` as a float16 checkpoint (temporary name, then renamed) and return what a later
    `load_checkpoint` will say.

    The model itself is left as it is: rounding to float16, masking and fresh bottleneck tables happen in a
    copy. `notes`: further metadata, strings to strings; `data` among them describes the training pictures,
    `scales` is `Bands.text` of a codec for other pictures than 8-bit RGB."""
    path = Path(path)
    content = serialized(
        _tensors(path.name, _rounded(model)), {**_metadata(model, lambda_, steps), "data": "", **notes}
    )
    write_bytes(path, content)
    bands = Bands.of_text(notes["scales"]) if "scales" in notes else None
    told = notes.get("data", ""), sha256_of(path), bands
    return CheckpointInfo(model.name, model.widths, float(lambda_), int(steps), *told)


def _rounded(model: LatentModel) -> LatentModel:
    """A copy on the CPU with float16's values, masked context weights and fresh bottleneck tables."""
    copy = registry.build(model.name, model.widths)
    state = {key: value for key, value in folded_state(model.net).items() if not is_table(key)}
    state = {key: value.detach().float().cpu() for key, value in state.items()}
    copy.net.load_state_dict({**copy.net.state_dict(), **state})
    copy.bottleneck._update_quantiles()
    for parameter in copy.net.parameters():
        parameter.data = parameter.data.half().float()
    mask_context_weights(copy)
    copy.bottleneck.update(force=True)
    return copy


def _tensors(name: str, model: LatentModel) -> dict[str, Tensor]:
    tensors = {}
    for key, value in packed(model.net.state_dict()).items():
        tensors[key] = (value.to(torch.int32) if is_table(key) else value.half()).contiguous()
        if not bool(torch.isfinite(tensors[key]).all()):
            raise UserError(f"weights {name}: {key} is not finite in float16, so nothing was written")
    return tensors


def _metadata(model: LatentModel, lambda_: float, steps: int) -> dict[str, str]:
    widths = model.widths
    optional = {"groups": list(widths.groups), "stages": list(widths.stages)}
    return {
        "model": model.name,
        "N": str(widths.n),
        "M": str(widths.m),
        "lambda": repr(float(lambda_)),
        "steps": str(int(steps)),
        "precision": "float16",
        **{key: json.dumps(value) for key, value in optional.items() if value},
        **({"bands": str(widths.bands)} if widths.bands != 3 else {}),
        **({"norm": widths.norm} if widths.norm else {}),
    }


# ---------------------------------------------------------------- reading


def load_checkpoint(
    path: str | os.PathLike, expect_model: str | None = None
) -> tuple[LatentModel, CheckpointInfo]:
    """A codec in evaluation mode, float32, on the CPU, ready to code, and what its file says about it. An
    encoder file's entropy model and decoder are of the checkpoint that it names.

    Raises `UserError`, one line, where the file is missing, too large, not safetensors, incomplete, holds
    foreign or misshaped or non-finite tensors or impossible tables, or holds another model than
    `expect_model`, or where the checkpoint that it names is not there."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise UserError(f"weights {path.name}: no such file")
    size = path.stat().st_size
    if size > MAX_CHECKPOINT_BYTES:
        raise UserError(f"weights {path.name}: {size} bytes, expected at most {MAX_CHECKPOINT_BYTES}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            info = _info(path, metadata)
            if expect_model is not None and info.model != expect_model:
                raise UserError(f"weights {path.name}: holds {info.model}, scenario asks for {expect_model}")
            encoder, expected = is_encoder(path.name, metadata), registry.shapes(info.model, info.widths)
            if encoder:
                expected = {key: shape for key, shape in expected.items() if key.startswith(PREFIX)}
            check_header(file, expected, f"weights {path.name}", f"{info.model} N={info.n} M={info.m}")
            keys = file.keys()  # safe_open is no mapping
            state = {key: file.get_tensor(key) for key in keys}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"weights {path.name}: not a readable safetensors file ({error})") from None
    if encoder:
        return _before_its_host(path, info, metadata, state)
    model = registry.build(info.model, info.widths)
    _load_state(path.name, model, state)
    return model, info


def _before_its_host(
    path: Path, info: CheckpointInfo, metadata: Mapping[str, str], state: dict[str, Tensor]
) -> tuple[LatentModel, CheckpointInfo]:
    """An encoder's tensors before the checkpoint that its file names."""
    name, _ = host_of(path.name, metadata)
    host, host_info = load_checkpoint(host_file(path, metadata), name)
    if host_info.host is not None or host_info.lambda_ != info.lambda_:
        raise UserError(
            f"weights {path.name}: names {name} at lambda {info.lambda_:g}, found lambda "
            f"{host_info.lambda_:g}"
        )
    model = placed_before(host, info.model, info.widths, path.name)
    model.g_a.load_state_dict(_finite(path.name, {key[len(PREFIX) :]: value for key, value in state.items()}))
    return model, replace(info, widths=model.widths, host=host_info)


def shipped_weights(model: str, lambda_: float, folder: Path = WEIGHTS_FOLDER) -> Path:
    """The checkpoint that ships for this model and lambda; `UserError` with a list of what there is
    otherwise."""
    path = folder / f"{registry.family(model).name}_lambda{lambda_:g}.safetensors"
    if path.is_file():
        return path
    found = ", ".join(sorted(p.stem for p in folder.glob("*.safetensors"))) or "none"
    raise UserError(
        f"codec.weights: no shipped checkpoint for {model} at lambda {lambda_:g}; shipped: {found}"
    )


def load_weights(weights: str, model: str, lambda_: float) -> tuple[LatentModel, CheckpointInfo]:
    """What the scenario's `codec.weights` means: "" the shipped checkpoint, "zoo" CompressAI's own, anything
    else a file: ours, or one of CompressAI's that is taken in (`imported`)."""
    if weights != "zoo":
        with naming("codec.weights"):
            return load_checkpoint(imported(weights, model, lambda_), expect_model=model)
    wrapped, sha256 = zoo_checkpoint(model, lambda_)
    return wrapped, CheckpointInfo(model, wrapped.widths, lambda_, 0, "CompressAI zoo", sha256)


def imported(weights: str, model: str, lambda_: float) -> Path:
    """The checkpoint of ours behind `codec.weights`: the shipped one for "", a file as it is, and for one of
    CompressAI's (.pth.tar) what was or now is made of it, beside it. Raises `UserError`."""
    path = Path(weights) if weights else shipped_weights(model, lambda_)
    if not is_archive(path):
        return path
    network, sha256 = read_archive(path, model)
    ours = path.with_name(f"{path.name.split('.')[0]}.{sha256[:8]}.{model}_lambda{lambda_:g}.safetensors")
    if not ours.is_file():
        save_checkpoint(ours, network, lambda_, 0, {"data": f"CompressAI, {path.name[:100]}"})
    return ours


def weights_sha256(weights: str, model: str, lambda_: float, fleet: Sequence[str] = ()) -> str:
    """`CheckpointInfo.sha256` of what `load_weights` would load, without loading it; of a mixed fleet, the
    SHA-256 of those of all. Raises `UserError`."""
    if tuple(fleet) not in ((), (model,)):
        parts = [weights_sha256(weights, model, lambda_)]
        parts += [weights_sha256(weights if one == model else "", one, lambda_) for one in fleet]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()
    if weights == "zoo":
        return zoo_checkpoint(model, lambda_)[1]
    path = imported(weights, model, lambda_)
    try:
        return sha256_of(path)
    except OSError as error:
        raise UserError(f"codec.weights={weights}: {(error.strerror or str(error)).lower()}") from None


def _info(path: Path, metadata: dict[str, str]) -> CheckpointInfo:
    try:
        name, n, m = metadata["model"], int(metadata["N"]), int(metadata["M"])
        lambda_, bands = float(metadata["lambda"]), int(metadata.get("bands", "3"))
        groups, stages = (tuple(json.loads(metadata.get(key, "[]"))) for key in ("groups", "stages"))
    except KeyError as error:
        raise UserError(
            f"weights {path.name}: metadata lacks {error}, expected model, N, M, lambda"
        ) from None
    except (ValueError, TypeError, RecursionError):
        raise UserError(
            f"weights {path.name}: metadata N, M, lambda, bands, groups or stages is not a number"
        ) from None
    if not 1e-6 <= lambda_ <= 10:
        raise UserError(f"weights {path.name}: lambda {lambda_}, expected a number from 1e-06 to 10")
    found = re.search(r"\d+", metadata.get("steps", "").replace(",", ""))
    steps = int(found.group()[:12]) if found else 0
    widths = Widths(n, m, stages, groups, bands, metadata.get("norm", ""))
    scaled = bands_told(metadata, f"weights {path.name}")
    return CheckpointInfo(name, widths, lambda_, steps, metadata.get("data", ""), sha256_of(path), scaled)


def _finite(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """In float32; `UserError` for a tensor that holds something else than numbers."""
    found = {key: value.float() for key, value in state.items()}
    if bad := [key for key, value in found.items() if not bool(torch.isfinite(value).all())]:
        raise UserError(f"weights {name}: {bad[0]} holds a value that is not finite")
    return found


def _load_state(name: str, model: LatentModel, state: dict[str, Tensor]) -> None:
    numbers = {key: value for key, value in state.items() if not is_table(key) and not is_made(key)}
    state |= _finite(name, numbers)
    for key, values in _tables(state):
        _check_tables(name, key, values, model.n)
    model.net.load_state_dict(unpacked(state, model.net.state_dict()))
    mask_context_weights(model)
    fill_gaussian_tables(model.net)  # the bottleneck has its own already
    model.net.eval()


def _tables(state: dict[str, Tensor]) -> Iterator[tuple[str, tuple[Tensor, Tensor, Tensor]]]:
    for key in state:
        if key.endswith("._quantized_cdf"):
            stem = key.rsplit(".", 1)[0]
            yield stem, (state[key], state[f"{stem}._offset"], state[f"{stem}._cdf_length"])


def _check_tables(name: str, stem: str, tables: tuple[Tensor, Tensor, Tensor], channels: int) -> None:
    """Each row of the bottleneck's table rises from 0 to 2^16 within its stated length; the range coder would
    crash on anything else."""
    cdf, offset, length = tables
    good = cdf.shape[0] == offset.shape[0] == length.shape[0] == channels
    good = good and int(length.min()) >= 3 and int(length.max()) <= cdf.shape[1]
    good = good and int(offset.long().abs().max()) <= MAX_TABLE_LENGTH
    if good:
        used = torch.arange(cdf.shape[1])[None, :] < length[:, None]
        rising = (cdf[:, 1:] > cdf[:, :-1]) | ~used[:, 1:]
        last = cdf.gather(1, (length.long() - 1)[:, None])
        good = bool(rising.all()) and bool((cdf[:, 0] == 0).all()) and bool((last == CDF_TOTAL).all())
    if not good:
        wanted = f"rows that rise from 0 to {CDF_TOTAL}"
        raise UserError(f"weights {name}: {stem} has an impossible table, expected {wanted}")
