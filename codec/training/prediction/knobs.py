"""Keys of a training run of the fusion."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from constellation.common.knobs import Knobs, Says


class PredictionKnobs(Knobs):
    """Every key of a training run of the fusion. Step counts are optimiser steps."""

    data: Annotated[str, Field(min_length=1)]
    """pictures to train on: a file or a folder"""
    codec: str = ""
    """the codec's checkpoint; none: the one that ships for model= and lambda="""
    model: str = ""
    """family of the shipped codec, where codec= names none"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """lambda of the shipped codec"""
    out: Annotated[str, Field(pattern=r"\.safetensors$"), Says("a file that ends in .safetensors")] = (
        "runs/fusion.safetensors"
    )
    """file to write"""
    init: str = ""
    """a fusion to start from, of any codec with the same widths"""
    hidden: Annotated[int, Field(ge=0, le=1024)] = 0
    """channels of the trunk; 0: by the family"""
    steps: Annotated[int, Field(ge=1, le=10**9)] = 100_000
    """optimiser steps"""
    minutes: Annotated[float, Field(ge=0)] = 0.0
    """stop after so long; schedules follow whichever of steps and minutes is further"""
    fresh: Annotated[int, Field(ge=1, le=1024)] = 2
    """new pairs in a step"""
    replayed: Annotated[int, Field(ge=0, le=1024)] = 4
    """pairs of earlier steps in a step"""
    pool: Annotated[int, Field(ge=1, le=100_000)] = 400
    """pairs kept for that"""
    lr: Annotated[float, Field(gt=0, le=1)] = 0.001
    """learning rate, which falls to 2 % over the second half"""
    clip: Annotated[float, Field(gt=0)] = 5.0
    """largest gradient norm"""
    guided: Annotated[float, Field(ge=0, le=1)] = 0.2
    """first share of the run with levels from distances; later each root trains its best expert"""
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """of weights and pairs"""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0: torch decides"""
    resume: bool = False
    """go on from the state beside out, to the bit"""
    checkpoint_s: Annotated[float, Field(ge=0)] = 120.0
    """seconds between checkpoints"""
    log_s: Annotated[float, Field(ge=0)] = 20.0
    """seconds between progress lines"""
