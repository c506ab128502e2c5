"""From an assignment map to a stream: what the Filter leaves, coded and put into a container.

One `BoardCoder` per satellite; it holds the model and codes the same capture twice, with DLRC and
independently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from codec.entropy import estimate
from codec.entropy.coder import EntropyCoder
from codec.entropy.encoder import encode, encode_centred
from codec.models.checkpoint import CheckpointInfo, load_weights
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from constellation.scenario.scenario import Scenario
from nodes.process.device import device_of, one_thread


@dataclass(frozen=True)
class Coded:
    """Entropy-coded sections of one picture, and the digest of the context map that a decoder must arrive
    at."""

    z: bytes
    y: bytes
    y_digest: int


class BoardCoder:
    """g_a, h_a and entropy coding of one satellite."""

    def __init__(self, model: LatentModel, device: str, portable: bool, grid: str) -> None:
        self.model = model
        self.device = device
        self.grid = grid
        model.net.to(device)
        self.entropy = EntropyCoder(model, portable=portable, grid=grid)

    @torch.no_grad()
    def analyse(self, padded: np.ndarray, halo_px: int) -> np.ndarray:
        """y of the patch, float32 [M, P/16, P/16], from uint8 [P + 2 halo, P + 2 halo, 3]: the halo feeds g_a
        and is then cut off."""
        x = torch.from_numpy(padded.astype(np.float32) / 255).permute(2, 0, 1)[None].to(self.device)
        y = self.model.analysis(x)[0].float().cpu().numpy()
        cut = halo_px // LATENT_STRIDE_PX
        return np.ascontiguousarray(y[:, cut : y.shape[1] - cut, cut : y.shape[2] - cut])

    @torch.no_grad()
    def encode(self, y: np.ndarray, y_hat: np.ndarray, known: np.ndarray) -> Coded:
        """Code the kept vectors of `y_hat`, int32 [M, H, W] (fixed grid), or of `y`, float32 (centred grid),
        with z from `y`."""
        z = self.entropy.hyper_symbols(torch.from_numpy(y)[None].to(self.device))
        if self.grid == "centred":
            coded = encode_centred(self.entropy, z, y, known)
        else:
            coded = encode(self.entropy, z, y_hat, known)
        return Coded(coded.z_bytes, coded.y_bytes, coded.y_digest)

    def open_loop_bits(self, y: np.ndarray, y_hat: np.ndarray, kept: np.ndarray) -> float:
        """The paper's estimate: -log2 p of the kept vectors with the satellite's own complete y_hat as
        context. Not decodable."""
        z = self.entropy.hyper_symbols(torch.from_numpy(y)[None].to(self.device))
        if self.entropy.centred:
            return float(estimate.centred_bits(self.entropy, z, y, kept).sum())
        return float(estimate.bits_of(self.entropy, z, y_hat, y_hat, kept).sum())


@dataclass(frozen=True, eq=False)
class Board:
    """A satellite's processor: the coder with its model loaded, and what the checkpoint says about itself."""

    coder: BoardCoder
    checkpoint: CheckpointInfo


def load_board(scenario: Scenario) -> Board:
    """Load the scenario's checkpoint onto this rank's device, one thread. Raises `UserError`."""
    one_thread()
    codec = scenario.codec
    model, checkpoint = load_weights(codec.weights, codec.model, codec.lambda_)
    return Board(BoardCoder(model, device_of(codec.device), codec.portable, codec.grid), checkpoint)
