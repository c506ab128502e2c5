"""A run's folder: rounds are committed or not there, one process writes."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import dlrc
import dlrc.store.claim as claim
import dlrc.store.manifest as manifest
from constellation.common.errors import UserError
from dlrc.store.folder import Folder, key_of
from dlrc.store.manifest import inputs_sha256
from tests.dlrc.run_cases import FACTS, HELD, ROUNDS, images, run, scenario

ROOT = Path(__file__).resolve().parents[3]
STREAMS = {"dlrc": {0: b"abc", 1: b"d"}, "independent": {0: b"efgh"}}


def begun(output, *words):
    return Folder(scenario(f"output={output}", *words), FACTS.model_copy(update={"wall_s": None}))


def written(output, rounds=ROUNDS, close=True, **words):
    folder = begun(output, *(f"{name}={text}" for name, text in words.items()))
    for record in rounds:
        folder.commit(record, STREAMS, {s: HELD.images(record.number, s) for s in (0, 1)})
    if close:
        return folder.close(FACTS, run(rounds=rounds).summary)
    folder.leave()
    return folder.part


# ---------------------------------------------------------------- what is written is read


def test_a_folder_gives_back_the_run_that_was_written(tmp_path):
    back = dlrc.open(written(tmp_path))
    assert back.rounds == ROUNDS and back.summary == run().summary
    assert back.facts.wall_s == FACTS.wall_s and back.scenario == scenario(f"output={tmp_path}")
    for kind in ("captured", "dlrc", "independent"):
        assert (getattr(back.gallery.images(1, 1), kind) == getattr(HELD.images(1, 1), kind)).all()
    assert back.gallery.images(0, 7).captured is None and back.gallery.images(99, 0).captured is None


def test_the_summary_file_keeps_the_keys_of_the_summary(tmp_path):
    stored = json.loads((written(tmp_path) / "summary.json").read_text())
    assert stored == run().summary.model_dump(mode="json")


def test_a_finished_folder_holds_nothing_but_the_run(tmp_path):
    path = written(tmp_path)
    assert sorted(file.name for file in path.iterdir()) == [
        "cost.json",
        "manifest.jsonl",
        "rounds",
        "scenario.yaml",
        "summary.json",
    ]
    assert list(tmp_path.iterdir()) == [path] and manifest.verify(path) == []


def test_resuming_a_finished_run_takes_away_half_a_page_that_somebody_killed_left(tmp_path):
    path = written(tmp_path)
    before = sorted(path.rglob("*"))
    (path / ".index.4711.tmp.html").write_text("half a")
    folder = Folder(scenario(f"output={tmp_path}"), FACTS, resume=True)
    assert folder.finished == path and sorted(path.rglob("*")) == before


def test_verify_names_what_was_changed_or_removed(tmp_path):
    path = written(tmp_path)
    stream = path / "rounds/001/round001_satellite000_dlrc.bin"
    stream.write_bytes(b"abd")
    (path / "summary.json").unlink()
    assert manifest.verify(path) == [
        "rounds/001/round001_satellite000_dlrc.bin: changed since it was written",
        "summary.json: missing",
    ]


def test_a_finished_run_whose_manifest_lost_lines_is_damaged_and_not_cut_short(tmp_path):
    path = written(tmp_path)
    journal = path / manifest.NAME
    for kept in (-1, 2, 1):
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:kept]))
        assert manifest.verify(path) == [
            "manifest.jsonl: has lost its end, as the run is finished; summary.json is there"
        ]


def test_a_run_cut_short_keeps_what_was_committed_and_says_where_to_go_on(tmp_path):
    part = written(tmp_path, ROUNDS[:1], close=False)
    back = dlrc.open(part)
    assert back.rounds == ROUNDS[:1] and back.facts.wall_s is None
    assert part.name.endswith(".part") and manifest.verify(part) == []
    assert written(tmp_path, (), close=False).exists() is False  # nothing was: nothing stays


def test_a_line_of_the_manifest_without_an_end_was_never_written(tmp_path):
    path = written(tmp_path, close=False)
    text = (path / manifest.NAME).read_bytes()
    (path / manifest.NAME).write_bytes(text[:-7])
    assert dlrc.open(path).rounds == ROUNDS[:1]


# ---------------------------------------------------------------- the key


def test_other_weights_pictures_knobs_or_program_are_another_run():
    plain = key_of(scenario().digest, FACTS)
    others = [
        key_of(scenario().digest, FACTS.model_copy(update={name: "cd" * 32}))
        for name in ("weights_sha256", "pictures_sha256", "version")
    ]
    assert len({plain, *others, key_of(scenario("seed=1").digest, FACTS)}) == 5
    assert key_of(scenario("output=elsewhere").digest, FACTS.model_copy(update={"began": "later"})) == plain


def test_pictures_are_told_apart_by_what_is_in_them(tmp_path):
    def of(path):
        return inputs_sha256({"scene.path": str(path)})

    (tmp_path / "a.png").write_bytes(b"one")
    one, folder = of(tmp_path / "a.png"), of(tmp_path)
    (tmp_path / "a.png").write_bytes(b"two")
    assert of(tmp_path / "a.png") != one and of(tmp_path) != folder
    assert inputs_sha256({}) == ""
    with pytest.raises(UserError, match=r"scene\.path"):
        of(tmp_path / "none.png")


def test_a_run_over_a_changed_file_of_orbits_or_of_a_board_is_another(tmp_path):
    tle, board = tmp_path / "a.tle", tmp_path / "board.yaml"
    tle.write_text("one")
    board.write_text("one")
    flown = scenario("orbit.source=tle", f"orbit.path={tle}", f"clock.profile={board}")
    digests = {inputs_sha256(flown.files)}
    for file in (tle, board):
        file.write_text("two")
        digests.add(inputs_sha256(flown.files))
    assert set(flown.files) == {"orbit.path", "clock.profile"} and len(digests) == 3


def test_the_same_run_again_takes_the_place_of_the_older_one(tmp_path, monkeypatch):
    path = written(tmp_path)
    (path / "mine.txt").write_text("old")
    assert written(tmp_path) == path and not (path / "mine.txt").exists()
    monkeypatch.setattr(claim, "_exchange", lambda a, b: False)  # a file system that cannot
    (path / "mine.txt").write_text("old")
    assert written(tmp_path) == path and not (path / "mine.txt").exists()
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_run_stays_until_the_new_one_is_whole(tmp_path):
    path = written(tmp_path)
    again = begun(tmp_path)
    again.commit(ROUNDS[0], STREAMS, {})
    assert dlrc.open(path).rounds == ROUNDS
    again.leave()
    assert dlrc.open(path).rounds == ROUNDS


def test_a_name_that_cannot_be_taken_loses_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("dlrc.store.folder.put_in_place", full)
    with pytest.raises(UserError, match="Permission denied"):
        written(tmp_path)
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(".part") and dlrc.open(part).rounds == ROUNDS


# ---------------------------------------------------------------- who writes


def test_the_same_run_twice_at_once_is_refused_in_one_line(tmp_path):
    first = begun(tmp_path)
    with pytest.raises(UserError, match=f"flown already.* by process {os.getpid()}"):
        begun(tmp_path)
    begun(tmp_path, "seed=1").leave()  # another run does not mind
    first.leave()
    begun(tmp_path).leave()


def test_a_live_run_of_another_process_is_not_taken_for_dead_whatever_it_says_of_itself(tmp_path):
    part = begun(tmp_path).part  # the lock is held by this process
    (part / "writer.json").write_text('{"host": "elsewhere", "pid": 4294967}')
    program = f"from tests.dlrc.store.test_folder import begun; begun({str(tmp_path)!r})"
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "flown already" in other.stderr.splitlines()[-1] and "4294967" in other.stderr
    assert (part / manifest.NAME).exists()


def test_what_another_host_has_begun_is_left_alone(tmp_path):
    part = written(tmp_path, ROUNDS[:1], close=False)
    (part / "writer.json").write_text('{"host": "elsewhere", "pid": 1, "since": "2026-01-01T00:00:00Z"}')
    with pytest.raises(UserError, match=r"on host 'elsewhere'.*remove the folder"):
        begun(tmp_path)
    assert dlrc.open(part).rounds == ROUNDS[:1]


def test_what_a_killed_process_of_this_host_has_left_is_swept(tmp_path):
    program = (
        "import os, signal; from tests.dlrc.store.test_folder import *; folder = begun(os.environ['TO']);"
        "folder.commit(ROUNDS[0], STREAMS, {}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "TO": str(tmp_path)}, check=False
    )
    (part,) = tmp_path.iterdir()
    assert dlrc.open(part).rounds == ROUNDS[:1]
    assert dlrc.open(written(tmp_path)).rounds == ROUNDS and not part.exists()


def test_a_round_that_is_being_written_is_whole_before_its_process_ends(tmp_path):
    program = (
        "import os, signal; from tests.dlrc.store.test_folder import *; folder = begun(os.environ['TO']);"
        "write = Path.write_bytes; terminate = lambda *_: os.kill(os.getpid(), signal.SIGTERM);"
        "Path.write_bytes = lambda *given: (terminate(), write(*given));"
        "folder.commit(ROUNDS[0], STREAMS, {}); folder.commit(ROUNDS[1], STREAMS, {})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "TO": str(tmp_path)}, check=False
    )
    assert done.returncode == -signal.SIGTERM
    (part,) = tmp_path.iterdir()
    assert [path.name for path in (part / "rounds").iterdir()] == ["000"]
    assert dlrc.open(part).rounds == ROUNDS[:1] and manifest.verify(part) == []


# ---------------------------------------------------------------- disks that refuse


def test_a_disk_that_is_full_in_mid_round_leaves_no_half_of_it(tmp_path, monkeypatch):
    folder = begun(tmp_path)
    folder.commit(ROUNDS[0], STREAMS, {0: images(0)})
    write = Path.write_bytes

    def full(path, data):
        if "independent" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        folder.commit(ROUNDS[1], STREAMS, {})
    monkeypatch.undo()
    folder.leave()
    assert [path.name for path in (folder.part / "rounds").iterdir()] == ["000"]
    assert dlrc.open(folder.part).rounds == ROUNDS[:1] and manifest.verify(folder.part) == []


def test_a_manifest_that_cannot_take_its_line_takes_none_of_it(tmp_path, monkeypatch):
    folder = begun(tmp_path)
    before = (folder.part / manifest.NAME).read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with pytest.raises(UserError, match="No space left"):
        folder.commit(ROUNDS[0], STREAMS, {})
    monkeypatch.undo()
    assert (folder.part / manifest.NAME).read_bytes() == before
    assert not list((folder.part / "rounds").iterdir())


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_there(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="output="):
        begun(tmp_path / "file" / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
