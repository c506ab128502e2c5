"""Text files of oriented boxes, as DOTA and STAR have them.

A line of an annotation is `x1 y1 x2 y2 x3 y3 x4 y4 class difficulty`, pixels of its picture; lines such as
`gsd:0.3` are passed over. Detections are one file a class, `Task1_CLASS.txt`, of lines `picture score x1 y1
... y4`, as submissions to DOTA are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from constellation.common.errors import UserError
from constellation.common.files import write_text
from constellation.common.frozen import value

LARGEST = 1e6  # px


@value
class Box:
    """corners: float64 [4, 2], x and y in px."""

    corners: np.ndarray
    kind: str
    difficulty: int = 0


@value
class Detection:
    """One box that a detector marked. picture: name without ending."""

    picture: str
    kind: str
    score: float
    corners: np.ndarray


def read_boxes(path: Path) -> list[Box]:
    """Of an annotation file. Raises `UserError`, which names the line."""
    return [_box(*one) for one in _lines(path) if ":" not in one[2][0]]


def _box(path: Path, number: int, words: Sequence[str]) -> Box:
    if len(words) not in (9, 10):
        raise _bad(path, number, f"{len(words)} words, expected 8 coordinates, class, difficulty")
    difficulty = words[9] if len(words) == 10 else "0"
    if not difficulty.isdecimal():
        raise _bad(path, number, f"difficulty {difficulty[:20]!r}, expected a whole number")
    return Box(_corners(path, number, words[:8]), words[8], int(difficulty[:9]))


def write_boxes(path: Path, boxes: Iterable[Box]) -> None:
    """An annotation file."""
    lines = [f"{_told(box.corners)} {box.kind} {box.difficulty}\n" for box in boxes]
    write_text(path, "".join(lines))


def read_detections(folder: Path) -> list[Detection]:
    """Of all `Task1_*.txt` in a folder. Raises `UserError`."""
    paths = sorted(folder.glob("Task1_*.txt"))
    if not paths:
        raise UserError(f"{folder}: no Task1_CLASS.txt, the detections of a class")
    found = []
    for path in paths:
        for _, number, words in _lines(path):
            if len(words) != 10:
                raise _bad(path, number, f"{len(words)} words, expected picture, score, 8 coordinates")
            score, *_ = _numbers(path, number, words[1:2])
            corners = _corners(path, number, words[2:])
            found.append(Detection(words[0], path.stem.removeprefix("Task1_"), score, corners))
    return found


def write_detections(folder: Path, detections: Iterable[Detection]) -> None:
    """One file a class."""
    by_kind: dict[str, list[str]] = {}
    for one in detections:
        line = f"{one.picture} {one.score:.6g} {_told(one.corners)}\n"
        by_kind.setdefault(one.kind, []).append(line)
    for kind, lines in by_kind.items():
        write_text(folder / f"Task1_{kind}.txt", "".join(lines))


def inside(boxes: Iterable[Box], left: float, top: float, side: int) -> tuple[list[Box], list[Box]]:
    """(whole, cut) boxes of a square capture at (left, top), in its own pixels: those that lie in it, and
    those of which a part does; the paper leaves the latter out of the evaluation."""
    whole, cut = [], []
    for box in boxes:
        moved = Box(box.corners - (left, top), box.kind, box.difficulty)
        low, high = moved.corners.min(axis=0), moved.corners.max(axis=0)
        if low.min() >= 0 and high.max() <= side:
            whole.append(moved)
        elif high.min() > 0 and low.max() < side:
            cut.append(moved)
    return whole, cut


def _lines(path: Path) -> list[tuple[Path, int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not text") from None
    rows = [(path, number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    return [row for row in rows if row[2]]


def _corners(path: Path, number: int, words: Sequence[str]) -> np.ndarray:
    return np.array(_numbers(path, number, words), np.float64).reshape(4, 2)


def _numbers(path: Path, number: int, words: Sequence[str]) -> list[float]:
    try:
        found = [float(word) for word in words]
    except ValueError as error:
        raise _bad(path, number, str(error)[:60]) from None
    if not all(math.isfinite(one) and abs(one) <= LARGEST for one in found):
        raise _bad(path, number, f"expected numbers of at most {LARGEST:g}")
    return found


def _told(corners: np.ndarray) -> str:
    return " ".join(f"{number:.2f}" for number in corners.reshape(-1))


def _bad(path: Path, number: int, what: str) -> UserError:
    return UserError(f"{path}, line {number}: {what}")
