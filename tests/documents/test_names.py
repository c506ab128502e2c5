"""What the documents name exists: every file, every function, class, method or constant, and every link."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HISTORY = "CHANGELOG.md"  # may name what is gone
IN_TICKS = re.compile(r"`([^`\n]+)`")
NAMED = re.compile(r"^((?:[\w.]+/)+[\w.]+\.(?:py|yaml|md|html|json|npy|sh))(?:: (.+))?$")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


@cache
def names_in(path: Path) -> frozenset[str]:
    """Top-level names of a module, and Class.name of what is in its classes."""
    found = set()

    def add(nodes, prefix=""):
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                add(node.body, f"{node.name}.")
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    add(ast.parse(path.read_text(encoding="utf-8")).body)
    return frozenset(found)


def missing_in(text: str) -> list[str]:
    """What a page names and the code lacks."""
    wrong = []
    for quoted in IN_TICKS.findall(text):
        named = NAMED.match(quoted)
        if not named:
            continue
        path = ROOT / named[1]
        if not path.exists():
            wrong.append(named[1])
        elif named[2]:
            wrong += [f"{named[1]}: {name}" for name in named[2].split(", ") if name not in names_in(path)]
    return wrong


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != HISTORY], ids=lambda page: page.name)
def test_every_file_and_function_that_a_page_names_exists(page):
    assert missing_in(page.read_text(encoding="utf-8")) == []


def test_a_name_that_is_gone_would_be_found():
    assert missing_in("`nodes/round.py: fly_round, land_round` and `nodes/gone.py`") == [
        "nodes/round.py: land_round",
        "nodes/gone.py",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    local = [target for target in LINK.findall(text) if not target.startswith("http")]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_paper_to_code_names_every_module_on_board_and_at_the_ground():
    text = (ROOT / "docs" / "paper_to_code.md").read_text(encoding="utf-8")
    for module in ("recognizer", "selector", "arbiter", "filter"):  # the boxes of Figure 4
        assert f"nodes/{module}.py" in text
    assert "ground/reconstructor.py" in text
