"""What can be checked before any rank starts: a fault here is one line and exit code 2, with nothing
started."""

from __future__ import annotations

from pathlib import Path

from codec.imagery.scaling import Bands, bands_told
from constellation.common.errors import UserError
from constellation.scenario.coding import CodecKnobs, DlrcKnobs
from constellation.scenario.imaging import CaptureKnobs
from constellation.scenario.scenario import Scenario


def check_inputs(scenario: Scenario) -> None:
    """Open what a run will need (scene, checkpoint, priority rule) and raise the `UserError` that a rank
    would raise."""
    from codec.imagery.scene import open_scene
    from codec.models import registry
    from constellation.network import SpaceSegment
    from constellation.priority import check_rule
    from nodes.sights.seeing import check_targets
    from nodes.timeline import Watch

    check_rule(scenario.priority.rule, registry.sequential(scenario.codec.model, scenario.codec.context))
    if scenario.ground.silent_satellite >= scenario.satellites:
        raise UserError(
            f"ground.silent_satellite={scenario.ground.silent_satellite}: expected less than "
            f"satellites={scenario.satellites}"
        )
    check_faults(scenario)
    Watch.of(scenario.clock, scenario.capture, scenario.codec.flown, scenario.dlrc.k)
    if scenario.codec.device == "cuda":
        from nodes.process.device import device_of

        device_of(scenario.codec.device)
    check_prediction(scenario.codec, scenario.dlrc)
    scaled = check_fleet(scenario.codec)
    if scenario.orbital:
        check_targets(scenario, scenario.scene, scaled)
    else:
        scene = open_scene(scenario.scene, scenario.seed, 0, scenario.capture.window_px, scaled)
        check_window(scenario.capture, scene.height, scene.width, scene.name)
    SpaceSegment(scenario).at(0)  # orbits and links
    check_bands(scenario, scaled)


def check_bands(scenario: Scenario, scaled: Bands | None) -> None:
    """Refuse what is made for 8-bit RGB alone, and colours that are not there. scaled: of the codec."""
    shown = scenario.scene.colours
    if scaled is None:
        if shown:
            raise UserError(f"scene.colours={shown}: means nothing to a codec of 8-bit RGB")
        return
    if scenario.dlrc.enabled and scenario.dlrc.streams:
        raise UserError(
            f"dlrc.dedup={scenario.dlrc.dedup}: predicts pictures of 8-bit RGB, the codec has {scaled.count} "
            "bands; expected signature or footprint"
        )
    if scenario.codec.portable_pictures:
        raise UserError("codec.portable_pictures=true: pictures of 8-bit RGB alone")
    if any(int(band) > scaled.count for band in shown.split(",") if band):
        raise UserError(f"scene.colours={shown}: the codec has bands 1 to {scaled.count}")


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


def check_fleet(codec: CodecKnobs) -> Bands | None:
    """The checkpoints of all encoders of a run are there (`check_weights`). Returns the scales of the
    codec's bands."""
    scaled = check_weights(codec)
    for name in dict.fromkeys(codec.flown):
        if name != codec.model:
            knobs = {"model": name, "lambda": codec.lambda_}
            check_weights(CodecKnobs.model_validate(knobs))
    return scaled


def check_weights(codec: CodecKnobs) -> Bands | None:
    """The checkpoint is there and says that it holds the model asked for; its tensors are checked when a
    rank loads them. Returns the scales of its bands, None for 8-bit RGB."""
    from safetensors import SafetensorError, safe_open

    from codec.models.checkpoint import shipped_weights
    from codec.models.encoders.files import host_file, is_encoder
    from nodes.process.board import check_norm

    if codec.weights == "zoo":
        return None
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
    scaled = bands_told(metadata, f"codec.weights={path.name}")
    if scaled is None and metadata.get("bands", "3") != "3":
        raise UserError(f"codec.weights={path.name}: {metadata['bands']} bands without the scale of each")
    return scaled


def check_prediction(codec: CodecKnobs, dlrc: DlrcKnobs) -> None:
    """The file of what predicts is there, where streams are exchanged; it is checked when a rank loads it."""
    if dlrc.streams and codec.prediction and not Path(codec.prediction).is_file():
        raise UserError(f"codec.prediction={codec.prediction}: no such file")


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
