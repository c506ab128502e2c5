"""Folders from elsewhere: damaged and hostile ones are refused in one line."""

import json
import os

import pytest

import dlrc
import dlrc.store.manifest as manifest
from constellation.common.errors import UserError
from tests.dlrc.run_cases import ROUNDS
from tests.dlrc.store.test_folder import written


def refused(path):
    with pytest.raises(UserError) as caught:
        dlrc.open(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_run_is_refused_in_one_line(tmp_path):
    assert "no such file" in refused(tmp_path / "none")
    assert "no such file" in refused(tmp_path)
    (tmp_path / manifest.NAME).write_bytes(b"")
    assert "empty" in refused(tmp_path)
    (tmp_path / manifest.NAME).unlink()
    os.mkfifo(tmp_path / manifest.NAME)
    assert "no such file" in refused(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"\xff\xfe\x00",
        b"[" * 100000,
        b'{"kind": "round", "number": 0, "files": {}}',
        b'{"kind": "opened", "format": 2, "files": {}, "facts": {}}',
        b'{"kind": "other"}',
        b"{}",
        b"null",
    ],
)
def test_a_damaged_manifest_is_refused_in_one_line(line, tmp_path):
    (tmp_path / manifest.NAME).write_bytes(line + b"\n")
    assert manifest.NAME in refused(tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "rounds/000/..", "a/b", "", ".hidden"])
def test_a_manifest_names_files_of_its_own_folder_alone(name, tmp_path):
    path = written(tmp_path, close=False)
    line = {"kind": "round", "number": 5, "files": {name: "ab" * 32}}
    with (path / manifest.NAME).open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert "line 4" in refused(path)
    with pytest.raises(UserError):
        manifest.verify(path)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("rounds/000/record.json", b"{}", "changed"),
        ("rounds/000/record.json", None, "no such file"),
        ("scenario.yaml", b"[1, 2", "not YAML"),
        ("scenario.yaml", b"satellites: 2", "priority"),
        ("scenario.yaml", b"priority: {}\nsatellites: many", "satellites"),
    ],
)
def test_a_damaged_file_is_named(name, text, expected, tmp_path):
    path = written(tmp_path)
    (path / name).unlink() if text is None else (path / name).write_bytes(text)
    assert expected in refused(path) and name in refused(path)


def test_a_record_of_something_else_under_a_right_digest_is_refused(tmp_path):
    path = written(tmp_path)
    for data in (b"{}", b"[" * 50000, ROUNDS[1].to_json().encode(), b"\xff"):
        (path / "rounds/000/record.json").write_bytes(data)
        digest = manifest.sha256(path / "rounds/000/record.json")
        lines = (path / manifest.NAME).read_text().splitlines()
        line = json.loads(lines[1])
        line["files"]["rounds/000/record.json"] = digest
        lines[1] = json.dumps(line)
        (path / manifest.NAME).write_text("\n".join(lines) + "\n")
        assert "record.json" in refused(path)


def test_a_damaged_image_is_named_when_it_is_asked_for(tmp_path):
    path = written(tmp_path)
    (path / "rounds/000/round000_satellite001_dlrc.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    gallery = dlrc.open(path).gallery
    with pytest.raises(UserError, match=r"satellite001_dlrc\.png"):
        gallery.images(0, 1)
    assert gallery.images(0, 0).dlrc is not None


def test_a_foreign_run_s_rule_is_read_and_not_trusted(tmp_path):
    words = {"priority.rule": "os:system", "priority.trust": "true"}
    back = dlrc.open(written(tmp_path, **words)).scenario
    assert back.priority.rule == "os:system" and not back.priority.trust
    with pytest.raises(UserError, match=r"priority\.trust=true"):
        dlrc.run(back)
