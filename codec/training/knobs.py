"""Train a codec:

    python -m codec.training.knobs model=bmshj lambda=0.013 data=FOLDER out=bmshj.safetensors            one process, CPU or GPU
    torchrun --nproc-per-node 8 -m codec.training.knobs model=elic lambda=0.013 data=FOLDER out=elic.safetensors   one per GPU
    python -m codec.training.knobs ... resume=true                                                       go on after a kill, to the bit

The defaults are the paper's recipe (section 4.1, "Training details"): random 256 px crops, batch 16 per
process, MSE, Adam at a fixed 1e-4; what they add is the fixed grid and the missing context of design.md.
`help` lists every key."""

from __future__ import annotations

import difflib
import os
import sys
from typing import Annotated, Literal

import torch
import torch.distributed as dist
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from codec.models import registry
from codec.models.model import HYPER_STRIDE_PX, Widths
from constellation.common.errors import UserError, user_errors_to_exit

DEFAULT_M = 192


def _known(model: str) -> str:
    if model not in registry.names():
        raise ValueError(f"expected one of {', '.join(registry.names())}")
    return model


class TrainKnobs(BaseModel):
    """Every key of a training run. Step counts are optimiser steps; shares are of the whole run."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: Annotated[str, AfterValidator(_known), Field(description="a family of codec/models")]
    lambda_: Annotated[
        float, Field(gt=0, le=10, alias="lambda", description="loss = R (bit/px) + lambda * 255^2 * MSE")
    ]
    data: Annotated[
        str,
        Field(min_length=1, description="pictures to train on: a file or a folder (codec/training/data.py)"),
    ]
    out: Annotated[str, Field(pattern=r"\.safetensors$", description="checkpoint to write")] = (
        "runs/codec.safetensors"
    )
    val: Annotated[
        str, Field(description="pictures for the validation curve; empty: a held-out share of data")
    ] = ""
    val_share: Annotated[float, Field(ge=0, le=0.5, description="pictures of data kept out of training")] = (
        0.02
    )
    n: Annotated[int, Field(ge=2, le=1024, description="channels N of the transforms")] = 128
    m: Annotated[
        int | None, Field(ge=2, le=1024, description="latent channels M; empty: 192, for cheng N")
    ] = None
    groups: Annotated[
        str,
        Field(
            pattern=r"^(\d+(,\d+)*)?$", description="elic: channels of each group, 8,8,16,32,32; empty: by M"
        ),
    ] = ""
    steps: Annotated[int, Field(ge=1, le=10**9)] = 100_000
    minutes: Annotated[
        float,
        Field(
            ge=0, description="stop after so long; schedules follow whichever of steps and minutes is further"
        ),
    ] = 0.0
    batch: Annotated[int, Field(ge=1, le=4096, description="crops per process and step")] = 16
    crop: Annotated[
        int, Field(ge=64, le=4096, multiple_of=HYPER_STRIDE_PX, description="side of a crop, px")
    ] = 256
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    lr_end: Annotated[float, Field(ge=0, le=1, description="learning rate that the decay ends at")] = 1e-5
    decay: Annotated[
        float, Field(ge=0, le=1, description="last share of the run in which lr falls (half a cosine)")
    ] = 0.0
    warmup: Annotated[int, Field(ge=0, description="first steps in which lr rises from zero")] = 0
    clip: Annotated[float, Field(gt=0, description="largest gradient norm")] = 1.0
    grid: Annotated[
        Literal["fixed", "centred"],
        Field(description="centred: everything sees y + noise, CompressAI's training"),
    ] = "fixed"
    rounding: Annotated[
        float,
        Field(ge=0, le=1, description="last share of the run with the rate at round(y) instead of y + noise"),
    ] = 0.5
    missing_context: Annotated[
        float, Field(ge=0, le=1, description="share of batches with holes in the context")
    ] = 0.3
    halo: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of batches that code a part of crops of 192 px and more, with surroundings",
        ),
    ] = 0.0
    precision: Annotated[
        Literal["auto", "float32", "bf16"], Field(description="of g_a and g_s; auto: bf16 on GPUs")
    ] = "auto"
    float32_share: Annotated[float, Field(ge=0, le=1, description="last share of a bf16 run in float32")] = (
        0.0
    )
    memory: Literal["contiguous", "channels_last"] = "contiguous"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    threads: Annotated[int, Field(ge=0, le=1024, description="CPU threads; 0: torch decides")] = 0
    init: Annotated[
        str, Field(description="checkpoint to start from, also of another model: what fits is copied")
    ] = ""
    transforms: Annotated[
        str, Field(description="checkpoint whose g_a and g_s replace those of init, bmshj's for an mbt say")
    ] = ""
    teacher: Annotated[
        str, Field(description="trained checkpoint whose latents g_a first learns to imitate")
    ] = ""
    distill: Annotated[float, Field(ge=0, le=1, description="first share of the run with the teacher")] = 0.25
    resume: Annotated[bool, Field(description="go on from the state beside out")] = False
    val_every: Annotated[int, Field(ge=1, description="steps between validations")] = 1000
    checkpoint_s: Annotated[float, Field(ge=0, description="seconds between checkpoints")] = 120.0
    log_s: Annotated[float, Field(ge=0, description="seconds between progress lines")] = 10.0

    @model_validator(mode="after")
    def _halo_needs_room(self) -> TrainKnobs:
        if self.halo and self.crop < 192:
            raise ValueError(f"crop={self.crop}: halo= needs crops of 192 px and more")
        if self.halo and self.grid == "centred":
            raise ValueError("grid=centred: halo= needs grid=fixed, on which the ground can place patches")
        return self

    @property
    def latent_channels(self) -> int:
        if self.m is not None:
            return self.m
        try:
            return registry.family(self.model).check(Widths(self.n, DEFAULT_M)).m
        except UserError:  # a family of one width
            return self.n

    @property
    def group_sizes(self) -> tuple[int, ...] | None:
        return tuple(int(part) for part in self.groups.split(",")) if self.groups else None

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())

    @property
    def uses_bf16(self) -> bool:
        return self.precision == "bf16" or (self.precision == "auto" and self.on_gpu)

    @property
    def torch_memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.memory == "channels_last" else torch.contiguous_format


def parse_knobs(arguments: list[str]) -> TrainKnobs:
    """`key=value` words -> knobs. Raises `UserError` naming the first key that is unknown, missing or out of
    range."""
    names = {field.alias or name: name for name, field in TrainKnobs.model_fields.items()}
    values: dict[str, str] = {}
    for argument in arguments:
        key, separator, text = argument.partition("=")
        if not separator:
            raise UserError(
                f"argument {argument!r}: expected key=value, for example model=bmshj; help lists the keys"
            )
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            raise UserError(
                f"{key}: unknown key{f'; did you mean {near[0]}?' if near else '; help lists the keys'}"
            )
        values[key] = text
    try:
        return TrainKnobs.model_validate({key: text for key, text in values.items() if text != ""})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise UserError(f"{key}=: missing; needed are model, lambda and data") from None
        if not key:  # keys that do not go together; the message names them
            raise UserError(str(first["ctx"]["error"])) from None
        raise UserError(f"{key}={first['input']}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def list_keys() -> str:
    """One line per key: name, default, meaning."""
    lines = []
    for name, field in TrainKnobs.model_fields.items():
        default = "(needed)" if field.is_required() else repr(field.default)
        lines.append(f"  {(field.alias or name) + '=':<17}{default:<26}{field.description or ''}".rstrip())
    return "\n".join(lines)


def start_processes(knobs: TrainKnobs) -> None:
    """Join the process group that torchrun announces, if any, and set what the hardware wants."""
    if knobs.threads:
        torch.set_num_threads(knobs.threads)
    if knobs.on_gpu:
        if not torch.cuda.is_available():
            raise UserError("device=cuda: this machine has no CUDA device that torch can use")
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        dist.init_process_group("nccl" if knobs.on_gpu else "gloo")


def main(arguments: list[str]) -> None:
    if arguments in (["help"], ["--help"], ["-h"], []):
        print(__doc__.strip() + "\n\nkeys, defaults:\n" + list_keys())
        return
    knobs = parse_knobs(arguments)
    start_processes(knobs)
    from codec.training.trainer import Trainer

    try:
        Trainer(knobs).run()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
