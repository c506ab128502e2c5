"""`import dlrc`: light, lazy, and only beside its own packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dlrc

ROOT = Path(__file__).resolve().parents[2]


def python(program, folder, first=ROOT):
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(first)!r})\n{program}"]
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=alone, capture_output=True, text=True, check=False, timeout=120
    )


def test_importing_it_is_cheap_and_loads_nothing_heavy(tmp_path):
    heavy = ["torch", "numpy", "pydantic", "matplotlib", "constellation", "codec", "nodes", "ground"]
    done = python(f"import dlrc\nprint([name for name in {heavy} if name in sys.modules])", tmp_path)
    assert done.stdout == "[]\n", done.stderr
    timed = "import time; began = time.process_time(); import dlrc; print(time.process_time() - began)"
    assert float(python(timed, tmp_path).stdout) < 0.2


def test_opening_a_run_and_what_reports_it_take_no_torch(tmp_path):
    program = "import dlrc, dlrc.report.page; dlrc.open, dlrc.Run\nprint('torch' in sys.modules)"
    done = python(program, tmp_path)
    assert done.stdout == "False\n", done.stderr


def test_it_offers_run_open_and_the_type_run():
    assert callable(dlrc.run) and callable(dlrc.open) and dlrc.Run.__name__ == "Run"
    assert {"run", "open", "Run"} <= set(dlrc.__all__) and dlrc.__version__
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        dlrc.fly  # noqa: B018


@pytest.mark.parametrize("name", ["nodes", "ground", "constellation", "codec"])
def test_a_foreign_package_of_the_same_name_is_named_in_one_line(name, tmp_path):
    foreign = tmp_path / "site" / name
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("")
    done = python(f"sys.path.insert(0, {str(foreign.parent)!r})\nimport dlrc", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: the package {name}: {foreign} is another")
    program = f"sys.argv = ['/usr/bin/dlrc']; sys.path.insert(0, {str(foreign.parent)!r})\nimport dlrc"
    done = python(program, tmp_path)  # as a command, it prints no traceback
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and str(foreign) in done.stderr


def test_a_package_that_is_missing_is_named_in_one_line(tmp_path):
    shutil.copytree(ROOT / "dlrc", tmp_path / "dlrc", ignore=shutil.ignore_patterns("studies", "__pycache__"))
    done = python("import dlrc", tmp_path, first=tmp_path)
    assert done.stderr.splitlines()[-1].startswith("ImportError: the package constellation: is missing")


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("sys.argv = ['dlrc', 'run', 'smoke']\nfrom dlrc.main import main\nmain()", "error: run: needs"),
        ("sys.argv = ['dlrc', 'decode']\nfrom dlrc.main import main\nmain()", "error: decode: needs"),
        (
            "import dlrc\nfrom constellation.common.errors import user_errors_to_exit\n"
            "with user_errors_to_exit(): dlrc.run('smoke')",
            "error: dlrc.run: needs",
        ),
    ],
)
def test_without_the_extra_what_needs_the_codec_says_so_in_one_line(program, line, tmp_path):
    done = python(f"sys.modules['torch'] = None  # as if it were not installed\n{program}", tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"{line} the package torch") and "pip install 'dlrc[codec]'" in done.stderr
    assert not list(tmp_path.iterdir())
