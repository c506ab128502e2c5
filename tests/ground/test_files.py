"""Stored streams: decoded together, refused one by one."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from codec.bitstream import pack, unpack
from constellation.common.cli import perform
from constellation.common.errors import BitstreamError, UserError
from constellation.scenario.load import load_scenario
from dlrc.local import fly, sides_of
from ground.files import COMMAND, board_of, read_streams


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    sides = sides_of(
        load_scenario(
            "dense",
            [
                "satellites=2",
                "codec.model=mbt",
                "capture.patch_px=192",
                "capture.window_px=224",
                "scene.size_px=256",
            ],
        )
    )
    landed = fly(sides, 0).landed
    folder = tmp_path_factory.mktemp("streams")
    for (satellite, _), data in landed.arrived.streams.items():
        (folder / f"s{satellite}.bin").write_bytes(data)
    return folder, landed.images


def test_a_folder_of_streams_becomes_the_images_of_the_run(stored, tmp_path):
    folder, images = stored
    perform(COMMAND, [f"streams={folder}", f"out={tmp_path}"])
    for satellite, image in images.items():
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"s{satellite}.png")), image)


def test_the_folder_of_a_run_is_a_folder_of_streams(stored, tmp_path):
    run = tmp_path / "dense-0123abcd"
    shutil.copytree(stored[0], run / "rounds" / "000")
    (run / "summary.json").write_text("{}")
    found, faults = read_streams(str(run))
    assert [one.path.name for one in found] == ["s0.bin", "s1.bin"] and not faults


def test_a_stream_without_its_owner_says_what_it_misses(stored, tmp_path):
    with pytest.raises(BitstreamError, match=r"s1.bin: .* refer to a satellite whose stream is not here"):
        perform(COMMAND, [f"streams={stored[0] / 's1.bin'}", f"out={tmp_path}"])


def test_a_damaged_or_foreign_file_is_named(stored, tmp_path):
    data = bytearray((stored[0] / "s0.bin").read_bytes())
    data[len(data) // 2] ^= 4
    (tmp_path / "hurt.bin").write_bytes(data)
    assert read_streams(str(tmp_path))[1][0].startswith("hurt.bin: checksum")
    (tmp_path / "hurt.bin").write_bytes(b"GIF89a")
    assert "not a DLRC stream" in read_streams(str(tmp_path))[1][0]


def test_images_are_written_beside_damaged_and_empty_files(stored, tmp_path):
    folder, _ = stored
    (tmp_path / "s0.bin").write_bytes((folder / "s0.bin").read_bytes())
    (tmp_path / "empty.bin").write_bytes(b"")
    with pytest.raises(BitstreamError, match=r"empty.bin: not a DLRC stream"):
        perform(COMMAND, [f"streams={tmp_path}", f"out={tmp_path / 'out'}"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s0.png"]


def test_an_output_that_cannot_be_written_is_one_line(stored, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write there"):
        perform(COMMAND, [f"streams={stored[0]}", f"out={tmp_path / 'file'}"])


def test_missing_arguments_and_files_are_user_errors(tmp_path):
    for words in (
        [],
        ["streams=nowhere", "out=x"],
        [f"streams={tmp_path}", "out=x"],
        ["streams=a", "out=b", "colour=red"],
    ):
        with pytest.raises(UserError):
            perform(COMMAND, words)


@pytest.mark.parametrize("more", ["weights=gone.safetensors", "compensation_weights=gone.safetensors"])
def test_a_decoder_that_misses_a_file_names_the_knob(more, stored, tmp_path):
    with pytest.raises(UserError, match=f"{more.split('=')[0]}.* gone.safetensors: no such file"):
        perform(COMMAND, [f"streams={stored[0]}", f"out={tmp_path}", "compensation=regressor", more])


def test_a_board_that_misses_what_predicts_names_the_knob(stored):
    header = unpack((stored[0] / "s0.bin").read_bytes()).header
    board = dataclasses.replace(board_of(header, ""), prediction="gone.safetensors")
    with pytest.raises(UserError, match=r"^codec.prediction: fusion gone.safetensors: no such file"):
        _ = board.predictor


def changed(data, **header):
    stream = unpack(data)
    return pack(dataclasses.replace(stream, header=dataclasses.replace(stream.header, **header)))


def test_streams_of_unknown_weights_do_not_stop_the_others(stored, tmp_path, capsys):
    folder, images = stored
    data = (folder / "s0.bin").read_bytes()
    (tmp_path / "a_foreign.bin").write_bytes(changed(data, weights=bytes(4)))
    (tmp_path / "b.bin").write_bytes(data)
    (tmp_path / "c.bin").write_bytes(changed((folder / "s1.bin").read_bytes(), round=7, weights=bytes(4)))
    with pytest.raises(UserError, match=r"streams of round 0 .SHA-256 00000000"):
        perform(COMMAND, [f"streams={tmp_path}", f"out={tmp_path / 'out'}"])
    assert "streams of round 7" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "b.png")), images[0])


def test_files_of_one_name_do_not_overwrite_each_other(stored, tmp_path):
    folder, images = stored
    for number, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        data = (folder / f"s{number}.bin").read_bytes()
        (tmp_path / name / "r.bin").write_bytes(data)
    perform(
        COMMAND, [f"streams={tmp_path / 'a' / 'r.bin'},{tmp_path / 'b' / 'r.bin'}", f"out={tmp_path / 'out'}"]
    )
    for number, name in enumerate("ab"):
        image = np.asarray(Image.open(tmp_path / "out" / f"{name}_r.png"))
        assert np.array_equal(image, images[number])


def test_files_that_nothing_tells_apart_are_refused_before_anything_is_written(stored, tmp_path):
    paths = [tmp_path / name / "x" / "r.bin" for name in "ab"]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_bytes((stored[0] / "s0.bin").read_bytes())
    with pytest.raises(UserError, match=r"would both become x_r\.png"):
        perform(COMMAND, [f"streams={paths[0]},{paths[1]}", f"out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_a_file_named_twice_is_read_once_and_two_of_one_satellite_are_refused(stored, tmp_path):
    folder, _ = stored
    assert len(read_streams(f"{folder},{folder / 's0.bin'}")[0]) == 2
    (tmp_path / "again.bin").write_bytes((folder / "s0.bin").read_bytes())
    with pytest.raises(UserError, match="are both of satellite 0 in round 0, expected one"):
        perform(COMMAND, [f"streams={folder},{tmp_path / 'again.bin'}", f"out={tmp_path / 'out'}"])
