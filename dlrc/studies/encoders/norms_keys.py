"""Keys of the study of norms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from codec.models import elic
from codec.models.encoders import rsllic
from codec.models.encoders.lsconv import NORMS
from codec.models.model import HYPER_STRIDE_PX, LATENT_STRIDE_PX
from constellation.common.knobs import Knobs, Several, Word


class NormKeys(Knobs):
    """Keys of this study."""

    data: Annotated[str, Field(min_length=1)]
    """folder of the scenes that `dlrc evaluate` takes"""
    models: Several[Word] = (elic.FAMILY.name, rsllic.FAMILY.name)
    """families; those with dynamic kernels are shown with both norms"""
    patches: Annotated[int, Field(ge=1, le=100)] = 2
    """pairs of each scene"""
    patch_px: Annotated[int, Field(ge=128, le=1024, multiple_of=64)] = 256
    """side of a patch"""
    shift: Annotated[int, Field(ge=1, le=32)] = 5
    """cells, down and right"""
    halo_px: Annotated[int, Field(ge=0, le=256, multiple_of=LATENT_STRIDE_PX)] = 112
    """shown besides none"""
    train: str = ""
    """pictures to train each norm on; none: nothing is trained"""
    out: Annotated[str, Field(min_length=1)] = "runs/norms"
    """folder of trainings, rounds and results"""
    norms: Several[Literal[NORMS]] = NORMS  # type: ignore[valid-type]
    """to train; the others are compared with the first"""
    steps: Annotated[int, Field(ge=1, le=10**7)] = 300
    """optimiser steps of a training"""
    batch: Annotated[int, Field(ge=1, le=256)] = 4
    """crops of a step"""
    crop_px: Annotated[int, Field(ge=64, le=1024, multiple_of=HYPER_STRIDE_PX)] = 128
    """side of a crop"""
    lr: Annotated[float, Field(gt=0, le=1)] = 3e-4
    """learning rate, which falls to nothing in half a cosine"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """of crops and noise"""
    judge: Annotated[int, Field(ge=1, le=100)] = 6
    """held-out patches of each scene; 6: the 84 of `dlrc evaluate`"""
    overlaps: Several[Literal["dense", "sparse"]] = ("dense", "sparse")
    """scenarios flown"""
    satellites: Annotated[int, Field(ge=2, le=64)] = 6
    """of a scenario"""
    rounds: Annotated[int, Field(ge=0, le=1000)] = 2
    """flown by each norm under each overlap and halo; 0: none"""
