"""What can be checked before any rank starts, and the start itself: a fault here is one line and exit code 2,
with nothing started."""

from __future__ import annotations

import sys
from pathlib import Path

from constellation.common.errors import EXIT_INTERRUPTED, UserError
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
            f"ground.silent_satellite={scenario.ground.silent_satellite}: expected less than satellites={scenario.satellites}"
        )
    if scenario.codec.device == "cuda":
        from nodes.process.device import device_of

        device_of(scenario.codec.device)
    scene = open_scene(scenario.scene, scenario.seed, 0, scenario.capture.window_px)
    check_window(scenario, scene.height, scene.width, scene.name)
    check_weights(scenario)


def check_weights(scenario: Scenario) -> None:
    """The checkpoint is there and says that it holds the scenario's model; its tensors are checked when a
    rank loads them."""
    from safetensors import SafetensorError, safe_open

    from codec.models.checkpoint import shipped_weights

    codec = scenario.codec
    if codec.weights == "zoo":
        return
    path = Path(codec.weights) if codec.weights else shipped_weights(codec.model, codec.lambda_)
    if not path.is_file():
        raise UserError(f"codec.weights={codec.weights}: no such file")
    try:
        with safe_open(path, framework="np") as file:
            held = (file.metadata() or {}).get("model", "nothing known")
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"codec.weights={path.name}: not a readable safetensors file ({error})") from None
    if held != codec.model:
        raise UserError(f"codec.weights={path.name}: holds {held}, codec.model asks for {codec.model}")


def check_window(scenario: Scenario, height: int, width: int, name: str) -> None:
    """Refuse an image smaller than the window, and a patch larger than it."""
    capture = scenario.capture
    if capture.patch_px > capture.window_px:
        raise UserError(
            f"capture.patch_px={capture.patch_px}: larger than capture.window_px={capture.window_px}"
        )
    if min(height, width) < capture.window_px:
        raise UserError(
            f"scene {name}: {width}x{height} px, smaller than the window of {capture.window_px} px (capture.window_px)"
        )


def run_torchrun(options: list[str], scenario: Scenario, program: str, words: list[str]) -> int:
    """Run torchrun in this process; `--nproc N` is short for `--nproc-per-node N`. Returns the failed rank's
    exit code, or 0."""
    import logging

    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    options = [_long_form(option) for option in options]
    if not any(option.startswith("--nproc-per-node") for option in options):
        options = ["--nproc-per-node", str(scenario.satellites), *options]
    if not any(option.startswith(("--rdzv", "--master", "--standalone", "--nnodes")) for option in options):
        options = ["--standalone", *options]
    parser = get_args_parser()
    parser.error = _refuse
    arguments = parser.parse_args([*options, program, *words])
    if not str(arguments.nproc_per_node).isdigit() and arguments.nproc_per_node not in ("auto", "cpu", "gpu"):
        raise UserError(f"--nproc {arguments.nproc_per_node}: expected a number of satellites")
    _check_size(scenario, str(arguments.nproc_per_node), str(arguments.nnodes))
    logging.getLogger("torch.distributed.elastic").setLevel(
        logging.CRITICAL
    )  # its tables repeat what a rank has said in one line
    try:
        run(arguments)
    except (SignalException, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            print(
                f"error: satellite {rank} was ended by signal {-failure.exitcode}; the run is over",
                file=sys.stderr,
            )
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


def _refuse(message: str) -> None:
    raise UserError(f"options for torchrun: {message}")


def _long_form(option: str) -> str:
    name, separator, value = option.partition("=")
    return "--nproc-per-node" + separator + value if name in ("--nproc", "-n", "--nproc_per_node") else option


def _check_size(scenario: Scenario, per_node: str, nodes: str) -> None:
    nodes = nodes.removeprefix("1:") if nodes.startswith("1:") else nodes  # torchrun's own default is 1:1
    if per_node.isdigit() and nodes.isdigit() and int(per_node) * int(nodes) != scenario.satellites:
        world = int(per_node) * int(nodes)
        raise UserError(
            f"--nproc {per_node}: {world} ranks, but scenario {scenario.name} has satellites={scenario.satellites}; "
            f"give --nproc {scenario.satellites} or satellites={world}"
        )
