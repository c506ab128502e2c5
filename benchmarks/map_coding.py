"""Bits per position of the assignment map under each coding: on synthetic rounds, and on real captures with
the shipped checkpoints.

A synthetic round: 8 patches at multiples of 16 px in a window twice (dense) or four times (sparse) as wide as
a patch; a content number for every latent cell of the scene, a share `repeats` of the cells repeating an
earlier one; the outer 0 to 2 positions of a patch match nobody; satellite 0 has the highest priority; 1 % of
remote copies are not exact. `copies 5%`: 5 % of the remote copies are kept after all. `views 5%`: 5 % of the
positions of every view match nobody, as copies and as originals: about twice as many broken matches, and
owners that change. Captured rounds (`captures` per row, 0: none): patches of 256 px of the images in
DLRC_DATA (default ../shared/data) /scenes, all four models, without and with a halo of 32 px. Bits are
averaged over all satellites of a round, those that keep everything included."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from codec.maps.coding import encode_map
from codec.maps.numbering import dense_numbering, joint_bytes, squeeze
from codec.models import registry
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs, Several

SATELLITES = 8
INEXACT = 0.01  # share of remote copies
WINDOWS = {"dense": 2, "sparse": 4}
MISSES = {"none": (0.0, 0.0), "copies 5%": (0.05, 0.0), "views 5%": (0.0, 0.05)}  # dropped copies, misses
COLUMNS = ("xz", "LZMA2", "LZMA2 joint", "lzma", "successor")


@dataclass(frozen=True)
class Overlap:
    """How the patches of a synthetic round lie. side, window: latent positions of a patch, and of what all
    see. margin: outer positions that match nobody. misses, repeats: shares, as in the module's docstring."""

    side: int
    window: int
    margin: int = 1
    misses: float = 0.0
    repeats: float = 0.02
    satellites: int = SATELLITES


def make_round(
    rng: np.random.Generator, overlap: Overlap, rank: np.ndarray | None = None
) -> dict[int, AssignmentMap]:
    """Maps of one round, satellite -> map, in priority order. rank: int [side, side], the order of coding;
    None: raster."""
    side, window, margin = overlap.side, overlap.window, overlap.margin
    rank = np.arange(side * side).reshape(side, side) if rank is None else rank
    scene = _scene(rng, window, overlap.repeats)
    next_content = window * window
    grids = []
    for _ in range(overlap.satellites):
        row, column = rng.integers(0, window - side + 1, size=2)
        grid = scene[row : row + side, column : column + side].copy()
        strange = rng.random((side, side)) < overlap.misses
        strange[:margin], strange[side - margin :], strange[:, :margin], strange[:, side - margin :] = (
            True,
            True,
            True,
            True,
        )
        count = int(strange.sum())
        grid[strange] = next_content + np.arange(count)
        next_content += count
        grids.append(grid)
    return _arbitrate(grids, rng, rank)


def drop_copies(
    maps: dict[int, AssignmentMap], share: float, rng: np.random.Generator
) -> dict[int, AssignmentMap]:
    """The round with a share of its remote copies kept instead."""
    out = {}
    for satellite, one in maps.items():
        drop = (one.fate == REMOTE) & (rng.random(one.shape) < share)
        out[satellite] = AssignmentMap(
            np.where(drop, KEPT, one.fate).astype(np.uint8),
            one.exact & ~drop,
            np.where(drop, -1, one.owner).astype(np.int16),
            np.where(drop, -1, one.source).astype(np.int32),
        )
    return out


def _scene(rng: np.random.Generator, window: int, repeats: float) -> np.ndarray:
    """Content numbers [window, window]; a share `repeats` of the cells copies its left or upper neighbour or
    any cell."""
    scene = np.arange(window * window).reshape(window, window)
    for row, column in np.argwhere(rng.random((window, window)) < repeats):
        way = rng.random()
        if way < 0.4 and column:
            scene[row, column] = scene[row, column - 1]
        elif way < 0.8 and row:
            scene[row, column] = scene[row - 1, column]
        else:
            scene[row, column] = scene[rng.integers(window), rng.integers(window)]
    return scene


def _arbitrate(
    grids: list[np.ndarray], rng: np.random.Generator, rank: np.ndarray
) -> dict[int, AssignmentMap]:
    owner_of: dict[int, tuple[int, int]] = {}
    maps = {}
    for satellite, grid in enumerate(grids):
        flat = grid.reshape(-1)
        by_rank = np.argsort(rank.reshape(-1))
        _, first, inverse = np.unique(flat[by_rank], return_index=True, return_inverse=True)
        representative = np.empty(flat.size, np.int64)
        representative[by_rank] = by_rank[first][inverse.reshape(-1)]
        is_local = representative != np.arange(flat.size)
        entry = np.cumsum(~is_local) - 1
        fate = np.where(is_local, LOCAL, KEPT).astype(np.uint8)
        source = np.where(is_local, representative, -1).astype(np.int32)
        owner = np.full(flat.size, -1, np.int16)
        for position in np.flatnonzero(~is_local):
            content = int(flat[position])
            if content in owner_of:
                fate[position] = REMOTE
                owner[position], source[position] = owner_of[content]
            else:
                owner_of[content] = (satellite, int(entry[position]))
        exact = (fate == REMOTE) & (rng.random(flat.size) >= INEXACT)
        maps[satellite] = AssignmentMap(
            *(array.reshape(grid.shape) for array in (fate, exact, owner, source))
        )
    return maps


def measure(maps: dict[int, AssignmentMap]) -> np.ndarray:
    """Bytes of one round under each of COLUMNS, float [5]."""
    participants = tuple(maps)
    numbers = [
        array.astype("<u2" if array.max() < 1 << 16 else "<u4").tobytes() for array in dense_numbering(maps)
    ]
    one_by_one = {
        coding: sum(
            len(encode_map(one, coding, participants=participants, satellite=satellite))
            for satellite, one in maps.items()
        )
        for coding in ("lzma", "successor")
    }
    return np.array(
        [
            sum(len(lzma.compress(data)) for data in numbers),
            sum(len(squeeze(data)) for data in numbers),
            joint_bytes(maps),
            one_by_one["lzma"],
            one_by_one["successor"],
        ],
        dtype=float,
    )


HEAD = " ".join(f"{name:>11}" for name in COLUMNS) + f" {'of xz':>6}"


def _figures(total: np.ndarray, positions: int) -> str:
    bits = 8 * total / positions
    return " ".join(f"{value:>11.3f}" for value in bits) + f" {bits[4] / bits[0]:>6.1%}"


def synthetic_table(seed: int, rounds: int, patches_px: list[int], repeats: float) -> Iterator[str]:
    """Lines of the table of synthetic rounds."""
    yield f"{'patch':>6} {'window':7} {'margin':>6} {'misses':>10} {HEAD}"
    for patch_px in patches_px:
        side = patch_px // 16
        for name, factor in WINDOWS.items():
            for kind, (dropped, misses) in MISSES.items():
                for margin in (0, 1, 2):
                    rng = np.random.default_rng([seed, patch_px, factor, round(misses * 100), margin])
                    count = max(2, rounds * 256 // patch_px)
                    total = np.zeros(len(COLUMNS))
                    for _ in range(count):
                        total += measure(
                            drop_copies(
                                make_round(rng, Overlap(side, side * factor, margin, misses, repeats)),
                                dropped,
                                rng,
                            )
                        )
                    figures = _figures(total, count * SATELLITES * side * side)
                    yield f"{patch_px:>6} {name:7} {margin:>6} {kind:>10} {figures}"


def captured_table(seed: int, captures: int) -> Iterator[str]:
    """Lines of the table of captured rounds."""
    from benchmarks.common.real_maps import captured_round, real_crew

    yield f"{'model':>6} {'window':7} {'halo':>6} {'remote':>6} {'local':>5} {HEAD}"
    for name in registry.whole():
        for window in WINDOWS:
            for halo_px in (0, 32):
                crew = real_crew(window, name, halo_px, seed)
                rounds = [captured_round(crew, number) for number in range(captures)]
                fates = np.concatenate([one.fate.reshape(-1) for maps in rounds for one in maps.values()])
                total = sum(measure(maps) for maps in rounds)
                yield (
                    f"{name:>6} {window:7} {halo_px:>6} {np.mean(fates == REMOTE):>6.1%} "
                    f"{np.mean(fates == LOCAL):>5.1%} {_figures(total, fates.size)}"
                )


class MapKeys(Knobs):
    """Keys of this benchmark."""

    seed: Annotated[int, Field(ge=0, le=2**31)] = 100
    """of synthetic rounds"""
    rounds: Annotated[int, Field(ge=1, le=2**31)] = 20
    """synthetic ones a row"""
    patches: Several[Annotated[int, Field(ge=16, le=4096, multiple_of=16)]] | None = (256, 512, 1024)
    """sides of a synthetic patch, px; none: no synthetic rounds"""
    repeats: Annotated[float, Field(ge=0, le=1)] = 0.002
    """share of cells that repeat an earlier one"""
    captures: Annotated[int, Field(ge=0, le=2**31)] = 4
    """rounds of real pictures a row; 0: none"""


def bench(given: Given) -> None:
    """Print one row per kind of round."""
    own: MapKeys = given.own
    seed, rounds, captures, repeats = own.seed, own.rounds, own.captures, own.repeats
    patches_px = list(own.patches or ())
    print("bits per latent position, averaged over 8 satellites")
    for line in synthetic_table(seed, rounds, patches_px, repeats) if patches_px else ():
        print(line, flush=True)
    for line in captured_table(seed, captures) if captures else ():
        print(line, flush=True)


COMMAND = Command(
    name="bench map_coding",
    about=__doc__,
    own=MapKeys,
    work=bench,
    examples=("dlrc bench map_coding captures=0 rounds=2 patches=256",),
)

if __name__ == "__main__":
    main_of(COMMAND)
