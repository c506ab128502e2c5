"""Maps of the same captures with and without DLRC: satellites see overlapping patches of test tiles, and the
ground marks what it rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from constellation.common.frozen import value
from constellation.scenario.load import load_scenario
from dlrc.local import fly, sides_of
from dlrc.tasks.coded import BYTE_STEP
from dlrc.tasks.fitting import marked
from dlrc.tasks.scores import Counts, added, counts_of
from dlrc.tasks.sources import Tile
from dlrc.tasks.unet import UNet
from ground.files import write_png, write_tiff
from nodes.process.board import Board, load_board

SATELLITES, PATCH_PX, WINDOW_PX = 4, 128, 192
KINDS = ("captured", "independent", "dlrc")


@value
class Maps:
    """Of one fold's test tiles, by kind of picture. counts: by kind, then source. sizes: bytes by kind, none
    of captured. captures: how many views."""

    counts: dict[str, dict[str, Counts]]
    sizes: dict[str, int]
    captures: int


def maps(weights: Path, model: str, tiles: Sequence[Tile], segmenter: UNet, folder: Path) -> Maps:
    """Fly one round over each tile, window by window, with the checkpoint at `weights`; scenes are written
    below `folder`. Tiles smaller than the window are left out."""
    found: dict[str, dict[str, list[Counts]]] = {kind: {} for kind in KINDS}
    sizes: dict[str, int] = dict.fromkeys(KINDS[1:], 0)
    captures, board = 0, None
    for number, tile in enumerate(tiles):
        if min(tile.mask.shape) < WINDOW_PX:
            continue
        path = _scene(folder / f"scene_{tile.name}", tile.samples)
        board = _fly(found, sizes, (tile, path, weights, model, number), segmenter, board)
        captures += SATELLITES
    pooled = {kind: {s: added(parts) for s, parts in held.items()} for kind, held in found.items()}
    return Maps(pooled, sizes, captures)


def _scene(path: Path, samples: np.ndarray) -> Path:
    """A file of these samples, beside `path`: 8-bit RGB stays that, and is flown as it is."""
    if samples.dtype == np.uint8 and len(samples) == 3:
        picture = path.with_suffix(".png")
        write_png(picture, np.ascontiguousarray(samples.transpose(1, 2, 0)))
        return picture
    picture = path.with_suffix(".tif")
    write_tiff(picture, samples.astype(np.float64))
    return picture


def _fly(found, sizes, what, segmenter: UNet, board: Board | None) -> Board:
    tile, path, weights, model, number = what
    words = [f"scene.path={path}", f"codec.model={model}", f"codec.weights={weights}", "rounds=1"]
    words += [f"capture.patch_px={PATCH_PX}", f"capture.window_px={WINDOW_PX}", f"satellites={SATELLITES}"]
    scenario = load_scenario("dense", [*words, f"seed={number}"])
    board = board or load_board(scenario.codec)
    landed = fly(sides_of(scenario, board), 0).landed
    for satellite, witness in landed.arrived.witness.items():
        note = witness.note
        row, col = int(note.window_row + note.row), int(note.window_col + note.col)
        truth = tile.mask[row : row + PATCH_PX, col : col + PATCH_PX]
        pictures = witness.original, landed.images_alone[satellite], landed.images[satellite]
        for kind, picture in zip(KINDS, pictures, strict=True):
            counts = np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.uint16)
            hit = marked(segmenter, counts * BYTE_STEP if picture.dtype == np.uint8 else counts)
            found[kind].setdefault(tile.source, []).append(counts_of(hit, truth))
        sizes["independent"] += len(witness.alone)
        sizes["dlrc"] += witness.stream_bytes
    return board
