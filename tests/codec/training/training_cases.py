"""Small pictures and short runs that the tests of training share."""

from __future__ import annotations

import numpy as np

from codec.training.knobs import parse_knobs
from codec.training.trainer import Trainer


def waves(rows=300, columns=280, period=9):
    down, right = np.mgrid[0:rows, 0:columns]
    values = 120 + 90 * np.sin(down[..., None] / period) * np.cos(right[..., None] / np.array([7, 11, 13]))
    return values.astype(np.uint8)


def knobs(pictures, out, *more, model="mbt"):
    return parse_knobs(
        [
            f"model={model}",
            "lambda=0.013",
            f"data={pictures}",
            f"out={out}",
            "n=8",
            f"m={8 if model == 'cheng' else 24}",
            "batch=1",
            "crop=64",
            "lr=1e-3",
            "steps=4",
            "val_every=2",
            "checkpoint_s=0",
            "threads=1",
            "device=cpu",
            "missing_context=0.5",
            *more,
        ]
    )


class Killed(Exception):
    pass


def train(settings, kill_after=None):
    trainer = Trainer(settings)
    if kill_after is not None:
        step = trainer.train_step

        def until_killed(*arguments):
            if trainer.step == kill_after:
                raise Killed
            return step(*arguments)

        trainer.train_step = until_killed
    trainer.run()
    return trainer
