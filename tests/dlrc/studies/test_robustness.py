"""dlrc.studies.questions.robustness, dlrc.studies.common.variants and dlrc.studies.questions.multiview on
tiny built-in scenes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from constellation.common.cli import perform
from constellation.common.errors import UserError
from constellation.scenario.load import build_scenario
from dlrc.studies.common.registration import register
from dlrc.studies.common.variants import Trial, fly, see
from dlrc.studies.paper import ablation, rd, visual
from dlrc.studies.questions import context, robustness
from dlrc.studies.questions.multiview import pair_rows, pair_table, pairs_of
from dlrc.studies.questions.robustness import (
    CONDITIONS,
    Condition,
    look_under,
    pick,
    summarise,
    survey,
    table,
)
from nodes.process.board import load_board

TINY = {
    "satellites": 3,
    "rounds": 1,
    "scene": {"size_px": 256},
    "capture": {"patch_px": 128, "window_px": 192},
}


@pytest.fixture(scope="module")
def trial():
    scenario = build_scenario(TINY)
    return Trial(scenario, load_board(scenario.codec))


def test_content_signatures_change_no_picture_and_every_method_decodes(trial, tmp_path):
    rows = survey(trial, 1, pick(["none", "noise 4"]), tmp_path / "rows.csv")
    assert all(row["failed"] == 0 for row in rows)
    assert all(row["dpsnr_db"] == 0 for row in rows if row["method"] == "content")
    assert (tmp_path / "rows.csv").read_text().count("\n") == 1 + 2 * 3
    found = summarise(rows)
    assert found["none", "footprint"]["total"] >= found["none", "content"]["total"]
    assert table(rows).count("\n") == 1 + 2


def test_an_object_is_in_the_first_view_alone(trial):
    here = look_under(Condition("object", one_view=True, object=True), 3)
    plain = look_under(Condition("none"), 3)
    for satellite in range(2):
        images = [look(trial.sights, 0, satellite)[0].image for look in (here, plain)]
        changed = (images[0] != images[1]).any()
        assert changed == (satellite == 0)


def test_variants_of_a_round_share_captures_and_independent_streams(trial):
    views = see(trial, 0)
    off = fly(trial.under(dlrc={"enabled": False, "signature": "content"}), 0, views)
    assert off.remote_share == 0
    on = fly(trial.under(dlrc={"signature": "content"}), 0, views)
    assert off.psnr_db == pytest.approx(on.psnr_db)


def test_unknown_conditions_are_refused_with_the_list_of_those_there_are():
    with pytest.raises(UserError, match="jitter 2 px"):
        pick(["none", "earthquake"])
    assert pick(["all"]) == CONDITIONS


def test_a_pair_of_equal_pictures_is_one_picture_to_send(trial, tmp_path):
    folder = tmp_path / "pairs" / "twins"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for name in ("ground_A.png", "ground_B.png"):
        Image.fromarray(pixels).resize((160, 160)).save(folder / name)
    rows = pair_rows(trial, pairs_of(tmp_path / "pairs"), tmp_path / "pairs.csv")
    assert all(row["equal_k20"] == 1 and row["equal_content"] == 1 for row in rows)
    assert {row["method"]: row["remote_share"] for row in rows}["content"] > 0.9
    assert "twins" in pair_table(rows)


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected sub-folders"):
        pairs_of(tmp_path)


def test_pictures_of_one_ground_are_laid_on_each_other_to_the_pixel():
    ground = gaussian_filter(np.random.default_rng(1).normal(size=(300, 340)), 1.5)
    found = register(
        ground[20:260, 30:330], ground[57:297, 11:311] + np.random.default_rng(2).normal(0, 0.01, (240, 300))
    )
    assert (found.rows, found.cols) == (37, -19)
    assert (found.height, found.width) == (240 - 37, 300 - 19) and found.correlation > 0.9


def test_pictures_of_different_ground_are_left_out(trial, tmp_path, capsys):
    folder = tmp_path / "pairs" / "strangers"
    folder.mkdir(parents=True)
    for seed, name in enumerate(("one.png", "two.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((160, 160)).save(folder / name)
    assert pair_rows(trial, pairs_of(tmp_path / "pairs"), tmp_path / "pairs.csv") == []
    assert "left out: one.png and two.png: no common ground" in capsys.readouterr().out


def test_what_is_in_one_view_alone_is_in_every_satellites_view_in_turn(trial):
    here = look_under(Condition("object", one_view=True, object=True), 3)
    plain = look_under(Condition("none"), 3)
    changed = [
        [(here(trial.sights, r, s)[0].image != plain(trial.sights, r, s)[0].image).any() for s in range(3)]
        for r in range(3)
    ]
    assert np.array_equal(changed, np.eye(3, dtype=bool))


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_view_that_copies_is_the_one_that_is_judged_whoever_comes_first(trial, tmp_path, seed):
    folder = tmp_path / "pairs" / "alike"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    ground = gaussian_filter(noise.normal(128, 40, (160, 160, 3)), (8, 8, 0)) * 4 - 384
    for name in ("x_A.png", "x_B.png"):
        seen = np.clip(ground + noise.normal(0, 2, ground.shape), 0, 255).astype(np.uint8)
        Image.fromarray(seen).save(folder / name)
    random = trial.under(seed=seed, priority={"rule": "random"})
    rows = {row["method"]: row for row in pair_rows(random, pairs_of(tmp_path / "pairs"), tmp_path / "p.csv")}
    assert rows["footprint"]["remote_share"] == 1 and rows["footprint"]["dpsnr_copied_db"] < 0


@pytest.mark.parametrize("study", [robustness, ablation, context, visual, rd])
@pytest.mark.parametrize("word", ["priority.rule=nonsense", "scene.path=nowhere.png"])
def test_what_cannot_be_flown_is_refused_before_a_folder_is_made(study, word, tmp_path):
    with pytest.raises(UserError, match=word.partition("=")[0]):
        perform(study.COMMAND, [word, f"output={tmp_path / 'runs'}"])
    assert not (tmp_path / "runs").exists()
