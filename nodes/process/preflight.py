"""What can be checked before any rank starts: a fault here is one line and exit code 2, with nothing
started."""

from __future__ import annotations

from pathlib import Path

from constellation.common.errors import UserError
from constellation.scenario.coding import CodecKnobs
from constellation.scenario.imaging import CaptureKnobs
from constellation.scenario.scenario import Scenario


def check_inputs(scenario: Scenario) -> None:
    """Open what a run will need (scene, checkpoint, priority rule) and raise the `UserError` that a rank
    would raise."""
    from codec.imagery.scene import open_scene
    from codec.models import registry
    from constellation.priority import check_rule

    check_rule(scenario.priority.rule, registry.sequential(scenario.codec.model, scenario.codec.context))
    if scenario.ground.silent_satellite >= scenario.satellites:
        raise UserError(
            f"ground.silent_satellite={scenario.ground.silent_satellite}: expected less than "
            f"satellites={scenario.satellites}"
        )
    check_faults(scenario)
    if scenario.codec.device == "cuda":
        from nodes.process.device import device_of

        device_of(scenario.codec.device)
    if scenario.orbital:
        from constellation.network import SpaceSegment
        from nodes.sights.seeing import check_targets

        check_targets(scenario, scenario.scene)
        _ = SpaceSegment(scenario).windows
        check_fleet(scenario.codec)
        return
    scene = open_scene(scenario.scene, scenario.seed, 0, scenario.capture.window_px)
    check_window(scenario.capture, scene.height, scene.width, scene.name)
    check_fleet(scenario.codec)


def check_faults(scenario: Scenario) -> None:
    """Refuse a fault that befalls nobody: of a satellite or in a round that there is not."""
    step_s, satellites = scenario.orbit.step_s, f"satellites={scenario.satellites}"
    for event in scenario.faults.events:
        name = f"faults.events: {event.kind} satellite={event.satellite}"
        if event.satellite >= scenario.satellites:
            raise UserError(f"{name}: expected less than {satellites}")
        if event.peer >= scenario.satellites:
            raise UserError(f"{name} peer={event.peer}: expected less than {satellites}")
        if scenario.orbital and event.time_s is not None:
            raise UserError(f"{name} time_s={event.time_s:g}: with capture.mode=orbit give round=")
        number = event.round if event.time_s is None else int(event.time_s // step_s)
        if number >= scenario.rounds:
            when = f"round={number}" if event.time_s is None else f"time_s={event.time_s:g} (round {number})"
            raise UserError(f"{name} {when}: expected a round before rounds={scenario.rounds}")


def check_fleet(codec: CodecKnobs) -> None:
    """The checkpoints of all encoders of a run are there (`check_weights`)."""
    check_weights(codec)
    for name in dict.fromkeys(codec.flown):
        if name != codec.model:
            knobs = {"model": name, "lambda": codec.lambda_}
            check_weights(CodecKnobs.model_validate(knobs))


def check_weights(codec: CodecKnobs) -> None:
    """The checkpoint is there and says that it holds the model asked for; its tensors are checked when a
    rank loads them."""
    from safetensors import SafetensorError, safe_open

    from codec.models.checkpoint import shipped_weights
    from codec.models.encoders.files import host_file, is_encoder
    from nodes.process.board import check_norm

    if codec.weights == "zoo":
        return
    path = Path(codec.weights) if codec.weights else shipped_weights(codec.model, codec.lambda_)
    if not path.is_file():
        raise UserError(f"codec.weights={codec.weights}: no such file")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"codec.weights={path.name}: not a readable safetensors file ({error})") from None
    held = metadata.get("model", "nothing known")
    if held == codec.model:
        check_norm(codec, metadata.get("norm", ""))
        if is_encoder(path.name, metadata):
            host_file(path, metadata)
    else:
        raise UserError(f"codec.weights={path.name}: holds {held}, codec.model asks for {codec.model}")


def check_window(capture: CaptureKnobs, height: int, width: int, name: str) -> None:
    """Refuse an image smaller than the window, and a patch larger than it."""
    if capture.patch_px > capture.window_px:
        raise UserError(
            f"capture.patch_px={capture.patch_px}: larger than capture.window_px={capture.window_px}"
        )
    if min(height, width) < capture.window_px:
        raise UserError(
            f"scene {name}: {width}x{height} px, smaller than the window of {capture.window_px} px "
            "(capture.window_px)"
        )
