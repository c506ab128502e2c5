"""Rounds of two streams, made to be damaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.map_coding import Overlap, make_round
from codec.bitstream import Bitstream, Header, pack
from codec.entropy.encoder import encode
from codec.entropy.order import rank
from codec.maps.assignment import KEPT, REMOTE, AssignmentMap, all_kept, combined_digest
from codec.maps.coding import encode_map
from codec.models.checkpoint import load_checkpoint, shipped_weights
from codec.prediction.checkpoint import shipped_fusion
from codec.prediction.guides.coding import pack_guide, unpack_guide
from codec.prediction.values import CELL_PX, LATENT_PX, ROOT_PX, Guide, all_sent
from codec.settings import StreamSettings
from constellation.scenario.coding import CodecKnobs
from ground.decoder import Decoded, decode
from nodes.process.board import Board

LAMBDA = 0.013
ROUND = 3


@dataclass(frozen=True)
class Target:
    """A round of two streams and the codec for it; latents: what whole streams decode to, by satellite."""

    board: Board
    streams: dict[int, bytes]
    latents: dict[int, np.ndarray]


def make_targets(model_name: str, side: int, seed: int) -> list[Target]:
    """Three rounds, two of them with maps in the successor coding, of the shipped checkpoint of the model;
    and one whose second stream is predicted from the first, where a fusion ships."""
    model, info = load_checkpoint(shipped_weights(model_name, LAMBDA))
    board = Board(model, info, "cpu")
    targets = [
        _make_target(board, side, coding, seed + number)
        for number, coding in enumerate(("successor", "lzma", "successor"))
    ]
    if shipped_fusion(info) is not None:
        targets.append(_predicted_target(board, side, seed))
    return targets


def _predicted_target(board: Board, side: int, seed: int) -> Target:
    """Two patches, the second predicted from the first, with some vectors of it copied."""
    model, coder, rng = board.model, board.entropy(CodecKnobs()), np.random.default_rng([seed, 4])
    spread = np.exp(np.linspace(1.0, -3.0, model.m))[:, None, None]
    y_hat = [np.rint(rng.normal(size=(model.m, side, side)) * spread).astype(np.int32) for _ in range(2)]
    remote = rng.random((side, side)) < 0.2
    y_hat[1][:, remote] = y_hat[0][:, remote]
    at = np.arange(side * side, dtype=np.int32).reshape(side, side)
    copied = AssignmentMap(
        np.where(remote, REMOTE, KEPT).astype(np.uint8),
        remote,
        np.where(remote, 0, -1).astype(np.int16),
        np.where(remote, at, -1).astype(np.int32),
    )
    guide, pictures = _some_guide(rng, side), {0: board.predictor.transforms.picture(y_hat[0])}
    streams = {}
    for satellite, one in enumerate((all_kept(side, side), copied)):
        how = StreamSettings(model.name, dedup="hybrid")
        weights = bytes.fromhex(board.checkpoint.sha256)[:4]
        header = Header(how, weights, satellite, ROUND, side, side, 20, (0, 1))
        z = coder.hyper_symbols(torch.from_numpy(y_hat[satellite].astype(np.float32))[None])
        prediction = board.predictor.prediction(guide, pictures) if satellite else None
        coded = encode(coder, z, y_hat[satellite], one.known(), prediction)
        section = encode_map(one, "successor", participants=(0, 1), satellite=satellite)
        said = board.predictor.digest + pack_guide(guide, (0, 1)) if satellite else b""
        stream = Bitstream(header, coded.z_bytes, coded.y_bytes, section, coded.y_digest, prediction=said)
        streams[satellite] = pack(stream)
    whole = decoded(board, streams)
    for fault in whole.faults.values():
        raise fault
    return Target(board, streams, {satellite: whole.latents[satellite, ROUND] for satellite in streams})


def _some_guide(rng: np.random.Generator, side: int) -> Guide:
    """As a stream would say it, with some motion and every level."""
    roots = max(1, LATENT_PX * side // ROOT_PX)
    positions = ROOT_PX // LATENT_PX
    levels = rng.integers(0, 4, size=(positions * roots, positions * roots)).astype(np.uint8)
    levels[0, 0] = 1
    used = levels.reshape(roots, positions, roots, positions).max(axis=(1, 3)) > 0
    cells = ROOT_PX // CELL_PX
    steps = rng.integers(-9, 10, size=(roots, roots, 2)) * used[:, :, None]
    motion = steps.repeat(cells, 0).repeat(cells, 1).astype(np.int16)
    found = Guide(
        (0,),
        np.full((1, 8), 40, np.int32),
        np.full((1, 3), 250, np.int32),
        np.full((1, 3), 32, np.int32),
        used.astype(np.uint8),
        levels,
        rng.random(all_sent(levels).shape) < 0.7,
        motion,
        np.zeros(motion.shape[:2], np.uint8),
    )
    return unpack_guide(pack_guide(found, (0, 1)), (LATENT_PX * side, LATENT_PX * side), (0, 1))


def _make_target(board: Board, side: int, coding: str, seed: int) -> Target:
    """Two patches of one scene, the second referring to the first."""
    model, info, coder = board.model, board.checkpoint, board.entropy(CodecKnobs())
    rng = np.random.default_rng(seed)
    overlap = Overlap(side, side + side // 2, 0, 0.05, 0.05, satellites=2)
    maps = make_round(rng, overlap, rank(model.passes, side, side))
    spread = np.exp(np.linspace(1.0, -3.0, model.m))[:, None, None]
    y_hat = {s: np.rint(rng.normal(size=(model.m, side, side)) * spread).astype(np.float32) for s in maps}
    streams = {}
    for satellite, one in maps.items():
        _share(satellite, maps, y_hat)
        z = coder.hyper_symbols(torch.from_numpy(y_hat[satellite])[None])
        coded = encode(coder, z, y_hat[satellite], one.known())
        header = Header(
            StreamSettings(model.name, map_coding=coding),
            bytes.fromhex(info.sha256)[:4],
            satellite,
            ROUND,
            side,
            side,
            20,
            tuple(maps),
        )
        section = encode_map(one, coding, participants=tuple(maps), satellite=satellite)
        streams[satellite] = pack(
            Bitstream(header, coded.z_bytes, coded.y_bytes, section, combined_digest(coded.y_digest, one))
        )
    whole = decoded(board, streams)
    for fault in whole.faults.values():
        raise fault
    return Target(board, streams, {satellite: whole.latents[satellite, ROUND] for satellite in streams})


def decoded(board: Board, streams: dict[int, bytes]) -> Decoded:
    return decode(board, {(satellite, ROUND): data for satellite, data in streams.items()})


def _share(satellite: int, maps: dict[int, AssignmentMap], y_hat: dict[int, np.ndarray]) -> None:
    """Give local and exact remote copies the vectors they copy."""
    one, own = maps[satellite], y_hat[satellite].reshape(y_hat[satellite].shape[0], -1)
    for position in np.flatnonzero(one.exact):
        owner = int(one.owner.reshape(-1)[position])
        listed = np.flatnonzero(maps[owner].fate.reshape(-1) != 1)
        own[:, position] = y_hat[owner].reshape(len(own), -1)[:, listed[one.source.reshape(-1)[position]]]
    for position in np.flatnonzero(one.fate == 1):
        own[:, position] = own[:, one.source.reshape(-1)[position]]
