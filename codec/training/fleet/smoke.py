"""What a device makes of a fleet, in less than a minute: seconds per step, streams side by side, memory,
pieces; nothing is trained."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from codec.training.fleet.fleet import Fleet
from codec.training.fleet.run import Run

SPELL_S = 3.0  # of each trial


def smoke(fleet: Fleet) -> None:
    """Prepare every run, train a few steps of each, compare numbers of streams, write pieces once."""
    active = fleet.begin()
    fleet.start_followers([run for run in fleet.runs if run not in active])
    active = [run for run in fleet.runs if not run.failed]
    for halo_share, count in ((0.0, 1), (0.0, 4), (0.0, len(active)), (0.3, 1)):
        spell(fleet, active, count, halo_share)
    for run in active:
        run.begin_average()
    fleet.tell(active)
    fleet.save(active, last=True)
    fleet.finish()
    print(f"done{fleet.memory()}", flush=True)


def spell(fleet: Fleet, active: Sequence[Run], count: int, halo_share: float) -> None:
    """Train all runs on `count` streams for a while and say how much more got done than one after the
    other."""
    streams = [torch.cuda.Stream() for _ in range(count)] if fleet.cuda else [None] * count
    fleet.synchronize()
    started, solo_s, rounds, queued_s = time.monotonic(), 0.0, 0, 0.0
    total = sum(run.course.weight for run in active)
    while time.monotonic() - started < (SPELL_S if fleet.cuda else 0.1):
        since = time.monotonic()
        for run, stream in zip(active, streams * len(active), strict=False):
            share = run.course.weight / total
            steps = max(1, round(0.5 * share / max(run.step_s, 1e-4))) if fleet.cuda else 1
            fleet.guarded(
                run, lambda run=run, steps=steps, on=stream: run.advance(steps, 1e-4, halo_share, on)
            )
            solo_s += steps * run.step_s
        queued_s += time.monotonic() - since
        fleet.synchronize()
        rounds += 1
    taken_s = time.monotonic() - started
    fleet.log.say(
        f"{count} streams, {100 * halo_share:.0f} % with surroundings: {rounds} rounds in {taken_s:.1f} s, "
        f"queued in {queued_s:.1f} s, {solo_s / taken_s:.2f} times one after the other"
    )
