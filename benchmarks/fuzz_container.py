"""Damaged streams against the ground's decoder: a `BitstreamError`, or the decode of what was sent; never a crash, a hang or other data.

    python -m benchmarks.fuzz_container [cases=100000] [seed=0] [models=bmshj,mbt,cheng,elic] [case_s=2] [growth_mib=1024]

Real containers of rounds of four satellites (small random-weight codecs, 8 x 8 latents, successor and LZMA maps) are damaged one at a
time and decoded with the rest of their round, by the ground's own `RoundDecoder`. Two thirds of the cases are damaged as bytes: bit flips,
truncations, insertions, deletions, splices of two streams, random bytes. Most of these stop at a checksum. One third are damaged inside a section or the
header and sealed again with right checksums, so that the map, z and y decoders see them: what an attacker can do, and no channel does.

A case fails if another exception comes out, if it takes longer than `case_s`, or if latents other than those sent are returned without an error;
the address space is limited to `growth_mib` above what the process has at the start, so that an unbounded allocation fails too.
"""

from __future__ import annotations

import collections
import dataclasses
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from codec.assignment import AssignmentMap, combined_digest
from codec.bitstream import Bitstream, Header, StreamSettings, pack, unpack
from codec.checkpoint import CheckpointInfo
from codec.entropy import encoder_layout
from codec.mapcoder import encode_map
from codec.models import LatentModel, build_model
from constellation.errors import BitstreamError, UserError, user_errors_to_exit
from ground.decoder import RoundDecoder
from nodes.arbiter import arbitrate, signature_list
from nodes.coding import BoardCoder, coding_order_of
from nodes.recognizer import content_hashes
from nodes.selector import select

SATELLITES = 4
CELLS = 8  # latent positions per side of a patch
WEIGHTS_SHA256 = "00c0ffee" + 56 * "0"
BYTE_DAMAGE = ("bit flips", "truncation", "insertion", "deletion", "splice", "random bytes")
SEALED_DAMAGE = ("sealed map", "sealed y", "sealed z", "sealed header", "sealed swap")


@dataclass(frozen=True)
class Target:
    """A round of good streams and what the ground makes of them: latents int [M, H, W] by satellite."""

    decoder: RoundDecoder
    streams: dict[int, bytes]
    latents: dict[int, np.ndarray]


def small_model(name: str) -> LatentModel:
    """A codec with random weights and few channels."""
    torch.manual_seed(1)
    model = build_model(name, 8, 8 if name == "cheng" else 12, (2, 4, 6) if name == "elic" else None)
    model.entropy_bottleneck.update(force=True)
    return model


def make_target(name: str, map_coding: str, seed: int) -> Target:
    """One round of `SATELLITES` patches that overlap in a 14 x 14 latent scene, coded as satellites do."""
    model = small_model(name)
    checkpoint = CheckpointInfo(name, model.n, model.m, tuple(model.groups or ()), 0.01, 0, "", WEIGHTS_SHA256)
    board = BoardCoder(model, "cpu", True, "fixed")
    streams = {satellite: _stream(board, name, map_coding, satellite, y, y_hat, assignment)
               for satellite, (y, y_hat, assignment) in _round(model, name, seed).items()}
    decoder = RoundDecoder(model, checkpoint)
    result = decoder.decode(streams)
    if result.failures or any(result.unresolved.values()):
        raise RuntimeError(f"a good round does not decode: {result.failures}")
    return Target(decoder, streams, dict(result.latents))


def _round(model: LatentModel, name: str, seed: int) -> dict[int, tuple[np.ndarray, np.ndarray, AssignmentMap]]:
    rng = np.random.Generator(np.random.Philox(seed))
    scene = rng.standard_normal((model.m, 14, 14)).astype(np.float32) * 4
    scene[:, 4:7, 3:9] = scene[:, 4:5, 3:4]  # a lake: local copies
    selections, lists = {}, {}
    for satellite in range(SATELLITES):
        row, column = rng.integers(0, 14 - CELLS + 1, size=2)
        y = np.ascontiguousarray(scene[:, row : row + CELLS, column : column + CELLS])
        selections[satellite] = select(y, content_hashes(np.rint(y).astype(np.int32)), coding_order_of(name), "original")
        lists[satellite] = signature_list(satellite, 0, 0.0, selections[satellite], False)
    everyone = {satellite: frozenset(lists) for satellite in lists}
    return {satellite: (chosen.y, chosen.y_hat, arbitrate(lists[satellite], chosen, (CELLS, CELLS), lists, tuple(lists), everyone))
            for satellite, chosen in selections.items()}


def _stream(board: BoardCoder, name: str, map_coding: str, satellite: int, y: np.ndarray, y_hat: np.ndarray, assignment: AssignmentMap) -> bytes:
    coded = board.encode(y, y_hat, encoder_layout(assignment, "exact"))
    settings = StreamSettings(model=name, signature="content", representative="original", map_coding=map_coding)
    participants = tuple(range(SATELLITES))
    section = encode_map(assignment, map_coding, participants=participants, satellite=satellite)
    header = Header(settings, bytes.fromhex(WEIGHTS_SHA256)[:4], satellite, 0, *assignment.shape, 20, participants)
    return pack(Bitstream(header, coded.z, coded.y, section, combined_digest(coded.y_digest, assignment)))


# ---------------------------------------------------------------- damage

def damage_bytes(data: bytes, other: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """`data` after one kind of `BYTE_DAMAGE`."""
    at = int(rng.integers(len(data) + 1)) if len(data) else 0
    some = rng.integers(0, 256, size=int(rng.integers(1, 17)), dtype=np.uint8).tobytes()
    if kind == "bit flips":
        array = np.frombuffer(data, np.uint8).copy()
        for bit in rng.integers(0, max(1, 8 * len(array)), size=int(rng.integers(1, 9))):
            if len(array):
                array[bit // 8] ^= 1 << (bit % 8)
        return array.tobytes()
    if kind == "truncation":
        return data[: int(rng.integers(max(1, len(data))))]
    if kind == "insertion":
        return data[:at] + some + data[at:]
    if kind == "deletion":
        return data[:at] + data[at + len(some) :]
    if kind == "splice":
        return data[:at] + other[int(rng.integers(len(other) + 1)) :]
    return data[: int(rng.choice((0, 0, 3, 9)))] + rng.integers(0, 256, size=int(rng.integers(0, 400)), dtype=np.uint8).tobytes()


def damage_sealed(data: bytes, other: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """`data` with one section or header field damaged and all checksums right again (kinds: `SEALED_DAMAGE`)."""
    stream, donor = unpack(data), unpack(other)
    part = kind.removeprefix("sealed ")
    if part == "header":
        header = _damaged_header(stream.header, rng)
        return pack(dataclasses.replace(stream, header=header))
    if part == "swap":
        name = str(rng.choice(("z", "y", "map", "digest")))
        return pack(dataclasses.replace(stream, **{name: getattr(donor, name)}))
    before = getattr(stream, part)
    kinds = [kind for kind in BYTE_DAMAGE if before or kind in ("insertion", "random bytes")]
    after = damage_bytes(before, getattr(donor, part), str(rng.choice(kinds)), rng)
    return pack(dataclasses.replace(stream, **{part: after}))


def _damaged_header(header: Header, rng: np.random.Generator) -> Header:
    settings = header.settings
    sides = (4, 8, 12, 16, 64, 256, 1024, 4096)
    choices = [
        {"height": int(rng.choice(sides[:6])), "width": int(rng.choice(sides[:6]))}, {"height": 4096, "width": int(rng.choice(sides[:6]))},
        {"round": int(rng.integers(1 << 32))}, {"k": int(rng.integers(256))}, {"participants": tuple(range(int(rng.choice((4, 64, 30000)))))},
        {"participants": tuple(sorted({header.satellite, *rng.integers(0, 4, size=2).tolist()}))},
        {"settings": dataclasses.replace(settings, map_coding=str(rng.choice(("successor", "lzma", "lzma_joint"))))},
        {"settings": dataclasses.replace(settings, model=str(rng.choice(("bmshj", "mbt", "cheng", "elic"))))},
        {"settings": dataclasses.replace(settings, grid="centred")}, {"settings": dataclasses.replace(settings, dlrc=False)},
        {"settings": dataclasses.replace(settings, context=str(rng.choice(("independent", "open"))))},
        {"weights": rng.integers(0, 256, size=4, dtype=np.uint8).tobytes()},
    ]
    return dataclasses.replace(header, **choices[int(rng.integers(len(choices)))])


# ---------------------------------------------------------------- run

def outcome(target: Target, satellite: int, damaged: bytes) -> str:
    """`refused`, `same data` (decoded to what was sent) or what went wrong."""
    try:
        unpack(damaged)
        result = target.decoder.decode({**target.streams, satellite: damaged})
    except BitstreamError as error:  # of `unpack`: the decoder would report the same; spares decoding the others of the round
        return "refused" if "\n" not in str(error) else f"FAULT {error!r}"
    except Exception as error:  # the very thing looked for
        return f"FAULT {type(error).__name__}: {error}"[:200]
    for other, error in result.failures.items():
        if not isinstance(error, BitstreamError) or "\n" in str(error):
            return f"FAULT satellite {other}: {error!r}"
    for other, latents in result.latents.items():
        if result.unresolved[other] == 0 and not np.array_equal(latents, target.latents[other]):
            return f"FAULT satellite {other}: wrong latents, silently"
    return "refused" if satellite in result.failures or result.unresolved.get(satellite) else "same data"


def cases(targets: list[Target], count: int, seed: int) -> Iterator[tuple[str, Target, int, bytes]]:
    """Kind of damage, round, satellite and damaged stream; equal seeds give equal cases."""
    for number in range(count):
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number])))
        target = targets[number % len(targets)]
        satellite, donor = (int(value) for value in rng.integers(SATELLITES, size=2))
        data, other = target.streams[satellite], target.streams[donor]
        kinds = SEALED_DAMAGE if number % 3 == 2 else BYTE_DAMAGE
        kind = str(rng.choice(kinds))
        damage = damage_sealed if kind in SEALED_DAMAGE else damage_bytes
        yield kind, target, satellite, damage(data, other, kind, rng)


def fuzz(targets: list[Target], count: int, seed: int, case_s: float) -> tuple[dict[str, collections.Counter], list[str], float]:
    """Outcomes by kind of damage, descriptions of the faults (ten at most), and the longest case in seconds."""
    outcomes: dict[str, collections.Counter] = {kind: collections.Counter() for kind in (*BYTE_DAMAGE, *SEALED_DAMAGE)}
    faults, longest = [], 0.0
    for number, (kind, target, satellite, damaged) in enumerate(cases(targets, count, seed)):
        started = time.perf_counter()
        found = outcome(target, satellite, damaged)
        spent = time.perf_counter() - started
        longest = max(longest, spent)
        if not found.startswith("FAULT") and spent > case_s:
            found = f"FAULT {spent:.1f} s"
        if found.startswith("FAULT") and len(faults) < 10:
            faults.append(f"case {number} ({kind}): {found}")
        outcomes[kind][found.split(" ")[0] if found.startswith("FAULT") else found] += 1
    return outcomes, faults, longest


def limit_growth(growth_mib: int) -> None:
    """Let this process grow by at most `growth_mib` of address space from here on."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (growth_mib << 20), resource.RLIM_INFINITY))


def main(arguments: list[str]) -> None:
    given = {"cases": "100000", "seed": "0", "models": "bmshj,mbt,cheng,elic", "case_s": "2", "growth_mib": "1024"}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in given:
            raise UserError(f"{argument}: expected one of {', '.join(f'{key}=' for key in given)}")
        given[name] = value
    try:
        count, seed, case_s, growth_mib = int(given["cases"]), int(given["seed"]), float(given["case_s"]), int(given["growth_mib"])
    except ValueError:
        raise UserError(f"{' '.join(arguments)}: expected numbers") from None
    torch.set_num_threads(1)
    targets = [make_target(name, coding, 7 + i) for name in given["models"].split(",") for i, coding in enumerate(("successor", "lzma"))]
    limit_growth(growth_mib)
    started, peak = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes, faults, longest = fuzz(targets, count, seed, case_s)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    print(f"{'damage':14} {'cases':>8} {'refused':>8} {'same data':>10} {'faults':>7}")
    for kind, counted in outcomes.items():
        print(f"{kind:14} {sum(counted.values()):>8} {counted['refused']:>8} {counted['same data']:>10} {counted['FAULT']:>7}")
    print(f"{count} cases in {time.perf_counter() - started:.0f} s; longest {longest:.3f} s; peak memory grew by {grown:.0f} MiB")
    if faults:
        print("\n".join(faults))
        raise SystemExit(1)
    print("no fault")


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
