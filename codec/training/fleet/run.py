"""One codec of a fleet: its network, optimiser and average of weights on the device, and its step, captured
as a CUDA graph where there is CUDA."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codec.models import registry
from codec.models.encoders.lsconv import folded_state, freeze, thaw
from codec.models.model import LatentModel
from codec.training.evaluate import judged
from codec.training.fleet.gdn import use_fast_gdn
from codec.training.fleet.pieces import Kept
from codec.training.fleet.plan import Course, FleetKeys
from codec.training.fleet.step import (
    Kind,
    Seen,
    Switches,
    follow_medians,
    forward_transform,
    rate_and_distortion,
)
from codec.training.fleet.tiles import TilePool
from codec.training.initialise import initialise, rescale_latents
from codec.training.warmstart import become_student

CLIP = 1.0  # largest gradient norm
JUDGED_STEPS = 30  # fewer say nothing about how a run goes
AVERAGE_STEPS = 250  # horizon of the average of weights
TABLES = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")


class Run:
    """A codec in training. Nothing here waits for the device but `measure`, `figures`, `judge` and
    `state`."""

    def __init__(self, course: Course, pool: TilePool, device: torch.device, keys: FleetKeys) -> None:
        self.course, self.pool, self.device = course, pool, device
        self.batch, self.crop = keys.batch, keys.crop
        torch.manual_seed(course.seed)
        self.model = registry.build(course.name, course.widths)
        if course.widths.norm == "frozen":
            thaw(self.model.net)
            self.model.g_a.train()
        self.model.net.to(device)
        use_fast_gdn(self.model.net)
        self.model.net.to(memory_format=torch.channels_last)
        named = self.model.net.named_parameters()
        self.params = [p for key, p in named if not key.endswith(".quantiles")]
        if course.teacher:
            self.model.net.requires_grad_(False)
            self.params = list(self.model.g_a.requires_grad_(True).parameters())
        rate = torch.zeros((), device=device)
        self.optimizer = torch.optim.Adam(self.params, lr=rate, fused=True, capturable=device.type == "cuda")
        self.lr = self.optimizer.param_groups[0]["lr"]  # a tensor that captured steps read
        self.switches = Switches(*(torch.tensor(v, device=device) for v in (course.lambda_, 0.0, 0.0)))
        self.random = torch.Generator(device=device).manual_seed(course.seed)
        self.host = np.random.default_rng(course.seed)
        # bits per pixel and error, summed over good steps; good steps, bad steps
        self.stats = torch.zeros(4, device=device, dtype=torch.float64)
        self.teacher: LatentModel | None = None
        self.kd = torch.tensor(keys.kd, device=device)
        self.graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None
        self.average: list[Tensor] | None = None
        self.good: list[Tensor] | None = None  # weights to go back to
        self.steps, self.fresh, self.failed, self.tuning = 0, 0, "", False
        self.phase: tuple = ()
        self.step_s, self.credit, self.best, self.damping = 0.0, 0.0, float("inf"), 1.0
        self.judged_loss = float("nan")

    @property
    def label(self) -> str:
        """What its checkpoint is called."""
        return self.course.label

    # ---- weights

    def start_from_pictures(self, sample: Tensor) -> None:
        """The Karhunen-Loeve transform of sample [B, 3, H, W] in 0..1."""
        initialise(self.model, sample, self.course.lambda_)
        follow_medians(self.model)

    @torch.no_grad()
    def start_from(self, other: Run) -> None:
        """The weights of a run of the same family, with latents at the scale of this lambda."""
        for mine, theirs in zip(self.model.net.parameters(), other.model.net.parameters(), strict=True):
            mine.copy_(theirs)
        rescale_latents(self.model, (self.course.lambda_ / other.course.lambda_) ** 0.5)
        self.tuning = True
        self.forget()

    def learn_from(self, other: Run) -> None:
        """Take a trained run's entropy model and decoder as they are, and what fits of its encoder."""
        self.teacher = other.model
        become_student(self.model, other.model)

    def load(self, model: LatentModel) -> None:
        """The weights of a checkpoint of the same widths."""
        self.tuning = True
        with torch.no_grad():
            for mine, theirs in zip(self.model.net.parameters(), model.net.parameters(), strict=True):
                mine.copy_(theirs)
        self.forget()

    def forget(self) -> None:
        """Start the optimiser, the average and the figures anew."""
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()
        self.average, self.good, self.best, self.fresh = None, None, float("inf"), self.steps
        self.stats.zero_()

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint needs, kernels of convolutions in float16."""
        state = {
            key: value for key, value in folded_state(self.model.net).items() if not key.endswith(TABLES)
        }
        if self.course.teacher:
            state = {key: value for key, value in state.items() if key.startswith("g_a.")}
        return {
            key: (value.half() if value.dim() == 4 else value).cpu().numpy() for key, value in state.items()
        }

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The average of weights in the place of the weights."""
        with torch.no_grad():
            kept = [p.clone() for p in self.params]
            torch._foreach_copy_(self.params, self.average)
            try:
                yield
            finally:
                torch._foreach_copy_(self.params, kept)

    # ---- steps

    def step(self, halo: bool) -> None:
        """One step on crops of its own drawing; one without a finite gradient changes nothing."""
        x = self.pool.crops(self.batch, self.crop, self.random)
        seen = Seen(x, forward_transform(self.model.g_a, x, bf16=True))
        bpp, mse = rate_and_distortion(self.model, seen, self.switches, self.random, Kind(halo, bf16=True))
        loss = bpp + self.switches.lambda_ * 255**2 * mse
        if self.teacher is not None:
            with torch.no_grad():
                target = forward_transform(self.teacher.g_a, x, bf16=True)
            loss = loss + self.kd * F.mse_loss(seen.y, target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.params, CLIP, foreach=True)
        bad = ~torch.isfinite(norm)
        self.optimizer.found_inf = bad.float()
        self.optimizer.step()
        done = torch.stack(
            (bpp.detach(), mse.detach(), torch.ones_like(norm), torch.zeros_like(norm))
        ).double()
        self.stats += torch.where(bad, torch.zeros_like(done), done)
        self.stats[3] += bad

    def prepare(self, halo: bool) -> float:
        """Capture the step; where that fails, it will run as it is. Returns the seconds it took."""
        started = time.monotonic()
        self.lr.zero_()
        with self._on_stream():
            for _ in range(2):
                self.step(halo)
        if self.stream is not None:
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            try:
                graph.register_generator_state(self.random)
                self.optimizer.zero_grad(set_to_none=True)
                with torch.cuda.graph(graph, stream=self.stream):
                    self.step(halo)
                self.graphs[halo] = graph
            except Exception as error:  # other runs go on, and so does this one, without a graph
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                print(f"note: {self.label}: no graph ({reason})", flush=True)
                torch.cuda.synchronize()
                self.random = torch.Generator(device=self.device).manual_seed(int(self.host.integers(2**31)))
                self.optimizer.zero_grad(set_to_none=True)
        return time.monotonic() - started

    def advance(
        self, count: int, lr: float, halo_share: float, stream: torch.cuda.Stream | None = None
    ) -> None:
        """Queue `count` steps at this learning rate, about `halo_share` of them on parts with
        surroundings."""
        if count <= 0:
            return
        with self._on_stream(stream):
            self.lr.fill_(lr * self.damping)
            for halo in (self.host.random(count) < halo_share).tolist():
                graph = self.graphs.get(halo)
                if graph is not None:
                    graph.replay()
                else:
                    self.step(halo)
            self.steps += count
            if self.average is not None:
                now = [p.detach() for p in self.params]
                torch._foreach_lerp_(self.average, now, min(1.0, count / AVERAGE_STEPS))

    def begin_average(self) -> None:
        """Average the weights from here on."""
        with self._on_stream():
            self.average = [p.detach().clone() for p in self.params]

    def set_switches(self, rounded: bool, holes: float, frozen: bool) -> None:
        """Whether the rate is taken at rounded latents, the share of images with holes in their context, and
        whether the statistics of norms stay as they are."""
        with self._on_stream():
            self.switches.rounded.fill_(float(rounded))
            self.switches.holes.fill_(holes)
            if frozen:
                freeze(self.model.net)

    def follow(self) -> None:
        """Set the quantiles of z's prior."""
        with self._on_stream():
            follow_medians(self.model)

    def measure(self, count: int = 5) -> float:
        """Seconds per step of the two captured kinds, alone on the device; the plain one is kept."""
        times = []
        for halo in (True, False):
            self._wait()
            started = time.monotonic()
            self.advance(count, 0.0, float(halo))
            self._wait()
            times.append((time.monotonic() - started) / count)
        self.step_s = times[1]
        return times[0]

    def _on_stream(self, stream: torch.cuda.Stream | None = None) -> contextlib.AbstractContextManager:
        return (
            torch.cuda.stream(stream or self.stream) if self.stream is not None else contextlib.nullcontext()
        )

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    # ---- how it goes

    def figures(self) -> tuple[float, float, float, int]:
        """(loss, bits per pixel, error) over the steps since the last call, and how many of them were
        skipped. Goes back to the last good weights, at half the learning rate, where the loss has run
        away."""
        bpp, mse, good, bad = self.stats.tolist()
        self.stats.zero_()
        bpp, mse = (bpp / good, mse / good) if good else (float("nan"),) * 2
        loss = bpp + self.course.lambda_ * 255**2 * mse
        if bad > max(good, 5) or (good >= JUDGED_STEPS and not loss < 2 * self.best + 1):
            self.go_back()
        elif good >= JUDGED_STEPS:
            self.best = min(self.best, loss)
        return loss, bpp, mse, int(bad)

    def go_back(self) -> None:
        """Return to the last good weights, at half the learning rate."""
        then = "back to its last good weights" if self.good else "its optimiser starts anew"
        print(f"note: {self.label} has run away; {then}, half the learning rate", flush=True)
        with torch.no_grad():
            if self.good is not None:
                torch._foreach_copy_(self.params, self.good)
        kept = self.good
        self.damping *= 0.5
        self.forget()
        self.good = kept

    def keep(self) -> None:
        """Remember these weights as good ones."""
        self.good = [p.detach().clone() for p in self.params]

    def judge(self, patches: Tensor) -> tuple[float, bool]:
        """(loss on held-out patches, whether it is that of the average of weights, where it is the better
        one)."""
        self.model.g_a.eval()  # norms as they will fly
        try:
            return self._judged(patches)
        finally:
            self.model.g_a.train()

    def _judged(self, patches: Tensor) -> tuple[float, bool]:
        follow_medians(self.model)
        loss, averaged = judged(self.model, patches, self.course.lambda_)[0], False
        if self.average is not None:
            with self.averaged():
                follow_medians(self.model)
                other = judged(self.model, patches, self.course.lambda_)[0]
            averaged = other < loss or loss != loss
            loss = min(loss, other) if loss == loss else other
            follow_medians(self.model)
        self.judged_loss = loss
        return loss, averaged

    def kept(self, patches: Tensor, notes: Mapping[str, str]) -> Kept | None:
        """The better of the weights and their average, with `notes`, and remembered as good ones; None, and
        it goes back, where it has run away."""
        loss, averaged = self.judge(patches)
        if not math.isfinite(loss):
            self.go_back()
            return None
        self.keep()
        with self.averaged() if averaged else contextlib.nullcontext():
            state = self.state()
        kind = "average" if averaged else "weights"
        more = {**notes, "held_out_loss": f"{loss:.4f}", "kept": kind}
        course = self.course
        kept = (self.label, course.name, course.widths, course.lambda_, self.steps, more, state)
        return Kept(*kept, encoder=bool(course.teacher))
