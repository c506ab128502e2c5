"""From pixels to latents, and from an assignment map to a stream: g_a, h_a, what the Filter leaves, entropy
coding, container."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from codec.bitstream import Bitstream, Header, pack
from codec.entropy import encoder as entropy
from codec.entropy import estimate
from codec.entropy.encoder import EncodedLatents
from codec.maps.assignment import all_kept, combined_digest, earlier_cells
from codec.maps.coding import encode_map
from codec.models.model import LATENT_STRIDE_PX
from codec.portable.transforms import picture_digest
from constellation.scenario.coding import CodecKnobs
from nodes.crew import Look, Product, Rules, Task, View
from nodes.filter import kept_positions
from nodes.process.board import Board
from nodes.timeline import Watch


@torch.no_grad()
def analyse(board: Board, padded: np.ndarray, halo_px: int, satellite: int = 0) -> np.ndarray:
    """y of a patch, float32 [M, P/16, P/16], from uint8 or uint16 [P + 2h, P + 2h, B]: the halo feeds
    the satellite's g_a and is then cut off."""
    pixels = torch.from_numpy(padded.astype(np.float32) / np.iinfo(padded.dtype).max)
    y = board.of(satellite).analysis(pixels.permute(2, 0, 1)[None].to(board.device))[0].float().cpu().numpy()
    cut = halo_px // LATENT_STRIDE_PX
    return np.ascontiguousarray(y[:, cut : y.shape[1] - cut, cut : y.shape[2] - cut])


def view_of(board: Board, codec: CodecKnobs, look: Look, y: np.ndarray) -> View:
    """A look with its latents, float32 [M, H, W], coded alone."""
    known = all_kept(*y.shape[1:]).known()
    alone = code(board, codec, hyper_symbols(board, codec, y), (y, _grid(y)), known)
    shown = codec.portable_pictures and not look.halo_px
    digest = picture_digest(board.transforms.picture(_grid(y))) if shown else 0
    return View(look, y, alone, digest)


def hyper_symbols(board: Board, codec: CodecKnobs, y: np.ndarray) -> np.ndarray:
    """z of y, float32 [M, H, W]: int32 [N, h, w]."""
    return board.entropy(codec).hyper_symbols(torch.tensor(y)[None].to(board.device))


def encode(board: Board, rules: Rules, tasks: dict[int, Task], watch: Watch) -> dict[int, Product]:
    """The streams of a crew's satellites, with DLRC and alone."""
    return {satellite: _product(board, rules, task, watch) for satellite, task in tasks.items()}


def encode_alone(board: Board, rules: Rules, views: list[View]) -> dict[int, Product]:
    """The streams of a crew's satellites without DLRC: what each sends is its independent stream."""
    products = {}
    for view in views:
        stream = alone_stream(board, rules, view)
        kept = all_kept(*view.y.shape[1:])
        products[view.look.satellite] = Product(stream, stream, kept, float("nan"))
    return products


def alone_stream(board: Board, rules: Rules, view: View) -> bytes:
    """The independent stream of a view."""
    header = header_of(board, rules, view, (view.look.satellite,))
    coded = view.alone
    return pack(Bitstream(header, coded.z_bytes, coded.y_bytes, b"", coded.y_digest))


def _product(board: Board, rules: Rules, task: Task, watch: Watch) -> Product:
    view, selection, kept = task.observation.view, task.observation.selection, task.assignment
    satellite = view.look.satellite
    earlier, contents = _earlier(task)
    with watch.span("arbitrate", satellite):
        known = kept.known(rules.codec.context)
        members = task.participants + earlier
        section = encode_map(kept, rules.dlrc.map_coding, participants=members, satellite=satellite)
    with watch.span("modelling", satellite):
        z = hyper_symbols(board, rules.codec, selection.y)
    with watch.span("coding", satellite):
        coded = code(board, rules.codec, z, (selection.y, selection.y_hat), known)
        header = replace(header_of(board, rules, view, task.participants, task.accord), earlier=earlier)
        # of the context map, of the references, and of what the ground is remembered to have
        digest = combined_digest(coded.y_digest, kept, contents)
        stream = pack(Bitstream(header, coded.z_bytes, coded.y_bytes, section, digest))
    estimate_bits = float("nan")
    if rules.codec.context == "open":
        estimate_bits = open_loop_bits(
            board, rules.codec, z, (selection.y, selection.y_hat), kept_positions(kept)
        )
    return Product(stream, alone_stream(board, rules, view), kept, estimate_bits)


def _earlier(task: Task) -> tuple[tuple[int, ...], np.ndarray | None]:
    """The lists of earlier rounds that a map refers to, by number, and the contents of what it takes from
    there, int64 [E], in raster order."""
    kept, recalled = task.assignment, task.observation.recalled
    if recalled is None:
        return (), None
    at = earlier_cells(kept)
    return tuple(np.unique(kept.owner[at]).tolist()), recalled.contents[
        task.observation.selection.entry_of[at.reshape(-1)]
    ]


def header_of(
    board: Board, rules: Rules, view: View, participants: tuple[int, ...], accord: int | None = None
) -> Header:
    """What a stream says about itself. accord: of the round, where it refers to others by their lists; 0
    where it may refer to them without; None where it does not."""
    look, weights = view.look, bytes.fromhex(board.checkpoint.ground.sha256)[:4]
    settings = rules.settings(accord is not None, halo=look.halo_px > 0)
    height, width = view.y.shape[1:]
    place = look.satellite, look.round, height, width
    digest = view.picture_digest if settings.shows else 0
    bands = board.checkpoint.bands
    return Header(settings, weights, *place, rules.dlrc.k, participants, accord or 0, digest, bands)


def _grid(y: np.ndarray) -> np.ndarray:
    """The fixed grid: y_hat, int32, is known before any context."""
    return np.rint(y).astype(np.int32)


def code(
    board: Board, codec: CodecKnobs, z: np.ndarray, latents: tuple[np.ndarray, np.ndarray], known: np.ndarray
) -> EncodedLatents:
    """Code the kept vectors of latents = (y float32, y_hat int32), [M, H, W] each: y_hat on the fixed grid, y
    on the centred one. known: int32 [H, W] (`AssignmentMap.known`)."""
    y, y_hat = latents
    if codec.grid == "centred":
        return entropy.encode_centred(board.entropy(codec), z, y, known)
    return entropy.encode(board.entropy(codec), z, y_hat, known)


@torch.no_grad()
def open_loop_bits(
    board: Board, codec: CodecKnobs, z: np.ndarray, latents: tuple[np.ndarray, np.ndarray], kept: np.ndarray
) -> float:
    """The paper's estimate: -log2 p of the kept vectors with the satellite's own complete y_hat as context.
    Not decodable."""
    y, y_hat = latents
    coder = board.entropy(codec)
    if coder.centred:
        return float(estimate.centred_bits(coder, z, y, kept).sum())
    return float(estimate.bits_of(coder, z, y_hat, y_hat, kept).sum())
