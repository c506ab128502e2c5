"""The rate-distortion study: statistics, margins, baselines, and one tiny study from end to end on the
built-in scene."""

import csv

import numpy as np
import pytest

from constellation.common.cli import perform
from constellation.common.errors import UserError
from constellation.scenario.load import build_scenario, load_scenario
from dlrc.studies.common.baselines import QUALITIES, Point, decode, encode
from dlrc.studies.common.shared_ground import share_ground, smooth_fill
from dlrc.studies.common.sights import Sights
from dlrc.studies.common.statistics import (
    bd_interval,
    bd_rate,
    bootstrap,
    curve,
    distances,
    pooled,
    summarise,
)
from dlrc.studies.paper import rd, visual
from dlrc.studies.paper.rd_halo import against_plain
from dlrc.studies.paper.rd_rounds import (
    Configuration,
    Row,
    append_rows,
    lambdas_of,
    pictures_digest,
    read_rows,
)
from dlrc.studies.paper.visual import most_remote
from dlrc.studies.questions.margin import DEPTHS, by_depth


def row(number: int, satellite: int, y_d: float = 50.0, y_i: float = 100.0, psnr_d: float = 30.0) -> Row:
    return Row(
        number,
        satellite,
        satellite,
        "a",
        4096,
        16,
        8,
        0,
        8,
        10,
        y_d,
        4,
        2,
        10,
        y_i,
        4,
        10,
        psnr_d,
        30.0,
        0.9,
        0.9,
        1,
        1,
        0,
    )


def test_a_saving_is_the_ratio_of_sums_and_not_the_mean_of_ratios():
    line = summarise([row(0, 0, 50, 100), row(1, 0, 300, 300)], 2)
    assert line.y_saved.value == pytest.approx(100 * (1 - 350 / 400))
    assert line.total_saved.value == pytest.approx(100 * (1 - (350 + 2 * 16) / (400 + 2 * 14)))
    assert line.y_saved.low == pytest.approx(0) and line.y_saved.high == pytest.approx(50)


def test_windows_beyond_those_asked_for_do_not_count():
    assert summarise([row(0, 0), row(5, 0, 100, 100)], 3).windows == 1


def test_equal_windows_leave_no_doubt_and_the_interval_is_the_same_every_time():
    estimate = bootstrap((np.full(9, 2.0), np.full(9, 4.0)), lambda a, b: a / b)
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)
    values = np.arange(20.0)
    assert bootstrap((values, np.ones(20)), lambda a, b: a / b) == bootstrap(
        (values, np.ones(20)), lambda a, b: a / b
    )


def test_windows_that_were_not_decoded_say_nothing_about_quality_but_count_for_bytes():
    line = summarise([row(0, 0, psnr_d=29.9), row(1, 0, psnr_d=float("nan"))], 2)
    assert line.d_psnr.value == pytest.approx(-0.1) and line.windows == 2


def test_a_line_cut_off_by_an_interruption_takes_its_whole_round_with_it(tmp_path):
    path = tmp_path / "rows.csv"
    append_rows(path, [row(0, 0), row(0, 1), row(1, 0), row(1, 1)])
    path.write_text(path.read_text()[:-30])
    assert [(r.round, r.satellite) for r in read_rows(path, 2)] == [(0, 0), (0, 1)]
    assert read_rows(tmp_path / "none.csv", 2) == [] == read_rows(path, 3)


def test_another_picture_of_the_same_name_is_another_study(tmp_path):
    scenario = build_scenario({"scene": {"path": str(tmp_path)}})
    (tmp_path / "a.png").write_bytes(b"one")
    before = pictures_digest(scenario.scene)
    assert before == pictures_digest(scenario.scene) != pictures_digest(build_scenario({}).scene)
    (tmp_path / "a.png").write_bytes(b"other")
    assert pictures_digest(scenario.scene) != before


def test_an_estimate_is_refused_where_bytes_are_counted():
    with pytest.raises(UserError, match=r"codec\.context=open: this study counts bytes"):
        perform(rd.COMMAND, ["codec.context=open"])


def test_the_margin_is_the_first_depth_from_which_on_nearly_all_agree():
    agrees = np.zeros((16, 16), bool)
    agrees[2:-2, 2:-2] = True
    margin = by_depth([agrees, agrees])
    assert margin.agree == (0.0, 0.0, *[1.0] * (DEPTHS - 2))
    assert margin.depth(0.95) == 2 and margin.halo_px == 32


@pytest.mark.parametrize("codec", QUALITIES)
def test_other_codecs_trade_bytes_for_quality(codec):
    image = np.clip(
        np.cumsum(np.random.default_rng(0).normal(0, 6, (64, 64, 3)), axis=0) + 128, 0, 255
    ).astype(np.uint8)
    levels = sorted(QUALITIES[codec], reverse=codec == "jpegxl")
    sizes = [len(encode(codec, image, level)) for level in (levels[2], levels[-1])]
    assert sizes[0] < sizes[1]
    assert decode(codec, encode(codec, image, levels[-1])).shape == image.shape


def test_a_model_two_decibels_above_a_codec_is_found_two_above_on_every_patch():
    points = [
        Point("webp", q, number, 0, 0.1 * 2**i, 25.0 + 3 * i, 0.8)
        for number in (0, 1)
        for i, q in enumerate(QUALITIES["webp"])
    ]
    gaps = distances(points, "webp", {0: (0.2 * 2**0.5, 31.5, 0.9), 1: (1e-6, 20.0, 0.9)})
    assert gaps[0] == pytest.approx([2.0, 0.1]) and np.isnan(gaps[1]).all()


def test_half_the_rate_at_equal_quality_is_a_bd_rate_of_minus_fifty():
    anchor = np.array([[0.2, 28.0], [0.4, 31.0], [0.8, 34.0], [1.6, 37.0]])
    assert bd_rate(anchor, anchor * [0.5, 1.0]) == pytest.approx(-50, abs=1e-6)
    assert np.isnan(bd_rate(anchor, anchor[:2]))


def test_curves_average_every_patch_at_one_slope():
    points = [
        Point("webp", q, number, 0, (number + 1) * 0.1 * 2**i, 25.0 + 3 * i, 0.8)
        for number in (0, 1)
        for i, q in enumerate(QUALITIES["webp"])
    ]
    found = curve(points, "webp")
    assert (np.diff(found[:, 0]) > 0).all() and (np.diff(found[:, 1]) > 0).all()


def test_patches_as_one_have_the_psnr_of_their_mean_error():
    errors = np.array([4.0, 36.0])  # squared, of 255
    patches = [(0.2, float(10 * np.log10(255**2 / error)), 0.9) for error in errors]
    assert pooled(patches) == pytest.approx((0.2, 10 * np.log10(255**2 / 20), 0.9))


def test_a_codec_at_its_best_for_the_mean_error_beats_every_single_quality():
    generator = np.random.default_rng(0)
    points = [
        Point("webp", q, number, 0, rate, psnr, 0.9)
        for number in range(6)
        for q, rate, psnr in zip(
            QUALITIES["webp"],
            np.cumsum(generator.uniform(0.02, 0.2, 11)),
            24 + np.cumsum(generator.uniform(0.5, 2, 11)),
            strict=True,
        )
    ]
    found = curve(points, "webp")
    for level in QUALITIES["webp"]:
        rate, psnr, _ = pooled([(p.bpp, p.psnr_db, p.ms_ssim) for p in points if p.quality == level])
        if found[0, 0] <= rate <= found[-1, 0]:
            assert (
                psnr <= np.interp(rate, found[:, 0], found[:, 1]) + 0.3
            )  # the curve's corners are chords of the hull


def test_a_jpeg_2000_stream_is_counted_without_its_signature():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode("jpeg2000", image, 30)
    assert b"OpenJPEG" not in data and decode("jpeg2000", data).shape == image.shape


def test_a_halo_is_judged_against_coding_without_one_on_common_windows():
    wide, plain = Configuration("bmshj", 0.013, "dense", 32), Configuration("bmshj", 0.013, "dense", 0)
    rows = {
        plain: [row(0, 0, 60, 100), row(1, 0, 60, 100)],
        wide: [row(0, 0, 40, 110, psnr_d=30.5), row(7, 0, 1, 1)],
    }
    ((configuration, found),) = against_plain(rows).items()
    assert configuration == wide and found.windows == 1
    assert found.y_saved.value == pytest.approx(60) and found.d_psnr.value == pytest.approx(0.5)
    assert found.total_saved.value == pytest.approx(
        100 * (1 - 56 / 114)
    ) and found.alone_saved.value == pytest.approx(100 * (1 - 124 / 114))
    assert against_plain({wide: rows[wide]}) == {}


def test_the_crop_holds_most_copies_without_being_all_copies():
    remote = np.zeros((8, 8), bool)
    remote[4:, 2:] = True
    row_px, col_px = most_remote(remote, 4)
    share = remote[row_px // 16 : row_px // 16 + 4, col_px // 16 : col_px // 16 + 4].mean()
    assert share == 0.75


TINY = ["satellites=2", "capture.patch_px=64", "scene.size_px=1024", "codec.device=cpu"]


def test_a_tiny_study_runs_on_the_built_in_scene_and_goes_on_where_it_stopped(tmp_path, capsys):
    arguments = [
        "models=bmshj",
        "windows=2",
        "decode=1",
        "density=dense",
        "halo=0,32",
        "baselines=2",
        "margin=1",
        "surroundings=1",
        f"output={tmp_path}",
        *TINY,
    ]
    perform(rd.COMMAND, arguments)
    printed = capsys.readouterr().out
    assert "built-in procedural scene" in printed and "| bmshj | 0.013 | dense | 32 |" in printed
    folder = next(tmp_path.iterdir())
    with (folder / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [line["exact"] for line in table] == ["2", "2"] and all(line["failed"] == "0" for line in table)
    assert (folder / "curves.png").stat().st_size > 5000 and (folder / "breakdown.png").stat().st_size > 5000
    rows = {path.name: path.read_text() for path in (folder / "rows").iterdir()}
    perform(rd.COMMAND, arguments)
    assert "windows 0 to" not in capsys.readouterr().out
    assert rows == {path.name: path.read_text() for path in (folder / "rows").iterdir()}


def test_the_lowest_priority_satellite_is_drawn(tmp_path, capsys):
    perform(visual.COMMAND, ["models=bmshj", "crop=32", f"output={tmp_path}", *TINY])
    assert "satellite 1 (lowest priority)" in capsys.readouterr().out
    assert (next(tmp_path.iterdir()) / "visual.png").stat().st_size > 5000


@pytest.mark.parametrize(
    "argument",
    [
        "models=jpeg",
        "lambdas=0.5",
        "lambdas=0.013,0.05",
        "halo=8x",
        "density=thin",
        "codec.model=mbt",
        "window=3",
        "margin=0",
        "ground.stream_loss=0.1",
        "scenario=smoke",
    ],
)
def test_a_wrong_argument_is_one_clear_line(argument):
    with pytest.raises(UserError, match=argument.partition("=")[0]):
        perform(rd.COMMAND, [argument])


def test_a_lambda_that_a_model_is_not_shipped_at_is_named(capsys):
    assert lambdas_of(("bmshj", "mbt"), (0.013, 0.025)) == {"bmshj": [0.013, 0.025], "mbt": [0.013]}
    assert "mbt is not shipped at 0.025" in capsys.readouterr().err
    with pytest.raises(
        UserError, match=r"lambdas=0\.013,0\.05: 0\.05 is of no model; shipped are bmshj: 0\.0067"
    ):
        lambdas_of(("bmshj", "mbt"), (0.013, 0.05))


def test_what_is_filled_in_keeps_what_is_there_and_costs_little():
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    keep = np.zeros((64, 64), dtype=bool)
    keep[:16] = True
    filled = smooth_fill(image, keep)
    assert np.array_equal(filled[keep], image[keep])
    assert len(encode("jpeg2000", filled, 30)) < 0.5 * len(encode("jpeg2000", image, 30))
    assert np.array_equal(smooth_fill(image, np.ones_like(keep)), image)


@pytest.mark.parametrize("codec", ["jpeg2000", "webp", "avif"])
def test_footprints_save_a_classical_codec_about_what_is_seen_twice(codec):
    scenario = load_scenario("dense", ("capture.patch_px=128", "capture.window_px=192"))
    (found,) = share_ground(Sights(scenario.scene, scenario.capture, scenario.seed), 4, 1, [0.013], codec)
    assert 0 < found.bpp < found.bpp_alone and abs(found.d_psnr_db) < 3


def test_equal_curves_have_an_interval_around_zero():
    random = np.random.default_rng(5)
    points, model = [], [{}, {}, {}, {}]
    for number in range(12):
        for quality in range(11):
            rate = (0.1 + 0.2 * quality) * (1 + 0.2 * random.random())
            psnr_db = 28 + 6 * np.log2(rate + 0.5) + random.random()
            points.append(Point("jpegxl", float(quality), number, 0, rate, psnr_db, 0.9))
        mine = [p for p in points if p.round == number]
        for lambda_, found in zip((1, 3, 5, 8), model, strict=False):
            found[number] = (mine[lambda_].bpp, mine[lambda_].psnr_db, 0.9)
    low, high = bd_interval(points, "jpegxl", model, draws=50)
    assert low <= high < 60 and low > -20
