"""Assignment maps of real captures: Recognizer, Selector and Arbiter in one process, every satellite hearing
every other."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from codec.entropy.order import rank
from codec.imagery.scene import open_scene
from codec.maps.assignment import AssignmentMap
from codec.models.checkpoint import load_weights
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from constellation.priority import priority_order
from constellation.scenario.scenario import Scenario, load_scenario
from nodes.arbiter import arbitrate, signature_list
from nodes.capture import capture
from nodes.recognizer import content_hashes, hash_family, signatures
from nodes.selector import select


def captured_round(scenario: Scenario, round_number: int, model: LatentModel) -> dict[int, AssignmentMap]:
    """Maps of one round, satellite -> map, in priority order. `model`: see `model_of`; one thread,
    float32."""
    import torch

    scene = open_scene(scenario.scene, scenario.seed, round_number, scenario.capture.window_px)
    family = hash_family(
        scenario.seed, model.m, scenario.dlrc.k, scenario.dlrc.rotation, scenario.dlrc.magnitude
    )
    lists, selections, shape = {}, {}, (0, 0)
    for satellite in range(scenario.satellites):
        view = capture(scene, scenario.capture, scenario.seed, round_number, satellite)
        with torch.no_grad():
            x = torch.from_numpy(view.padded.astype(np.float32) / 255).permute(2, 0, 1)[None]
            y = model.analysis(x)[0].numpy()
        cut = scenario.capture.halo_px // LATENT_STRIDE_PX
        y = np.ascontiguousarray(y[:, cut : y.shape[1] - cut, cut : y.shape[2] - cut])
        shape = y.shape[1:]
        content = scenario.dlrc.signature == "content"
        found = content_hashes(np.rint(y).astype(np.int32)) if content else signatures(y, family)
        selections[satellite] = select(
            y, found, rank(model.passes, *y.shape[1:]), scenario.dlrc.representative
        )
        lists[satellite] = signature_list(satellite, round_number, 0.0, selections[satellite], not content)
    order = priority_order(
        scenario.priority.rule, [entry.header for entry in lists.values()], scenario.seed, round_number
    )
    everyone = {satellite: frozenset(lists) for satellite in lists}
    return {
        satellite: arbitrate(
            lists[satellite], selections[satellite], shape, lists, order, everyone, scenario.priority.rule
        )
        for satellite in order
    }


def model_of(scenario: Scenario) -> LatentModel:
    """The scenario's trained codec."""
    return load_weights(scenario.codec.weights, scenario.codec.model, scenario.codec.lambda_)[0]


def real_scenario(
    overlap: str, model: str, halo_px: int = 0, seed: int = 0, folder: str = "scenes", **knobs: object
) -> Scenario:
    """`dense` or `sparse` over the pictures of DLRC_DATA (default ../shared/data beside the repository)
    /`folder`; knobs of `capture` besides."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    scenes = Path(os.environ.get("DLRC_DATA", default)) / folder
    return load_scenario(
        overlap,
        [
            f"codec.model={model}",
            f"scene.path={scenes}",
            f"capture.halo_px={halo_px}",
            f"seed={seed}",
            *(f"capture.{key}={value}" for key, value in knobs.items()),
        ],
    )
