"""Command lines of the studies: `scenario=...`, a study's own `key=value`, and scenario overrides."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from constellation.common.errors import UserError
from constellation.scenario.scenario import Scenario
from constellation.common.text import counted


def split_arguments(
    arguments: Sequence[str], usage: str, own: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The study's own values (`own` holds their defaults) and the overrides left for the scenario. `-h`
    prints `usage` and leaves."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(usage)
        raise SystemExit(0)
    values, overrides = dict(own), []
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if separator and key in values:
            values[key] = value
        elif separator and "." not in key and key not in Scenario.model_fields:
            near = difflib.get_close_matches(key, [*values, *Scenario.model_fields], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"this study's own are {', '.join(values)}"
            raise UserError(f"{key}: unknown key; {hint}")
        else:
            overrides.append(argument)
    return values, overrides


def own_values(arguments: Sequence[str], usage: str, own: Mapping[str, str]) -> dict[str, str]:
    """The values of a program that takes no scenario. Raises `UserError` for any other word."""
    values, others = split_arguments(arguments, usage, own)
    if others:
        raise UserError(f"{others[0]}: unknown option; there are {', '.join(own)}")
    return values


def make_folder(path: Path) -> Path:
    """The folder, made where it is missing. Raises `UserError` where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output={path}: cannot write there ({error.strerror})") from None
    return path


def refuse_estimates(scenario: Scenario) -> Scenario:
    """The scenario, whose every stream is what it says. Raises `UserError` for `codec.context=open`, whose
    bytes are an estimate."""
    if scenario.codec.context == "open":
        raise UserError(
            "codec.context=open: this study counts bytes of real streams; dlrc.studies.questions.context sets the open-loop estimate beside them"
        )
    return scenario


def surveyed(scenario: Scenario, windows: int) -> str:
    """What a study looked at, for titles: "5 windows, real scenes"."""
    return f"{counted(windows, 'window')}, {'real scenes' if scenario.scene.path else 'BUILT-IN PROCEDURAL SCENE'}"


def number(key: str, text: str, low: float, high: float) -> float:
    """A finite number within [low, high]. Raises `UserError`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UserError(f"{key}={text}: expected a number from {low:g} to {high:g}")
    return value


def whole_number(key: str, text: str, low: int, high: int, multiple: int = 1) -> int:
    """A whole number within [low, high], a multiple of `multiple`. Raises `UserError`."""
    value = number(key, text, low, high)
    if value % multiple:
        raise UserError(
            f"{key}={text}: expected a {'whole number' if multiple == 1 else f'multiple of {multiple}'}"
        )
    return int(value)


def choice(key: str, text: str, allowed: Sequence[str]) -> str:
    """One of the words allowed. Raises `UserError`."""
    if text not in allowed:
        raise UserError(f"{key}={text}: expected one of {', '.join(allowed)}")
    return text
