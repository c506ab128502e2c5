"""A grid of runs: one scenario, and the keys that vary, by words or in a YAML file.

dlrc.k=4,8,20 priority.rule=id,link rounds=1

scenario: dense              # what every cell begins with; a shipped one, or a .yaml file
rounds: 1                    # knobs of a scenario, alike in all cells
vary:                        # every combination is a cell, the last key fastest
  dlrc.k: [4, 8, 20]
  priority.rule: [id, link]"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_origin

from constellation.common import yaml_values
from constellation.common.cli import Subject
from constellation.common.errors import UserError, naming
from constellation.common.frozen import value
from constellation.common.knobs import keys_of, split_word, text_of
from constellation.common.text import shown
from constellation.scenario.load import SCENARIO, SUFFIXES, load_scenario, shipped_scenarios
from constellation.scenario.scenario import Scenario

MOST = 10_000
_COMMAS_ARE_ITS_OWN = ("scene.bands", "scene.path", "codec.weights", "orbit.path", "topology.path", "output")


@value
class Combination:
    """One point of a grid. words: of the keys that vary; scenario: what they make of it."""

    words: tuple[str, ...]
    scenario: Scenario

    @property
    def name(self) -> str:
        """For people: the words, or the scenario's name where nothing varies."""
        return " ".join(self.words) or self.scenario.name


@value
class Grid:
    """All combinations, in order. name: of the file that they stand in, or of the scenario."""

    name: str
    combinations: tuple[Combination, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that vary."""
        first = self.combinations[0]
        return tuple(split_word(word)[0] for word in first.words)


def load_grid(name: str, words: Sequence[str]) -> Grid:
    """The grid of a scenario, several with commas between them, or a YAML file with or without `vary`; words
    come last, and vary where they hold commas. Raises `UserError` for the first combination that is no
    scenario."""
    base, fixed, varying = [name], [], {}
    if name.endswith(SUFFIXES):
        base, fixed, varying = naming(SCENARIO.key)(_of_file)(Path(name))
    else:
        base = name.split(",")
    for word in words:
        key, text = split_word(word)
        fixed = [other for other in fixed if split_word(other)[0] != key]
        varying.pop(key, None)
        parts = _parts(key, text)
        if len(parts) == 1:
            fixed.append(word)
        else:
            varying[key] = parts
    if len(base) > 1:
        varying = {SCENARIO.key: base, **varying}
    title = Path(name).stem if name.endswith(SUFFIXES) else "-".join(base)
    return Grid(title, tuple(_combinations(base[0], fixed, varying)))


GRID = Subject(SCENARIO.key, Scenario, load_grid, shipped_scenarios)


def _combinations(
    base: str, fixed: Sequence[str], varying: Mapping[str, Sequence[str]]
) -> Iterator[Combination]:
    for key, texts in varying.items():
        if repeated := [text for at, text in enumerate(texts) if text in texts[:at]]:
            raise UserError(f"{key}: {shown(repeated[0])} stands there twice")
    count = 1
    for texts in varying.values():
        count *= len(texts)
    if count > MOST:
        raise UserError(f"vary: {count} combinations, expected at most {MOST}")
    for texts in itertools.product(*varying.values()):
        words = tuple(f"{key}={text}" for key, text in zip(varying, texts, strict=True))
        chosen = dict(map(split_word, words)).get(SCENARIO.key, base)
        own = [word for word in words if split_word(word)[0] != SCENARIO.key]
        yield Combination(words, load_scenario(chosen, [*fixed, *own]))


def _of_file(path: Path) -> tuple[list[str], list[str], dict[str, list[str]]]:
    """Scenarios, words that are alike, and texts by key, of a file. Raises `UserError`."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    values = yaml_values.read(path)
    if "vary" not in values:  # a scenario of one's own, alone
        return [str(path)], [], {}
    base, vary = values.pop(SCENARIO.key, ""), values.pop("vary")
    if not base or not isinstance(base, str):
        raise UserError(
            f"{path}: scenario: found {shown(base)}, expected the name of what all cells begin with"
        )
    if not isinstance(vary, dict) or not vary:
        raise UserError(f"{path}: vary: found {shown(vary)}, expected keys of a scenario, each with a list")
    varying = {}
    for key, listed in _flat(vary):
        if not isinstance(listed, list) or not listed:
            raise UserError(f"{path}: vary: {key}: found {shown(listed)}, expected a list of values")
        varying[key] = [text_of(one) for one in listed]
    fixed = [f"{key}={_text(path, key, given)}" for key, given in _flat(values)]
    trusting = [
        key for key in (*varying, *(split_word(word)[0] for word in fixed)) if key == "priority.trust"
    ]
    if trusting:
        raise UserError(f"{path}: priority.trust: a file cannot trust itself; give it on the command line")
    return base.split(","), fixed, varying


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, given in values.items():
        if isinstance(given, dict):
            yield from _flat(given, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", given


def _text(path: Path, key: str, given: Any) -> str:
    if isinstance(given, list) and any(isinstance(one, dict) for one in given):
        raise UserError(f"{path}: {key}: sections in a list; write each as on the command line")
    return text_of(given)


def _parts(key: str, text: str) -> list[str]:
    """The values that a word's text stands for; commas of a key whose own value has some part nothing."""
    known = keys_of(Scenario).get(key)
    if known is None or key in _COMMAS_ARE_ITS_OWN or _is_several(known.annotation):
        return [text]
    parts = text.split(",")
    if len(parts) > 1 and not all(parts):
        raise UserError(f"{key}: found {shown(text)}, expected values with single commas between them")
    return parts


def _is_several(annotation: Any) -> bool:
    inner = getattr(annotation, "__origin__", annotation)  # of Annotated
    return get_origin(annotation) is tuple or get_origin(inner) is tuple or inner is tuple
