"""The training run around the step: processes, checkpoints, exact resume, progress, validation curve.

A run writes, beside its checkpoint `out=NAME.safetensors`: `NAME.state.pt` (network, optimiser, step: what
resume needs), `NAME.curve.csv` and `NAME.curve.png` (training and validation against steps). All are replaced
whole, so a kill at any moment leaves the previous ones."""

from __future__ import annotations

import csv
import io
import math
import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from codec.imagery.pictures import Picture
from codec.models.checkpoint import BOTTLENECK_TABLES, load_checkpoint, save_checkpoint
from codec.models.model import LATENT_STRIDE_PX
from codec.models.registry import build_model
from codec.training.data import CropSampler, data_digest, open_pictures, split_pictures
from codec.training.step import (
    RateDistortion,
    StepKnobs,
    Teacher,
    evaluate,
    halo_views,
    learning_rate,
    missing_positions,
    optimizer_for,
)
from codec.training.warmstart import copy_transforms, warm_start
from constellation.common.errors import UserError

VALIDATION_CROPS, VALIDATION_PX, VALIDATION_SEED = 12, 256, 12345
SAMPLE_CROPS = 4  # a warm start measures its gains on
MAX_SKIPPED_STEPS = 100  # without a finite gradient, one after the other
CURVE_COLUMNS = (
    "step",
    "minutes",
    "lr",
    "train_loss",
    "train_bpp",
    "train_psnr_db",
    "val_bpp",
    "val_psnr_db",
)
MAX_STATE_BYTES = 4 << 30
FREE_TO_CHANGE = {
    "steps",
    "minutes",
    "resume",
    "threads",
    "log_s",
    "checkpoint_s",
    "val_every",
    "data",
    "val",
    "out",
}  # on resume


class Trainer:
    """One process's share of a run; `run()` is the story."""

    def __init__(self, knobs) -> None:
        """`knobs`: `codec.training.knobs.TrainKnobs`. Raises `UserError` for data, weights or a state that
        does not fit."""
        self.knobs = knobs
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.device = (
            torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            if knobs.on_gpu
            else torch.device("cpu")
        )
        torch.manual_seed(knobs.seed)
        self.model = build_model(knobs.model, knobs.n, knobs.latent_channels, knobs.group_sizes)
        if self.rank == 0:
            _check_writable(self.out)
        training, held_out = split_pictures(open_pictures(knobs.data), knobs.val_share)
        held_out = open_pictures(knobs.val, "val") if knobs.val else held_out
        self.digest, self.sampler = data_digest(training), CropSampler(training, knobs.crop, knobs.seed)
        self.held_out = (
            _pixels(_validation_crops(held_out, training, knobs.crop, bool(knobs.val)))
            if self.rank == 0
            else None
        )
        if knobs.init:
            source, info = load_checkpoint(knobs.init)
            gain = math.sqrt(knobs.lambda_ / info.lambda_)
            warm_start(self.model, source, _pixels(self.sampler.batch(0, range(SAMPLE_CROPS))), gain)
        if knobs.transforms:
            source, _ = load_checkpoint(knobs.transforms)
            copy_transforms(self.model, source, _pixels(self.sampler.batch(0, range(SAMPLE_CROPS))))
        self.teacher = None
        if knobs.teacher:
            self.teacher = Teacher(
                load_checkpoint(knobs.teacher)[0],
                self.model.m,
                _pixels(self.sampler.batch(0, range(SAMPLE_CROPS))),
            )
            self.teacher.g_a.to(self.device)
        self.model.net.to(self.device, memory_format=knobs.torch_memory_format)
        self.loss = RateDistortion(self.model)
        self.optimizer = optimizer_for(self.model, knobs.lr)
        self.step, self.earlier_s, self.curve, self.since, self.skipped = 0, 0.0, [], np.zeros(4), 0
        if knobs.resume:
            self._restore()
        self.wrapped = (
            torch.nn.parallel.DistributedDataParallel(self.loss, broadcast_buffers=False)
            if self.world > 1
            else self.loss
        )

    @property
    def out(self) -> Path:
        return Path(self.knobs.out)

    @property
    def state_path(self) -> Path:
        return self.out.with_suffix(".state.pt")

    # ---- the run

    def run(self) -> None:
        """Train until `steps` or `minutes` are used up; write the checkpoint and the curve along the way and
        at the end."""
        self.started = self.saved = self.logged = time.monotonic()
        self.first_step = saved_step = validated_step = self.step
        recent = []
        for x in self._crops():
            progress = self.progress()
            if progress >= 1:
                break
            figures = self.train_step(x, progress)
            recent.append(figures)
            self.since += (*figures, 1)
            now, last = time.monotonic(), self.progress() >= 1
            if self.rank == 0 and (last or now - self.logged >= self.knobs.log_s):
                self._log(recent)
                recent, self.logged = [], now
            if last or self.step % self.knobs.val_every == 0:
                self._validate()
                validated_step = self.step
            if last or now - self.saved >= self.knobs.checkpoint_s:
                self.save()
                self.saved, saved_step = time.monotonic(), self.step
        if validated_step != self.step:  # time ran out while something was written
            self._validate()
        if validated_step != self.step or saved_step != self.step or not self.out.exists():
            self.save()

    def progress(self) -> float:
        """How much of the run is done, 0..1: by steps, or by minutes where they run out first (then rank 0's
        clock decides)."""
        share = self.step / self.knobs.steps
        if self.knobs.minutes:
            share = max(share, self.elapsed_s() / 60 / self.knobs.minutes)
            if self.world > 1:
                agreed = torch.tensor([share], dtype=torch.float64, device=self.device)
                dist.broadcast(agreed, 0)
                share = float(agreed)
        return share

    def elapsed_s(self) -> float:
        return self.earlier_s + time.monotonic() - self.started

    def train_step(self, x: Tensor, progress: float) -> tuple[float, float, float]:
        """One optimiser step on crops x; returns (loss without the auxiliary one, bpp, mse)."""
        k = self.knobs
        lr = learning_rate(k.lr, k.lr_end, k.decay, progress) * (
            min(1.0, (self.step + 1) / k.warmup) if k.warmup else 1.0
        )
        self.optimizer.param_groups[0]["lr"] = lr
        random = torch.Generator().manual_seed(self._seed(0))
        torch.manual_seed(self._seed(1))  # the bottleneck draws its noise from the global generator
        missing, halo, side = None, None, k.crop // LATENT_STRIDE_PX
        if k.halo and float(torch.rand((), generator=random)) < k.halo:
            halo = halo_views(len(x), side, random, self.device)
            side = halo.side
        if self.model.has_context and float(torch.rand((), generator=random)) < k.missing_context:
            missing = missing_positions(len(x), side, side, random).to(self.device)
        step = StepKnobs(
            k.lambda_, k.grid, progress > 1 - k.rounding, k.uses_bf16 and progress < 1 - k.float32_share
        )
        self.optimizer.zero_grad(set_to_none=True)
        taught = self.teacher(x) if self.teacher and progress < k.distill else None
        result = self.wrapped(x, step, missing, random, taught, halo)
        result["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], k.clip)
        if bool(torch.isfinite(norm)):  # the same on every rank: gradients are averaged already
            self.optimizer.step()
            self.skipped = 0
        else:
            self.skipped += 1
            if self.skipped == MAX_SKIPPED_STEPS:
                raise UserError(
                    f"step {self.step}: no finite gradient in {MAX_SKIPPED_STEPS} steps, the run has diverged; a lower lr= may help, or another init="
                )
        self.step += 1
        bpp, mse = float(result["bpp"]), float(result["mse"])
        return bpp + k.lambda_ * 255**2 * mse, bpp, mse

    def _seed(self, purpose: int) -> int:
        """Of this step and rank: nothing about random numbers has to be saved."""
        words = (
            (self.knobs.seed, self.step, purpose)
            if self.rank == 0
            else (self.knobs.seed, self.step, purpose, self.rank)
        )
        return int(np.random.SeedSequence(words).generate_state(1)[0])

    def _crops(self) -> Iterator[Tensor]:
        """This rank's crops of each step, one step ahead in a thread of its own."""
        batch = self.knobs.batch
        slots = range(self.rank * batch, (self.rank + 1) * batch)
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self.sampler.batch, self.step, slots)
            while True:
                pixels = upcoming.result()
                upcoming = pool.submit(self.sampler.batch, self.step + 1, slots)
                yield _pixels(pixels).to(self.device, memory_format=self.knobs.torch_memory_format)

    # ---- what it tells and keeps

    def _log(self, recent: list[tuple[float, float, float]]) -> None:
        loss, bpp, mse = np.mean(recent, axis=0)
        done = (
            self.progress()
            if self.world == 1 or not self.knobs.minutes
            else self.elapsed_s() / 60 / self.knobs.minutes
        )
        seconds = self.elapsed_s() - self.earlier_s
        per_step = seconds / max(1, self.step - self.first_step)
        left_s = max(
            0.0,
            min(
                (self.knobs.steps - self.step) * per_step,
                self.knobs.minutes * 60 - self.elapsed_s() if self.knobs.minutes else math.inf,
            ),
        )
        print(
            f"{self.knobs.model} lambda {self.knobs.lambda_:g} | step {self.step} ({100 * min(1.0, done):.1f} %) | loss {loss:.4f} | {bpp:.4f} bpp | "
            f"{_psnr(mse):.2f} dB | lr {self.optimizer.param_groups[0]['lr']:.1e} | {per_step:.3f} s/step | {_clock(left_s)} left",
            flush=True,
        )

    def _validate(self) -> None:
        loss, bpp, mse = self.since[:3] / self.since[3] if self.since[3] else (math.nan,) * 3
        self.since = np.zeros(4)
        if self.rank == 0:
            figures = [evaluate(self.model, part.to(self.device)) for part in self.held_out.split(4)]
            val_bpp, val_psnr = np.mean(figures, axis=0)
            lr = self.optimizer.param_groups[0]["lr"]
            self.curve.append(
                [
                    self.step,
                    *(
                        float(v)
                        for v in (self.elapsed_s() / 60, lr, loss, bpp, _psnr(mse), val_bpp, val_psnr)
                    ),
                ]
            )
            print(
                f"{self.knobs.model} lambda {self.knobs.lambda_:g} | step {self.step} | validation {val_bpp:.4f} bpp (estimate), {val_psnr:.2f} dB",
                flush=True,
            )
        if self.world > 1:
            dist.barrier()

    def save(self) -> None:
        """Checkpoint, state and curve, each under a temporary name first. Rank 0 alone writes."""
        if self.rank:
            return
        try:
            self._save()
        except OSError as error:
            raise UserError(
                f"out={self.knobs.out}: step {self.step} cannot be written ({error.strerror or error})"
            ) from None

    def _save(self) -> None:
        notes = {"train_loss": f"{self.curve[-1][3]:.4f}"} if self.curve else {}
        notes["data"] = self.digest
        save_checkpoint(self.out, self.model, self.knobs.lambda_, self.step, notes)
        buffer = io.BytesIO()
        torch.save(
            {
                "net": self._net_state(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "elapsed_s": self.elapsed_s(),
                "curve": self.curve,
                "since": self.since.tolist(),
                "knobs": self._knob_values(),
                "world": self.world,
                "data": self.digest,
            },
            buffer,
        )
        _replace(self.state_path, buffer.getvalue())
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(CURVE_COLUMNS)
        writer.writerows([f"{value:.6g}" for value in row] for row in self.curve)
        _replace(self.out.with_suffix(".curve.csv"), table.getvalue().encode())
        if self.curve:
            _replace(
                self.out.with_suffix(".curve.png"),
                _draw(self.curve, f"{self.knobs.model}, lambda {self.knobs.lambda_:g}"),
            )

    def _net_state(self) -> dict[str, Tensor]:
        return {
            key: value
            for key, value in self.model.net.state_dict().items()
            if not key.endswith((*BOTTLENECK_TABLES, "scale_table"))
        }

    def _knob_values(self) -> dict[str, Any]:
        return {key: value for key, value in self.knobs.model_dump().items() if key not in FREE_TO_CHANGE}

    def _restore(self) -> None:
        path = self.state_path
        if not path.is_file():
            raise UserError(f"resume=true: {path.name} is not there; start without resume")
        if path.stat().st_size > MAX_STATE_BYTES:
            raise UserError(
                f"resume=true: {path.name} has {path.stat().st_size} bytes, expected at most {MAX_STATE_BYTES}"
            )
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            knobs, data = state["knobs"], state["data"]
            known = dict(knobs)
        except (
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            OSError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ):
            raise UserError(f"resume=true: {path.name} is no training state of this program") from None
        if state.get("world", self.world) != self.world:
            raise UserError(
                f"resume=true: the run in {path.name} had {state['world']} processes, this one has {self.world}; resume needs as many"
            )
        for key, value in self._knob_values().items():
            if known.get(key) != value:
                raise UserError(
                    f"{key.rstrip('_')}={value}: the run in {path.name} had {known.get(key)}; resume needs the same"
                )
        if data != self.digest:
            raise UserError(
                f"data={self.knobs.data}: other pictures ({self.digest}) than the run in {path.name} had ({data})"
            )
        try:
            if state["net"].keys() != self._net_state().keys() or not all(
                bool(torch.isfinite(value).all()) for value in state["net"].values()
            ):
                raise ValueError("parameters are missing, foreign or not finite")
            self.model.net.load_state_dict({**self.model.net.state_dict(), **state["net"]})
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.earlier_s, self.since = (
                int(state["step"]),
                float(state["elapsed_s"]),
                np.array(state.get("since", [0] * 4), dtype=np.float64),
            )
            self.curve = [[float(value) for value in row] for row in state["curve"]]
            if (
                self.step < 0
                or not self.earlier_s >= 0
                or self.since.shape != (4,)
                or any(len(row) != len(CURVE_COLUMNS) for row in self.curve)
            ):
                raise ValueError("step, time or curve make no sense")
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(
                f"resume=true: {path.name} does not fit this network ({str(error).splitlines()[0]})"
            ) from None


def _pixels(batch: np.ndarray) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 in 0..1."""
    return torch.from_numpy(batch).float() / 255


def _psnr(mse: float) -> float:
    return -10 * math.log10(max(mse, 1e-10)) if math.isfinite(mse) else math.nan


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def _check_writable(out: Path) -> None:
    """Raises `UserError` where a checkpoint could not be written; before hours of training, not after."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_dir():
            raise IsADirectoryError(21, "is a folder")
        trial = out.with_name(f"{out.name}.{os.getpid()}.tmp")
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error.strerror or error})") from None


def _validation_crops(
    held_out: list[Picture], training: list[Picture], crop_px: int, given: bool
) -> np.ndarray:
    """uint8 [VALIDATION_CROPS, 3, P, P] of held-out pictures: P = VALIDATION_PX, or `crop_px` where none is
    as large. Where even that is more than they have: of the training pictures, unless they were `given` by
    val=. Raises `UserError`."""
    smallest = min(crop_px, VALIDATION_PX)
    for pictures, px in [(held_out, VALIDATION_PX), (held_out, smallest)] + (
        [] if given else [(training, smallest)]
    ):
        if any(min(p.height, p.width) >= px for p in pictures):
            if pictures is training and training is not held_out:
                print(f"note: no held-out picture of {px} px; validation is on training pictures", flush=True)
            return CropSampler(pictures, px, VALIDATION_SEED).batch(0, range(VALIDATION_CROPS))
    raise UserError(f"val=: no picture of {smallest} px on its shorter side")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _draw(curve: list[list[float]], title: str) -> bytes:
    """The validation curve as a PNG: rate and PSNR against steps, training dotted."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = dict(zip(CURVE_COLUMNS, np.array(curve, dtype=np.float64).T, strict=True))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title)
    for axes, key, label in zip(
        figure.subplots(1, 2), ("bpp", "psnr_db"), ("rate, bit/px (estimate)", "PSNR, dB"), strict=True
    ):
        axes.plot(columns["step"], columns[f"train_{key}"], ":", color="0.5", label="training crops")
        axes.plot(columns["step"], columns[f"val_{key}"], "o-", markersize=3, label="held-out crops")
        axes.set(xlabel="optimiser steps", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
