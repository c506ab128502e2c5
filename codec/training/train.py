"""Train a codec on pictures of your own.

The defaults are the paper's recipe (section 4.1, "Training details"): random 256 px crops, batch 16 per
process, MSE, Adam at a fixed 1e-4; what they add is the fixed grid and missing context. `resume=true` goes
on after a kill, to the bit."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist

from codec.training.knobs import TrainKnobs
from codec.training.trainer import Trainer
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError


def start_processes(knobs: TrainKnobs) -> None:
    """Join the process group that torchrun announces, if any, and set what the hardware wants."""
    if knobs.threads:
        torch.set_num_threads(knobs.threads)
    if knobs.on_gpu:
        if not torch.cuda.is_available():
            raise UserError("device=cuda: this machine has no CUDA device that torch can use")
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if knobs.on_gpu else "gloo")


def train(given: Given) -> None:
    """Train until the steps or minutes are over."""
    start_processes(given.own)
    try:
        Trainer(given.own).run()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


COMMAND = Command(
    name="train",
    about=__doc__ or "",
    own=TrainKnobs,
    work=train,
    examples=(
        "dlrc train model=bmshj lambda=0.013 data=FOLDER out=bmshj.safetensors",
        "torchrun --nproc-per-node 8 -m codec.training.train model=elic lambda=0.013 data=FOLDER",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
