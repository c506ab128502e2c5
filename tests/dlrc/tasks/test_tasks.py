"""Labelled pictures, folds by source, scores, a segmenter, and a codec tuned for it."""

import numpy as np
import pytest
import torch

from codec.models.checkpoint import load_checkpoint, save_checkpoint
from codec.models.model import Widths
from codec.models.registry import build
from codec.training.bands.start import of_three
from constellation.common.errors import BitstreamError, UserError
from dlrc.tasks import coded
from dlrc.tasks.cell import Budget, Cell, joined, kept
from dlrc.tasks.coded import learned, original, shown_by
from dlrc.tasks.fitting import Course, crops, fitted, marked
from dlrc.tasks.scores import Counts, counts_of, difference, f1_of, score
from dlrc.tasks.sources import TASKS, Tile, folds, source_of
from dlrc.tasks.thresholds import best_threshold
from dlrc.tasks.tuning import Aim, Start, start_of, tuned
from dlrc.tasks.unet import UNet


def tile(number, source, side=136):
    random = np.random.default_rng(number)
    mask = np.zeros((side, side), bool)
    mask[20 + number : 80 + number, 30:100] = True
    samples = random.integers(300, 700, (2, side, side)) + 1500 * mask
    return Tile(f"{source}_{number}", source, samples.astype(np.uint16), mask)


TILES = [tile(number, source) for number, source in enumerate("aabbcc")]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("oam_kampala-309606-261636-19", "kampala west"),
        ("oam_kampala-619212-523272-20", "kampala west"),
        ("oam_kampala-1238424-1046544-21", "kampala west"),
        ("oam_kampala-619224-523264-20", "kampala east"),
        ("nrcan_tile1", "nrcan_tile1"),
    ],
)
def test_tiles_of_one_place_at_several_zooms_are_one_source(name, source):
    assert source_of("building", name) == source


def test_windows_of_one_scene_are_one_source_and_automatic_labels_are_left_out():
    assert source_of("cloud", "landsat7_01") == source_of("cloud", "landsat7_10") == "landsat7"
    assert source_of("cloud", "landsat8_00") == source_of("cloud", "38cloud_patch192_gt") == ""


def test_no_source_is_trained_and_tested():
    for training, test in folds(TILES, 3):
        assert not {t.source for t in training} & {t.source for t in test} and test
    assert sorted(t.name for _, test in folds(TILES, 3) for t in test) == sorted(t.name for t in TILES)
    with pytest.raises(UserError, match="folds=4: expected 2 to 3"):
        folds(TILES, 4)


def test_scores_are_pooled_over_sources_and_drawn_by_source():
    found = score({"a": Counts(60, 20, 20), "b": Counts(0, 0, 100)})
    assert found.iou == pytest.approx(60 / 200) and found.f1 == pytest.approx(120 / 260)
    assert found.precision == pytest.approx(0.75) and found.recall == pytest.approx(60 / 180)
    assert found.low == 0 and found.high == pytest.approx(0.6) and found.sources == 2
    alike = {"a": Counts(60, 20, 20), "b": Counts(10, 0, 90)}
    assert difference(alike, alike) == (0, 0, 0)
    assert difference(alike, {"a": Counts(60, 20, 20), "b": Counts(20, 0, 80)}, f1_of)[0] > 0


def test_a_picture_without_anything_to_mark_has_no_score():
    assert np.isnan(score({"a": counts_of(np.zeros((4, 4), bool), np.zeros((4, 4), bool))}).iou)


def test_the_threshold_is_the_best_of_the_training_tiles():
    level = best_threshold("cloud", [(t.samples, t.mask) for t in TILES])
    assert 700 < level < 1900


def pairs():
    return [((20 * t.samples).astype(np.uint16), t.mask) for t in TILES[:2]]


def test_a_segmenter_learns_and_a_cut_training_goes_on_as_if_it_had_not_been(tmp_path):
    whole = fitted(pairs(), Course(6, 0, tmp_path / "a.pt"))
    held = torch.load(tmp_path / "a.pt", weights_only=True)
    assert held["step"] == 6
    again = fitted(pairs(), Course(6, 0, tmp_path / "a.pt"))  # all of it from the state
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    with pytest.raises(UserError, match="no state of this training"):
        fitted(pairs(), Course(7, 0, tmp_path / "a.pt"))
    assert marked(whole, pairs()[0][0]).shape == (136, 136)


def test_crops_are_a_function_of_seed_and_step():
    first, second = crops(pairs(), 1, 5), crops(pairs(), 1, 5)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], crops(pairs(), 1, 6)[0])


def small(bands=2):
    torch.manual_seed(0)
    sample = crops(pairs(), 0, 0)[0][:, :bands]
    return of_three("bmshj", build("bmshj", Widths(8, 24)), sample)


def test_the_segmenters_loss_reaches_the_codec_and_that_of_the_control_does_not():
    nets = {}
    for mu in (0.0, 1e4):
        model, segmenter = small(), UNet(2, 4)
        torch.manual_seed(3)
        for parameter in segmenter.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        tuned(model, pairs(), Aim(0.013, mu), Course(1, 0), segmenter)
        nets[mu] = model.g_s[-1].weight.detach().clone()
    alone = small()
    tuned(alone, pairs(), Aim(0.013, 0.0), Course(1, 0), UNet(2, 4))
    assert torch.equal(nets[0.0], alone.g_s[-1].weight)
    assert not torch.equal(nets[0.0], nets[1e4])


def rgb_codec(folder, lambda_=0.013):
    torch.manual_seed(0)
    path = folder / f"bmshj_lambda{lambda_:g}.safetensors"
    save_checkpoint(path, build("bmshj", Widths(8, 24)), lambda_, 1)
    return Start("bmshj", path, 0.013)


def cell_of(folder, tiles=TILES, task="cloud", more=()):
    training, test = folds(tiles, 3)[0]
    return Cell(TASKS[task], folder, training, test, Budget(1, 1, 1, 1, 1.0), more)


def test_a_cell_measures_real_bytes_and_keeps_what_it_has_measured(tmp_path):
    start, cell = rgb_codec(tmp_path), cell_of(tmp_path)
    codec = cell.codec(start)
    assert load_checkpoint(tmp_path / "bmshj_0.013.safetensors")[1].bands == cell.bands
    found = kept(tmp_path / "a.json", lambda: cell.measured(learned(*codec), cell.segmenter))
    assert found.size > 2 * 50 and found.pixels == 2 * 136 * 136 and found.squared > 0
    again = kept(tmp_path / "a.json", lambda: pytest.fail("measured twice"))
    assert again.counts["a"].hits == found.counts["a"].hits and again.size == found.size
    none = cell.measured(original, cell.segmenter)
    assert none.squared == 0 and joined([found]).size == found.size


def test_pictures_come_from_the_bytes_that_are_counted(tmp_path, monkeypatch):
    codec, counts = cell_of(tmp_path).codec(rgb_codec(tmp_path)), pairs()[0][0]
    assert np.array_equal(learned(*codec)(counts).counts, shown_by(*codec)(counts).counts)
    sent = coded._sent
    monkeypatch.setattr(coded, "_sent", lambda *given: sent(*given)[:-9] + b"\0" * 9)
    with pytest.raises(BitstreamError):
        learned(*codec)(counts)


def test_a_codec_of_8_bit_rgb_is_flown_as_it_is(tmp_path):
    start = rgb_codec(tmp_path)
    tiles = [
        Tile(t.name, t.source, np.repeat(t.samples[:1] // 10, 3, axis=0).astype(np.uint8), t.mask)
        for t in TILES
    ]
    cell = cell_of(tmp_path / "cell", tiles, "building")
    cell.folder.mkdir()
    codec = cell.codec(start)
    assert codec[1].bands is None and not list(cell.folder.iterdir())
    counts = cell.bands.to_counts(tiles[0].samples)
    assert np.array_equal(counts // 257, tiles[0].samples)
    shown = learned(*codec)(counts).counts
    assert shown.dtype == np.uint16 and not (shown % 257).any()


def test_a_codec_begins_from_the_checkpoint_with_the_nearest_lambda(tmp_path):
    for lambda_ in (0.0067, 0.013):
        rgb_codec(tmp_path, lambda_)
    assert start_of(tmp_path, "bmshj", 0.0017).weights.name == "bmshj_lambda0.0067.safetensors"
    assert start_of(tmp_path, "bmshj", 0.0483).weights.name == "bmshj_lambda0.013.safetensors"
    assert start_of(tmp_path, "bmshj", 0.013).weight(6) == pytest.approx(0.026)
    with pytest.raises(UserError, match="no elic_lambda"):
        start_of(tmp_path, "elic", 0.013)


def test_a_series_without_masks_tunes_the_codec_alone(tmp_path):
    more = [np.full((2, 136, 136), 500, np.int16)]
    cell = cell_of(tmp_path, more=more)
    assert len(cell.for_codecs) == len(cell.pairs) + 1 and not cell.for_codecs[-1][1].any()
    assert cell.bands == cell_of(tmp_path).bands


def test_a_segmenter_goes_on_and_the_one_that_it_began_from_stays(tmp_path):
    cell = cell_of(tmp_path)
    before = [p.clone() for p in cell.segmenter.parameters()]
    after = cell.retrained("further", cell.pairs)
    assert all(torch.equal(a, b) for a, b in zip(before, cell.segmenter.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before, after.parameters(), strict=True))
