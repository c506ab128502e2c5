"""The training run of a net that compensates: what a step sees, the step, checkpoints and exact resume.

Everything random follows from (seed, step); a state holds the net, the running mean of its weights and the
optimiser."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codec.models.checkpoint import load_checkpoint, shipped_weights
from codec.models.model import LatentModel
from codec.training.data import CropSampler, data_digest, open_pictures
from codec.training.state import holding, write_held
from constellation.common.errors import UserError, naming
from constellation.common.files import check_target
from ground.compensation.apply import metadata_of
from ground.compensation.diffusion import noised
from ground.compensation.files import save_net
from ground.compensation.knobs import CompensationKnobs
from ground.compensation.nets import METADATA, RESIDUAL, Denoiser, Shape, net_of

FREE_TO_CHANGE = {"steps", "minutes", "resume", "threads", "log_s", "checkpoint_s", "data", "metadata", "out"}
KEPT_METADATA = 0.8  # share of crops whose metadata are told: unknown ones are met as well
CLIP = 1.0  # largest gradient norm


class Trainer:
    """`run()` is the story."""

    def __init__(self, knobs: CompensationKnobs) -> None:
        """Raises `UserError` for data, weights or a state that does not fit."""
        self.knobs, self.out = knobs, Path(knobs.out)
        check_target(self.out)
        if not knobs.codec and not knobs.model:
            raise UserError("model=: expected a family, or codec= with a checkpoint")
        path = knobs.codec or shipped_weights(knobs.model, knobs.lambda_)
        self.model, self.info = naming("codec")(load_checkpoint)(path)
        if self.info.bands is not None:
            raise UserError("codec=: is for bands of 16-bit counts, expected a codec of 8-bit RGB")
        self.info = self.info.ground
        self.model.net.requires_grad_(False)
        pictures = open_pictures(knobs.data)
        self.digest, self.sampler = data_digest(pictures), CropSampler(pictures, knobs.crop, knobs.seed)
        self.gsd_m = gsd_by_name(knobs.metadata) if knobs.metadata else {}
        torch.manual_seed(knobs.seed)
        self.net = net_of(Shape(knobs.kind, knobs.channels, knobs.layers))
        self.mean = {key: value.detach().clone() for key, value in self.net.state_dict().items()}
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=knobs.lr)
        self.step, self.earlier_s = 0, 0.0
        if knobs.resume:
            self._restore()

    @property
    def state_path(self) -> Path:
        """What resume needs, beside the checkpoint."""
        return self.out.with_suffix(".state.pt")

    def run(self) -> None:
        """Train until `steps` or `minutes` are used up."""
        self.started = time.process_time()
        saved = logged = time.monotonic()
        recent: list[tuple[float, float]] = []
        while (progress := self.progress()) < 1:
            recent.append(self._train_step(progress))
            now = time.monotonic()
            if now - logged >= self.knobs.log_s:
                self._log(recent)
                recent, logged = [], now
            if now - saved >= self.knobs.checkpoint_s:
                self.save()
                saved = time.monotonic()
        if recent:
            self._log(recent)
        self.save()

    def _spent_s(self) -> float:
        """Of the processor: a busy machine trains as far as an idle one."""
        return self.earlier_s + time.process_time() - self.started

    def progress(self) -> float:
        """How much of the run is done, 0 to 1."""
        limit_s = 60 * self.knobs.minutes
        return max(self.step / self.knobs.steps, self._spent_s() / limit_s if limit_s else 0.0)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """(decoded, original) of this step, [B, 3, P, P] in 0..1."""
        crops = self.sampler.batch(self.step, range(self.knobs.batch))
        original = torch.from_numpy(crops).float() / 255
        return decoded_by(self.model, original), original

    def _train_step(self, progress: float) -> tuple[float, float]:
        """One step; (loss, mean squared residual), both in units of RESIDUAL squared."""
        k = self.knobs
        decoded, original = self._batch()
        residual = (original - decoded) / RESIDUAL
        self.optimizer.param_groups[0]["lr"] = k.lr * max(0.02, min(1.0, 2 * (1 - progress)))
        loss = self._loss(decoded, residual)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), CLIP)
        if bool(torch.isfinite(norm)):
            self.optimizer.step()
        self.step += 1
        decay = min(k.average, self.step / (self.step + 9))
        for key, value in self.net.state_dict().items():
            self.mean[key].lerp_(value, 1 - decay)
        return float(loss.detach()), float(residual.square().mean())

    def _loss(self, decoded: Tensor, residual: Tensor) -> Tensor:
        if not isinstance(self.net, Denoiser):
            return (self.net(decoded) - residual).square().mean()
        random = np.random.default_rng((self.knobs.seed, self.step, 1))
        level = torch.from_numpy(random.random(len(decoded)).astype(np.float32))
        noise = torch.from_numpy(random.standard_normal(tuple(decoded.shape)).astype(np.float32))
        told = self._metadata(random)
        clean = self.net.denoise(noised(residual, noise, level), decoded, level, told)
        return (clean - residual).square().mean()

    def _metadata(self, random: np.random.Generator) -> Tensor:
        """[B, METADATA] of this step's crops, some of them hidden."""
        rows = np.zeros((self.knobs.batch, METADATA), np.float32)
        for slot in range(self.knobs.batch) if self.gsd_m else ():
            name = Path(self.sampler.picture_of(self.step, slot).name).name
            if random.random() < KEPT_METADATA:
                rows[slot] = metadata_of(self.gsd_m.get(name))
        return torch.from_numpy(rows)

    def _log(self, recent: list[tuple[float, float]]) -> None:
        loss, plain = np.mean(recent, axis=0)
        print(
            f"{self.knobs.kind} for {self.info.model} lambda {self.info.lambda_:g} | step {self.step} "
            f"({100 * min(1.0, self.progress()):.1f} %) | loss {100 * loss / plain:.2f} % of the residual | "
            f"{self._spent_s() / max(1, self.step):.2f} s/step of the processor",
            flush=True,
        )

    def save(self) -> None:
        """The net and the state, each under a temporary name first."""
        net = net_of(self.net.shape)
        net.load_state_dict(self.mean)
        save_net(self.out, net, self.info, {"steps": str(self.step), "data": self.digest})
        held: dict[str, Any] = {
            "net": self.net.state_dict(),
            "mean": self.mean,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent_s": self._spent_s(),
        }
        write_held(self.state_path, held, self._same())

    def _same(self) -> dict[str, Any]:
        """What may not change on resume."""
        kept = {k: v for k, v in self.knobs.model_dump().items() if k not in FREE_TO_CHANGE}
        return {**kept, "pictures": self.digest, "codec": self.info.sha256}

    def _restore(self) -> None:
        with holding(self.state_path, self._same(), "net") as held:
            self.net.load_state_dict(held["net"])
            self.optimizer.load_state_dict(held["optimizer"])
            self.mean = {key: held["mean"][key].clone() for key in self.mean}
            self.step, self.earlier_s = int(held["step"]), float(held["spent_s"])


@torch.no_grad()
def decoded_by(model: LatentModel, original: Tensor) -> Tensor:
    """What the ground has of pictures [B, 3, H, W] in 0..1, in whole counts."""
    x_hat = model.synthesis(torch.round(model.analysis(original)))
    return torch.round(x_hat.clamp(0, 1) * 255) / 255


def gsd_by_name(path: str) -> dict[str, float]:
    """Ground sample distance, m, by the picture's file name, where a CSV file with columns path and gsd_m
    says it. Raises `UserError`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"metadata={path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    rows = csv.DictReader(io.StringIO(text))
    if not {"path", "gsd_m"} <= set(rows.fieldnames or ()):
        raise UserError(f"metadata={path}: expected columns path and gsd_m")
    found = {}
    for row in rows:
        told = (row["gsd_m"] or "").removeprefix("about ")
        try:
            gsd_m = float(told) if told else 0.0
        except ValueError:
            raise UserError(f"metadata={path}: gsd_m {told[:40]!r} of {row['path']}: no number") from None
        if 0 < gsd_m < 1e5:
            found[Path(row["path"]).name] = gsd_m
    return found
