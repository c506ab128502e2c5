"""Keys of the study of distillation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from codec.models.encoders import cosmic, rsllic
from codec.models.model import HYPER_STRIDE_PX
from constellation.common.knobs import Knobs, Several

ENCODERS = (rsllic.FAMILY.name, cosmic.FAMILY.name)


class DistillKeys(Knobs):
    """Keys of this study."""

    data: Annotated[str, Field(min_length=1)]
    """folder of the scenes that `dlrc evaluate` takes"""
    train: Annotated[str, Field(min_length=1)]
    """pictures to train on"""
    out: Annotated[str, Field(min_length=1)] = "runs/distill"
    """folder of the trainings and of the results"""
    model: Literal[ENCODERS] = ENCODERS[0]  # type: ignore[valid-type]
    """encoder's family"""
    ways: Several[Literal["none", "latent", "paper"]] = ("none", "latent", "paper")
    """what is imitated"""
    teacher: str = ""
    """checkpoint; none: elic that ships, of lambda 0.013"""
    start: Literal["teacher", "random"] = "teacher"
    """fresh blocks between the teacher's strided convolutions, as far as they fit; or all fresh"""
    kd: Annotated[float, Field(gt=0, le=1000)] = 10.0
    """weight of the squared error of what is imitated"""
    seeds: Annotated[int, Field(ge=2, le=20)] = 3
    """trainings of each way"""
    steps: Annotated[int, Field(ge=2, le=10**7)] = 300
    """optimiser steps of a training"""
    longer: Annotated[Several[Annotated[float, Field(ge=1, le=10)]], Field(max_length=2)] = (1.0,)
    """`none` with so many times the steps, besides, for equal minutes: one number, or one for each teacher's
    cost; 1: equal steps alone"""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """of g_a and g_s; auto: float32. bf16 is faster where the processor has avx512_bf16 or amx_bf16"""
    batch: Annotated[int, Field(ge=1, le=256)] = 4
    """crops of a step"""
    crop_px: Annotated[int, Field(ge=64, le=1024, multiple_of=HYPER_STRIDE_PX)] = 128
    """side of a crop"""
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """learning rate, which falls to nothing in half a cosine"""
    patches: Annotated[int, Field(ge=1, le=100)] = 6
    """of each scene, to judge by; 6: the 84 of `dlrc evaluate`"""

    @property
    def exactness(self) -> str:
        """The precision in words, on the processor that the study trains on."""
        return "float32" if self.precision == "auto" else self.precision
