"""The training run of a fusion: which pairs a step sees, the step, checkpoints and exact resume.

The loss is the bits of y under the fused parameters. Where a position costs more than a tenth over plain
coding it counts little: there a satellite falls back to plain coding. The experts part by a first fifth in
which distances choose them, then each 32 px root trains the one that serves it best.

Everything random follows from (seed, step), and a state holds the pool of pairs too, so a resumed run repeats
an unbroken one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codec.models.checkpoint import load_checkpoint, shipped_weights
from codec.prediction.checkpoint import load_fusion, save_fusion
from codec.prediction.fusion import EXPERTS, Fusion
from codec.training.data import data_digest, open_pictures
from codec.training.prediction.knobs import PredictionKnobs
from codec.training.prediction.pairs import PairSampler
from codec.training.prediction.samples import Rates, batch_of, left_out, roots, sample, spread
from codec.training.state import holding, write_held
from constellation.common.errors import UserError, naming
from constellation.common.files import check_target

FALLBACK, FALLBACK_WEIGHT = 1.1, 0.15  # over which share of the plain bits a position counts so much
FREE_TO_CHANGE = {"steps", "minutes", "resume", "threads", "log_s", "checkpoint_s", "data", "out", "init"}


class Trainer:
    """`run()` is the story."""

    def __init__(self, knobs: PredictionKnobs) -> None:
        """Raises `UserError` for data, weights or a state that does not fit."""
        self.knobs, self.out = knobs, Path(knobs.out)
        check_target(self.out)
        torch.manual_seed(knobs.seed)
        if not knobs.codec and not knobs.model:
            raise UserError("model=: expected a family, or codec= with a checkpoint")
        path = knobs.codec or shipped_weights(knobs.model, knobs.lambda_)
        self.model, self.info = naming("codec")(load_checkpoint)(path)
        self.model.net.requires_grad_(False)
        pictures = open_pictures(knobs.data)
        self.digest, self.pairs = data_digest(pictures), PairSampler(pictures, knobs.seed)
        self.fusion = Fusion(self.model, knobs.hidden)
        if knobs.init:
            started, _ = naming("init")(load_fusion)(knobs.init, self.model, None)
            self.fusion.load_state_dict(started.state_dict())
        self.optimizer = torch.optim.Adam(self.fusion.parameters(), lr=knobs.lr)
        self.step, self.earlier_s, self.pool = 0, 0.0, []
        if knobs.resume:
            self._restore()

    @property
    def state_path(self) -> Path:
        """What resume needs, beside the checkpoint."""
        return self.out.with_suffix(".state.pt")

    def run(self) -> None:
        """Train until `steps` or `minutes` are used up."""
        self.started = saved = logged = time.monotonic()
        recent: list[np.ndarray] = []
        while (progress := self.progress()) < 1:
            recent.append(self._train_step(progress))
            now = time.monotonic()
            if now - logged >= self.knobs.log_s:
                self._log(recent)
                recent, logged = [], now
            if now - saved >= self.knobs.checkpoint_s:
                self.save()
                saved = time.monotonic()
        self._log(recent)
        self.save()

    def progress(self) -> float:
        """How much of the run is done, 0 to 1."""
        minutes = (self.earlier_s + time.monotonic() - self.started) / 60
        return max(self.step / self.knobs.steps, minutes / self.knobs.minutes if self.knobs.minutes else 0)

    def _batch(self) -> list[dict[str, Tensor]]:
        """This step's new samples and some of the pool, which takes the new ones in."""
        k = self.knobs
        random = np.random.default_rng((k.seed, self.step))
        new = [sample(self.model, self.pairs, self.step * k.fresh + place) for place in range(k.fresh)]
        old = (
            [self.pool[int(i)] for i in random.integers(0, max(1, len(self.pool)), k.replayed)]
            if self.pool
            else []
        )
        self.pool = (self.pool + new)[-k.pool :]
        return new + old

    def _train_step(self, progress: float) -> np.ndarray:
        """One step; float64 [1 + EXPERTS]: bits over plain bits of the new pairs, chosen by root, and
        the experts' shares."""
        k = self.knobs
        batch = batch_of(self._batch())
        random = np.random.default_rng((k.seed, self.step, 1))
        rates = Rates(self.model, batch, left_out(random, tuple(batch.z_hat.shape)))
        with torch.no_grad():
            plain = rates.plain
            whole = torch.ones_like(plain, dtype=torch.long)
            if progress < k.guided:
                levels = rates.first_levels()
            else:
                costs = [roots(rates.fused(self.fusion, whole * level)) for level in range(1, EXPERTS + 1)]
                levels = 1 + torch.stack(costs).argmin(0)
        self.optimizer.param_groups[0]["lr"] = k.lr * max(0.02, min(1.0, 2 * (1 - progress)))
        fused = rates.fused(self.fusion, spread(levels))
        weight = torch.where(fused.detach() < FALLBACK * plain, 1.0, FALLBACK_WEIGHT)
        loss = (fused * weight).sum() / len(plain) / 1000
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.fusion.parameters(), k.clip)
        if bool(torch.isfinite(norm)):
            self.optimizer.step()
        self.step += 1
        new = slice(0, k.fresh)
        best = torch.minimum(roots(fused.detach()), roots(plain))[new].sum() / plain[new].sum()
        shares = [float((levels == level).float().mean()) for level in range(1, EXPERTS + 1)]
        return np.array([float(best), *shares])

    def _log(self, recent: list[np.ndarray]) -> None:
        if not recent:
            return
        share, *experts = np.mean(recent, axis=0)
        seconds = self.earlier_s + time.monotonic() - self.started
        print(
            f"{self.info.model} lambda {self.info.lambda_:g} | step {self.step} "
            f"({100 * min(1.0, self.progress()):.1f} %) | bits {100 * share:.1f} % of plain | experts "
            f"{' '.join(f'{100 * e:.0f}' for e in experts)} % | {seconds / max(1, self.step):.2f} s/step",
            flush=True,
        )

    def save(self) -> None:
        """The checkpoint and the state, each under a temporary name first."""
        notes = {"steps": str(self.step), "data": self.digest, "model": self.info.model}
        notes["lambda"] = repr(self.info.lambda_)
        save_fusion(self.out, self.fusion, self.info.sha256, notes)
        held: dict[str, Any] = {
            "net": self.fusion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed_s": self.earlier_s + time.monotonic() - self.started,
            "pool": self.pool,
        }
        write_held(self.state_path, held, self._same())

    def _same(self) -> dict[str, Any]:
        """What may not change on resume."""
        kept = {k: v for k, v in self.knobs.model_dump().items() if k not in FREE_TO_CHANGE}
        return {**kept, "pictures": self.digest, "codec": self.info.sha256}

    def _restore(self) -> None:
        with holding(self.state_path, self._same(), "fusion") as held:
            self.fusion.load_state_dict(held["net"])
            self.optimizer.load_state_dict(held["optimizer"])
            self.step, self.earlier_s = int(held["step"]), float(held["elapsed_s"])
            self.pool = [{k: v.half() for k, v in one.items()} for one in held["pool"]]
