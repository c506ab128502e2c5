"""Pages stand alone, say what the run says, and hold against odd names; the server shows one folder to this
machine alone."""

import base64
import http.client
import json
import re
import socket
import threading

import numpy as np
import pytest

from constellation.scenario.load import load_scenario
from constellation.show.html import script_safe
from dlrc.commands import serve
from dlrc.commands.table import loaded, studies
from dlrc.main import dispatch
from dlrc.report.command import command_of, rules_command
from dlrc.report.fates import CLASSES, classes_of, shares_of
from dlrc.report.page import RunPage, run_page
from dlrc.report.page.contents import contents
from dlrc.report.page.pictures import PictureBook
from dlrc.report.page.several import differing_knobs, figures, shelf_page
from dlrc.store.shelf import listed
from tests.dlrc.report.page_cases import rich
from tests.dlrc.run_cases import FACTS, run
from tests.dlrc.store.test_folder import written


@pytest.fixture(scope="module")
def page():
    return run_page(rich())


def test_a_page_is_one_file_that_asks_nothing_of_a_network(page):
    assert len(page.encode()) < 8_000_000
    assert page.count("<!DOCTYPE html>") == 1 and "default-src 'none'" in page
    scripts = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", scripts) and "@import" not in scripts


def test_a_page_says_what_the_run_says():
    flown = rich()
    told = contents(flown, PictureBook())
    assert told["summary"] == flown.summary.model_dump(mode="json", by_alias=True)
    assert [row["dlrc_total_bytes"] for row in told["rows"]] == [
        one.dlrc.total for record in flown.rounds for one in record.satellites
    ]
    packed = next(v for v in told["rounds"][0]["views"] if v["satellite"] == 1)["map"]
    one = flown.rounds[0].satellites[1]
    bits = np.frombuffer(base64.b64decode(packed["bits"]), "<u2") * told["steps"]["bits"]
    assert np.allclose(
        bits.reshape(one.cells.bits.shape), one.cells.bits, atol=told["steps"]["bits"] / 2 + 0.02
    )
    assert np.array_equal(
        np.frombuffer(base64.b64decode(packed["class"]), "u1").reshape(16, 16), classes_of(one.fates)
    )


def test_classes_of_positions_are_disjoint_and_shares_add_up():
    fates = rich().rounds[0].satellites[1].fates
    found = sum(kind.where(fates).astype(int) for kind in CLASSES)
    assert (found == 1).all()
    assert sum(shares_of(fates).values()) == pytest.approx(1)


def test_nothing_that_things_are_called_can_end_the_script_it_stands_in():
    text = script_safe({"name": "</script><script>alert(1)</script>\u2028%STYLE%"})
    assert "<" not in text and json.loads(text)["name"].startswith("</script>")
    assert "%STYLE%" in run_page(rich("scene.path=%STYLE%.png", "priority.rule=id"))


def test_pictures_beyond_the_budget_become_lossy_and_then_none(monkeypatch):
    monkeypatch.setattr("dlrc.report.page.pictures.LOSSLESS_BYTES", 1)
    book, flown = PictureBook(), rich()
    first, second = (book.view(0, s, flown.gallery.images(0, s)) for s in (0, 1))
    assert first["lossless"] and not second["lossless"]
    monkeypatch.setattr("dlrc.report.page.pictures.ALL_BYTES", 1)
    assert book.view(1, 0, flown.gallery.images(1, 0)) is None
    assert book.view(0, 0, flown.gallery.images(0, 0)) is first


def test_the_page_of_a_flying_run_is_written_no_more_often_than_its_share_of_the_time(tmp_path, monkeypatch):
    clock = iter([0.0, 0.0, 1.0, 2.0, 30.0, 30.0, 31.0])
    monkeypatch.setattr("dlrc.report.page.time.monotonic", lambda: next(clock))
    pages, flown, path = RunPage(), rich(), tmp_path / "index.html"
    pages.follow(flown, tmp_path)  # at 0 s, takes 1 s
    before = path.stat().st_mtime_ns
    pages.follow(flown, tmp_path)  # at 2 s: too soon
    assert path.stat().st_mtime_ns == before
    pages.follow(flown, tmp_path)  # at 30 s
    assert path.stat().st_mtime_ns > before


@pytest.mark.parametrize(
    "words", [[], ["codec.lambda=0.0067", "dlrc.k=12"], ["capture.jitter_px=0.5", "priority.rule=energy"]]
)
def test_the_command_of_a_page_flies_the_same_run(words):
    wanted = load_scenario("dense", words)
    first, *rest = command_of(wanted).split()
    assert first == "./launch.sh" and rest[0] == "scenario=dense"
    assert load_scenario("dense", rest[1:]).digest == wanted.digest
    *start, scenario = rules_command(wanted).split()[:4]
    assert start == ["./launch.sh", "study", "priority"] and scenario == "scenario=dense"


def test_the_study_of_rules_takes_every_word_of_its_command():
    words = ["satellites=6", "seed=3", "orbit.step_s=30", "ground.latitude_deg=50", "capture.window_px=640"]
    others = ["codec.lambda=0.0067", "ground.stream_loss=0.2", "priority.rule=link", "rounds=2", "dlrc.k=9"]
    asked = rules_command(load_scenario("dense", [*words, *others])).split()[4:]
    assert sorted(asked) == sorted(words)
    study = loaded(studies()["priority"])
    assert all(study.takes(word.partition("=")[0]) for word in asked)


def test_a_scenario_of_ones_own_is_flown_again_from_its_stored_file():
    assert command_of(load_scenario("dense", ["name=mine"])) == "./launch.sh scenario=scenario.yaml"


# ---------------------------------------------------------------- several runs


def test_a_comparison_begins_with_the_knobs_and_figures_that_differ(tmp_path, capsys):
    first, second = written(tmp_path), written(tmp_path, **{"dlrc.k": 12})
    dispatch(["compare", first.name, second.name, f"output={tmp_path}"])
    said = capsys.readouterr().out
    assert "1 knobs differ" in said and "dlrc.k" in said
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert [row["key"] for row in data["knobs"]] == ["dlrc.k"]
    assert [one["name"] for one in data["runs"]] == [first.name, second.name]


def test_figures_that_differ_most_come_first_and_equal_ones_last():
    other = run(facts=FACTS.model_copy(update={"wall_s": 1.0}))
    rows = figures([run(), other])
    assert rows[0]["label"] == "wall time" and not any(row["apart"] for row in rows[1:])
    assert differing_knobs([run(), run("dlrc.k=12", "seed=3")]) and not differing_knobs([run(), other])


@pytest.mark.parametrize("words", [["a"], ["nowhere", "nothing"], []])
def test_a_comparison_of_what_is_no_run_is_one_line(words, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        dispatch(["compare", *words, f"output={tmp_path}"])
    assert left.value.code == 2 and capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "compare.html").exists()


def test_the_list_of_runs_has_damaged_and_unfinished_ones(tmp_path):
    written(tmp_path)
    written(tmp_path, close=False, seed=1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.jsonl").write_text("?\n")
    text = shelf_page(listed(tmp_path))
    assert all(f'"state":"{state}"' in text for state in ("finished", "not finished", "damaged"))


# ---------------------------------------------------------------- the server


@pytest.fixture
def served(tmp_path):
    folder = written(tmp_path)
    (folder / "index.html").write_text("page of a run")
    (tmp_path / "flying-1.part").mkdir()
    (tmp_path / "flying-1.part" / "index.html").write_text("still flying")
    (tmp_path / ".hidden").write_text("secret")
    with serve.server(tmp_path, 0) as pages:
        threading.Thread(target=pages.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield folder, pages.server_address[1]
        pages.shutdown()


def ask(port, path, method="GET", host=None):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    link.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = link.getresponse()
    told = answer.status, answer.read(), dict(answer.getheaders())
    link.close()
    return told


def test_the_server_shows_runs_and_follows_one_that_flies(served):
    folder, port = served
    assert folder.name in ask(port, "/")[1].decode()
    assert ask(port, f"/{folder.name}/")[1] == b"page of a run"
    assert ask(port, f"/{folder.name}")[2]["Location"] == f"/{folder.name}/"
    assert ask(port, "/flying-1/index.html")[1] == b"still flying"
    status, body, headers = ask(port, f"/{folder.name}/index.html", "HEAD")
    assert (status, body) == (200, b"")
    (folder / "index.html").write_text("the next round")
    assert ask(port, f"/{folder.name}/index.html", "HEAD")[2]["ETag"] != headers["ETag"]


@pytest.mark.parametrize(
    "path",
    ["/../secret", "/%2e%2e/x", "/.hidden", "/a/../../etc/passwd", "/nothing/", "//etc/passwd", "/%00"],
)
def test_the_server_shows_nothing_outside_its_folder(served, path):
    assert ask(served[1], path)[0] == 404


def test_the_server_answers_this_machine_alone(served):
    port = served[1]
    assert ask(port, "/", host="evil.example")[0] == 403
    listening = socket.socket()
    with pytest.raises(OSError):
        listening.connect((socket.gethostbyname(socket.gethostname() or "localhost"), port)) if not (
            socket.gethostbyname(socket.gethostname() or "localhost").startswith("127.")
        ) else listening.connect(("127.0.0.2", port))
    listening.close()


def test_a_port_in_use_is_one_line(tmp_path, served, capsys):
    with pytest.raises(SystemExit) as left:
        dispatch(["serve", f"output={tmp_path}", f"port={served[1]}"])
    assert left.value.code == 2 and "port=" in capsys.readouterr().err
