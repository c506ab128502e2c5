"""Keys of a training run of a net that compensates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from constellation.common.knobs import Knobs, Says


class CompensationKnobs(Knobs):
    """Every key of a training run of a net that compensates. Step counts are optimiser steps."""

    data: Annotated[str, Field(min_length=1)]
    """pictures to train on: a file or a folder"""
    kind: Literal["regressor", "diffusion"] = "regressor"
    """an estimate in one step, or a diffusion over the residual"""
    codec: str = ""
    """the codec's checkpoint; none: the one that ships for model= and lambda="""
    model: str = ""
    """family of the shipped codec, where codec= names none"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """lambda of the shipped codec"""
    metadata: str = ""
    """diffusion: a CSV file with columns path and gsd_m; none: nothing is known about the pictures"""
    out: Annotated[str, Field(pattern=r"\.safetensors$"), Says("a file that ends in .safetensors")] = (
        "runs/compensation.safetensors"
    )
    """file to write"""
    channels: Annotated[int, Field(ge=4, le=256)] = 48
    """of the hidden layers"""
    layers: Annotated[int, Field(ge=3, le=32)] = 6
    """3 x 3 layers, first and last included"""
    steps: Annotated[int, Field(ge=1, le=10**9)] = 100_000
    """optimiser steps"""
    minutes: Annotated[float, Field(ge=0)] = 0.0
    """stop after so much time of the processor; the schedule follows whichever of steps and minutes is
    further"""
    batch: Annotated[int, Field(ge=1, le=4096)] = 4
    """crops in a step"""
    crop: Annotated[int, Field(ge=64, le=1024, multiple_of=64)] = 128
    """side of a crop, px"""
    lr: Annotated[float, Field(gt=0, le=1)] = 0.002
    """learning rate, which falls to 2 % over the last half"""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.98
    """decay of the running mean of the weights, which is what is written"""
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """of weights, crops and noise"""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0: torch decides"""
    resume: bool = False
    """go on from the state beside out, to the bit"""
    checkpoint_s: Annotated[float, Field(ge=0)] = 60.0
    """seconds between checkpoints"""
    log_s: Annotated[float, Field(ge=0)] = 20.0
    """seconds between progress lines"""
