"""What a run says while it flies: one line at its beginning, one for each round."""

from __future__ import annotations

from codec.imagery.scene import Scene
from codec.models.model import LatentModel
from constellation.common.text import counted
from constellation.scenario.scenario import Scenario
from ground.records import Outcome, RoundRecord


def opening(scenario: Scenario, model: LatentModel, scene: Scene) -> str:
    """Who flies with what over what, after a line for each note about the scene."""
    notes = "".join(f"note: {note}\n" for note in scene.notes)
    satellites, rounds = counted(scenario.satellites, "satellite"), counted(scenario.rounds, "round")
    codec = f"{scenario.codec.model} lambda {scenario.codec.lambda_:g} (N={model.n}, M={model.m})"
    return f"{notes}{scenario.name}: {satellites}, {rounds}, {codec}; scene: {scene.source}"


def progress(record: RoundRecord, scenario: Scenario) -> str:
    """How a round went: what decoded, what it saved, and indented what went wrong."""
    here = [one for one in record.satellites if one.outcome is not Outcome.LOST]
    before, after = (sum(getattr(one, kind).total for one in here) for kind in ("independent", "dlrc"))
    exact = sum(one.exact for one in record.satellites)
    estimate = " (open-loop ESTIMATE)" if scenario.codec.context == "open" else ""
    saved = f" ({100 * (after / before - 1):+.1f} %)" if before else ""
    return (
        f"round {record.number + 1}/{scenario.rounds}: {exact} of {len(record.satellites)} streams decoded "
        f"exactly, {before:.0f} -> {after:.0f} bytes{estimate}{saved}"
        + "".join(f"\n  {fault}" for fault in _faults(record))
    )


def _faults(record: RoundRecord) -> list[str]:
    said = [f"satellite {one.satellite}: {one.fault}" for one in record.satellites if one.fault]
    for outcome, what in (
        (Outcome.RESENT, "damaged on arrival and sent again"),
        (Outcome.INDEPENDENT, "damaged or without an owner, independent stream sent instead"),
        (Outcome.LOST, "nothing came"),
    ):
        those = [str(one.satellite) for one in record.satellites if one.outcome is outcome]
        said += [f"{what}: satellite {', '.join(those)}"] if those else []
    return said
