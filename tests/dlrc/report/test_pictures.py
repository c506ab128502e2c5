"""Pictures of a round: patches where they were, owners told apart, losses shown, titles that stand alone."""

import numpy as np
import pytest
from PIL import Image

from codec.maps.assignment import KEPT, LOCAL, REMOTE
from dlrc.report import draw
from dlrc.report.mosaics import compose, mosaics
from dlrc.report.owners import owner_grid, owners
from dlrc.report.sheet import EMPTY, INK, blank, by_priority, captions, colour_of, font, write
from dlrc.store.results import Held, Images
from ground.records import PREDICTED, Fates, Outcome, Place, RoundRecord
from tests.dlrc.run_cases import FACTS, FIRST, HELD, ROUNDS, fates, one_round, record, run


def patch(tone):
    return np.full((64, 64, 3), tone, np.uint8)


def test_where_patches_overlap_the_first_is_on_top():
    placed = [(0, 0, patch(10)), (32, 32, patch(20))]
    for order, tone in ((placed, 10), (placed[::-1], 20)):
        mosaic = compose(order, 128)
        assert mosaic.shape == (128, 128, 3)
        assert [mosaic[0, 0, 0], mosaic[40, 40, 0], mosaic[90, 90, 0]] == [10, tone, 20]
        assert tuple(mosaic[120, 5]) == tuple(mosaic[5, 120]) == EMPTY  # nothing was seen there


def test_an_image_that_was_lost_leaves_a_gap_and_not_something_else():
    mosaic = compose([(0, 0, None), (64, 0, patch(9))], 128)
    assert tuple(mosaic[0, 0]) == EMPTY and mosaic[64, 0, 0] == 9


def test_who_is_not_in_the_order_comes_last_and_is_drawn_all_the_same():
    late = record(0, 2)
    records = RoundRecord(0, (*FIRST, late), (1, 0))
    assert [one.satellite for one in by_priority(records)] == [1, 0, 2]
    owners(run("satellites=3", rounds=(records,)), records)


def test_the_owner_grid_tells_the_fates_apart():
    colours = {0: colour_of(0), 1: colour_of(1)}
    for cell in (4, 12):
        grid = owner_grid(fates([[KEPT, LOCAL, REMOTE]], owner=1), colours, 0, cell)
        assert grid.shape == (cell, 3 * cell, 3)
        cells = [grid[:, i * cell : (i + 1) * cell].reshape(-1, 3) for i in range(3)]
        assert len({tuple(np.median(part, axis=0)) for part in cells}) == 3
    assert np.array_equal(grid[1, 1], colours[0]) and np.array_equal(grid[1, 2 * 12 + 1], colours[1])


def test_a_thousand_satellites_have_colours():
    assert len({colour_of(index) for index in range(40)}) == 40
    assert all(0 <= value <= 255 for index in range(1024) for value in colour_of(index))


def test_the_pictures_of_a_run_are_written_whole(tmp_path):
    written = draw(run(), tmp_path)
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        f"round00{number}_{what}.png" for number in (0, 1) for what in ("images", "owners")
    ]
    for path in tmp_path.glob("*.png"):
        Image.open(path).verify()


def test_wide_windows_large_grids_and_many_satellites_stay_of_reasonable_size():
    big = Images(*[np.zeros((1024, 1024, 3), np.uint8)] * 3)
    many = RoundRecord(
        0, tuple(record(0, s, fates=fates(np.zeros((64, 64)))) for s in range(70)), tuple(range(70))
    )
    words = ("satellites=70", "capture.window_px=2048", "capture.patch_px=1024", "scene.size_px=2048")
    wide = run(*words, rounds=(many,), gallery=Held({(0, s): big for s in range(70)}))
    for picture in (mosaics(wide, many), owners(wide, many)):
        assert max(picture.size) < 4000


def test_where_streams_are_exchanged_the_mosaics_say_what_was_predicted_from_whom():
    predicted = Fates(np.full((4, 4), PREDICTED), np.zeros((4, 4), bool), np.ones((4, 4), int))
    first = record(0, 0, fates=predicted, kept=16, predicted=16, bits=((1, 4000.0),))
    records = one_round(0, first, FIRST[1])
    words = ("dlrc.exchange=streams", "dlrc.dedup=conditional")
    plain, streams = (mosaics(run(*more, rounds=(records,)), records) for more in ((), words))
    assert streams.width > 1.3 * plain.width  # a panel more
    panel = np.asarray(streams)[:, plain.width :].reshape(-1, 3)
    assert {colour_of(0), colour_of(1)} <= set(map(tuple, panel))


def test_a_round_of_which_nothing_is_known_can_be_drawn():
    for records in ((), (record(0, 0, outcome=Outcome.LOST, place=None, fates=None),)):
        nothing = RoundRecord(0, records)
        assert mosaics(run(), nothing).size and owners(run(), nothing).size


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.INDEPENDENT, Outcome.INCOMPLETE])
def test_an_outcome_other_than_exact_shows_in_both_kinds_of_tiles(outcome):
    for map_ in (None, fates(np.zeros((16, 16)))):
        plain, other = (
            owners(run(), one_round(0, record(0, 0, outcome=kind, fates=map_), FIRST[1]))
            for kind in (Outcome.EXACT, outcome)
        )
        assert plain.tobytes() != other.tobytes()


def test_captions_name_run_round_constellation_codec_and_scene():
    title, about = captions(run(), ROUNDS[1])
    assert title == "dense, round 2/2"  # as the console says it
    assert about.startswith("2 satellites of Walker delta 53:1000/25/1 at 550 km; bmshj at lambda 0.013; ")
    assert about.endswith("built-in procedural scene, no real picture")
    real = run(facts=FACTS.model_copy(update={"scene_real": True}))
    seen = one_round(0, record(0, 0, place=Place(0, 0, 0, 0, "city.tif")))
    assert captions(real, seen)[1].endswith("scene city.tif")


@pytest.mark.parametrize("size", [12, 14, 17])
def test_a_line_too_long_is_cut_to_its_width_at_the_size_that_it_is_drawn_in(size):
    sheet, draw_on = blank(400, 40)
    write(draw_on, (0, 0), "a caption that is far too long for its panel " * 3, 200, (INK, size))
    inked = np.flatnonzero((np.asarray(sheet) != np.asarray(sheet)[-1, -1]).any(axis=(0, 2)))
    assert 150 < inked.max() <= 200
    assert draw_on.textlength("...", font=font(size)) < 200


def test_images_of_no_round_but_the_first_few_are_asked_for():
    assert HELD.images(0, 1).captured[0, 0, 0] == 10
    assert HELD.images(7, 1).captured is None
