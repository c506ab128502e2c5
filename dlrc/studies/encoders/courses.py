"""Short trainings of an encoder before a decoder that stays, for studies that compare them: each resumes to
the bit, and what it came to is kept beside its file."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codec.models.checkpoint import load_checkpoint
from codec.models.storage import sha256_of
from codec.training.data import data_digest, open_pictures
from codec.training.evaluate import BATCH, LOSSLESS, held_out_patches, loss_of, rate_and_error
from codec.training.knobs import TrainKnobs, parse_knobs
from codec.training.state import YOUNGER
from codec.training.trainer import Trainer
from constellation.common.errors import UserError
from constellation.common.files import write_text
from constellation.common.progress import note

CURVE_POINTS = 6  # validations of a run
CURVE_CUT = slice(64, 192)  # of a patch, px: validations should cost little of a short training
LOG_S, CHECKPOINT_S = 30.0, 120.0
FREE = ("out", "data", "init", "teacher", "threads", "log_s", "checkpoint_s", "resume")  # named by content


@dataclass(frozen=True)
class Course:
    """One training, judged. figures: float64 [patches, 2], bits per pixel and mean squared error of values in
    0..1; curve: rows (step, training loss since the last, held-out loss); cpu_s_per_step: of the process that
    ended it."""

    name: str
    path: Path
    figures: np.ndarray
    curve: list[tuple[float, float, float]]
    cpu_s_per_step: float

    def judged(self, lambda_: float) -> tuple[float, float, float]:
        """(R + lambda D, bits per pixel, PSNR in dB of the mean error)."""
        return loss_of(self.figures, lambda_)


@dataclass(frozen=True)
class School:
    """Where courses are trained and what they are judged by. words: of `TrainKnobs`, for all of them;
    data: folder of the scenes of `dlrc evaluate`; patches: of each scene, in the end."""

    folder: Path
    words: tuple[str, ...]
    data: str
    patches: int

    @cached_property
    def held_out(self) -> torch.Tensor:
        """Patches that judge a course, uint8 [K, 3, 256, 256]."""
        return torch.from_numpy(held_out_patches(self.data, LOSSLESS, self.patches))

    @cached_property
    def curve_patches(self) -> torch.Tensor:
        """The middle of one patch of each scene, float32 [14, 3, 128, 128] in 0..1: of the curve."""
        whole = torch.from_numpy(held_out_patches(self.data, LOSSLESS, 1))
        return whole[..., CURVE_CUT, CURVE_CUT].float() / 255

    def course(self, name: str, *words: str) -> Course:
        """The course of that name and these words: read where it is kept, gone on with where it was cut off,
        else begun. Raises `UserError`."""
        knobs = self._knobs(name, words)
        key, kept = self._key(knobs), self.folder / f"{name}.json"
        found = _read(kept, key)
        if found is None:
            seconds = self._train(knobs, key)
            found = {"key": key, "cpu_s_per_step": seconds, **self._results(Path(knobs.out))}
            write_text(kept, json.dumps(found) + "\n")
        curve = [(float(a), float(b), float(c)) for a, b, c in found["curve"]]
        return Course(name, Path(knobs.out), np.array(found["figures"]), curve, found["cpu_s_per_step"])

    def _knobs(self, name: str, words: tuple[str, ...]) -> TrainKnobs:
        out = self.folder / f"{name}.safetensors"
        often = (f"log_s={LOG_S:g}", f"checkpoint_s={CHECKPOINT_S:g}")
        return parse_knobs([*self.words, *words, f"out={out}", "device=cpu", "threads=1", *often])

    def _key(self, knobs: TrainKnobs) -> str:
        """Of everything that decides a course's result."""
        lasting = {
            key: value
            for key, value in knobs.model_dump().items()
            if key not in FREE and YOUNGER.get(key) != value  # so kept courses are still these
        }
        files = [Path(file) for file in (knobs.init, knobs.teacher) if file.endswith(".safetensors")]
        pictures = data_digest(open_pictures(knobs.data, "train"))
        seen = [lasting, *(sha256_of(file) for file in files), pictures, self.patches]
        return hashlib.sha256(json.dumps(seen, default=str).encode()).hexdigest()[:16]

    def _train(self, knobs: TrainKnobs, key: str) -> float:
        """CPU seconds a step, of those that this process did."""
        out = Path(knobs.out)
        began = out.with_suffix(".begun")
        resume = out.with_suffix(".state.pt").is_file() and began.is_file()
        if resume and began.read_text(encoding="utf-8").strip() != key:
            raise UserError(f"out={self.folder}: {out.name} was begun with other keys; take another folder")
        write_text(began, f"{key}\n")
        note(f"{out.stem}: {'goes on' if resume else 'begins'}, {knobs.steps} steps")
        trainer = Trainer(knobs.model_copy(update={"resume": resume}))
        trainer.held_out = self.curve_patches
        before, clock_s = trainer.step, time.process_time()
        trainer.run()
        done = trainer.step - before
        return (time.process_time() - clock_s) / done if done else float("nan")

    def _results(self, path: Path) -> dict[str, Any]:
        model, _ = load_checkpoint(path)
        with torch.no_grad():
            parts = [rate_and_error(model, part.float() / 255) for part in self.held_out.split(BATCH)]
        rows = np.loadtxt(path.with_suffix(".curve.csv"), delimiter=",", skiprows=1, ndmin=2)
        return {"figures": torch.cat(parts).double().tolist(), "curve": rows[:, [0, 3, 8]].tolist()}


def judged_codec(path: Path, patches: torch.Tensor, lambda_: float) -> tuple[float, float, float]:
    """(R + lambda D, bits per pixel, PSNR) of a checkpoint over patches uint8 [K, 3, H, W]."""
    model, _ = load_checkpoint(path)
    with torch.no_grad():
        parts = [rate_and_error(model, part.float() / 255) for part in patches.split(BATCH)]
    return loss_of(torch.cat(parts).double().numpy(), lambda_)


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """What is kept of a course; nothing where it is of other keys, or cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if found["key"] == key and len(found["figures"]) and found["curve"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
