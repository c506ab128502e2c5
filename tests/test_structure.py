"""The structure that CONTRIBUTING.md promises: imports go one way, the space network needs no torch, files
stay readable."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["constellation", "codec", "nodes", "ground", "dlrc"]


def imported_packages(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer):
    above = set(LAYERS[LAYERS.index(layer) + 1 :]) | {"launch", "benchmarks", "tests"}
    if layer == "ground":  # its station writes the folder itself, still
        above.discard("dlrc")
    if layer == "dlrc":
        above.discard("benchmarks")
    for path in (ROOT / layer).rglob("*.py"):
        wrong = imported_packages(path) & above
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_the_space_network_imports_without_torch():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "constellation").rglob("*.py"))
        if path.stem != "__init__"
    ]
    program = (
        "import sys\n"
        + "\n".join(f"import {name}" for name in modules)
        + "\nassert 'torch' not in sys.modules, 'torch was imported'"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr


def test_files_stay_under_about_three_hundred_lines():
    long = {
        str(path.relative_to(ROOT)): count
        for path in ROOT.rglob("*.py")
        if ".venv" not in path.parts and (count := len(path.read_text(encoding="utf-8").splitlines())) > 420
    }
    assert not long
