"""What a fleet trains and when: families, lambdas, shares of the device, learning rates, phases; the keys of
its command line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from codec.models import registry
from codec.models.model import HYPER_STRIDE_PX, Widths
from codec.models.shares import FLEET
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs, Several

LEAD = 0.013  # the lambda that every family starts with


LEADS_UNTIL = 0.45  # of the time
DECAY_FROM, AVERAGE_FROM, HOLES_FROM, HALO_FROM, FREEZE_FROM = 0.15, 0.5, 0.3, 0.6, 0.4  # of a run's own time
HOLES, HALO = 0.3, 0.3  # shares of images and of batches
WARMUP_STEPS = 150  # of a learning rate that rises
FOLLOW_S, ROUND_S = 12.0, 0.3  # seconds: between bisections of z's quantiles, of work queued at a time
HELD_OUT_EVERY = 40  # pictures, where no `val` is given


class FleetKeys(Knobs):
    """Keys of the command line."""

    data: Annotated[str, Field(min_length=1)]
    """folder of the pictures to train on"""
    out: Annotated[str, Field(min_length=1)]
    """folder for pieces and log"""
    minutes: Annotated[float, Field(gt=0)] = 9.0
    """of training, everything included but the last pieces"""
    val: str = ""
    """folder of held-out patches, all of one size; none: crops of a few training pictures"""
    models: Several[str] = tuple(FLEET)
    """families to train"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to train"""
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    """crops per step"""
    crop: Annotated[int, Field(ge=64, le=4096, multiple_of=HYPER_STRIDE_PX)] = 256
    """side of a crop, px"""
    streams: Annotated[int, Field(ge=1, le=64)] = 1
    """CUDA streams side by side; four were 14 times slower than one on an H200"""
    save_s: Annotated[float, Field(gt=0)] = 75.0
    """seconds between checkpoints"""
    init: Literal["klt", "shipped"] = "klt"
    """where the first run of a family starts: the transform of the pictures, or what ships for it"""
    lr: Annotated[float, Field(gt=0, le=100)] = 1.0
    """factor on every learning rate"""
    lr_tuning: Annotated[float, Field(gt=0, le=100)] = 0.5
    """further factor where a run starts from trained weights"""
    kd: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """weight of the squared error between the latents of an encoder and its teacher's"""
    rounded_from: Annotated[float, Field(ge=0, le=1)] = 1.0
    """share of the time after which the rate is taken at round(y); 1: never, which was better"""
    n: Annotated[int, Field(ge=2, le=1024)] = 64
    """channels of z"""
    m: Annotated[int, Field(ge=2, le=1024)] = 320
    """channels of y"""
    widths: Several[int] = (32, 64, 128)
    """channels of the transforms at 1/2, 1/4 and 1/8 of the side"""
    groups: Several[int] = (16, 32, 64, 96, 112)
    """elic: channels of each group"""
    resume: str = ""
    """folder of the pieces of an earlier run to go on from"""
    smoke: bool = False
    """measure the device for a minute; nothing is trained"""
    benchmark: bool = False
    """let cuDNN try its algorithms"""
    workers: Annotated[int, Field(ge=1, le=64)] = 6
    """processes that pack checkpoints"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """of weights, crops and noise"""

    def shape(self, name: str) -> Widths:
        """Channels of a family's codecs."""
        groups = tuple(self.groups) if FLEET[name].grouped else ()
        return registry.family(name).check(Widths(self.n, self.m, tuple(self.widths), groups))


@dataclass(frozen=True)
class Course:
    """What one run of a fleet trains."""

    name: str
    """the family"""
    lambda_: float
    widths: Widths
    lr: float
    """at its highest"""
    weight: float
    """share of the device, in any unit"""
    seed: int
    start: float = 0.0
    """share of the fleet's time at which it begins"""
    stop: float = 1.0
    """at which it is done"""
    teacher: str = ""
    """label of the run whose entropy model and decoder it takes"""

    @property
    def label(self) -> str:
        """What its checkpoint is called."""
        return f"{self.name}_lambda{self.lambda_:g}"

    def own(self, progress: float) -> float:
        """The share of this run's own time that is over at a share of the fleet's."""
        return (progress - self.start) / (self.stop - self.start)


def courses(keys: FleetKeys) -> list[Course]:
    """Every run of a fleet. Raises `UserError` for a family that it does not know."""
    if unknown := [name for name in keys.models if name not in FLEET]:
        raise UserError(f"models={','.join(keys.models)}: {unknown[0]} unknown, there are {', '.join(FLEET)}")
    wanted = [(name, lambda_) for name in FLEET if name in keys.models for lambda_ in FLEET[name].lambdas]
    found = []
    for number, (name, lambda_) in enumerate(wanted):
        share, lead = FLEET[name], lambda_ == LEAD and not FLEET[name].teacher
        weight = share.first if lead else share.other
        teaches = any(FLEET[other].teacher == name for other in keys.models)
        alone = len(share.lambdas) == 1 and not teaches
        start, stop = (0.0, 1.0 if alone else LEADS_UNTIL) if lead else (LEADS_UNTIL, 1.0)
        teacher = f"{share.teacher}_lambda{lambda_:g}" if share.teacher else ""
        shape, lr, seed = keys.shape(name), share.lr * keys.lr, keys.seed + number
        found.append(Course(name, lambda_, shape, lr, weight, seed, start, stop, teacher))
    return found


def learning_rate_share(progress: float) -> float:
    """1 until `DECAY_FROM` of a run's own time, then half a cosine to 0."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, (progress - DECAY_FROM) / (1 - DECAY_FROM)))))
