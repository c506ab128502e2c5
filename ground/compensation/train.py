"""Train a net that adds detail to a codec's decoded pictures on the ground.

Pairs of originals and what the codec makes of them come from the pictures of `data=`; the codec stays as it
is, and the net serves that codec alone. `kind=regressor` learns the mean residual (least squared error),
`kind=diffusion` to draw one. `resume=true` goes on after a kill, to the bit."""

from __future__ import annotations

import torch

from constellation.common.cli import Command, Given, main_of
from ground.compensation.knobs import CompensationKnobs
from ground.compensation.trainer import Trainer


def train(given: Given) -> None:
    """Train until the steps or minutes are over."""
    if given.own.threads:
        torch.set_num_threads(given.own.threads)
    Trainer(given.own).run()


COMMAND = Command(
    name="train-compensation",
    about=__doc__ or "",
    own=CompensationKnobs,
    work=train,
    examples=(
        "dlrc train-compensation model=bmshj lambda=0.013 data=FOLDER minutes=6 out=regressor.safetensors",
        "dlrc train-compensation kind=diffusion codec=codec.safetensors data=FOLDER minutes=60",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
