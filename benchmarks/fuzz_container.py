"""Damaged streams through the whole decoder: each must be refused with a `BitstreamError`, or decode to what
its sender coded.

Real containers (shipped checkpoints, latents [M, side, side], maps with local and remote copies, both map
codings) are damaged and decoded by `ground.decoder.decode`, together with the whole stream that they
refer to. Half of the damage is done to the bytes, which checksums should stop; the other half to one section
or header field, with checksums made anew, so that the map, z and y decoders meet it. The first model takes
most cases, the others 5 % each. Prints outcomes per kind of damage, the slowest case and the peak memory. A
case that crashes, decodes to other data or takes longer than `case_s` makes the run fail (exit code 1); the
address space may grow by `growth_mib` once the rounds are made, so an allocation without bound is a crash
too."""

from __future__ import annotations

import resource
import time
from collections import Counter
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from benchmarks.fuzz.targets import ROUND, Target, decoded, make_targets
from codec.bitstream import pack, unpack
from codec.fields import MAX_POSITIONS, MAX_SIDE
from codec.framing import MAX_SATELLITES
from codec.models import registry
from codec.settings import DEDUPS
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs, Several
from dlrc.commands.models import known_models
from ground.decoder import Decoded

DAMAGES = ("flip", "truncate", "insert", "delete", "splice", "random")


def damage(data: bytes, kind: str, rng: np.random.Generator, other: bytes) -> bytes:
    """`data` after one accident of the kind; other: where a splice takes its bytes."""
    out = bytearray(data)
    at = int(rng.integers(len(out) + 1))
    length = int(rng.geometric(0.3))
    if kind == "flip":
        for _ in range(min(length, 8) if out else 0):
            out[rng.integers(len(out))] ^= 1 << int(rng.integers(8))
    elif kind == "truncate":
        del out[at:]
    elif kind == "insert":
        out[at:at] = rng.bytes(length)
    elif kind == "delete":
        del out[at : at + length]
    elif kind == "splice":
        cut = int(rng.integers(len(other) + 1))
        out = out[:at] + other[cut:]
    else:
        out = bytearray(rng.bytes(len(out) if rng.random() < 0.5 else int(rng.integers(2 * len(out) + 8))))
    return bytes(out)


def damage_inside(data: bytes, kind: str, rng: np.random.Generator, other: bytes) -> tuple[str, bytes]:
    """Damage one part of a stream and make its checksums anew; returns the part's name too."""
    stream, foreign = unpack(data), unpack(other)
    there = ["prediction", "prediction"] if stream.prediction else []
    part = str(rng.choice(["z", "y", "y", "map", "map", "header", *there]))
    if part != "header":
        return part, pack(
            replace(stream, **{part: damage(getattr(stream, part), kind, rng, getattr(foreign, part))})
        )
    header, settings = stream.header, stream.header.settings
    field = str(
        rng.choice(
            [
                "height",
                "width",
                "participants",
                "context",
                "grid",
                "model",
                "map_coding",
                "dlrc",
                "portable",
                "dedup",
                "accord",
                "digest",
                "weights",
            ]
        )
    )
    if field in ("height", "width"):
        other = header.width if field == "height" else header.height
        most = (
            12 if rng.random() < 0.9 else min(MAX_SIDE, MAX_POSITIONS // other) // 4
        )  # now and then up to what a container takes
        header = replace(header, **{field: 4 * int(rng.integers(1, most + 1))})
    elif field == "participants":
        most, count = (40, 4) if rng.random() < 0.9 else (MAX_SATELLITES, 9000)
        members = set(rng.integers(0, most, size=rng.integers(count)).tolist()) | {header.satellite}
        members = set(range(most)) if rng.random() < 0.02 else members
        header = replace(header, participants=tuple(sorted(members)))
    elif field == "weights":
        header = replace(header, weights=rng.bytes(4))
    elif field == "accord" and not settings.predicts:
        header = replace(header, accord=int(rng.integers(1 << 32)))
    elif field in ("digest", "accord"):
        stream = replace(stream, digest=int(rng.integers(1 << 32)))
    else:
        values = {
            "context": ("independent", "open"),
            "grid": ("centred",),
            "model": registry.names(),
            "map_coding": ("successor", "lzma"),
            "dlrc": (False,),
            "portable": (False,),
            "dedup": DEDUPS,
        }[field]
        header = replace(
            header, settings=replace(settings, **{field: values[int(rng.integers(len(values)))]})
        )
    said = stream.prediction if header.settings.predicts else b""
    return f"header.{field}", pack(replace(stream, header=header, prediction=said))


def judge(target: Target, victim: int, result: Decoded) -> str:
    """`refused`, `correct` (the latents that were coded), or `WRONG`."""
    source = victim, ROUND
    if source in result.faults:
        return "refused"
    same = source in result.whole and np.array_equal(result.latents[source], target.latents[victim])
    return "correct" if same else "WRONG"


def run_case(target: Target, rng: np.random.Generator) -> tuple[str, str]:
    """One accident: (what was damaged, outcome). Anything raised but a `BitstreamError` inside the decoder
    gets out of here."""
    victim = int(rng.choice(list(target.streams)))
    other = target.streams[int(rng.choice(list(target.streams)))]
    data, kind = target.streams[victim], str(rng.choice(DAMAGES))
    if rng.random() < 0.5:
        name, damaged = f"bytes: {kind}", damage(data, kind, rng, other)
    else:
        part, damaged = damage_inside(data, kind, rng, other)
        name = f"inside: {part}"
    needed = {satellite: data for satellite, data in target.streams.items() if satellite < victim}
    return name, judge(target, victim, decoded(target.board, {**needed, victim: damaged}))


def limit_growth(growth_mib: int) -> None:
    """Let this process grow by at most `growth_mib` of address space from here on."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (growth_mib << 20), resource.RLIM_INFINITY))


def fuzz(cases: int, models: list[str], seed: int, side: int, growth_mib: int = 0) -> tuple[Counter, float]:
    """Outcomes, counted by (damage, outcome), and the slowest case in seconds. An exception of the decoder
    counts as `CRASHED: its name`.

    growth_mib: see `limit_growth`; 0 sets no limit.
    """
    rng = np.random.default_rng([seed, 5])
    targets = {name: make_targets(name, side, seed) for name in models}
    if growth_mib:
        limit_growth(growth_mib)
    outcomes: Counter = Counter()
    slowest_s = 0.0
    for _ in range(cases):
        name = (
            models[0]
            if len(models) == 1 or rng.random() > 0.05 * (len(models) - 1)
            else models[int(rng.integers(1, len(models)))]
        )
        target = targets[name][int(rng.integers(len(targets[name])))]
        start_s = time.perf_counter()
        try:
            outcomes[run_case(target, rng)] += 1
        except Exception as error:  # the point of a fuzz run is to go on and count
            outcomes[(f"{name}: {error}"[:110], f"CRASHED: {type(error).__name__}")] += 1
        slowest_s = max(slowest_s, time.perf_counter() - start_s)
    return outcomes, slowest_s


class FuzzKeys(Knobs):
    """Keys of this benchmark."""

    cases: Annotated[int, Field(ge=1, le=2**31)] = 100000
    """damaged streams"""
    models: Several[str] = registry.names()
    """families; the first takes most cases"""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    """of the damage"""
    side: Annotated[int, Field(ge=4, le=1024)] = 8
    """of the latents"""
    case_s: Annotated[float, Field(ge=0, le=1e6)] = 5.0
    """that a case may take"""
    growth_mib: Annotated[int, Field(ge=1, le=2**31)] = 2048
    """that the address space may grow"""


def bench(given: Given) -> None:
    """Damage, decode, print outcomes; exit code 1 where a case is wrong or slow."""
    own: FuzzKeys = given.own
    models, cases, seed, side = known_models(own.models), own.cases, own.seed, own.side
    growth_mib, case_s = own.growth_mib, own.case_s
    torch.set_num_threads(1)
    start_s = time.perf_counter()
    outcomes, slowest_s = fuzz(cases, models, seed, side, growth_mib)
    for (what, outcome), count in sorted(outcomes.items()):
        print(f"{what:40} {outcome:20} {count:>8}")
    totals = Counter()
    for (_, outcome), count in outcomes.items():
        totals[outcome] += count
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{sum(totals.values())} cases in {time.perf_counter() - start_s:.0f} s: {dict(totals)}; "
        f"slowest {slowest_s:.2f} s; peak memory {peak_mb:.0f} MB"
    )
    if slowest_s > case_s or set(totals) - {"refused", "correct"}:
        raise SystemExit(1)


COMMAND = Command(
    name="bench fuzz_container",
    about=__doc__,
    own=FuzzKeys,
    work=bench,
    examples=("dlrc bench fuzz_container cases=2000",),
)

if __name__ == "__main__":
    main_of(COMMAND)
