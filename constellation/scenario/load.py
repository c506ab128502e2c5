"""Scenarios out of YAML files and `section.key=value` words.

A scenario is shipped under a name, or a path to a `.yaml` file; it is laid over the defaults, and words over
it. Shipped ones lie in the installed package, and in a checkout in `scenarios/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from constellation.common import yaml_values
from constellation.common.cli import Subject
from constellation.common.errors import UserError, naming
from constellation.common.files import write_text
from constellation.common.knobs import build, overlay
from constellation.common.text import nearest, shown
from constellation.scenario.scenario import NetworkScenario, Scenario

S = TypeVar("S", bound=NetworkScenario)

_HERE = Path(__file__).resolve()
FOLDERS = (_HERE.parent / "shipped", _HERE.parents[2] / "scenarios")
SUFFIXES = (".yaml", ".yml")


def scenario_files() -> dict[str, Path]:
    """The shipped scenarios by name, sorted; those of the installed package before those of a checkout."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def available_scenarios() -> list[str]:
    """Names of the shipped scenarios, sorted."""
    return list(scenario_files())


@lru_cache(maxsize=1)
def shipped_scenarios() -> dict[str, str]:
    """The shipped scenarios by name, with the first sentence of the comment at their head."""
    return {name: _first_comment(path) for name, path in scenario_files().items()}


def load_scenario(name: str, words: Sequence[str] = ()) -> Scenario:
    """The scenario `name` (shipped, or a path to a YAML file) with `section.key=value` words laid over it.

    Raises `UserError` for an unknown scenario or key, a wrong type, a value out of range, and for a file that
    wants to be trusted.
    """
    return _loaded(Scenario, name, words)


def load_network(name: str, words: Sequence[str] = ()) -> NetworkScenario:
    """As `load_scenario`, of which the space network alone is kept. Words of other sections are refused."""
    overlay({}, words, NetworkScenario)
    return _loaded(Scenario, name, words).network


def build_scenario(values: Mapping[str, Any], source: str = "scenario") -> Scenario:
    """Validate plain values (of a run that was stored, say) into a `Scenario`. Raises `UserError`."""
    return build(Scenario, values, source)


def changed(scenario: S, **sections: Any) -> S:
    """The scenario with some knobs replaced and checked, `changed(s, rounds=2, dlrc={"k": 8})`. Raises
    `UserError`."""
    values = scenario.model_dump(by_alias=True)
    for name, given in sections.items():
        values[name] = {**values[name], **given} if isinstance(given, dict) else given
    return build(type(scenario), values)


def write_scenario(scenario: NetworkScenario, path: Path, notes: Sequence[str] = ()) -> None:
    """Every knob as YAML, to be loaded with scenario=<path>, under notes as comments; trust is not passed on.
    Raises `UserError`."""
    head = "".join(f"# {' '.join(note.split())}\n" for note in notes)
    values = scenario.model_dump(mode="json", by_alias=True, exclude={"priority": {"trust"}})
    write_text(path, head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


SCENARIO = Subject("scenario", Scenario, load_scenario, shipped_scenarios)
NETWORK = Subject("scenario", NetworkScenario, load_network, shipped_scenarios)


def _loaded(model: type[S], name: str, words: Sequence[str]) -> S:
    with naming(SCENARIO.key):
        path = _path_of(name)
        values = yaml_values.read(path)
    if isinstance(values.get("priority"), dict) and values["priority"].get("trust"):
        raise UserError(
            f"scenario {name}: priority.trust: a scenario cannot trust itself; where you do, give "
            "priority.trust=true on the command line"
        )
    values.setdefault("name", path.stem)
    try:
        return build(model, overlay(values, words, model))
    except UserError:
        build(model, values, f"scenario {name}")  # a fault of the file itself names the file
        raise


def _path_of(name: str) -> Path:
    if name.endswith(SUFFIXES):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"scenario={name}: no such file")
        return path
    files = scenario_files()
    if name not in files:
        near = nearest(name, files)
        hint = f"did you mean {near}? there" if near else "there"
        raise UserError(
            f"scenario={shown(name)[1:-1]}: unknown scenario; {hint} are: {', '.join(files)}, or a .yaml file"
        )
    return files[name]


def _first_comment(path: Path) -> str:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines).partition(". ")[0].rstrip(".:")
