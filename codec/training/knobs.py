"""Train a codec on pictures of your own.

The defaults are the paper's recipe (section 4.1, "Training details"): random 256 px crops, batch 16 per
process, MSE, Adam at a fixed 1e-4; what they add is the fixed grid and missing context. `resume=true` goes
on after a kill, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field, model_validator

from codec.models import registry
from codec.models.model import HYPER_STRIDE_PX, Widths
from codec.training.step import OPTIMIZERS
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs, Says, build, overlay

DEFAULT_M = 192


def _known(model: str) -> str:
    if model not in registry.names():
        raise ValueError(f"expected one of {', '.join(registry.names())}")
    return model


class TrainKnobs(Knobs):
    """Every key of a training run. Step counts are optimiser steps; shares are of the whole run."""

    model: Annotated[str, AfterValidator(_known), Says(f"one of {', '.join(registry.names())}")]
    """a family of codec/models"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")]
    """loss = R (bit/px) + lambda * 255^2 * MSE"""
    data: Annotated[str, Field(min_length=1)]
    """pictures to train on: a file or a folder (codec/training/data.py)"""
    out: Annotated[str, Field(pattern=r"\.safetensors$"), Says("a file that ends in .safetensors")] = (
        "runs/codec.safetensors"
    )
    """checkpoint to write"""
    val: str = ""
    """pictures for the validation curve; none: a held-out share of data"""
    val_share: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    """pictures of data kept out of training"""
    bands: Annotated[
        str, Field(pattern=r"^(|all|[1-9][0-9]?(,[1-9][0-9]?){0,31})$"), Says("all, or numbers as 4 or 1,2,3")
    ] = ""
    """bands of the pictures, whatever their colours, as 16-bit counts: numbers, or all; none: 8-bit RGB. A
    codec of 8-bit RGB as init= lends all but its first and last layer"""
    n: Annotated[int, Field(ge=2, le=1024)] = 128
    """channels N of the transforms"""
    m: Annotated[int | None, Field(ge=2, le=1024)] = None
    """latent channels M; none: 192, for cheng N"""
    groups: Annotated[
        str, Field(pattern=r"^(\d+(,\d+)*)?$"), Says("numbers separated by commas, or nothing")
    ] = ""
    """elic: channels of each group, 8,8,16,32,32; none: by M"""
    widths: Annotated[
        str, Field(pattern=r"^(\d+,\d+,\d+)?$"), Says("three numbers separated by commas, or nothing")
    ] = ""
    """channels of the transforms at 1/2, 1/4 and 1/8 of the side, 32,64,128; none: CompressAI's uniform N"""
    steps: Annotated[int, Field(ge=1, le=10**9)] = 100_000
    """optimiser steps"""
    minutes: Annotated[float, Field(ge=0)] = 0.0
    """stop after so long; schedules follow whichever of steps and minutes is further"""
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    """crops per process and step"""
    crop: Annotated[int, Field(ge=64, le=4096, multiple_of=HYPER_STRIDE_PX)] = 256
    """side of a crop, px"""
    shrink: Annotated[float, Field(ge=1, le=8)] = 1.0
    """seven crops of ten are taken from up to so many times their side and made small, all are turned; 1:
    crops as they are, half of them mirrored"""
    optimizer: Literal[OPTIMIZERS] = OPTIMIZERS[0]  # type: ignore[valid-type]
    """soap and muon need the package pytorch-optimizer"""
    lr: Annotated[float, Field(gt=0, le=1)] = 0.0001
    """learning rate"""
    lr_end: Annotated[float, Field(ge=0, le=1)] = 1e-05
    """learning rate that the decay ends at"""
    decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """last share of the run in which lr falls (half a cosine)"""
    warmup: Annotated[int, Field(ge=0)] = 0
    """first steps in which lr rises from zero"""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """largest gradient norm"""
    grid: Literal["fixed", "centred"] = "fixed"
    """centred: everything sees y + noise, CompressAI's training"""
    rounding: Annotated[float, Field(ge=0, le=1)] = 0.0
    """last share of the run with the rate at round(y) instead of y + noise; it did not help"""
    missing_context: Annotated[float, Field(ge=0, le=1)] = 0.3
    """share of batches with holes in the context"""
    halo: Annotated[float, Field(ge=0, le=1)] = 0.0
    """share of batches that code a part of crops of 192 px and more, with surroundings"""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """of g_a and g_s; auto: bf16 on GPUs"""
    float32_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """last share of a bf16 run in float32"""
    memory: Literal["contiguous", "channels_last"] = "contiguous"
    """layout of tensors"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to train"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """of weights, crops and noise"""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0: torch decides"""
    init: str = ""
    """klt: the Karhunen-Loeve transform of the pictures (needs no other start; cheng: with widths);
    random: an encoder before a decoder that stays takes nothing of its teacher's encoder;
    or a checkpoint to start from, also of another model: what fits is copied; norm= may be another than its
    own, and is fitted to it"""
    transforms: str = ""
    """checkpoint whose g_a and g_s replace those of init, bmshj's for an mbt say"""
    teacher: str = ""
    """trained checkpoint whose latents g_a first learns to imitate"""
    distill: Annotated[float, Field(ge=0, le=1)] = 0.25
    """first share of the run with the teacher; with kd or freeze the whole run has it"""
    kd: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """weight of the squared error between g_a's features and those of a teacher of the same widths"""
    kd_target: Literal["latent", "paper"] = "latent"
    """y alone, or the outputs of all four layers that halve the size"""
    freeze: bool = False
    """train g_a alone before the teacher's entropy model and decoder; leaves an encoder file"""
    norm: Literal["", "frozen", "group", "position", "none"] = ""
    """rsllic: of its dynamic kernels; none given: frozen"""
    norm_freeze: Annotated[float, Field(ge=0, le=1)] = 0.3
    """share of the run after which frozen statistics stay as they are"""
    resume: bool = False
    """go on from the state beside out"""
    val_every: Annotated[int, Field(ge=1)] = 1000
    """steps between validations"""
    checkpoint_s: Annotated[float, Field(ge=0)] = 120.0
    """seconds between checkpoints"""
    log_s: Annotated[float, Field(ge=0)] = 10.0
    """seconds between progress lines"""

    @model_validator(mode="after")
    def _halo_needs_room(self) -> TrainKnobs:
        if self.halo and self.crop < 192:
            raise ValueError(f"crop={self.crop}: halo= needs crops of 192 px and more")
        if self.halo and self.grid == "centred":
            raise ValueError("grid=centred: halo= needs grid=fixed, on which the ground can place patches")
        if (self.kd or self.freeze) and not self.teacher:
            raise ValueError(f"{'kd' if self.kd else 'freeze'}: needs teacher=, a checkpoint")
        if self.init == "klt" and self.freeze:
            raise ValueError("init=klt: makes a decoder to fit, freeze=true keeps the teacher's")
        if self.init == "random" and not self.tutored:
            raise ValueError("init=random: is for kd= and freeze=; any other run starts so without init=")
        if (self.kd or self.freeze) and "distill" in self.model_fields_set and self.distill:
            raise ValueError("distill: either that, or kd= and freeze=, with the teacher for the whole run")
        return self

    @property
    def tutored(self) -> bool:
        """Whether the teacher is there for the whole run."""
        return bool(self.kd or self.freeze)

    @property
    def shape(self) -> Widths:
        """Channels of the codec. Raises `UserError` where the family cannot have them."""
        groups, stages = (
            tuple(int(part) for part in text.split(",") if part) for text in (self.groups, self.widths)
        )
        check = registry.family(self.model).check
        if self.m is not None:
            return check(Widths(self.n, self.m, stages, groups, norm=self.norm))
        try:
            return check(Widths(self.n, DEFAULT_M, stages, groups, norm=self.norm))
        except UserError:  # a family of one width; if it is not that, the same error comes again
            return check(Widths(self.n, self.n, stages, groups, norm=self.norm))

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())

    @property
    def uses_bf16(self) -> bool:
        return self.precision == "bf16" or (self.precision == "auto" and self.on_gpu)

    @property
    def torch_memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.memory == "channels_last" else torch.contiguous_format


def parse_knobs(words: Sequence[str]) -> TrainKnobs:
    """`key=value` words -> knobs, the last of a key wins. Raises `UserError` naming the first key that is
    unknown, missing or out of range."""
    return build(TrainKnobs, overlay({}, words, TrainKnobs))
