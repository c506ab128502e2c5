"""Measures of the house: how large its files and functions are, which way its imports go, who names what.

    python -m benchmarks.house              prints every measure beside its bar; exits 1 where one is over
    python -m benchmarks.house root=FOLDER  the same of another checkout

Nothing is imported or run: the figures are read from the syntax of the tracked files.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COLUMNS, FILE_LINES, DRAWER_FILES, PARAMETERS = 110, 320, 12, 5
# Low to high: a floor imports its own and what lies below.
FLOORS = ("constellation", "codec", "nodes", "ground", "dlrc")
OPEN_TO_CODEC = ("constellation.common", "constellation.scenario")
WHOLE_SCENARIO = 3  # Crew, Station and the launch see a Scenario, nobody else
FAMILY = re.compile(r"""["'](bmshj|mbt|cheng|elic|rsllic)["']""")
NAMED_FREELY = ("tests/", "codec/models/", "constellation/scenario/", "examples/", "benchmarks/house.py")
DOCUMENTS = ("pyproject.toml", "LICENSE", "CITATION.cff", "CONTRIBUTING.md")
README_LINES = 150


@dataclass(frozen=True)
class Source:
    """One tracked Python file: its path, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Its dotted name."""
        return self.path[:-3].replace("/", ".").removesuffix(".__init__")

    @property
    def tested(self) -> bool:
        """Whether it is product code, not a test."""
        return not self.path.startswith("tests/")


@dataclass(frozen=True)
class Measure:
    """One line of the table. over: what is over the bar; empty where nothing is."""

    name: str
    found: str
    bar: str
    over: tuple[str, ...] = ()


def read_sources(root: Path) -> list[Source]:
    """Every tracked Python file of a checkout."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=root, capture_output=True, text=True, check=True)
    texts = {
        name: (root / name).read_text(encoding="utf-8")
        for name in listed.stdout.split()
        if (root / name).is_file()
    }
    return [Source(name, text, ast.parse(text)) for name, text in texts.items()]


def functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, inner ones too."""
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """A function's own parameters: `self` and `cls` are not counted."""
    named = function.args
    return [a for a in (*named.posonlyargs, *named.args, *named.kwonlyargs) if a.arg not in ("self", "cls")]


def is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether numba compiles it: kernels take arrays one by one and have as many parameters as they need."""
    return any("njit" in ast.dump(decorator) for decorator in function.decorator_list)


def imports(source: Source, known: set[str]) -> set[str]:
    """The project's own modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return (names & known) - {source.module}


def sizes(sources: list[Source]) -> list[Measure]:
    """Files a drawer, columns, lines a file."""
    product = [s for s in sources if s.tested]
    drawers = Counter(str(Path(s.path).parent) for s in product if not s.path.endswith("__init__.py"))
    wide = [
        f"{s.path}:{n}"
        for s in sources
        for n, line in enumerate(s.text.splitlines(), 1)
        if len(line) > COLUMNS
    ]
    long = [f"{s.path} {n}" for s in sources if (n := len(s.text.splitlines())) > FILE_LINES]
    full = tuple(f"{drawer} {count}" for drawer, count in drawers.items() if count > DRAWER_FILES)
    return [
        Measure("files in the fullest drawer", str(max(drawers.values())), str(DRAWER_FILES), full),
        Measure(f"lines over {COLUMNS} columns", str(len(wide)), "0", tuple(wide)),
        Measure(f"files over {FILE_LINES} lines", str(len(long)), "0", tuple(long)),
    ]


def shapes(sources: list[Source]) -> list[Measure]:
    """Lengths, parameters and docstrings of functions."""
    found = [(s, f) for s in sources if s.tested for f in functions(s)]
    lengths = sorted((f.end_lineno or f.lineno) - f.lineno + 1 for _, f in found)
    many = [f"{s.path}:{f.name}" for s, f in found if len(parameters(f)) > PARAMETERS and not is_kernel(f)]
    public = [(s, f) for s, f in found if not f.name.startswith("_")]
    said = sum(ast.get_docstring(f) is not None for _, f in public)
    middle, ninth = lengths[len(lengths) // 2], lengths[int(0.9 * len(lengths))]
    return [
        Measure("functions: median, 90th percentile, longest", f"{middle}, {ninth}, {lengths[-1]} lines", ""),
        Measure(f"functions of more than {PARAMETERS} parameters", str(len(many)), "0", tuple(many)),
        Measure("public functions with a docstring", f"{100 * said // max(1, len(public))} %", ""),
    ]


def directions(sources: list[Source]) -> list[Measure]:
    """Circles of imports, and imports that go up a floor."""
    product = {s.module: s for s in sources if s.tested}
    graph = {name: imports(s, set(product)) for name, s in product.items()}
    circles = find_circles(graph)
    up = [f"{a} > {b}" for a, below in graph.items() for b in below if goes_up(a, b)]
    return [
        Measure("circles of imports", str(len(circles)), "0", tuple(circles)),
        Measure("imports that go up a floor", str(len(up)), "0", tuple(up)),
    ]


def goes_up(importer: str, imported: str) -> bool:
    """Whether an import leads up a floor, or from codec into more of the space network than its knobs."""
    a, b = importer.split(".")[0], imported.split(".")[0]
    if a not in FLOORS:
        return False
    if b not in FLOORS:
        return b in ("benchmarks", "launch", "tests")
    if a == "codec" and b == "constellation":
        return imported != b and not imported.startswith(OPEN_TO_CODEC)
    return FLOORS.index(b) > FLOORS.index(a)


def find_circles(graph: dict[str, set[str]]) -> list[str]:
    """Every edge that closes a circle, as the path it closes."""
    done: set[str] = set()
    found: list[str] = []

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append(" > ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for below in sorted(graph[name]):
                visit(below, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def names(sources: list[Source]) -> list[Measure]:
    """Who quotes a family's name, who takes the whole Scenario, and how many places wire a round."""
    quoting = [s.path for s in sources if not s.path.startswith(NAMED_FREELY) and FAMILY.search(s.text)]
    whole = [
        f"{s.path}:{f.name}"
        for s in sources
        if s.tested
        for f in functions(s)
        if any(a.annotation is not None and ast.unparse(a.annotation) == "Scenario" for a in parameters(f))
    ]
    wirings = [
        s.path
        for s in sources
        if s.tested and re.search(r"Step\.EXCHANGE\b", s.text) and "yield Send" in s.text
    ]
    return [
        Measure("files that quote a family's name", str(len(quoting)), "0", tuple(quoting)),
        Measure("functions that take the whole Scenario", str(len(whole)), str(WHOLE_SCENARIO)),
        Measure("wirings of a round's exchange", str(len(wirings)), "1", tuple(wirings[1:])),
    ]


def documents(root: Path) -> list[Measure]:
    """The files that every project has, and the length of the README."""
    missing = tuple(name for name in DOCUMENTS if not (root / name).is_file())
    lines = len((root / "README.md").read_text(encoding="utf-8").splitlines())
    long = ("README.md",) if lines > README_LINES else ()
    return [
        Measure("documents missing", str(len(missing)), "0", missing),
        Measure("lines of the README", str(lines), str(README_LINES), long),
    ]


def measure(root: Path) -> list[Measure]:
    """Every measure of a checkout."""
    sources = read_sources(root)
    return [*sizes(sources), *shapes(sources), *directions(sources), *names(sources), *documents(root)]


def main(arguments: list[str]) -> int:
    """Print the table; 1 where a measure is over its bar."""
    root = Path(arguments[0].removeprefix("root=")) if arguments else Path(__file__).resolve().parents[1]
    found = measure(root)
    for one in found:
        bar = f"bar {one.bar}" if one.bar else ""
        print(f"{one.name:44} {one.found:20} {bar:8} {'OVER' if one.over else ''}")
    for one in found:
        for place in one.over[:10]:
            print(f"  {one.name}: {place}")
    return int(any(one.over for one in found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
