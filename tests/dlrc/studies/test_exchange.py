"""The study of every way of avoiding a second copy, two satellites over a tiny built-in scene."""

import csv

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from constellation.common.cli import perform
from constellation.common.errors import UserError
from dlrc.studies.questions import exchange

TINY = ["satellites=2", "scene.size_px=256", "capture.patch_px=128", "capture.window_px=128"]


def run(tmp_path, *words):
    perform(exchange.COMMAND, [*TINY, f"output={tmp_path}/runs", *words])
    (path,) = tmp_path.glob("runs/exchange-*/exchange.csv")
    rows = [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(path.open())]
    return path.parent, {(row["condition"], row["way"]): row for row in rows}


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def test_every_way_has_its_ledger_and_only_lossless_ones_leave_pictures_as_they_are(tmp_path, capsys):
    folder, rows = run(tmp_path, "windows=1", "conditions=gain 1")
    said = capsys.readouterr().out
    assert all(way in said for way in exchange.WAYS)
    assert (folder / "exchange.png").read_bytes().startswith(b"\x89PNG")
    by_way = {way: row for (_, way), row in rows.items()}
    assert set(by_way) == set(exchange.WAYS)
    alone = by_way["independent"]
    assert alone["down_bytes"] == alone["alone_bytes"] and alone["between_bytes"] == alone["up_bytes"] == 0
    for way in ("conditional", "hybrid"):
        assert by_way[way]["dpsnr_db"] == by_way[way]["worst_db"] == 0
        assert by_way[way]["down_bytes"] <= alone["down_bytes"] + 2  # a byte of framing each, at most
        assert by_way[way]["between_bytes"] > 0 == by_way[way]["up_bytes"]
    assert by_way["footprint"]["between_bytes"] == 0
    assert min(by_way[way]["up_bytes"] for way in ("dialogue", "uplinked")) > 0
    assert all(row["failed"] == 0 and row["joules"] > 0 and row["delay_s"] > 0 for row in by_way.values())


def test_pairs_are_flown_too_and_what_is_too_small_is_left_out_with_a_line(tmp_path, capsys):
    draws = np.random.default_rng(0)
    ground = gaussian_filter(draws.normal(0, 400, (160, 160, 3)), (6, 6, 0)) + 120
    for group, side in (("coast", 160), ("tiny", 48)):
        (tmp_path / "pairs" / group).mkdir(parents=True)
        for name, gain in (("one_A", 1.0), ("one_B", 1.03)):
            picture = np.clip(gain * ground[:side, :side], 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "pairs" / group / f"{name}.png")
    _, rows = run(tmp_path, "windows=0", "ways=signatures,hybrid,uplinked", f"pairs={tmp_path}/pairs")
    assert set(rows) == {("coast", "signatures"), ("coast", "hybrid")}
    assert rows["coast", "hybrid"]["down_bytes"] < rows["coast", "signatures"]["alone_bytes"]
    assert "48 x 48 px in common, patches have 128" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["conditions=fog", "ways=pigeons", "pairs=/nowhere"])
def test_what_there_is_not_is_refused_before_a_folder_is_made(tmp_path, word):
    with pytest.raises(UserError, match=word.split("=")[1]):
        run(tmp_path, word)
    assert not (tmp_path / "runs").exists()
