"""The study of checkpoints beside classical codecs on held-out patches."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from codec.imagery.scaling import Bands
from codec.models.checkpoint import save_checkpoint
from codec.models.model import Widths
from codec.models.registry import build
from codec.models.storage import WEIGHTS_FOLDER
from codec.training.evaluate import COMMAND as EVALUATE
from codec.training.evaluate import checkpoints
from constellation.common.cli import perform
from constellation.common.errors import UserError
from constellation.common.help import page
from dlrc.studies.common import baselines
from dlrc.studies.common.baselines import Point, measure
from dlrc.studies.common.comparison import bd_rates, codecs_text, write_results
from dlrc.studies.common.statistics import bd_interval, bd_rate
from dlrc.studies.encoders import codecs
from dlrc.studies.paper.rd_figures import COLOURS, _colours

SHIPPED = [WEIGHTS_FOLDER / f"{name}_lambda0.013.safetensors" for name in ("elic", "cosmic")]


def scene(seed):
    random = np.random.default_rng(seed)
    small = random.integers(0, 255, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((300, 300), Image.Resampling.BICUBIC)


def test_streams_of_a_codec_and_of_an_encoder_before_its_decoder_stand_beside_jpeg_2000(tmp_path, capsys):
    for name in ("a", "b"):
        scene(ord(name)).save(tmp_path / f"{name}.png")
    weights = ",".join(map(str, SHIPPED))
    words = [f"data={tmp_path}", "scenes=a.png,b.png", "patches=1", "rivals=jpeg2000", f"weights={weights}"]
    perform(codecs.COMMAND, [*words, f"out={tmp_path / 'out'}"])
    said = capsys.readouterr().out
    assert "2 held-out patches of 2 scenes" in said and "jpegxl" not in said
    with (tmp_path / "out/models.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["scene"]) for row in rows] == [
        (model, name) for model in ("elic", "cosmic") for name in ("a.png", "b.png")
    ]
    assert all(float(row["psnr_db"]) > 25 and 0 < float(row["bpp"]) < 3 for row in rows)
    told = json.loads((tmp_path / "out/compressai/elic.json").read_text())["results"]
    assert told["bpp"] == [pytest.approx(np.mean([float(row["bpp"]) for row in rows[:2]]))]


def test_a_checkpoint_that_is_missing_is_named_before_anything_is_coded(tmp_path):
    scene(0).save(tmp_path / "a.png")
    words = [f"data={tmp_path}", "scenes=a.png", f"out={tmp_path / 'out'}", "weights=none.safetensors"]
    with pytest.raises(UserError, match=r"weights.*none.safetensors"):
        perform(codecs.COMMAND, words)
    assert not (tmp_path / "out").exists()


def points_and_models(gain):
    """Two scenes of three equal patches; a model takes `gain` of JPEG 2000's rate in the first, all of it in
    the second."""
    points, models = [], [{}, {}, {}]
    for number in range(6):
        for quality in range(8):
            rate, psnr_db = 0.2 * 2 ** (quality / 2), 28.0 + 2 * quality
            points.append(Point("jpeg2000", float(quality), number, 0, rate, psnr_db, 0.9))
            if 2 <= quality < 5:
                models[quality - 2][number] = (rate * (gain if number < 3 else 1.0), psnr_db, 0.9)
    return points, models


def test_an_interval_over_scenes_reaches_from_one_scene_to_the_other():
    points, models = points_and_models(0.5)
    units = {number: number // 3 for number in range(6)}
    low, high = bd_interval(points, "jpeg2000", models, draws=40, units=units)
    by_patch = bd_interval(points, "jpeg2000", models, draws=40)
    assert low == pytest.approx(-50, abs=1) and high == pytest.approx(0, abs=1)
    assert by_patch[0] > low + 2 and by_patch[1] < high


def test_only_codecs_that_were_measured_are_named():
    points, models = points_and_models(0.5)
    (_, line) = bd_rates({("elic", float(k)): found for k, found in enumerate(models)}, points)
    assert "against jpeg2000 -25" in line and "webp" not in line


OVERHEAD = {"jpeg2000": 0, "jpegxl": 0, "avif": 0, "webp": 0}


def compared(gain):
    points, models = points_and_models(gain)
    return {("elic", float(k)): found for k, found in enumerate(models)}, points


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("scenes=a.png,a.png", "scenes: .*each once"),
        ("scenes=", "scenes: .*empty name"),
        ("rivals=jpeg2000,jpeg2000", "rivals: .*each once"),
        ("out=", "out: found ''"),
    ],
)
def test_what_would_count_twice_or_mean_the_whole_folder_is_refused(word, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scene(0).save(tmp_path / "a.png")
    words = {"data": "data=.", "scenes": "scenes=a.png", "patches": "patches=1", "out": "out=out"}
    words |= {"weights": f"weights={SHIPPED[1]}", word.split("=")[0]: word}
    with pytest.raises(UserError, match=message):
        perform(codecs.COMMAND, list(words.values()))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def named(folder, names):
    """The names of elic's checkpoint in these files of a folder."""
    files = [folder / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHIPPED[0], file)
    return [name for name, _ in codecs._told_apart(checkpoints([str(file) for file in files]))]


def test_checkpoints_of_a_family_and_lambda_are_told_apart_by_folder_or_name(tmp_path):
    assert named(tmp_path, ["a.safetensors"]) == ["elic"]
    assert named(tmp_path, ["x/a.safetensors", "y/a.safetensors"]) == ["elic in x", "elic in y"]
    assert named(tmp_path, ["x/a.safetensors", "x/b.safetensors"]) == ["elic a", "elic b"]
    with pytest.raises(UserError, match=r"two files of one family, lambda, folder name and name"):
        named(tmp_path, ["x/a.safetensors", "y/x/a.safetensors"])


def test_models_that_are_no_family_have_colours_of_their_own():
    colours = _colours({("elic", 0.1): {}, ("elic in x", 0.1): {}, ("elic in y", 0.1): {}})
    assert colours["elic"] == COLOURS["elic"] and len(set(colours.values())) == 3


@pytest.mark.parametrize("bands", [3, 5])
def test_a_codec_of_bands_is_refused_before_anything_is_coded(bands, tmp_path):
    scene(0).save(tmp_path / "a.png")
    scales = Bands(bands, (9.0,) * bands, (0.0,) * bands).text
    file = tmp_path / "bands.safetensors"
    save_checkpoint(file, build("bmshj", Widths(8, 24, bands=bands)), 0.013, 1, {"scales": scales})
    words = [f"data={tmp_path}", "scenes=a.png", "patches=1", f"weights={file}"]
    with pytest.raises(UserError, match=r"weights bands.safetensors: .*8-bit RGB"):
        perform(codecs.COMMAND, [*words, f"out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match=r"weights bands.safetensors: .*8-bit RGB"):
        perform(EVALUATE, [*words, "classical=false"])


def test_one_scene_has_no_interval():
    models, points = compared(0.5)
    (_, line) = bd_rates(models, points, dict.fromkeys(range(6), 0), "scenes")
    assert "against jpeg2000 -25" in line and line.endswith(" %")


def test_a_curve_whose_quality_falls_as_its_rate_rises_has_no_bd_rate():
    anchor = np.array([[0.2, 28, 0.9], [0.4, 30, 0.9], [0.8, 32, 0.9], [1.6, 34, 0.9]])
    assert np.isnan(bd_rate(anchor, np.array([[0.3, 30, 0.9], [0.5, 29.5, 0.9], [0.9, 33, 0.9]])))
    assert np.isnan(bd_rate(anchor, np.array([[0.3, 29, 0.9], [0.5, 29, 0.9], [0.9, 33, 0.9]])))
    assert bd_rate(anchor, anchor) == pytest.approx(0)
    models, points = compared(0.5)
    models["elic", 1.0] = {
        k: (rate, psnr_db - 9, 0.9) for k, (rate, psnr_db, _) in models["elic", 1.0].items()
    }
    (_, line) = bd_rates(models, points)
    assert line.endswith("against jpeg2000 -")


def cells(text):
    head, _, *rows = [line.strip("| ").split(" | ") for line in text if line.startswith("|")]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_patches_of_a_scene_do_not_make_the_interval_of_a_mean_narrower():
    models, points = compared(0.5)
    scenes = {number: number // 3 for number in range(6)}
    alone = {key: {k: found[k] for k in (0, 3)} for key, found in models.items()}
    whole, single, by_patch = (
        cells(codecs_text(found, points, OVERHEAD, "patches", units))[0]["PSNR - jpeg2000, per patch, dB"]
        for found, units in ((models, scenes), (alone, scenes), (models, None))
    )
    assert whole == single and float(by_patch.split("± ")[1]) < float(whole.split("± ")[1]) / 5


def test_a_rate_that_a_codec_does_not_reach_has_no_distance():
    models, points = compared(0.5)
    few = [point for point in points if point.quality > 4]
    rows = cells(codecs_text(models, few, OVERHEAD, "patches"))
    assert [row["its distance to jpeg2000, dB"] for row in rows] == ["-"] * 3


def test_results_of_other_patches_do_not_stay_beside_new_ones(tmp_path):
    models, points = compared(0.5)
    write_results(tmp_path, models, points)
    (tmp_path / "mine.json").write_text("{}")
    write_results(tmp_path, {("mbt", key[1]): found for key, found in models.items()}, points)
    assert {path.stem for path in tmp_path.iterdir()} == {"mbt", "jpeg2000", "mine"}


def look(seed):
    return lambda number: (np.asarray(scene(seed + number))[:64, :64], None)


def test_points_of_other_pictures_are_not_taken_for_these_after_a_cut(tmp_path, monkeypatch):
    monkeypatch.setitem(baselines.QUALITIES, "jpeg2000", (30.0, 40.0))
    file = tmp_path / "points.csv"
    first = measure(look(0), 2, file, "first", ["jpeg2000"])
    with monkeypatch.context() as cut:
        cut.setattr(baselines, "write_text", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            measure(look(5), 2, file, "second", ["jpeg2000"])
    assert measure(look(0), 2, file, "first", ["jpeg2000"]) == first


def test_points_at_other_qualities_and_a_changed_table_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setitem(baselines.QUALITIES, "jpeg2000", (30.0, 40.0))
    file = tmp_path / "points.csv"
    measure(look(0), 1, file, "same", ["jpeg2000"])
    monkeypatch.setitem(baselines.QUALITIES, "jpeg2000", (30.0, 35.0))
    assert [point.quality for point in measure(look(0), 2, file, "same", ["jpeg2000"])] == [30.0, 35.0] * 2
    file.write_text("codec;quality\njpeg2000;30\n")
    with pytest.raises(UserError, match=r"points.csv: .*remove it"):
        measure(look(0), 1, file, "same", ["jpeg2000"])


def test_help_parts_a_long_default_from_its_meaning():
    text = " ".join(page(codecs.COMMAND).split())
    assert "ccsds122_bands codecs to compare with" in text and "_half.png, ... (14) names of" in text
