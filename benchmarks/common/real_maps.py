"""Assignment maps of real captures: Recognizer, Selector and Arbiter in one process, every satellite hearing
every other."""

from __future__ import annotations

import os
from pathlib import Path

from codec.maps.assignment import AssignmentMap
from constellation.priority import priority_order
from constellation.scenario.load import load_scenario
from nodes.arbiter import assignments
from nodes.crew import Crew, Known
from nodes.round import crew_of, recognise


def captured_round(crew: Crew, number: int) -> dict[int, AssignmentMap]:
    """Maps of one round, satellite -> map, in priority order, whatever the links let hear."""
    seen = [recognise(crew.rules, view, 0.0) for view in crew.see(number, crew.numbers)]
    lists = {one.satellite: one.own for one in seen}
    headers = [one.header for one in lists.values()]
    order = priority_order(crew.rules.priority.rule, headers, crew.rules.seed, number)
    known = Known(lists, dict.fromkeys(lists, frozenset(lists)))
    maps = assignments(crew.rules, order, known, seen, crew.watch)
    return {satellite: maps[satellite] for satellite in order}


def real_crew(
    overlap: str, model: str, halo_px: int = 0, seed: int = 0, folder: str = "scenes", **knobs: object
) -> Crew:
    """All satellites, with a trained codec, of `dense` or `sparse` over the pictures of DLRC_DATA/`folder`
    (default ../shared/data beside the repository); knobs of `capture` besides."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    scenes = Path(os.environ.get("DLRC_DATA", default)) / folder
    scenario = load_scenario(
        overlap,
        [
            f"codec.model={model}",
            f"scene.path={scenes}",
            f"capture.halo_px={halo_px}",
            f"seed={seed}",
            *(f"capture.{key}={value}" for key, value in knobs.items()),
        ],
    )
    return crew_of(scenario, range(scenario.satellites))
