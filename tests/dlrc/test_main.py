"""The console script: what a newcomer types, rightly or wrongly, and what comes back."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from constellation.common.help import page
from constellation.scenario.load import available_scenarios
from dlrc.commands.overview import HELP_FILE, overview
from dlrc.commands.table import RUN, benches, loaded, studies
from dlrc.main import dispatch, main

ROOT = Path(__file__).resolve().parents[2]


def said(capsys, *words: str) -> str:
    """What a command prints that ends well."""
    try:
        dispatch(words)
    except SystemExit as left:
        assert left.code == 0
    return capsys.readouterr().out


def command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    line = [sys.executable, str(ROOT / "launch.py"), *words]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_the_help_that_launch_sh_prints_is_current():
    assert HELP_FILE.read_text(encoding="utf-8") == overview(), "python -m dlrc.commands.overview write=true"


def test_the_overview_is_one_screen_with_every_command_scenario_and_section():
    lines = overview().splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 110
    for word in (
        *available_scenarios(),
        *studies(),
        *benches(),
        "run",
        "decode",
        "train",
        "list",
        "codec",
        "--help",
    ):
        assert word in overview()


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help_without_a_command_is_the_overview(words, capsys):
    assert said(capsys, *words) == overview()


def test_help_of_a_section_gives_defaults_units_and_meanings(capsys):
    printed = said(capsys, "--help", "capture")
    assert "capture.patch_px" in printed and "256 px" in printed and "side of a patch" in printed
    assert said(capsys, "run", "--help", "capture") == printed


def test_help_of_a_run_lists_what_can_be_flown(capsys):
    printed = said(capsys, "run", "--help")
    assert all(name in printed for name in available_scenarios()) and "satellites" in printed
    assert printed.count("\n") <= 60


@pytest.mark.parametrize("name", sorted({**studies(), **{f"bench {n}": e for n, e in benches().items()}}))
def test_help_of_every_study_and_benchmark_is_one_screen(name):
    entry = benches()[name.removeprefix("bench ")] if name.startswith("bench ") else studies()[name]
    lines = page(loaded(entry)).splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 110
    assert lines[0] and loaded(entry).examples and all(key.meaning for key in loaded(entry).keys.values())


def test_help_needs_no_heavy_import_and_less_than_a_second():
    program = (
        "import sys; sys.argv = ['dlrc', '--help']\nfrom dlrc.main import main\nmain()\n"
        "assert not {'torch', 'numba', 'matplotlib', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    began = time.process_time()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert time.process_time() - began < 1


MISTAKES = [
    (["scenario=dens"], "did you mean dense?"),
    (["run", "scenario=nowhere"], "unknown scenario"),
    (["scenario=smoke", "codec.modle=mbt"], "did you mean codec.model?"),
    (["scenario=smoke", "cdoec.model=mbt"], "did you mean codec.model?"),
    (["scenario=smoke", "codec=mbt"], "codec: a section"),
    (["scenario=smoke", "codec.model=bmhsj"], "did you mean bmshj?"),
    (["scenario=smoke", "scene.path=no/such.png"], "no/such.png"),
    (["scenario=no/such.yaml"], "no such file"),
    (["scenario=smoke", "satellites=many"], "satellites: found 'many', expected a whole number"),
    (["scenario=smoke", "scenario=dense"], "scenario: given twice"),
    (["scenario=smoke", "output=/proc/x"], "output=/proc/x: cannot write there"),
    (["run"], "scenario=NAME: missing"),
    (["run", "smok"], "did you mean smoke?"),
    (["run", "smoke", "scenario=dense"], "scenario: given twice"),
    (["smoke"], "did you mean run smoke?"),
    (["rnu", "scenario=smoke"], "did you mean run?"),
    (["sync"], "did you mean study sync?"),
    (["study"], "study NAME: missing"),
    (["study", "prioritiy"], "did you mean study priority?"),
    (["bench", "codnig"], "did you mean bench coding?"),
    (["study", "sync", "codec.model=mbt"], "codec.model: means nothing to study sync"),
    (["study", "sync", "output=/proc/x"], "output=/proc/x"),
    (["study", "view", "hours=soon"], "hours: found 'soon'"),
    (["train", "lambda=0.013", "data=x"], "model: missing"),
    (["decode", "streams=nowhere", "out=x"], "streams=nowhere"),
    (["evaluate", "data=nowhere"], "nowhere"),
    (["list", "--hlep"], "did you mean --help?"),
]


@pytest.mark.parametrize(("words", "expected"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_newcomers_mistake_is_one_line_and_exit_code_2(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["launch.py", *words])
    with pytest.raises(SystemExit) as left:
        main()
    out, errors = capsys.readouterr()
    assert (left.value.code, out) == (2, "") and errors.count("\n") == 1, errors
    assert errors.startswith("error: ") and expected in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [0, -2], ids=["run", "evaluate"])
def test_and_so_it_is_in_a_process_of_its_own(place, tmp_path):
    words, expected = MISTAKES[place]
    done = command(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ") and expected in done.stderr


def test_paths_with_spaces_are_paths(tmp_path, capsys):
    folder = tmp_path / "my runs"
    dispatch(["study", "view", f"output={folder}", "hours=0.1", "satellites=2", "orbit.pattern=53:4/2/1"])
    assert str(folder) in capsys.readouterr().out and list(folder.glob("view-*/view.html"))
    (folder / "my scenario.yaml").write_text("satellites: 2\n")
    assert RUN.subject.load(str(folder / "my scenario.yaml"), []).name == "my scenario"


def test_studies_that_are_asked_for_are_there():
    wanted = {
        "rd",
        "visual",
        "ablation",
        "context",
        "robustness",
        "sync",
        "priority",
        "gain",
        "view",
        "margin",
    }
    assert wanted <= set(studies()) and all(entry.brief for entry in studies().values())
