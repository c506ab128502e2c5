"""Bits per position of the assignment map under each coding, on rounds made like those of the paper's section 4.1.

    python -m benchmarks.map_coding [seed=100] [rounds=20] [patches=256,512,1024]

A round: 8 patches at multiples of 16 px in a window twice (dense) or four times (sparse) as wide as a patch; a content number for every latent
cell of the scene, some cells repeating an earlier one; the outer 0 to 2 positions of a patch match nobody; satellite 0 has the highest
priority. `misses`: share of positions that match nobody although they should. 1 % of remote copies are not exact.
Bits are averaged over all satellites of a round, those that keep everything included.
"""

from __future__ import annotations

import lzma
import sys

import numpy as np

from codec.assignment import KEPT, LOCAL, REMOTE, AssignmentMap, coding_rank, dense_numbering
from codec.mapcoder import encode_joint, encode_map, lzma_raw
from constellation.errors import UserError, user_errors_to_exit

SATELLITES = 8
WINDOWS = {"dense": 2, "sparse": 4}
COLUMNS = ("xz", "LZMA2", "lzma_joint", "lzma", "successor")


def make_round(rng: np.random.Generator, side: int, window: int, margin: int = 1, misses: float = 0.0, repeats: float = 0.02,
               inexact: float = 0.01, satellites: int = SATELLITES, order: str = "raster") -> dict[int, AssignmentMap]:
    """Maps of one round, satellite -> map, in priority order. side, window: latent positions. order: `raster` or
    `checkerboard`. The rest as in the module's docstring."""
    scene = _scene(rng, window, repeats)
    next_content = window * window
    grids = []
    for _ in range(satellites):
        row, column = rng.integers(0, window - side + 1, size=2)
        grid = scene[row : row + side, column : column + side].copy()
        strange = rng.random((side, side)) < misses
        strange[:margin], strange[side - margin :], strange[:, :margin], strange[:, side - margin :] = True, True, True, True
        count = int(strange.sum())
        grid[strange] = next_content + np.arange(count)
        next_content += count
        grids.append(grid)
    return _arbitrate(grids, rng, inexact, order)


def _scene(rng: np.random.Generator, window: int, repeats: float) -> np.ndarray:
    """Content numbers [window, window]; a share `repeats` of the cells copies its left or upper neighbour or any cell."""
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


def _arbitrate(grids: list[np.ndarray], rng: np.random.Generator, inexact: float, order: str) -> dict[int, AssignmentMap]:
    owner_of: dict[int, tuple[int, int]] = {}
    maps = {}
    for satellite, grid in enumerate(grids):
        flat = grid.reshape(-1)
        by_rank = np.argsort(coding_rank(*grid.shape, order))
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
        exact = (fate == REMOTE) & (rng.random(flat.size) >= inexact)
        maps[satellite] = AssignmentMap(*(array.reshape(grid.shape) for array in (fate, exact, owner, source)))
    return maps


def measure(maps: dict[int, AssignmentMap]) -> np.ndarray:
    """Bytes of one round under each of COLUMNS, float [5]."""
    participants = tuple(maps)
    numbers = [array.astype("<u2" if array.max() < 1 << 16 else "<u4").tobytes() for array in dense_numbering(maps)]
    one_by_one = {coding: sum(len(encode_map(one, coding, participants=participants, satellite=satellite)) for satellite, one in maps.items())
                  for coding in ("lzma", "successor")}
    return np.array([sum(len(lzma.compress(data)) for data in numbers), sum(len(lzma_raw(data)) for data in numbers),
                     len(encode_joint(maps)), one_by_one["lzma"], one_by_one["successor"]], dtype=float)


def table(seed: int, rounds: int, patches_px: list[int]) -> list[str]:
    """Lines of the printed table."""
    lines = [f"{'patch':>6} {'window':7} {'margin':>6} {'misses':>6} " + " ".join(f"{name:>10}" for name in COLUMNS) + f" {'of xz':>6}"]
    for patch_px in patches_px:
        side = patch_px // 16
        for name, factor in WINDOWS.items():
            for misses in (0.0, 0.05):
                for margin in (0, 1, 2):
                    rng = np.random.default_rng([seed, patch_px, factor, int(misses * 100), margin])
                    count = max(2, rounds * 256 // patch_px)
                    total = sum(measure(make_round(rng, side, side * factor, margin, misses)) for _ in range(count))
                    bits = 8 * total / (count * SATELLITES * side * side)
                    lines.append(f"{patch_px:>6} {name:7} {margin:>6} {misses:>6.0%} " + " ".join(f"{value:>10.3f}" for value in bits)
                                 + f" {bits[4] / bits[0]:>6.1%}")
    return lines


def main(arguments: list[str]) -> None:
    given = {"seed": "100", "rounds": "20", "patches": "256,512,1024"}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in given:
            raise UserError(f"{argument}: expected one of {', '.join(f'{key}=' for key in given)}")
        given[name] = value
    try:
        seed, rounds, patches_px = int(given["seed"]), int(given["rounds"]), [int(value) for value in given["patches"].split(",")]
    except ValueError:
        raise UserError(f"{' '.join(arguments)}: expected whole numbers") from None
    print("bits per latent position, averaged over 8 satellites")
    print("\n".join(table(seed, rounds, patches_px)))


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
