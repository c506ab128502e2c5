"""`dlrc.run`: what it flies in this process is what torchrun's ranks fly."""

import json

import pytest

import dlrc
from constellation.common.errors import UserError
from dlrc.store.manifest import verify

KNOBS = {"rounds": 1, "capture.patch_px": 128, "capture.window_px": 192, "scene.size_px": 256}


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    return dlrc.run("smoke", output=str(tmp_path_factory.mktemp("here")), **KNOBS)


def test_a_run_flown_here_is_the_run_that_its_folder_gives(flown):
    back = dlrc.open(flown.gallery.folder)
    assert back.rounds == flown.rounds and back.facts == flown.facts and back.scenario == flown.scenario
    assert back.summary == flown.summary and verify(flown.gallery.folder) == []
    stored = json.loads((flown.gallery.folder / "summary.json").read_text())
    assert stored == flown.summary.model_dump(mode="json")


def test_without_an_output_a_run_stays_in_memory_and_is_the_same(flown, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = dlrc.run(flown.scenario)
    assert run.rounds == flown.rounds and not list(tmp_path.iterdir()) and run.gallery.folder is None
    for kind in ("captured", "dlrc", "independent"):
        assert (getattr(run.gallery.images(0, 1), kind) == getattr(flown.gallery.images(0, 1), kind)).all()
    assert capsys.readouterr().out == ""
    run.show()
    assert "y bpp" in (shown := capsys.readouterr().out) and "in memory" in shown


def test_overrides_are_checked_like_words_of_the_command_line(tmp_path):
    for overrides, expected in (
        ({"codec.modle": "mbt"}, "did you mean codec.model"),
        ({"codec": {"modle": "mbt"}}, "did you mean codec.model"),
        ({"rounds": 1.5}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"ground.silent_satellite": 5}, "silent_satellite=5"),
        ({"scene.path": str(tmp_path / "none.png")}, "none.png"),
    ):
        with pytest.raises(UserError, match=expected):
            dlrc.run("smoke", **overrides)
    with pytest.raises(UserError, match="unknown scenario"):
        dlrc.run("nowhere")


def test_a_report_that_fails_leaves_the_finished_folder(tmp_path, monkeypatch):
    def fails(*_):
        raise UserError("the pictures could not be drawn")

    monkeypatch.setattr("dlrc.store.recording.draw", fails)
    with pytest.raises(UserError, match="could not be drawn"):
        dlrc.run("smoke", output=str(tmp_path), **KNOBS)
    (folder,) = tmp_path.iterdir()
    assert len(dlrc.open(folder).rounds) == 1 and not folder.name.endswith(".part")


def test_a_disk_that_is_full_in_mid_run_keeps_what_was_committed(tmp_path, monkeypatch):
    from dlrc.store.folder import Folder

    commit = Folder.commit

    def full(folder, record, streams, images):
        if record.number == 1:
            raise UserError("output: No space left on device")
        commit(folder, record, streams, images)

    monkeypatch.setattr(Folder, "commit", full)
    with pytest.raises(UserError, match="No space left"):
        dlrc.run("smoke", output=str(tmp_path), **{**KNOBS, "rounds": 2})
    (part,) = tmp_path.iterdir()
    assert [record.number for record in dlrc.open(part).rounds] == [0]
