"""dlrc.studies.questions.context and dlrc.studies.paper.ablation on one tiny round."""

from __future__ import annotations

import pytest

from constellation.common.cli import perform
from constellation.common.errors import UserError
from dlrc.studies.paper import ablation
from dlrc.studies.questions import context

TINY = [
    "scenario=dense",
    "satellites=2",
    "scene.size_px=256",
    "capture.patch_px=128",
    "capture.window_px=160",
    "windows=1",
]


def test_the_context_study_prints_real_bytes_and_labelled_estimates(tmp_path, capsys):
    perform(context.COMMAND, [*TINY, "models=mbt", "halos=0", f"output={tmp_path}"])
    printed = capsys.readouterr().out
    assert "ESTIMATE" in printed and "BUILT-IN PROCEDURAL SCENE" in printed
    assert next(tmp_path.glob("context-*/context.png")).stat().st_size > 0


def test_the_ablation_counts_bytes_for_every_k_and_representative(tmp_path, capsys):
    perform(ablation.COMMAND, [*TINY, "k=2,20", f"output={tmp_path}"])
    assert capsys.readouterr().out.count("| mean |") == 2
    assert next(tmp_path.glob("ablation-*/ablation.csv")).read_text().count("\n") == 1 + 4


def test_k_matters_to_lsh_alone():
    with pytest.raises(UserError, match="lsh"):
        perform(ablation.COMMAND, [*TINY, "dlrc.signature=content"])


def test_a_halo_that_no_capture_can_have_is_one_line():
    with pytest.raises(UserError, match=r"halos: found 10, expected values .* multiple of 16"):
        perform(context.COMMAND, [*TINY, "halos=10"])


def test_a_study_refuses_the_knobs_that_it_sets_or_does_not_honour():
    with pytest.raises(UserError, match=r"codec\.grid: set by study context itself"):
        perform(context.COMMAND, [*TINY, "codec.grid=centred"])
    with pytest.raises(UserError, match=r"ground\.stream_loss: means nothing to study context"):
        perform(context.COMMAND, [*TINY, "ground.stream_loss=0.5"])
