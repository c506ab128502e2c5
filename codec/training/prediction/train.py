"""Train the fusion of cross-view coding for a codec.

Pairs of views are made from the pictures of `data=`; the codec stays as it is. A fusion serves the codec that
it was trained for alone. `resume=true` goes on after a kill, to the bit; `init=` starts from a fusion of
another training."""

from __future__ import annotations

import torch

from codec.training.prediction.knobs import PredictionKnobs
from codec.training.prediction.trainer import Trainer
from constellation.common.cli import Command, Given, main_of


def train(given: Given) -> None:
    """Train until the steps or minutes are over."""
    if given.own.threads:
        torch.set_num_threads(given.own.threads)
    Trainer(given.own).run()


COMMAND = Command(
    name="train-prediction",
    about=__doc__ or "",
    own=PredictionKnobs,
    work=train,
    examples=(
        "dlrc train-prediction model=bmshj lambda=0.013 data=FOLDER minutes=20 out=fusion.safetensors",
        "dlrc train-prediction codec=codec.safetensors data=FOLDER minutes=20 out=fusion.safetensors",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
