"""Tables of the study of maps: bits at equal PSNR, and changes against references of the same sources."""

import math
from pathlib import Path

import pytest

from dlrc.studies.downstream.segmentation_methods import Plan, reference_of
from dlrc.studies.downstream.segmentation_report import equal_psnr, equal_rate, rate_at, row_of, table_of
from dlrc.tasks.cell import Measured
from dlrc.tasks.scores import Counts
from dlrc.tasks.tuning import Start


def measured(bppb, psnr_db, hits=50, sources="ab"):
    samples = 10_000
    squared = 0.0 if math.isinf(psnr_db) else samples * 10 ** (-psnr_db / 10)
    counts = {source: Counts(hits, 10, 100 - hits) for source in sources}
    return Measured(counts, round(bppb * samples / 8), samples // 5, squared, samples)


def test_a_rate_between_measured_points_and_none_outside():
    points = [(30.0, 0.2), (40.0, 0.8)]
    assert rate_at(35, points) == pytest.approx(0.4) and rate_at(30, points) == pytest.approx(0.2)
    assert rate_at(29, points) == rate_at(41, points) == rate_at(30, points[:1]) == 0


def test_a_codec_of_one_fold_is_compared_on_that_folds_sources():
    found = {
        ("JPEG 2000 26 dB", "originals"): [measured(0.2, 26), measured(9, 26, sources="cd")],
        ("JPEG 2000 32 dB", "originals"): [measured(0.8, 32), measured(9, 32, sources="cd")],
        ("slow 0.013", "originals"): [measured(0.2, 29)],
    }
    (line,) = equal_psnr(found)[2:]
    assert line.startswith("| slow 0.013 | 2 | 29.0 | 0.200 | 0.4") and "(-50 %)" in line
    (line,) = equal_rate(found)[2:]
    assert line == "| slow 0.013 | 2 | 0.200 | +0.000 [+0.000, +0.000] at 0.200 |"


def test_changes_are_against_the_same_sources_and_the_same_training():
    found = {
        ("original", "originals"): [measured(16, math.inf), measured(16, math.inf, 90, "cd")],
        ("slow 0.013", "originals"): [measured(0.2, 29, 40)],
    }
    _, row = table_of(("fire", "5 bands", "proxy"), found).rows
    assert row.d_iou == pytest.approx(40 / 110 - 50 / 110) and row.sources == 2
    assert row.d_iou_low == row.d_iou_high == pytest.approx(row.d_iou)  # sources are alike
    alone = row_of(("fire", "5 bands", "proxy", "x", "originals"), 1, measured(1, 30), None)
    assert math.isnan(alone.d_iou)
    assert reference_of(("bmshj 0.013 joint seed 1", "joint")) == ("bmshj 0.013 control seed 1", "control")
    assert reference_of(("x", "went on with decoded")) == ("original", "went on with originals")
    assert reference_of(("x patches captured", "originals")) == ("", "")
    assert reference_of(("x patches dlrc", "originals")) == ("x patches independent", "originals")


def test_a_segmenter_goes_on_at_the_main_lambda_and_of_the_curve_at_the_least(tmp_path):
    for model, lambda_ in (("bmshj", 0.0067), ("bmshj", 0.0483), ("elic", 0.013)):
        (tmp_path / f"{model}_lambda{lambda_}.safetensors").touch()
    models, none = ("bmshj", "elic"), Path()
    plan = Plan(tmp_path, models, "bmshj", 0.013, (0.0017, 0.0483), (), models, 24.0, False, 0, False)
    names = [start.name for start in plan.starts]
    assert names == ["bmshj_0.0017", "bmshj_0.013", "bmshj_0.0483", "elic_0.013"]
    on = [(start.model, start.lambda_) for start in plan.starts if plan.goes_on(start)]
    assert on == [("bmshj", 0.0017), ("bmshj", 0.013), ("elic", 0.013)]
    assert not plan.goes_on(Start("other", none, 0.013))
