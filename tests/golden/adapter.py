"""The golden rounds' only knowledge of the program: fly one round in this process, with latents that are
given instead of analysed.

What a restructured program has to offer here: a scenario from words; where each satellite's patch lies; a
round of satellites whose `analyse` is replaced; the words of a signature list; an encoder's assignment map;
and the ground's decoder, with and without repair."""

from __future__ import annotations

import copy
import functools
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from codec.models.checkpoint import save_checkpoint
from codec.models.registry import build_model
from constellation.common.errors import UserError
from constellation.network import SpaceSegment
from constellation.scenario.scenario import load_scenario
from ground.mosaic import mosaics
from ground.repair import RoundDecoder, RoundResult, arrive, decode_with_repair
from nodes.arbiter import pack_list
from nodes.capture import patch_offset
from nodes.coding import Board, load_board
from nodes.downlink import ACKNOWLEDGED, SEND_AGAIN, Downlink
from nodes.satellite import Satellite

METRIC_WORD = 2  # of a packed list: float64 bits of the priority metric

Latents = Callable[
    [int, int, int], np.ndarray
]  # satellite, row, col (latent cells of the window) -> y, float32 [M, H, W]

__all__ = ["Flown", "Ground", "Latents", "Refused", "build_model", "fly", "fly_for_real", "save_checkpoint"]


class Refused(Exception):
    """The program does not take this scenario."""


@dataclass
class Ground:
    """What the ground made of streams: latents and their surroundings (rounds with a halo), unresolved
    positions, satellites that failed."""

    latents: dict[int, np.ndarray]
    surrounded: dict[int, np.ndarray]
    unresolved: dict[int, int]
    failed: list[int]
    maps: dict[int, tuple[np.ndarray, ...]]
    resent: list[int] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)


@dataclass
class Flown:
    """One round, by satellite. streams, independent: the containers. downlinked: the same two, read back from
    the message's bytes.

    lists: packed words int64, the metric rounded to six digits. maps: the encoder's (fate, exact, owner,
    source). open_bits: the open-loop estimate, NaN unless asked for. telling: (order, heard, oracle, payload
    bytes) of the telemetry."""

    streams: dict[int, bytes] = field(default_factory=dict)
    independent: dict[int, bytes] = field(default_factory=dict)
    downlinked: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    lists: dict[int, np.ndarray] = field(default_factory=dict)
    maps: dict[int, tuple[np.ndarray, ...]] = field(default_factory=dict)
    open_bits: dict[int, float] = field(default_factory=dict)
    telling: dict[int, tuple] = field(default_factory=dict)
    ground: Ground | None = None
    ground_independent: Ground | None = None


def fly(
    words: tuple[str, ...],
    weights: Path,
    latents: Latents,
    repair: bool = False,
    hearing: Mapping[int, tuple[int, ...]] | None = None,
) -> Flown:
    """Round 0 of `scenario=dense` with `words` and the checkpoint `weights`. With `repair`, the streams reach
    the ground as `ground.*` says.

    hearing: whom each satellite hears, in place of what the links let it hear.
    """
    try:
        scenario = load_scenario("dense", [*words, f"codec.weights={weights}", "codec.device=cpu"])
        board = _board(weights, scenario.codec.model, scenario.codec.grid, scenario.codec.portable)
        satellites = [_satellite(scenario, number, board, latents) for number in range(scenario.satellites)]
    except UserError as error:
        raise Refused(str(error)) from None
    if hearing is not None:
        participants = {number: frozenset(others) for number, others in hearing.items()}
        for satellite in satellites:
            satellite.agree = _with_participants(satellite.agree, participants)
    seen = [satellite.observe(0) for satellite in satellites]
    lists = [observation.own for observation in seen]
    messages = [satellite.conclude(own, lists) for satellite, own in zip(satellites, seen, strict=True)]
    flown = Flown()
    for satellite, own, message in zip(satellites, seen, messages, strict=True):
        number, note, read = satellite.number, message.telemetry, Downlink.from_bytes(message.to_bytes())
        assignment = satellite.arbitrate(own.selection, satellite.agree(own, lists), own.y.shape[1:])
        flown.streams[number], flown.independent[number] = message.stream, message.independent
        flown.downlinked[number] = read.stream, read.independent
        flown.lists[number] = _steady(
            pack_list(own.own, len(own.selection.entry_of), satellite.with_contents)
        )
        flown.maps[number] = _arrays(assignment)
        flown.open_bits[number] = note.open_y_bits
        flown.telling[number] = note.order, note.heard, note.oracle, note.payload_bytes
    decoder = _decoder(board, scenario.codec.portable)
    flown.ground_independent = _ground(decoder.decode(flown.independent))
    if not repair:
        flown.ground = _ground(decoder.decode(flown.streams))
        return flown

    def ask(satellite: int, verdict: bytes) -> bytes:
        if verdict == ACKNOWLEDGED:
            return b""
        return flown.streams[satellite] if verdict == SEND_AGAIN else flown.independent[satellite]

    arrived = arrive(flown.streams, scenario.ground, scenario.seed, 0)
    repaired = decode_with_repair(
        decoder, arrived, sorted(flown.streams), scenario.ground.silent_satellite, ask
    )
    flown.ground = _ground(repaired.result)
    flown.ground.resent, flown.ground.replaced = list(repaired.resent), list(repaired.replaced)
    return flown


@functools.lru_cache(maxsize=8)
def _board(weights: Path, model: str, grid: str, portable: bool) -> Board:
    words = [
        f"codec.weights={weights}",
        f"codec.model={model}",
        f"codec.grid={grid}",
        f"codec.portable={portable}",
        "codec.device=cpu",
    ]
    return load_board(load_scenario("dense", words))


@functools.lru_cache(maxsize=8)
def _decoder(board: Board, portable: bool) -> RoundDecoder:
    return RoundDecoder(board.coder.model, board.checkpoint, "cpu", portable)


def _satellite(scenario, number: int, board: Board, latents: Latents) -> Satellite:
    row, col = patch_offset(scenario.capture, scenario.seed, 0, number)
    y = latents(number, row // 16, col // 16)
    coder = copy.copy(board.coder)
    coder.analyse = lambda padded, halo_px: y
    return Satellite(scenario, number, Board(coder, board.checkpoint), _segment(scenario))


def _with_participants(agree: Callable, participants: dict[int, frozenset[int]]) -> Callable:
    return lambda seen, lists: replace(agree(seen, lists), participants=participants)


def _segment(scenario) -> SpaceSegment:
    """One space segment for all scenarios that differ on board alone."""
    plain = load_scenario("dense")
    return _segment_of(
        scenario.model_copy(update={"codec": plain.codec, "dlrc": plain.dlrc, "capture": plain.capture})
    )


@functools.lru_cache(maxsize=16)
def _segment_of(scenario) -> SpaceSegment:
    return SpaceSegment(scenario)


def _steady(words: np.ndarray) -> np.ndarray:
    """Packed words whose metric is rounded: sines and cosines differ in the last bit between processors."""
    (metric,) = struct.unpack("<d", struct.pack("<q", int(words[METRIC_WORD])))
    out = words.copy()
    (out[METRIC_WORD],) = struct.unpack("<q", struct.pack("<d", float(f"{metric:.6g}")))
    return out


def _arrays(assignment) -> tuple[np.ndarray, ...]:
    return assignment.fate, assignment.exact, assignment.owner, assignment.source


def _ground(result: RoundResult) -> Ground:
    wide = {s: latents for s, latents in result.latents.items() if result.streams[s].header.settings.halo}
    surrounded = {s: mosaic.surrounded(s) for mosaic in mosaics(wide) for s in mosaic.corners}
    return Ground(
        dict(result.latents),
        surrounded,
        {s: n for s, n in result.unresolved.items() if n},
        sorted(result.failures),
        {s: _arrays(assignment) for s, assignment in result.maps.items()},
    )


def fly_for_real(
    scenario_name: str, words: tuple[str, ...], rounds: int
) -> Iterator[tuple[int, dict[str, dict[int, bytes]]]]:
    """Rounds with the shipped weights, from pixels to pictures: for each, bytes by kind and satellite."""
    from dlrc.studies.common.rounds import Fleet

    fleet = Fleet(load_scenario(scenario_name, list(words)))
    for number in range(rounds):
        flight = fleet.fly(number)
        out: dict[str, dict[int, bytes]] = {"dlrc": {}, "independent": {}, "original": {}, "list": {}}
        for satellite, seen, message in zip(
            fleet.satellites, flight.observations, flight.messages, strict=True
        ):
            out["dlrc"][satellite.number], out["independent"][satellite.number] = (
                message.stream,
                message.independent,
            )
            out["original"][satellite.number] = np.ascontiguousarray(message.original).tobytes()
            out["list"][satellite.number] = pack_list(
                seen.own, len(seen.selection.entry_of), satellite.with_contents
            ).tobytes()
        for kind, result in flight.results.items():
            out[f"latents_{kind}"] = {
                s: latents.astype("<f8").tobytes() for s, latents in result.latents.items()
            }
            out[f"image_{kind}"] = {s: image.tobytes() for s, image in result.images.items()}
        yield number, out
