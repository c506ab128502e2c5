"""The command that flies a run again."""

from __future__ import annotations

import shlex
from pathlib import Path

from constellation.common.errors import UserError
from constellation.common.knobs import keys_of, text_of
from constellation.scenario.load import load_scenario, shipped_scenarios
from constellation.scenario.scenario import Scenario
from dlrc.store.results import Run

_NOT_OF_A_RUN = ("output", "priority.trust")
_RULE_SECTIONS = ("name", "seed", "satellites", "orbit", "region", "ground", "energy", "capture")
_FAULTS = ("ground.stream_loss", "ground.silent_satellite")


def knob_texts(scenario: Scenario) -> dict[str, str]:
    """Every knob by dotted name, as one would type its value."""
    return {name: text_of(key.default) for name, key in keys_of(Scenario, defaults=scenario).items()}


def command_of(scenario: Scenario) -> str:
    """`./launch.sh scenario=... key=value ...`: the shipped scenario of its name, and what differs from it;
    where that is not the same run, the stored one, scenario.yaml."""
    if scenario.name in shipped_scenarios():
        base = f"scenario={scenario.name}"
        before, mine = knob_texts(load_scenario(scenario.name)), knob_texts(scenario)
        words = [
            f"{key}={mine[key]}" for key in mine if mine[key] != before[key] and key not in _NOT_OF_A_RUN
        ]
        trusted = ["priority.trust=true"] if ":" in scenario.priority.rule else []
        try:
            same = load_scenario(scenario.name, [*words, *trusted]).digest == scenario.digest
        except UserError:
            same = False
        if same:
            return shlex.join(["./launch.sh", base, *words, *trusted])
    return "./launch.sh scenario=scenario.yaml"


def rules_command(scenario: Scenario) -> str:
    """The command that puts every priority rule side by side over the same satellites: what of this run's
    command that study takes."""
    words = [word for word in shlex.split(command_of(scenario))[1:] if _of_rules(word.partition("=")[0])]
    return shlex.join(["./launch.sh", "study", "priority", *words])


def delivery_command(run: Run) -> str:
    """The command that delivers a run's streams as files, through stations, weather and loss; of a run in
    memory with a place for its folder."""
    folder = run.gallery.folder
    place = Path(run.scenario.output) / folder.name.removesuffix(".part") if folder else "FOLDER"
    return shlex.join(["./launch.sh", "study", "delivery", f"run={place}"])


def _of_rules(key: str) -> bool:
    section = key.partition(".")[0]
    return key == "scenario" or (section in _RULE_SECTIONS and key not in _FAULTS)
