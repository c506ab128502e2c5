"""The commands that documents name are understood; those of the README do what it says."""

import re
import shlex
from pathlib import Path

import pytest

from constellation.common.cli import read
from dlrc.commands.table import ENTRIES, benches, loaded, studies

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
COMMAND = re.compile(r"(?:^|`|\()(?:dlrc|\./launch\.sh) ((?:study|bench) [a-z_]+[^`\n#]*)", re.MULTILINE)
CALLS = sorted({call.strip() for page in PAGES for call in COMMAND.findall(page.read_text(encoding="utf-8"))})
THERE = {"FOLDER": str(ROOT / "scenarios"), "NAME": None}


@pytest.mark.parametrize("call", [call for call in CALLS if "NAME" not in call])
def test_every_study_and_benchmark_that_a_page_names_takes_its_keys(call):
    family, name, *words = shlex.split(call)
    entries = studies() if family == "study" else benches()
    command = loaded(entries[name])
    read(command, [word.replace("FOLDER", str(ROOT / "scenarios")) for word in words if word != "--help"])


def test_pages_name_commands_of_both_kinds():
    assert {call.split()[0] for call in CALLS} == {"study", "bench"} and len(CALLS) > 10


def test_pages_about_other_commands_name_those_that_there_are():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`?dlrc ([a-z]+)\b(?= [a-z.]+=| --help)", text)) - {"study", "bench"}
    assert named and named <= set(ENTRIES)
