"""Pictures of a round: mosaics put patches where they were, owners are told apart, files appear whole."""

import numpy as np
from PIL import Image

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from dlrc.report.pictures import View, colour_of, compose, draw_mosaics, draw_owners, owner_grid


def fates(fate, owner=-1, exact=True):
    fate = np.array(fate, dtype=np.uint8)
    remote = fate == REMOTE
    return AssignmentMap(
        fate,
        remote & exact,
        np.where(remote, owner, -1).astype(np.int16),
        np.where(fate == KEPT, -1, 0).astype(np.int32),
    )


def view(satellite, row, col, tone, **changes):
    image = np.full((64, 64, 3), tone, np.uint8)
    grid = np.zeros((4, 4), np.uint8)
    values = dict(
        satellite=satellite,
        row=row,
        col=col,
        original=image,
        dlrc=image,
        independent=image,
        fates=fates(grid),
    )
    return View(**{**values, **changes})


def test_where_patches_overlap_the_first_of_the_order_is_on_top():
    views = [view(0, 0, 0, 10), view(1, 32, 32, 20)]
    for order, tone in (([0, 1], 10), ([1, 0], 20)):
        mosaic = compose(views, 128, order, "original")
        assert mosaic.shape == (128, 128, 3)
        assert [mosaic[0, 0, 0], mosaic[40, 40, 0], mosaic[90, 90, 0]] == [10, tone, 20]
        assert (mosaic[120, 5] == mosaic[5, 120]).all() and mosaic[120, 5, 0] > 150  # nothing was seen there


def test_an_image_that_was_lost_leaves_a_gap_and_not_something_else():
    mosaic = compose([view(0, 0, 0, 10, dlrc=None)], 64, [0], "dlrc")
    assert (mosaic == mosaic[0, 0]).all() and mosaic[0, 0, 0] > 150


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


def test_files_are_written_whole(tmp_path):
    views = [
        view(satellite, 16 * satellite, 0, 40, fates=None if satellite == 1 else fates(np.zeros((4, 4))))
        for satellite in range(3)
    ]
    draw_mosaics(
        tmp_path / "mosaic.png",
        views,
        128,
        [2, 1, 0],
        ("captured", "DLRC", "a caption that is far too long for its panel " * 3),
    )
    draw_owners(tmp_path / "owners.png", views, 128, [2, 1, 0], "round 0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mosaic.png", "owners.png"]
    for path in tmp_path.iterdir():
        Image.open(path).verify()


def test_wide_windows_large_grids_and_many_satellites_stay_of_reasonable_size(tmp_path):
    big = np.zeros((1024, 1024, 3), np.uint8)
    views = [
        view(satellite, 0, 0, 0, original=big, dlrc=big, independent=big, fates=fates(np.zeros((64, 64))))
        for satellite in range(70)
    ]
    draw_mosaics(tmp_path / "mosaic.png", views, 2048, list(range(70)), ("a", "b", "c"))
    draw_owners(tmp_path / "owners.png", views, 2048, list(range(70)))
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert max(image.size) < 4000


def test_without_dlrc_there_are_footprints_only(tmp_path):
    draw_owners(tmp_path / "owners.png", [view(0, 0, 0, 10, fates=None)], 128, [0])
    assert (tmp_path / "owners.png").stat().st_size > 1000
