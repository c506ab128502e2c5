"""The notebooks of examples/ run from top to bottom and show what they promise; so does the tutorial."""

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import dlrc
from constellation.common.cli import perform
from constellation.common.errors import UserError
from dlrc.studies.questions.priority import COMMAND
from tests.documents.test_examples import ROOT, SMALL, blocks

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
PROMISED = {
    "first_round": ["% of all bytes saved", "<img alt=", "positions kept"],
    "sync_latency": ["2 KiB signatures", "4 KiB streams", "propagation"],
    "priority_rule": ["my_rules:turns (1, 0)", "index.html"],
}
START = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
import dlrc
def small(name, **knobs):
    from dlrc.local import run
    return run(name, **{{**{SMALL!r}, **knobs}})
dlrc.run = small
"""  # runs by the API are small, as those of the scripts


def executed(path: Path, folder: Path) -> str:
    """All that its cells show. In a thread of its own: the browser of other tests keeps a loop in this."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    start = nbformat.v4.new_code_cell(START)
    notebook.cells.insert(0, start)
    client = NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(folder)}})
    with ThreadPoolExecutor(1) as pool:
        pool.submit(client.execute).result()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(str(output.get("text", "")) + str(output.get("data", "")) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_and_shows_what_it_promises(path, tmp_path):
    shown = executed(path, tmp_path)
    assert [words for words in PROMISED[path.stem] if words not in shown] == []


def test_notebooks_are_stored_without_what_a_run_of_them_showed():
    assert {path.stem for path in NOTEBOOKS} == set(PROMISED)
    assert all(
        '"outputs": []' in path.read_text() and "image/png" not in path.read_text() for path in NOTEBOOKS
    )


def test_the_tutorial_of_a_rule_does_what_it_says(monkeypatch, tmp_path, capsys):
    rule, script = blocks("docs/own_rule.md", "python")
    study, mistake = (shlex.split(block)[4:] for block in blocks("docs/own_rule.md", ""))
    (tmp_path / "weekdays.py").write_text(rule)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    perform(COMMAND, [*study, "rounds=1", "tiles=1000", "satellites=4", "orbit.pattern=53:100/10/1"])
    said = capsys.readouterr().out
    assert "weekdays:turns" in said and re.search(r"the page: \S+index.html", said)
    with pytest.raises(UserError, match="weekdays:turn: AttributeError"):
        perform(COMMAND, mistake)
    with pytest.raises(UserError, match="is code"):
        perform(COMMAND, [word for word in study if not word.startswith("trust")])
    fly = dlrc.run
    monkeypatch.setattr(dlrc, "run", lambda name, **knobs: fly(name, **{**SMALL, **knobs}), raising=False)
    exec(script, {})
