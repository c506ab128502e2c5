"""Train many codecs side by side on one device, in minutes.

The families first train at one lambda, from the Karhunen-Loeve transform of the pictures or from what ships;
before half of the time they are done, and their weights become the start of the other lambdas, with latents
rescaled, and the teachers of encoders for small boards, which take entropy model and decoder as they are.
Each run's learning rate falls to nothing at the end of its own time; most of that time knows holes in the
context, its end codes parts with surroundings in three of ten batches.

Every run's step is a CUDA graph, and all its random numbers are drawn on the device. Checkpoints of all runs
are written as pieces of limited size (codec/training/fleet/pieces.py) every `save_s` seconds by processes of
their own; log.csv has the curves. A run that fails is left out, one that runs away goes back; the others do
not notice."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from codec.models.model import LatentModel
from codec.training.fleet import gdn
from codec.training.fleet.keeper import Keeper, wait
from codec.training.fleet.log import Log
from codec.training.fleet.plan import (
    AVERAGE_FROM,
    FOLLOW_S,
    FREEZE_FROM,
    HALO,
    HALO_FROM,
    HELD_OUT_EVERY,
    HOLES,
    HOLES_FROM,
    LEAD,
    LEADS_UNTIL,
    ROUND_S,
    WARMUP_STEPS,
    FleetKeys,
    courses,
    learning_rate_share,
)
from codec.training.fleet.run import Run
from codec.training.fleet.step import await_marks, marks
from codec.training.fleet.tiles import TilePool, read_tiles
from constellation.common.errors import UserError
from constellation.common.files import make_folder

T = TypeVar("T")

LOG_S = 10.0  # seconds between lines
LAST_FOLLOW, LAST_SAVE, LAST_WAIT = 0.97, 0.96, 1.05  # shares of the time


class Fleet:
    """All runs and their clock; `train()` is the story."""

    def __init__(self, keys: FleetKeys, clock: Callable[[], float] = time.monotonic) -> None:
        wanted = courses(keys)
        folder = make_folder(Path(keys.out), "out")
        self.keys, self.log = keys, Log(folder, keys.minutes, clock)
        kind = keys.device if keys.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.device, self.cuda = torch.device(kind), kind == "cuda"
        if self.cuda and not torch.cuda.is_available():
            raise UserError("device=cuda: this machine has no CUDA device that torch can use")
        self.keeper = Keeper(keys, self.log)
        self._set_device()
        self._read_pictures()
        self.runs: list[Run] = []
        for course in wanted:
            run = self.guarded(None, lambda course=course: Run(course, self.pool, self.device, keys))
            if run is not None:
                self.runs.append(run)
        self._share_streams()
        self.by_label = {run.label: run for run in self.runs}
        self.known: dict[str, LatentModel] = {}  # trained codecs to go on from

    def _set_device(self) -> None:
        if self.cuda:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = self.keys.benchmark
            torch.backends.cudnn.benchmark_limit = 4
            gdn.compile_kernels(self.device)

    def _share_streams(self) -> None:
        """The first runs have streams of their own, as far as there are."""
        streams = [torch.cuda.Stream() for _ in range(self.keys.streams)] if self.cuda else [None]
        ordered = sorted(self.runs, key=lambda run: run.course.lambda_ != LEAD)
        for number, run in enumerate(ordered):
            run.stream = streams[number % len(streams)]

    def _read_pictures(self) -> None:
        keys, side = self.keys, self.keys.crop
        tiles = read_tiles(keys.data, side, threads=os.cpu_count() or 1)
        if keys.val:
            held_out, training = read_tiles(keys.val, 64), tiles
        else:
            held_out = [tile[:side, :side] for tile in tiles[::HELD_OUT_EVERY]]
            few = len(tiles) < HELD_OUT_EVERY
            training = [t for k, t in enumerate(tiles) if few or k % HELD_OUT_EVERY]
        self.patches = torch.stack([torch.from_numpy(t.copy()).permute(2, 0, 1) for t in held_out])
        self.pool = TilePool(training, self.device)
        self.log.say(
            f"{len(tiles)} pictures, {self.pool.pixels.shape[0] / 1e6:.1f} megapixels on {self.where}; "
            f"{len(self.patches)} held-out patches"
        )

    @property
    def where(self) -> str:
        """The device's name."""
        return torch.cuda.get_device_name() if self.cuda else "CPU"

    # ---- the story

    def train(self) -> None:
        """Train until the time is over, saving along the way and at the end."""
        log, active = self.log, self.begin()
        followers = [run for run in self.runs if run not in active]
        saved = logged = followed = log.elapsed_s
        done = []
        while (progress := log.progress) < 1 and (active or followers):
            if followers and progress >= LEADS_UNTIL:
                self.tell(active)
                self.start_followers(followers)
                self.save([run for run in active if not run.failed], last=True)
                active, followers = [run for run in self.runs if not run.failed], []
            active = [run for run in active if progress < run.course.stop]
            self._phase(active, progress)
            self._advance(active, progress)
            done.append(marks(active))
            if len(done) > 2:
                await_marks(done.pop(0))
            if log.elapsed_s - followed >= FOLLOW_S and progress < LAST_FOLLOW:
                for run in active:
                    self.guarded(run, run.follow)
                followed = log.elapsed_s
            if log.elapsed_s - logged >= LOG_S:
                self.tell(active)
                logged = log.elapsed_s
            if log.elapsed_s - saved >= self.keys.save_s and progress < LAST_SAVE:
                self.save(active, last=False)
                saved = log.elapsed_s
            self._poll()
            active = [run for run in active if not run.failed]
        self.tell(active)
        wait(self.keeper, LAST_WAIT)
        self._poll()
        self.save([run for run in self.runs if run.steps and not run.failed], last=True)
        self.finish()

    def begin(self) -> list[Run]:
        """Where each run starts from; returns those that train from the first second on."""
        sample = self.pool.crops(32 if self.cuda else 6, self.keys.crop, None)
        known = self.known = self.keeper.earlier()
        first = [run for run in self.runs if run.course.start == 0]
        for run in first:
            if run.label in known:
                self.guarded(run, lambda run=run: run.load(known[run.label]))
            else:
                self.guarded(run, lambda run=run: run.start_from_pictures(sample))
        self.synchronize()
        self.log.say(f"initialised, from trained weights {', '.join(known) or 'none'}")
        self._prepare(first)
        return [run for run in first if not run.failed]

    def _prepare(self, runs: list[Run]) -> None:
        for run in runs:
            taken_s = [self.guarded(run, lambda run=run, halo=h: run.prepare(halo)) for h in (False, True)]
            halo_s = self.guarded(run, lambda run=run: run.measure(5 if self.cuda else 1))
            run.steps = 0
            self.guarded(run, run.forget)
            if not run.failed:
                millions = sum(p.numel() for p in run.params) / 1e6
                self.log.say(
                    f"{run.label}: {millions:.2f} M parameters, prepared in {sum(taken_s):.1f} s, "
                    f"{1e3 * run.step_s:.2f} ms a step, {1e3 * halo_s:.2f} ms with surroundings, "
                    f"graphs {len(run.graphs)}{self.memory()}"
                )
        self.synchronize()

    def start_followers(self, followers: list[Run]) -> None:
        """The other lambdas begin with the weights of their family's first run, students with what they take
        from their teacher."""
        self.synchronize()
        for run in followers:
            lead = self.by_label.get(run.course.teacher or f"{run.course.name}_lambda{LEAD:g}")
            if lead is None or lead.failed:
                run.failed = run.failed or "the run that it begins with failed"
            elif run.course.teacher:
                self.guarded(run, lambda run=run, lead=lead: run.learn_from(lead))
        self._prepare(followers)
        for run in followers:
            if run.label in self.known:
                self.guarded(run, lambda run=run: run.load(self.known[run.label]))
            elif not run.failed and not run.course.teacher:
                lead = self.by_label[f"{run.course.name}_lambda{LEAD:g}"]
                self.guarded(run, lambda run=run, lead=lead: run.start_from(lead))
        self.synchronize()

    def _phase(self, active: list[Run], progress: float) -> None:
        """What changes at shares of each run's own time."""
        for run in active:
            own = run.course.own(progress)
            rounded = self.keys.rounded_from < 1 and own >= self.keys.rounded_from
            phase = (rounded, HOLES if own >= HOLES_FROM else 0.0, own >= FREEZE_FROM)
            if phase != run.phase:
                run.phase = phase
                self.guarded(run, lambda run=run, phase=phase: run.set_switches(*phase))
            if own >= AVERAGE_FROM and run.average is None:
                self.guarded(run, run.begin_average)

    def _advance(self, active: list[Run], progress: float) -> None:
        """Queue a round of work, shared by weight."""
        total = sum(run.course.weight for run in active)
        for run in active:
            own, halo = run.course.own(progress), 0.0
            if own >= HALO_FROM:
                halo = HALO
            rise = min(1.0, (run.steps - run.fresh + 5) / WARMUP_STEPS)
            lr = run.course.lr * learning_rate_share(own) * rise
            lr *= self.keys.lr_tuning if run.tuning else 1.0
            share = run.course.weight / total
            run.credit += ROUND_S * share / max(run.step_s, 1e-4) if self.cuda else 1
            count, run.credit = int(run.credit), run.credit % 1
            self.guarded(run, lambda run=run, count=count, lr=lr, halo=halo: run.advance(count, lr, halo))

    # ---- what it tells and keeps

    def save(self, runs: list[Run], last: bool) -> None:
        """Hand the weights of all runs to the processes that pack them."""
        if self.keeper.busy:
            return
        self.synchronize()
        notes = {
            "training": f"fleet, {self.keys.minutes:g} min on {self.where}",
            "data": f"{len(self.pool.start)} pictures",
        }
        patches = self.patches if last else self.patches[::4]
        kept = [self.guarded(run, lambda run=run: run.kept(patches, notes)) for run in runs]
        for one in kept:
            if one is not None:
                loss, kind = one.notes["held_out_loss"], one.notes["kept"]
                self.log.row(one.name, one.lambda_, kind, one.steps, "", loss)
                self.log.say(f"{one.label}: {one.steps} steps, held-out loss {loss} ({kind})")
        self.keeper.pack([one for one in kept if one is not None])
        self.log.flush()
        self.synchronize()

    def _poll(self) -> None:
        if self.keeper.poll():
            self.save([run for run in self.runs if not run.failed and run.steps], last=True)

    def finish(self) -> None:
        """Wait until everything is written, and sum up."""
        self.log.flush()
        while not self.keeper.done:
            self._poll()
            time.sleep(0.1)
        self.keeper.close()
        for run in self.runs:
            told = f"{run.steps} steps, held-out loss {run.judged_loss:.4f}"
            self.log.say(f"{run.label}: {run.failed or told}")
        self.log.close()

    def tell(self, active: list[Run]) -> None:
        """A line and a row of each run: how it goes."""
        self.synchronize()
        words = []
        for run in active:
            figures = self.guarded(run, run.figures)
            if figures is None:
                continue
            loss, bpp, mse, skipped = figures
            psnr = -10 * math.log10(mse) if mse > 0 else math.nan
            cells = (run.steps, f"{float(run.lr):.2e}", f"{loss:.4f}", f"{bpp:.4f}", f"{psnr:.2f}", skipped)
            self.log.row(run.course.name, run.course.lambda_, "training", *cells)
            words.append(f"{run.label.replace('_lambda', ' ')} {run.steps}: {loss:.3f}")
        self.log.flush()
        self.synchronize()
        self.log.say(f"{100 * self.log.progress:.0f} % | " + " | ".join(words))

    # ---- device, faults

    def guarded(self, run: Run | None, action: Callable[[], T]) -> T | None:
        """What `action` returns; None, and the run is left out from now on, where it fails."""
        if run is not None and run.failed:
            return None
        try:
            return action()
        except UserError:
            raise
        except Exception as error:  # whatever it is, the others go on
            text = (str(error).splitlines() or [""])[0][:300]
            self.log.say(f"note: {run.label if run else 'a run'} failed: {type(error).__name__} {text}")
            if run is not None:
                run.failed = f"failed ({type(error).__name__})"
                run.graphs, run.average, run.good = {}, None, None
            if self.cuda:
                torch.cuda.empty_cache()
            return None

    def memory(self) -> str:
        """What torch holds of the device's, as words."""
        return f", {torch.cuda.memory_reserved() / 2**30:.1f} GiB reserved" if self.cuda else ""

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize()
