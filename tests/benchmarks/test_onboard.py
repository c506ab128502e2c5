"""What encoders cost on board: every row is measured once, kept at once, and drawn from what is kept."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import onboard
from benchmarks.common import onboard_figure
from benchmarks.common.onboard_figure import Point, broken_at, points_of
from constellation.common.cli import perform, run
from constellation.common.errors import UserError
from tests.codec.training.training_cases import Killed

WORDS = ["models=bmshj,mbt", "sizes=64,128", "widths=shipped,paper", "repeats=1"]
RIVALS = {"jpeg2000": 12.0, "ccsds122": 26.0, "ccsds122_bands": 30.0}
LOSSES = {"bmshj": 1.17, "mbt": 1.14, "jpeg2000": 1.26, "ccsds122": 1.35, "ccsds122_bands": 2.14}


@pytest.fixture
def clocked(monkeypatch):
    """Rows that nobody waits for; the calls, (codec, channels, px, repeats)."""
    calls = []

    def times(trial, size, repeats):
        calls.append((trial.board.model.name, trial.board.model.n, size, repeats))
        names = ("g_a", "hyperprior", "hash", "arbitrate", "entropy", "on_board", "dlrc", "prediction")
        found = {f"{name}_ms": float(size + len(calls)) for name in names}
        return {**found, "dlrc_share_pct": 5.0, "peak_mib": float("nan")}

    patches = np.zeros((2, 3, 256, 256), np.uint8)
    monkeypatch.setattr(onboard, "times", times)
    monkeypatch.setattr(onboard, "held_out_patches", lambda folder, count: patches)
    monkeypatch.setattr(onboard, "judged", lambda model, patches, lambda_: (LOSSES[model.name], 0.6, 33.0))
    monkeypatch.setattr(
        onboard, "classical_rivals",
        lambda patches, lambda_: ({name: (LOSSES[name], 0.7, 32.0) for name in RIVALS}, RIVALS),
    )  # fmt: skip
    return calls


def test_a_row_is_measured_as_it_is_told(tmp_path, capsys):
    perform(onboard.COMMAND, ["models=bmshj", "sizes=64", "widths=shipped", "repeats=1", f"out={tmp_path}"])
    (row,) = json.loads((tmp_path / "onboard.json").read_text())["rows"]
    assert 0 < row["g_a_ms"] < row["on_board_ms"] and row["on_board_kmac"] == pytest.approx(11.9, abs=0.05)
    assert row["spent_s"] > 1e-3 * row["on_board_ms"] and row["label"] == "bmshj 64/320 (32, 64, 128)"
    assert f"| {row['on_board_ms']:.1f} | {0.04 * row['on_board_ms']:.2f} |" in capsys.readouterr().out


def test_a_bench_that_was_cut_off_goes_on_and_small_sizes_come_first(clocked, tmp_path, monkeypatch, capsys):
    asked = [*WORDS, f"out={tmp_path}", "data=somewhere"]
    with monkeypatch.context() as patch:
        kept = onboard.times
        patch.setattr(onboard, "times", lambda *args: kept(*args) if len(clocked) < 5 else cut_off())
        with pytest.raises(Killed):
            run(onboard.COMMAND, asked)
    assert len(json.loads((tmp_path / "onboard.json").read_text())["rows"]) == 5
    run(onboard.COMMAND, asked)
    kinds = [("bmshj", 64), ("bmshj", 128), ("mbt", 64), ("mbt", 128)]
    assert clocked == [(*kind, size, 1) for size in (64, 128) for kind in kinds]
    told = capsys.readouterr().out.rpartition("one thread of ")[2]
    run(onboard.COMMAND, asked)
    assert len(clocked) == 8 and capsys.readouterr().out.rpartition("one thread of ")[2] == told


def test_drawing_measures_nothing_and_tells_the_same(clocked, tmp_path, capsys):
    run(onboard.COMMAND, [*WORDS, f"out={tmp_path}", "data=somewhere"])
    told, before = capsys.readouterr().out, (tmp_path / "onboard.png").read_bytes()
    (tmp_path / "onboard.png").unlink()
    run(onboard.COMMAND, [f"out={tmp_path}", "draw=true"])
    assert len(clocked) == 8 and capsys.readouterr().out == told
    assert (tmp_path / "onboard.png").read_bytes() == before
    run(onboard.COMMAND, [f"out={tmp_path}", "draw=true", "energy.compute_w=80"])
    assert len(clocked) == 8 and "80 W while computing" in capsys.readouterr().out


def test_large_patches_have_repeats_of_their_own(clocked, tmp_path):
    perform(
        onboard.COMMAND, ["models=bmshj", "sizes=512,576", "widths=shipped", "repeats=4", "repeats_large=2"]
    )
    assert [(size, repeats) for _, _, size, repeats in clocked] == [(512, 4), (576, 2)]


def test_rows_of_other_circumstances_or_weights_are_not_mixed(clocked, tmp_path, monkeypatch):
    asked = [*WORDS, f"out={tmp_path}"]
    perform(onboard.COMMAND, asked)
    for word, key in (("repeats=2", "repeats"), ("dlrc.k=4", "dlrc"), ("seed=3", "scene")):
        with pytest.raises(UserError, match=f"^out=.*onboard.json was measured with {key}="):
            perform(onboard.COMMAND, [*(one for one in asked if not one.startswith(word[:7])), word])
    monkeypatch.setattr(onboard, "machine", lambda: "another")
    with pytest.raises(UserError, match="this is machine=another; take another folder"):
        perform(onboard.COMMAND, asked)


def test_a_row_of_other_weights_is_measured_again(clocked, tmp_path):
    perform(onboard.COMMAND, [*WORDS, f"out={tmp_path}"])
    file = tmp_path / "onboard.json"
    held = json.loads(file.read_text())
    held["rows"][0]["weights"] = "others"
    file.write_text(json.dumps(held))
    perform(onboard.COMMAND, [*WORDS, f"out={tmp_path}"])
    assert len(clocked) == 9 and len(json.loads(file.read_text())["rows"]) == 8


@pytest.mark.parametrize("content", ["", "[]", '{"rows": [1]}', '{"rows": [], "made": {}, "quality": {}}'])
def test_a_file_of_something_else_is_refused_and_stays(content, clocked, tmp_path):
    (tmp_path / "onboard.json").write_text(content)
    for words in ([*WORDS, f"out={tmp_path}"], [f"out={tmp_path}", "draw=true"]):
        with pytest.raises(UserError, match=r"^out=.*: onboard\.json is not one of this benchmark"):
            perform(onboard.COMMAND, words)
    assert (tmp_path / "onboard.json").read_text() == content and not clocked


def test_there_must_be_something_to_draw(tmp_path):
    for words in (["draw=true"], ["draw=true", f"out={tmp_path}"]):
        with pytest.raises(UserError, match=r"^out=.*: no onboard\.json with rows in it"):
            perform(onboard.COMMAND, words)


def test_the_picture_holds_every_codec_that_was_judged_on_patches_of_its_own():
    rows = [
        {"model": name, "widths": widths, "size_px": size, "on_board_ms": size / 10.0}
        for name in ("bmshj", "mbt", "cheng")
        for widths in ("shipped", "paper")
        for size in (512, 256, 64)
    ]
    quality = {name: {"loss": loss} for name, loss in LOSSES.items()}
    quality |= {name: {"loss": LOSSES[name], "on_board_ms": ms} for name, ms in RIVALS.items()}
    size, points = points_of(rows, quality, 40.0)
    assert size == 256 and {(p.label, p.ms, round(p.joules, 3), p.learned) for p in points} == {
        ("bmshj", 25.6, 1.024, True), ("mbt", 25.6, 1.024, True), ("JPEG 2000", 12.0, 0.48, False),
        ("CCSDS 122 after RCT", 26.0, 1.04, False), ("CCSDS 122, bands alone", 30.0, 1.2, False),
    }  # fmt: skip
    size, points = points_of([row for row in rows if row["size_px"] != 256], quality, 40.0)
    assert size == 64 and {point.label for point in points} == {"bmshj", "mbt"}


def test_the_axis_breaks_where_one_codec_loses_far_more_than_all_others():
    assert broken_at(list(LOSSES.values())) == (1.35, 2.14)
    assert broken_at([1.1, 1.2, 1.3, 1.4]) is None and broken_at([1.0]) is None


@pytest.mark.parametrize("outlier", [2.14, 1.4])
def test_names_cover_no_other_names_and_stay_inside(outlier, tmp_path, monkeypatch):
    at = {
        "elic": (127, 1.11),
        "cheng": (128, 1.12),
        "rsllic": (112, 1.157),
        "cosmic": (89, 1.14),
        "mbt": (73, 1.14),
    }
    points = [Point(name, ms, 0.04 * ms, loss, True) for name, (ms, loss) in at.items()]
    points += [Point(name, ms, 0.04 * ms, 1.26, False) for name, ms in (("JPEG 2000", 12), ("slow one", 190))]
    points += [Point("CCSDS 122, bands alone", 180, 7.2, outlier, False)]
    boxes = []
    real = onboard_figure._names

    def names(axis, name, some):
        real(axis, name, some)
        renderer = axis.figure.canvas.get_renderer()
        boxes.append((axis.get_window_extent(), [text.get_window_extent(renderer) for text in axis.texts]))
        assert len(axis.texts) == len(some)

    monkeypatch.setattr(onboard_figure, "_names", names)
    onboard_figure.draw(tmp_path / "picture.png", 256, points)
    for edges, texts in boxes:
        assert all(edges.x0 <= box.x0 and box.x1 <= edges.x1 for box in texts)
        assert not any(a.overlaps(b) for k, a in enumerate(texts) for b in texts[:k])
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size[0] > 1000 and len(boxes) == (4 if outlier > 2 else 2)


def cut_off():
    raise Killed
