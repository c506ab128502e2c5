"""Captures of pictures with boxes, as satellites see and the ground rebuilds them, in a layout that detectors
for DOTA and STAR read: VARIANT/images/NAME.png and VARIANT/annfiles/NAME.txt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from constellation.common.files import make_folder, write_text
from constellation.scenario.load import load_scenario
from dlrc.local import fly, sides_of
from dlrc.tasks.boxes.annotations import Box, inside, read_boxes, write_boxes
from ground.files import write_png
from nodes.process.board import Board, load_board

ORIGINAL = "original"
CUT = "cut"  # folder of the boxes that a capture's border cuts


def variants(model: str) -> tuple[str, str]:
    """Folders of what the ground rebuilt without and with DLRC."""
    return model, f"{model}_dlrc"


def flown(
    picture: Path, out: Path, words: Sequence[str], board: Board | None
) -> tuple[Board, dict[str, int]]:
    """(board for the next picture, bytes and captures) of one picture, flown as `dense` is but for `words`;
    kept below `out`, so that a second call flies nothing. Its boxes are in annfiles/ beside its folder."""
    scenario = load_scenario("dense", [f"scene.path={picture}", *words])
    model, side = scenario.codec.model, scenario.capture.patch_px
    stage = out / "stages" / f"{picture.stem}_{model}.json"
    if stage.is_file() and board is not None:
        return board, json.loads(stage.read_text(encoding="utf-8"))
    board = board or load_board(scenario.codec)
    if stage.is_file():
        return board, json.loads(stage.read_text(encoding="utf-8"))
    boxes = read_boxes(picture.parent.parent / "annfiles" / f"{picture.stem}.txt")
    told: dict[str, int] = dict.fromkeys(("captures", "independent", "dlrc"), 0)
    sides = sides_of(scenario, board)
    for number in range(scenario.rounds):
        landed = fly(sides, number).landed
        for satellite, witness in landed.arrived.witness.items():
            note = witness.note
            left, top = int(note.window_col + note.col), int(note.window_row + note.row)
            name = f"{picture.stem}__r{number}s{satellite}__{left}___{top}"
            pictures = witness.original, landed.images_alone[satellite], landed.images[satellite]
            _write(out, name, dict(zip((ORIGINAL, *variants(model)), pictures, strict=True)))
            write_annotations(out, name, inside(boxes, left, top, side), variants(model))
            told["captures"] += 1
            told["independent"] += len(witness.alone)
            told["dlrc"] += witness.stream_bytes
    told["pixels"] = told["captures"] * side**2
    make_folder(out / "stages", "out")
    write_text(stage, json.dumps(told))
    return board, told


def _write(out: Path, name: str, pictures: Mapping[str, np.ndarray]) -> None:
    for variant, picture in pictures.items():
        write_png(make_folder(out / variant / "images", "out") / f"{name}.png", picture)


def write_annotations(
    out: Path, name: str, boxes: tuple[list[Box], list[Box]], decoded: Sequence[str] = ()
) -> None:
    """Whole boxes for detectors and evaluation, with the originals and each of `decoded`; cut ones apart."""
    whole, cut = boxes
    for variant in (ORIGINAL, *decoded):
        write_boxes(make_folder(out / variant / "annfiles", "out") / f"{name}.txt", whole)
    write_boxes(make_folder(out / CUT, "out") / f"{name}.txt", cut)
