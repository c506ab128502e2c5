"""A decoded picture in, a generated one out: what the ground makes beside its exact product."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codec.models.checkpoint import CheckpointInfo, load_weights
from constellation.common.errors import UserError, naming
from constellation.common.frozen import value
from constellation.scenario.network import GroundKnobs
from constellation.scenario.scenario import Scenario
from constellation.sight.geometry import Geometry
from ground.compensation.diffusion import noise_for, sampled
from ground.compensation.files import Trained, load_net, shipped_net
from ground.compensation.nets import BLOCK, METADATA, RESIDUAL, Denoiser


@value
class Compensator:
    """A trained net. seed: of a diffusion's noise; steps: of its sampling. Same seed, same picture, for any
    number of threads."""

    trained: Trained
    seed: int = 0
    steps: int = 8

    @property
    def kind(self) -> str:
        """regressor or diffusion."""
        return self.trained.kind

    @torch.no_grad()
    def picture(self, decoded: np.ndarray, metadata: np.ndarray | None = None) -> np.ndarray:
        """uint8 [H, W, 3] from a decoded picture of that shape. metadata: float32 [METADATA] (`metadata_of`);
        None: nothing known."""
        net, sides = self.trained.net, decoded.shape[:2]
        spare = [-side % BLOCK for side in sides]
        x = torch.from_numpy(decoded.transpose(2, 0, 1).astype(np.float32) / 255)[None]
        x = F.pad(x, (0, spare[1], 0, spare[0]), mode="replicate")
        with _on_one_thread():
            if isinstance(net, Denoiser):
                told = np.zeros(METADATA, np.float32) if metadata is None else metadata
                noise = F.pad(noise_for(decoded, self.seed), (0, spare[1], 0, spare[0]))
                residual = sampled(net, x, torch.from_numpy(told)[None], noise, self.steps)
            else:
                residual = net(x)
        return _pixels((x + RESIDUAL * residual)[0, :, : sides[0], : sides[1]])


def compensator_of(ground: GroundKnobs, seed: int, codec: CheckpointInfo) -> Compensator | None:
    """What the knobs ask for; None for none. codec: of the checkpoint that decodes. Raises `UserError`."""
    if ground.compensation == "none":
        return None
    if codec.bands is not None:
        raise UserError(
            f"ground.compensation={ground.compensation}: is for 8-bit RGB, the codec has {codec.bands.count} "
            "bands of 16-bit counts"
        )
    with naming("ground.compensation_weights"):
        net = load_net(net_file(ground, codec), codec, ground.compensation)
    return Compensator(net, seed, ground.compensation_steps)


def check_compensation(scenario: Scenario) -> None:
    """Before a run starts: whether the net that it asks for is there and fits. Raises `UserError`."""
    if scenario.ground.compensation != "none":
        codec = scenario.codec
        _, info = load_weights(codec.weights, codec.model, codec.lambda_)
        compensator_of(scenario.ground, scenario.seed, info.ground)


def net_file(ground: GroundKnobs, codec: CheckpointInfo) -> Path:
    """The file that the knobs mean. Raises `UserError` where none ships."""
    named = ground.compensation_weights
    return Path(named).expanduser() if named else shipped_net(ground.compensation, codec)


def metadata_of(
    gsd_m: float | None, sun_elevation_deg: float | None = None, off_nadir_deg: float | None = None
) -> np.ndarray:
    """float32 [METADATA]: each fact scaled to about -1..1 and 1 behind it, or two zeros where it is not
    known."""
    facts = (
        None if gsd_m is None else np.log10(max(gsd_m, 1e-3)) / 2,
        None if sun_elevation_deg is None else sun_elevation_deg / 90,
        None if off_nadir_deg is None else off_nadir_deg / 45,
    )
    return np.array([part for fact in facts for part in ((fact or 0.0), fact is not None)], np.float32)


def told_by(geometry: Geometry | None) -> np.ndarray:
    """The metadata of a view: from its orbit, where orbits decide what is seen; else nothing is known."""
    if geometry is None:
        return metadata_of(None)
    gsd_m = float(np.sqrt(geometry.gsd_along_m * geometry.gsd_across_m))
    return metadata_of(gsd_m, geometry.sun_elevation_deg, geometry.off_nadir_deg)


def _pixels(x: Tensor) -> np.ndarray:
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


@contextmanager
def _on_one_thread() -> Iterator[None]:
    """Sums over threads could be rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
