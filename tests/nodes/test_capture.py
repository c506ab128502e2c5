"""Captures: where satellites look, what flaws do, and what an ideal deduplication could save."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.imagery.scene import Scene, open_scene
from constellation.common.errors import UserError
from constellation.scenario.imaging import CaptureKnobs, SceneKnobs
from nodes.capture import (
    capture,
    covered_by_earlier,
    ground_cells,
    oracle_share,
    patch_offset,
    window_of_round,
)

RNG = np.random.default_rng(0)


def scene_of(picture):
    return Scene(
        "array",
        picture.shape[0],
        picture.shape[1],
        True,
        "an array",
        lambda row, col, h, w: picture[row : row + h, col : col + w],
    )


PICTURE = RNG.integers(0, 256, (300, 340, 3), dtype=np.uint8)
ROWS, COLS = np.mgrid[:300, :340]
RAMP = np.stack([40 + ROWS // 2, 30 + COLS // 2, 20 + (ROWS + COLS) // 4], axis=2).astype(np.uint8)
SMALL = CaptureKnobs(patch_px=64, window_px=160)


def test_a_plain_capture_is_a_crop_at_a_multiple_of_the_stride():
    view = capture(scene_of(PICTURE), SMALL, 0, 2, 5)
    row, col = view.window_row + view.row, view.window_col + view.col
    assert view.row % 16 == view.col % 16 == 0 and view.row <= 96 and view.col <= 96
    assert view.image.dtype == np.uint8 and np.array_equal(
        view.image, PICTURE[row : row + 64, col : col + 64]
    )
    assert np.array_equal(view.padded, view.image) and view.footprint.shape == (4, 4)


def test_the_window_is_common_to_the_round_and_changes_between_rounds():
    scene = scene_of(PICTURE)
    windows = [window_of_round(scene, SMALL, 0, round) for round in range(20)]
    assert len(set(windows)) > 15 and windows == [
        window_of_round(scene, SMALL, 0, round) for round in range(20)
    ]
    assert all(0 <= row <= 140 and 0 <= col <= 180 for row, col in windows)
    assert (
        len(
            {
                (view.window_row, view.window_col)
                for view in (capture(scene, SMALL, 0, 1, s) for s in range(4))
            }
        )
        == 1
    )


def test_all_offsets_occur_equally_often():
    offsets = np.array(
        [patch_offset(SMALL, 1, round, satellite) for round in range(100) for satellite in range(7)]
    )
    values, counts = np.unique(offsets, return_counts=True)
    assert values.tolist() == [0, 16, 32, 48, 64, 80, 96]
    assert (np.abs(counts - 200) < 70).all()


@pytest.mark.parametrize("window, expected", [(512, 0.641), (1024, 0.252)])
def test_the_oracle_share_is_that_of_the_papers_setting(window, expected):
    knobs = CaptureKnobs(window_px=window)
    shares = []
    for round in range(300):
        cells = [ground_cells(*patch_offset(knobs, 0, round, satellite), 256) for satellite in range(8)]
        shares.append(np.mean([part.mean() for part in covered_by_earlier(cells, range(8))]))
    assert abs(np.mean(shares) - expected) < 0.015  # three standard errors of 300 windows (sparse)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 2**40))
def test_the_mean_oracle_share_does_not_depend_on_the_order(order, seed):
    cells = [ground_cells(*patch_offset(SMALL, seed, 0, satellite), 64) for satellite in range(5)]
    covered = covered_by_earlier(cells, order)
    assert not covered[order[0]].any()
    assert sum(part.sum() for part in covered) == 5 * 16 - len(
        np.unique(np.concatenate([part.ravel() for part in cells]))
    )


def test_oracle_share_speaks_satellite_ids():
    views = [
        capture(scene_of(PICTURE), CaptureKnobs(patch_px=64, window_px=64), 0, 0, satellite)
        for satellite in (4, 2)
    ]
    assert oracle_share(views).tolist() == [1.0, 0.0]  # both see all of the window; satellite 2 comes first
    assert oracle_share(views, order=[9, 4, 2]).tolist() == [0.0, 1.0]


def test_patches_a_fraction_of_a_cell_apart_share_no_cell():
    assert not np.isin(ground_cells(0, 8, 64), ground_cells(0, 0, 64)).any()
    assert np.isin(ground_cells(0, 16, 64), ground_cells(0, 0, 64)).mean() == 0.75


def test_flaws_at_their_bound_shift_by_that_length_in_any_direction_and_the_rest_either_way():
    knobs = CaptureKnobs(
        patch_px=64, window_px=160, jitter_px=0.5, rotation_deg=0.3, gain=0.05, flaws="bound"
    )
    views = [
        capture(scene_of(RAMP), knobs, 0, round, satellite) for round in (0, 1) for satellite in range(8)
    ]
    assert np.allclose([np.hypot(*view.shift_px) for view in views], 0.5)
    assert len({view.shift_px for view in views}) == 16
    assert {round(view.rotation_deg, 9) for view in views} == {-0.3, 0.3}
    assert {round(view.gain, 9) for view in views} == {0.95, 1.05}


def test_uniform_flaws_stay_within_their_bound_and_differ():
    knobs = CaptureKnobs(patch_px=64, window_px=160, jitter_px=0.5, gain=0.05)
    views = [capture(scene_of(RAMP), knobs, 0, 0, satellite) for satellite in range(8)]
    assert all(max(map(abs, view.shift_px)) <= 0.5 and abs(view.gain - 1) <= 0.05 for view in views)
    assert len({view.gain for view in views}) == 8


def test_a_ground_cell_is_what_lies_below_a_latent_position():
    from codec.models.model import LATENT_STRIDE_PX
    from nodes.capture import LATENT_PX

    assert LATENT_PX == LATENT_STRIDE_PX


def test_a_halo_adds_surroundings_and_changes_nothing_in_the_patch():
    flaws = {"patch_px": 64, "window_px": 160, "gain": 0.2, "noise": 3.0, "clouds": 0.3}
    bare, wide = (
        capture(scene_of(PICTURE), CaptureKnobs(**flaws, halo_px=halo), 0, 0, 1) for halo in (0, 32)
    )
    assert wide.padded.shape == (128, 128, 3) and np.array_equal(wide.padded[32:96, 32:96], wide.image)
    assert np.array_equal(bare.image, wide.image)


def test_beyond_the_border_of_the_scene_the_halo_is_mirrored():
    knobs = CaptureKnobs(patch_px=64, window_px=64, halo_px=96)
    picture = PICTURE[:64, :64]
    expected = np.pad(picture, ((96, 96), (96, 96), (0, 0)), mode="reflect")
    assert np.array_equal(capture(scene_of(picture), knobs, 0, 0, 0).padded, expected)


def test_overlapping_views_with_a_halo_agree_where_they_overlap():
    knobs = CaptureKnobs(patch_px=64, window_px=96, halo_px=16)
    views = [capture(scene_of(PICTURE), knobs, 0, 0, satellite) for satellite in range(6)]
    canvas = {}
    for view in views:
        for row in range(0, 96, 8):
            for col in range(0, 96, 8):
                place = view.row + row, view.col + col
                assert (
                    canvas.setdefault(place, view.padded[row, col].tolist()) == view.padded[row, col].tolist()
                )


def test_a_view_does_not_depend_on_the_other_satellites_or_on_other_knobs_draws():
    knobs = CaptureKnobs(
        patch_px=64, window_px=160, gain=0.3, jitter_px=2.0, rotation_deg=3.0, noise=2.0, clouds=0.2
    )
    scene = scene_of(PICTURE)
    alone = capture(scene, knobs, 3, 1, 6)
    among = [capture(scene, knobs, 3, 1, satellite) for satellite in (7, 6, 0)][1]
    assert np.array_equal(alone.padded, among.padded)
    plain = capture(scene, CaptureKnobs(patch_px=64, window_px=160, gain=0.3), 3, 1, 6)
    assert (plain.gain, plain.row, plain.col) == (alone.gain, alone.row, alone.col)


def test_jitter_displaces_by_what_it_says():
    knobs = CaptureKnobs(patch_px=64, window_px=160, jitter_px=6.0)
    view = capture(scene_of(RAMP), knobs, 0, 0, 1)
    plain = capture(scene_of(RAMP), SMALL, 0, 0, 1)
    moved = (view.image.astype(float) - plain.image).mean(axis=(0, 1))
    assert max(map(abs, view.shift_px)) <= 6 and max(map(abs, view.shift_px)) > 0.5
    assert np.allclose(moved[:2], np.array(view.shift_px) / 2, atol=0.3)
    assert np.array_equal(view.footprint, plain.footprint)  # nominal geolocation knows nothing of it


def test_rotation_turns_about_the_centre():
    knobs = CaptureKnobs(patch_px=64, window_px=160, rotation_deg=45.0)
    view = capture(scene_of(RAMP), knobs, 0, 0, 2)
    plain = capture(scene_of(RAMP), SMALL, 0, 0, 2)
    angle = np.deg2rad(view.rotation_deg)
    assert abs(view.rotation_deg) > 5
    assert np.abs(view.image[31:33, 31:33].astype(int) - plain.image[31:33, 31:33]).max() <= 2
    down = (view.image[60, :, 0].astype(float) - view.image[3, :, 0]).mean() / 57  # d(row / 2) / d(row')
    assert down == pytest.approx(np.cos(angle) / 2, abs=0.03)


def test_resampling_by_a_whole_number_of_pixels_is_exact_in_the_interior():
    from nodes.capture import _look, _Pose

    scene = scene_of(PICTURE)
    moved = _look(scene.read, scene, _Pose(100, 100, 64, (3.0, -2.0), 0.0))
    assert np.array_equal(np.rint(moved), PICTURE[103:167, 98:162])


def test_gain_scales_radiance_and_clips():
    view = capture(scene_of(PICTURE), CaptureKnobs(patch_px=64, window_px=160, gain=0.5), 0, 0, 3)
    plain = capture(scene_of(PICTURE), SMALL, 0, 0, 3)
    assert 0.5 <= view.gain <= 1.5 and view.gain != 1
    assert np.array_equal(view.image, np.clip(np.rint(plain.image * view.gain), 0, 255))


def test_noise_has_the_standard_deviation_asked_for():
    grey = np.full((300, 340, 3), 128, np.uint8)
    view = capture(scene_of(grey), CaptureKnobs(patch_px=256, window_px=256, noise=4.0), 0, 0, 0)
    assert abs(view.image.std() - 4.0) < 0.1 and abs(view.image.mean() - 128) < 0.1


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_clouds_cover_the_share_asked_for_and_differ_between_views(share):
    dark = np.full((300, 340, 3), 20, np.uint8)
    knobs = CaptureKnobs(patch_px=128, window_px=128, clouds=share)
    one, two = (capture(scene_of(dark), knobs, 0, 0, satellite).image for satellite in (0, 1))
    assert abs((one.mean(axis=2) > 125).mean() - share) < 0.03
    assert share == 1.0 or not np.array_equal(one > 125, two > 125)


def test_what_does_not_fit_is_one_line():
    with pytest.raises(UserError, match="340x300 px, smaller than the window of 512 px"):
        capture(scene_of(PICTURE), CaptureKnobs(window_px=512), 0, 0, 0)
    with pytest.raises(UserError, match=r"capture.window_px=128: smaller than capture.patch_px=256"):
        capture(scene_of(PICTURE), CaptureKnobs(window_px=128), 0, 0, 0)


def test_the_built_in_scene_can_be_captured():
    view = capture(open_scene(SceneKnobs(size_px=512), 0, 0, 512), CaptureKnobs(halo_px=32), 0, 0, 0)
    assert view.image.shape == (256, 256, 3) and view.padded.shape == (320, 320, 3) and view.image.std() > 10


def masked_scene(picture, valid):
    return dataclasses.replace(
        scene_of(picture), valid=lambda row, col, h, w: valid[row : row + h, col : col + w]
    )


def test_a_capture_says_which_of_its_pixels_show_the_scene_and_the_others_are_zero():
    valid = np.zeros((300, 340), bool)
    valid[::2] = True
    view = capture(masked_scene(PICTURE, valid), SMALL, 0, 2, 5)
    row, col = view.window_row + view.row, view.window_col + view.col
    assert np.array_equal(view.valid, valid[row : row + 64, col : col + 64])
    assert np.array_equal(view.image, PICTURE[row : row + 64, col : col + 64] * view.valid[:, :, None])
    assert capture(scene_of(PICTURE), SMALL, 0, 2, 5).valid is None
    assert capture(masked_scene(PICTURE, np.ones_like(valid)), SMALL, 0, 2, 5).valid is None


def test_no_flaw_of_the_instrument_reaches_into_what_is_hidden():
    knobs = SMALL.model_copy(
        update={
            "halo_px": 16,
            "jitter_px": 3.0,
            "rotation_deg": 20.0,
            "gain": 0.5,
            "noise": 9.0,
            "clouds": 0.6,
        }
    )
    valid = COLS < 170
    hidden = 0
    for satellite in range(6):
        view = capture(masked_scene(PICTURE, valid), knobs, 0, 0, satellite)
        if view.valid is not None and view.valid.any():
            hidden += int((~view.valid).sum())
            assert (view.image[~view.valid] == 0).all() and (view.image[view.valid] > 0).mean() > 0.9
    assert hidden > 1000


def test_a_resampled_pixel_is_seen_only_where_all_around_it_are():
    valid = np.ones((300, 340), bool)
    valid[150, 170] = False
    knobs = CaptureKnobs(patch_px=256, window_px=256, jitter_px=0.5)
    view = capture(masked_scene(PICTURE, valid), knobs, 0, 0, 0)
    assert (~view.valid).sum() == 4
