"""Oriented boxes: files, captures, precision, and the study of detection with a detector of its own."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from codec.models.checkpoint import save_checkpoint
from codec.models.model import Widths
from codec.models.registry import build
from constellation.common.cli import perform
from constellation.common.errors import UserError
from dlrc.studies.downstream.detection import COMMAND
from dlrc.tasks.boxes.annotations import (
    Box,
    Detection,
    inside,
    read_boxes,
    read_detections,
    write_boxes,
    write_detections,
)
from dlrc.tasks.boxes.precision import average_precision, judge, mean_average, overlap


def square(left, top, side=10.0):
    return np.array([[left, top], [left + side, top], [left + side, top + side], [left, top + side]], float)


def test_boxes_come_back_and_lines_about_the_picture_are_passed_over(tmp_path):
    path = tmp_path / "a.txt"
    write_boxes(path, [Box(square(1, 2), "ship", 1)])
    path.write_text("imagesource:GoogleEarth\ngsd:0.3\n" + path.read_text())
    (box,) = read_boxes(path)
    assert np.array_equal(box.corners, square(1, 2)) and (box.kind, box.difficulty) == ("ship", 1)
    path.write_text("1 2 3 ship 0\n")
    with pytest.raises(UserError, match=r"a.txt, line 1: 5 words, expected 8 coordinates"):
        read_boxes(path)
    path.write_text("1 2 3 4 5 6 7 nan ship 0\n")
    with pytest.raises(UserError, match="line 1: expected numbers"):
        read_boxes(path)


def test_detections_come_back(tmp_path):
    write_detections(tmp_path, [Detection("p", "ship", 0.5, square(0, 0))])
    (found,) = read_detections(tmp_path)
    assert (found.picture, found.kind, found.score) == ("p", "ship", 0.5)
    with pytest.raises(UserError, match="no Task1_CLASS"):
        read_detections(tmp_path / "none")


def test_boxes_that_the_border_cuts_are_apart():
    boxes = [Box(square(5, 5), "a"), Box(square(95, 5), "a"), Box(square(200, 200), "a")]
    whole, cut = inside(boxes, 0, 0, 100)
    assert len(whole) == len(cut) == 1 and cut[0].corners[0, 0] == 95


def test_overlap_of_turned_boxes():
    assert overlap(square(0, 0), square(0, 0)) == pytest.approx(1)
    assert overlap(square(0, 0), square(5, 0)) == pytest.approx(1 / 3)
    assert overlap(square(0, 0), square(20, 0)) == 0
    diamond = np.array([[5, -2], [12, 5], [5, 12], [-2, 5]], float)
    assert overlap(square(0, 0), diamond) == pytest.approx(82 / (100 + 98 - 82))


def test_precision_of_a_worked_example():
    truth = {"p": [Box(square(0, 0), "a"), Box(square(50, 0), "a")], "q": [Box(square(0, 0), "a")]}
    marks = [("p", 0.9, 0), ("p", 0.8, 0), ("p", 0.7, 50), ("q", 0.6, 30)]  # right, twice, right, wrong
    found = [Detection(name, "a", score, square(left, 0)) for name, score, left in marks]
    judged = judge(found, truth, {})["a"]
    assert judged.right.tolist() == [True, False, True, False]
    assert average_precision(judged) == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert average_precision(judged, eleven=True) == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    cut = {"q": [Box(square(30, 0), "a")]}
    assert judge(found, truth, cut)["a"].right.tolist() == [True, False, True]
    assert mean_average(judge(found, truth, {}), np.array([0.0, 1.0])) == 0  # the second picture alone
    assert np.isnan(mean_average({}))


DETECTOR = """
import pathlib, sys
images, detections = map(pathlib.Path, sys.argv[1:])
lines = []
for path in sorted((images.parent / "annfiles").glob("*.txt")):
    for line in path.read_text().splitlines():
        lines.append(path.stem + " 0.9 " + " ".join(line.split()[:8]))
(detections / "Task1_ship.txt").write_text("\\n".join(lines) + "\\n")
"""


def test_one_command_from_pictures_with_boxes_to_the_table(tmp_path, capsys, monkeypatch):
    data = tmp_path / "val"
    (data / "images").mkdir(parents=True)
    (data / "annfiles").mkdir()
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 255, (192, 192, 3), np.uint8)).save(data / "images" / "s1.png")
    write_boxes(data / "annfiles" / "s1.txt", [Box(square(x, 70), "ship") for x in range(0, 180, 12)])
    torch.manual_seed(0)
    weights = tmp_path / "w.safetensors"
    save_checkpoint(weights, build("bmshj", Widths(8, 24)), 0.0483, 1)
    (tmp_path / "d.py").write_text(DETECTOR)
    fly = "satellites=2,capture.patch_px=128,capture.window_px=192,codec.weights=" + str(weights)
    words = [f"data={data}", f"out={tmp_path}/out", "models=bmshj", f"fly={fly}"]
    perform(COMMAND, words)
    assert "no detections of original, bmshj, bmshj_dlrc" in capsys.readouterr().err
    perform(COMMAND, [*words, f"detector={sys.executable} {tmp_path}/d.py {{images}} {{detections}}"])
    table = capsys.readouterr().out
    assert "| bmshj_dlrc | 2 |" in table and table.count("| 100.00 |") >= 3
    with pytest.raises(UserError, match="detector: /nonexistent"):
        perform(COMMAND, [*words[:1], f"out={tmp_path}/other", *words[2:], "detector=/nonexistent {images}"])
    with pytest.raises(UserError, match="no images"):
        perform(COMMAND, [f"data={tmp_path}/none"])
