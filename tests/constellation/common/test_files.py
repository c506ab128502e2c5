"""Files are whole or not there, and what the disk refuses is one line."""

import errno
import os
from pathlib import Path

import pytest

from constellation.common.errors import UserError
from constellation.common.files import (
    check_target,
    make_folder,
    replacing,
    write_bytes,
    write_csv,
    write_text,
)


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("ne")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert everything_below(tmp_path) == ["a.txt"]


def test_a_temporary_name_keeps_the_suffix_that_writers_look_at(tmp_path):
    with replacing(tmp_path / "figure.png") as temporary:
        assert temporary.suffix == ".png" and temporary.parent == tmp_path
        temporary.write_bytes(b"x")
    assert everything_below(tmp_path) == ["figure.png"]


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"a\.bin: cannot write there \(No space left on device"):
        write_bytes(tmp_path / "a.bin", b"x")
    with pytest.raises(UserError, match=r"output=\S*newer: cannot write there \(No space left on device"):
        make_folder(tmp_path / "new" / "newer")
    assert everything_below(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_refused_by_its_key(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(UserError, match=f"out={path}: cannot write there"):
            make_folder(path, "out")


def test_a_folder_is_made_once_and_left_empty(tmp_path):
    folder = make_folder(tmp_path / "with space" / "b")
    assert make_folder(folder) == folder and everything_below(folder) == []


def test_a_target_is_checked_before_the_work_that_fills_it(tmp_path):
    assert check_target(tmp_path / "a" / "b.csv").parent.is_dir()
    with pytest.raises(UserError, match="is a folder"):
        check_target(tmp_path / "a")


def test_rows_are_written_as_csv(tmp_path):
    write_csv(tmp_path / "a.csv", ["x", "y"], [[1, "a,b"], [2.5, ""]])
    assert (tmp_path / "a.csv").read_text() == 'x,y\n1,"a,b"\n2.5,\n'
