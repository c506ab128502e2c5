"""The example scripts, and the Python and commands of README and guides, do what they say."""

import contextlib
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import dlrc
from dlrc.commands.table import scenario_of
from dlrc.launch import split_options
from dlrc.report.lines import progress

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"capture.patch_px": 128, "capture.window_px": 192, "scene.size_px": 256}
TICKS = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str) -> list[str]:
    """The fenced blocks of a page, by their language; "" for none."""
    found = TICKS.findall((ROOT / page).read_text(encoding="utf-8"))
    return [text for language, text in found if language == kind]


@pytest.fixture(autouse=True)
def small_runs(monkeypatch, tmp_path):
    """Runs by the API are small, and nothing is written here."""
    fly = dlrc.run
    monkeypatch.setattr(dlrc, "run", lambda name, **knobs: fly(name, **{**SMALL, **knobs}), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a script adds its folder


def said(script: Path) -> list[str]:
    """What a script prints, by lines."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(str(script), run_name="__main__")
    return out.getvalue().splitlines()


def test_the_first_round_shows_the_table_and_an_image_for_each_satellite(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["first_round.py"])
    lines = said(ROOT / "examples" / "first_round.py")
    assert any(line.startswith("saved ") for line in lines)
    assert [line.split()[:2] for line in lines[-2:]] == [["0", "exact"], ["1", "exact"]]


def test_the_latency_of_an_exchange_needs_no_torch():
    script = ROOT / "examples" / "sync_latency.py"
    program = f"import runpy, sys; runpy.run_path({str(script)!r}); assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    times_ms = [float(found) for found in re.findall(r"T_sync ([\d.]+) ms", done.stdout)]
    assert len(times_ms) == 2 and 30 < times_ms[0] < times_ms[1] < 60


def test_a_rule_of_ones_own_turns_the_order_round(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["priority_rule.py"])
    lines = said(ROOT / "examples" / "priority_rule.py")
    assert "order (0, 1)" in lines[0] and "order (1, 0)" in lines[1]


def test_stored_streams_become_images_without_their_run(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["decode_streams.py"])
    lines = [line for line in said(ROOT / "examples" / "decode_streams.py") if line]
    assert len(lines) == 4 and all("-> image (128, 128, 3)" in line for line in lines)


def test_there_is_a_test_for_every_example():
    text = Path(__file__).read_text(encoding="utf-8")
    for script in (ROOT / "examples").glob("*.py"):
        assert f'"{script.name}"' in text


def test_the_python_of_the_readme_runs(capsys):
    (program,) = blocks("README.md", "python")
    found: dict = {}
    exec(compile(program, "README.md", "exec"), found)
    assert found["image"].shape == (128, 128, 3) and "PSNR dB" in capsys.readouterr().out


def test_the_rule_of_the_guide_is_a_rule(monkeypatch, tmp_path):
    (program,) = blocks("docs/priority_rules.md", "python")
    (tmp_path / "my_rules.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    run = dlrc.run("smoke", seed=1, rounds=1, **{"priority.rule": "my_rules:turns", "priority.trust": True})
    assert run.rounds[0].order == (1, 0)


def shell_lines(page: str) -> list[list[str]]:
    """The commands of a page's blocks, without what stands behind #, by words."""
    lines = [line.partition("#")[0].split() for block in blocks(page, "") for line in block.splitlines()]
    return [words for words in lines if words and words[0] in ("./launch.sh", "torchrun", "pip", "dlrc")]


def runs_of_the_readme() -> list[list[str]]:
    """The words behind the program of the README's runs."""
    return [words for words in shell_lines("README.md") if "scenario=dense" in words]


def test_the_runs_of_the_readme_are_understood():
    plain, ours, torchruns, many, installed = runs_of_the_readme()
    assert plain == ["./launch.sh", "scenario=dense"] and installed == ["dlrc", "run", "scenario=dense"]
    assert torchruns == ["torchrun", "--nproc-per-node", "8", "launch.py", "scenario=dense"]
    for words in (plain[1:], ours[1:], torchruns[4:], many[1:], installed[2:]):
        options, keys = split_options(words)
        scenario = scenario_of([word for word in keys if not word.startswith("scene.path=")])
        assert options in ([], ["--nproc", "8"]) and scenario.satellites == (64 if words == many[1:] else 8)


def test_a_run_prints_the_lines_that_the_readme_shows(tmp_path, capsys):
    """Launched ones print the same, and fly (tests/end_to_end/test_launch.py)."""
    run = dlrc.run("smoke", rounds=1, output=str(tmp_path))
    run.show()
    printed = progress(run.scenario, run.rounds[0]) + capsys.readouterr().out
    (shown,) = [block for block in blocks("README.md", "") if block.startswith("round 1/4")]
    starts = [re.match(r"[a-zA-Z-]+( bpp| dB)?", line.strip()) for line in shown.splitlines()]
    assert [start[0] for start in starts if start and start[0] not in printed] == []
    assert {"summary.json", "trace.json", "rounds"} <= {path.name for path in run.gallery.folder.iterdir()}


def test_what_the_readme_installs_there_is():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    asked = [words[-1] for words in shell_lines("README.md") if words[0] == "pip"]
    assert asked == [".", ".[codec]", ".[dev]"]
    for extra in ("codec", "dev"):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE)


def test_the_readme_is_a_page_and_its_picture_is_light():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
    assert (ROOT / "docs" / "pictures" / "round.png").stat().st_size < 200_000
