"""The training run around the step: processes, checkpoints, exact resume, progress, validation curve.

A run writes, beside its checkpoint `out=NAME.safetensors`: `NAME.state.pt` (network, optimiser, step: what
resume needs), `NAME.curve.csv` and `NAME.curve.png` (training and validation against steps). All are replaced
whole, so a kill at any moment leaves the previous ones."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from codec.models import registry
from codec.models.checkpoint import save_checkpoint
from codec.models.model import LATENT_STRIDE_PX
from codec.models.storage import BOTTLENECK_TABLES
from codec.training import curves
from codec.training.bands.pictures import pictures_of
from codec.training.bands.start import counts_to_unit as _pixels
from codec.training.bands.start import spread
from codec.training.data import CropSampler, data_digest, validation_crops
from codec.training.evaluate import loss_of, rate_and_error, rate_and_psnr
from codec.training.initialise import initialise
from codec.training.state import State, check_same, fill, lasting, read_state
from codec.training.step import (
    Batch,
    RateDistortion,
    StepKnobs,
    Teacher,
    halo_views,
    learning_rate,
    missing_positions,
    optimizer_for,
    set_rate,
    trained_by,
)
from codec.training.students import Tutor, as_flown, begin_norms, go_on_with_another_norm, set_norms
from codec.training.warmstart import checkpoint_of, copy_transforms, warm_start
from constellation.common.errors import UserError, naming
from constellation.common.files import check_target, write_bytes

if TYPE_CHECKING:
    from codec.training.knobs import TrainKnobs

SAMPLE_CROPS = 4  # a warm start measures its gains, and another norm its statistics, on
KLT_PIXELS = 1 << 20  # that principal components are taken of, at least
MAX_SKIPPED_STEPS = 100  # without a finite gradient, one after the other


class Trainer:
    """One process's share of a run; `run()` is the story."""

    def __init__(self, knobs: TrainKnobs) -> None:
        """Raises `UserError` for data, weights or a state that does not fit."""
        self.knobs = knobs
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.device = torch.device("cpu")
        if knobs.on_gpu:
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if self.rank == 0:
            check_target(self.out)
        self._open_pictures()
        bands = 3 if self.bands is None else self.bands.count
        torch.manual_seed(knobs.seed)
        self.model = registry.build(knobs.model, replace(knobs.shape, bands=bands))
        self._start()
        self.model.net.to(self.device, memory_format=knobs.torch_memory_format)
        self.loss = RateDistortion(self.model)
        self.optimizer = optimizer_for(self.model, knobs.lr, knobs.optimizer)
        self.step, self.earlier_s, self.curve, self.since, self.skipped = 0, 0.0, [], np.zeros(4), 0
        if knobs.resume:
            self._restore()
        self.left_out = 0  # steps, of this process, that had no finite gradient: in the log, not in silence
        self.wrapped = self.loss
        if self.world > 1:
            self.wrapped = torch.nn.parallel.DistributedDataParallel(self.loss, broadcast_buffers=False)

    def _open_pictures(self) -> None:
        k = self.knobs
        training, held_out, self.bands = pictures_of(k)
        self.digest, self.sampler = data_digest(training), CropSampler(training, k.crop, k.seed, k.shrink)
        if self.rank == 0:
            self.held_out = _pixels(validation_crops(held_out, training, k.crop, bool(k.val)))

    def _start(self) -> None:
        """Weights to start from, and the teacher, if any."""
        knobs, self.teacher, self.tutor = self.knobs, None, None
        fresh = True  # norms begin by following the batches
        if knobs.tutored:
            self.tutor = naming("teacher")(Tutor)(knobs.teacher, self.model, knobs.kd, knobs.kd_target)
            self.tutor.hand_over(self.model, encoder=knobs.init != "random")
        if knobs.init == "klt":
            crops = max(SAMPLE_CROPS, KLT_PIXELS // knobs.crop**2)
            initialise(self.model, self._sample(crops), knobs.lambda_)
        elif knobs.init not in ("", "random"):
            source, info = checkpoint_of("init", knobs.init)
            fresh = source.name != self.model.name
            if self.bands is not None and info.bands is None:
                spread(source, self.model, self._sample())
                source = self.model
            start = go_on_with_another_norm if knobs.norm and not fresh else warm_start
            start(self.model, source, self._sample(), math.sqrt(knobs.lambda_ / info.lambda_))
        if knobs.transforms:
            copy_transforms(self.model, checkpoint_of("transforms", knobs.transforms)[0], self._sample())
        if self.tutor is not None:
            self.tutor.teacher.net.to(self.device)
            if knobs.freeze:
                self.tutor.keep_rest(self.model, knobs.lambda_)
        elif knobs.teacher:
            self.teacher = Teacher(checkpoint_of("teacher", knobs.teacher)[0], self.model.m, self._sample())
            self.teacher.g_a.to(self.device)
        if fresh:
            begin_norms(self.model)

    def _sample(self, count: int = SAMPLE_CROPS) -> Tensor:
        return _pixels(self.sampler.batch(0, range(count)))

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
        lr = learning_rate(k.lr, k.lr_end, k.decay, progress)
        set_rate(self.optimizer, lr * (min(1, (self.step + 1) / k.warmup) if k.warmup else 1))
        step = StepKnobs(
            k.lambda_, k.grid, progress > 1 - k.rounding, k.uses_bf16 and progress < 1 - k.float32_share
        )
        self.optimizer.zero_grad(set_to_none=True)
        set_norms(self.model, progress >= k.norm_freeze)
        result = self.wrapped(self._batch(x, progress), step)
        result["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(trained_by(self.optimizer), k.clip)
        if bool(torch.isfinite(norm)):  # the same on every rank: gradients are averaged already
            self.optimizer.step()
            self.skipped = 0
        else:
            self.skipped += 1
            self.left_out += 1
            if self.skipped == MAX_SKIPPED_STEPS:
                raise UserError(
                    f"step {self.step}: no finite gradient in {MAX_SKIPPED_STEPS} steps, the run has "
                    "diverged; a lower lr= may help, or another init="
                )
        self.step += 1
        bpp, mse = float(result["bpp"]), float(result["mse"])
        return bpp + k.lambda_ * 255**2 * mse, bpp, mse

    def _batch(self, x: Tensor, progress: float) -> Batch:
        """The crops with what is drawn for this step."""
        k = self.knobs
        random = torch.Generator().manual_seed(self._seed(0))
        torch.manual_seed(self._seed(1))  # the bottleneck draws its noise from the global generator
        missing, halo, side = None, None, k.crop // LATENT_STRIDE_PX
        if k.halo and float(torch.rand((), generator=random)) < k.halo:
            halo = halo_views(len(x), side, random, self.device)
            side = halo.side
        if self.model.has_context and float(torch.rand((), generator=random)) < k.missing_context:
            missing = missing_positions(len(x), side, side, random).to(self.device)
        taught = self.teacher(x) if self.teacher and progress < k.distill else None
        return Batch(x, random, missing, taught, halo, self.tutor.lesson(x) if self.tutor else None)

    def _seed(self, purpose: int) -> int:
        """Of this step and rank: nothing about random numbers has to be saved."""
        words = (self.knobs.seed, self.step, purpose, *([self.rank] if self.rank else []))
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
        k, (loss, bpp, mse) = self.knobs, np.mean(recent, axis=0)
        elapsed_s, limit_s = self.elapsed_s(), k.minutes * 60 or math.inf
        done = self.progress() if self.world == 1 or not k.minutes else elapsed_s / limit_s
        per_step = (elapsed_s - self.earlier_s) / max(1, self.step - self.first_step)
        left_s = max(0.0, min((k.steps - self.step) * per_step, limit_s - elapsed_s))
        lr = self.optimizer.param_groups[0]["lr"]
        print(
            f"{k.model} lambda {k.lambda_:g} | step {self.step} ({100 * min(1.0, done):.1f} %) | "
            f"loss {loss:.4f} | {bpp:.4f} bpp | {curves.psnr_db(mse):.2f} dB | lr {lr:.1e} | "
            f"{per_step:.3f} s/step | {_clock(left_s)} left"
            + (f" | {self.left_out} steps without a finite gradient left out" if self.left_out else ""),
            flush=True,
        )

    def _validate(self) -> None:
        loss, bpp, mse = self.since[:3] / self.since[3] if self.since[3] else (math.nan,) * 3
        self.since = np.zeros(4)
        if self.rank == 0:
            with as_flown(self.model):
                parts = [rate_and_error(self.model, part.to(self.device)) for part in self.held_out.split(4)]
            val_bpp, val_psnr = rate_and_psnr(figures := torch.cat(parts).double().cpu())
            val_loss, _, _ = loss_of(figures.numpy(), self.knobs.lambda_)
            lr, minutes = self.optimizer.param_groups[0]["lr"], self.elapsed_s() / 60
            row = (self.step, minutes, lr, loss, bpp, curves.psnr_db(mse), val_bpp, val_psnr, val_loss)
            self.curve.append([float(value) for value in row])
            print(
                f"{self.knobs.model} lambda {self.knobs.lambda_:g} | step {self.step} | "
                f"validation {val_bpp:.4f} bpp (estimate), {val_psnr:.2f} dB",
                flush=True,
            )
        if self.world > 1:
            dist.barrier()

    def save(self) -> None:
        """Checkpoint, state and curve, each under a temporary name first. Rank 0 alone writes."""
        if self.rank:
            return
        k = self.knobs
        notes = {"train_loss": f"{self.curve[-1][3]:.4f}"} if self.curve else {}
        notes |= {"data": self.digest, **({} if self.bands is None else {"scales": self.bands.text})}
        if self.tutor is not None and k.freeze:
            self.tutor.save(
                self.out, self.model, {**notes, "lambda": repr(k.lambda_), "steps": str(self.step)}
            )
        else:
            save_checkpoint(self.out, self.model, k.lambda_, self.step, notes)
        state = State(
            net=self._net_state(),
            optimizer=self.optimizer.state_dict(),
            step=self.step,
            elapsed_s=self.elapsed_s(),
            curve=self.curve,
            knobs=lasting(k.model_dump()),
            data=self.digest,
            world=self.world,
            since=self.since.tolist(),
        )
        write_bytes(self.state_path, state.packed())
        write_bytes(self.out.with_suffix(".curve.csv"), curves.table(self.curve))
        if self.curve:
            title = f"{k.model}, lambda {k.lambda_:g}"
            write_bytes(self.out.with_suffix(".curve.png"), curves.picture(self.curve, title))

    def _net_state(self) -> dict[str, Tensor]:
        made = (*BOTTLENECK_TABLES, "scale_table")
        return {key: value for key, value in self.model.net.state_dict().items() if not key.endswith(made)}

    def _restore(self) -> None:
        state = read_state(self.state_path)
        check_same(state, self.state_path, self.knobs.model_dump(), self.digest, self.world)
        fill(state, self.state_path, self.model.net, self.optimizer, set(self._net_state()))
        self.step, self.earlier_s, self.curve = state.step, state.elapsed_s, state.curve
        self.since = np.array(state.since, dtype=np.float64)


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
