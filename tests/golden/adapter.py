"""The golden rounds' only knowledge of the program: fly one round in this process, with latents that are
given instead of analysed.

What a restructured program has to offer here: a scenario from words; where each satellite's patch lies; a
round of a crew whose views are given; the words of a signature list; an encoder's assignment map; and the
ground's decoder, with and without repair."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from codec.bitstream import unpack
from codec.imagery.scene import open_scene
from codec.models.checkpoint import save_checkpoint
from codec.models.registry import build_model
from constellation.common.errors import UserError
from constellation.network import Instant, SpaceSegment, Sync
from constellation.scenario.load import load_scenario
from constellation.scenario.scenario import Scenario
from dlrc.local import Flight, Sides, flights, sides_of
from dlrc.local import fly as fly_here
from ground.account import Landed, oracle_positions
from ground.decoder import Decoded
from ground.mosaic import mosaics
from ground.receive import Kind
from nodes.capture import capture, look_of, patch_offset
from nodes.crew import View
from nodes.encoder import view_of
from nodes.messages import SignatureList, Witness
from nodes.process.board import Board, load_board

Latents = Callable[
    [int, int, int], np.ndarray
]  # satellite, row, col (latent cells of the window) -> y, float32 [M, H, W]

__all__ = [
    "Flown",
    "Ground",
    "Latents",
    "Refused",
    "build_model",
    "fly",
    "fly_for_real",
    "save_checkpoint",
    "sections",
]


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
        sides = _sides(scenario, weights, latents, hearing)
    except UserError as error:
        raise Refused(str(error)) from None
    flight = fly_here(sides, 0)
    told, landed = flight.flown, flight.landed
    flown = Flown()
    oracle = oracle_positions(landed.arrived.witness)
    for number, product in told.products.items():
        witness, note = landed.arrived.witness[number], told.notes[number]
        flown.streams[number], flown.independent[number] = product.stream, product.alone
        flown.downlinked[number] = product.stream, Witness.unpack(witness.pack()).alone
        flown.lists[number] = _words_of(flight, number)
        flown.maps[number] = _arrays(product.assignment)
        flown.open_bits[number] = note.open_y_bits
        flown.telling[number] = note.order, note.heard, oracle[number], note.payload_bytes
    alone = {(number, 0): product.alone for number, product in told.products.items()}
    flown.ground_independent = _ground(sides.station.decode(alone))
    flown.ground = _repaired(landed) if repair else _ground(landed.decoded)
    return flown


def _sides(scenario: Scenario, weights: Path, latents: Latents, hearing) -> Sides:
    codec = scenario.codec
    board = _board(weights, codec.model, codec.grid, codec.portable)
    sides = sides_of(scenario, board)
    network = _segment(scenario)

    def see(number: int, satellites: Sequence[int]) -> list[View]:
        scene = open_scene(scenario.scene, scenario.seed, number, scenario.capture.window_px)
        views = []
        for satellite in satellites:
            row, col = patch_offset(scenario.capture, scenario.seed, number, satellite)
            look = look_of(capture(scene, scenario.capture, scenario.seed, number, satellite), scene.name)
            views.append(view_of(board, codec, look, latents(satellite, row // 16, col // 16)))
        return views

    crew = replace(sides.crew, network=_Hearing(network, hearing) if hearing else network, see=see)
    return replace(sides, crew=crew)


def sections(stream: bytes) -> tuple[bytes, bytes, bytes, int]:
    """What a container holds: z, y, map, and the digest that a decoder must arrive at."""
    opened = unpack(stream)
    return opened.z, opened.y, opened.map, opened.digest


@functools.lru_cache(maxsize=8)
def _board(weights: Path, model: str, grid: str, portable: bool) -> Board:
    words = [
        f"codec.weights={weights}",
        f"codec.model={model}",
        f"codec.grid={grid}",
        f"codec.portable={portable}",
        "codec.device=cpu",
    ]
    return load_board(load_scenario("dense", words).codec)


class _Hearing:
    """A network whose links let everybody hear whom `hearing` says."""

    def __init__(self, network: SpaceSegment, hearing: Mapping[int, tuple[int, ...]]) -> None:
        self._network, self._hearing = network, hearing

    def at(self, number: int) -> Instant:
        instant = copy.copy(self._network.at(number))
        exchange = instant.exchange

        def heard(payload_bytes: Mapping[int, float], *more: object) -> Sync:
            hearers = {
                s: frozenset(r for r, whom in self._hearing.items() if s in whom) for s in payload_bytes
            }
            return replace(exchange(payload_bytes, *more), hearers=hearers)  # type: ignore[arg-type]

        instant.exchange = heard  # type: ignore[method-assign]
        return instant


def _segment(scenario: Scenario) -> SpaceSegment:
    """One space segment for all scenarios that differ on board alone."""
    plain = load_scenario("dense")
    return _segment_of(
        scenario.model_copy(update={"codec": plain.codec, "dlrc": plain.dlrc, "capture": plain.capture})
    )


@functools.lru_cache(maxsize=16)
def _segment_of(scenario: Scenario) -> SpaceSegment:
    return SpaceSegment(scenario)


def _words_of(flight: Flight, number: int, steady: bool = True) -> np.ndarray:
    """Words of a header and of a list padded to as many entries as a patch has positions, int64; none without
    DLRC. steady: the metric rounded: sines and cosines differ in the last bit between processors."""
    if number not in flight.flown.tasks:
        return np.zeros(0, np.int64)
    own: SignatureList = flight.flown.tasks[number].observation.own
    metric = float(f"{own.header.metric:.6g}") if steady else own.header.metric
    cells = flight.flown.products[number].assignment.fate.size
    data = replace(own.header, metric=metric).pack() + own.pack(cells)
    return np.frombuffer(data, dtype="<i8").astype(np.int64)


def _arrays(assignment) -> tuple[np.ndarray, ...]:
    return assignment.fate, assignment.exact, assignment.owner, assignment.source


def _ground(*parts: Decoded) -> Ground:
    """What streams gave; of a satellite in several parts the last counts."""
    latents = {s: y for part in parts for (s, _), y in part.latents.items()}
    gaps = {s: int(missing.sum()) for part in parts for (s, _), missing in part.missing.items()}
    halos = {s: one.header.settings.halo for part in parts for (s, _), one in part.streams.items()}
    wide = {s: y for s, y in latents.items() if halos[s]}
    return Ground(
        latents,
        {s: mosaic.surrounded(s) for mosaic in mosaics(wide) for s in mosaic.corners},
        {s: count for s, count in gaps.items() if count},
        sorted(s for s, _ in parts[0].faults if s not in latents),
        {s: _arrays(assignment) for (s, _), assignment in parts[0].maps.items()},
    )


def _repaired(landed: Landed) -> Ground:
    """The images' latents after repair: of those that sent their independent stream, that."""
    ground, sends = _ground(landed.decoded, landed.spares), landed.arrived.sends
    ground.resent = sorted(s for s in sends if any(one.kind is Kind.AGAIN for one in sends[s]))
    ground.replaced = sorted(s for s in sends if any(one.kind is Kind.INDEPENDENT for one in sends[s]))
    return ground


def fly_for_real(
    scenario_name: str, words: tuple[str, ...], rounds: int
) -> Iterator[tuple[int, dict[str, dict[int, bytes]]]]:
    """Rounds with the shipped weights, from pixels to pictures: for each, bytes by kind and satellite."""
    for flight in flights(sides_of(load_scenario(scenario_name, words)), rounds):
        landed, products = flight.landed, flight.flown.products
        originals = {s: one.original for s, one in landed.arrived.witness.items()}
        out: dict[str, dict[int, bytes]] = {
            "dlrc": {s: product.stream for s, product in products.items()},
            "independent": {s: product.alone for s, product in products.items()},
            "original": {s: np.ascontiguousarray(one).tobytes() for s, one in originals.items()},
            "list": {s: _words_of(flight, s, steady=False).tobytes() for s in products},
        }
        for kind, decoded, images in (
            ("dlrc", landed.decoded, landed.images),
            ("independent", landed.alone, landed.images_alone),
        ):
            out[f"latents_{kind}"] = {s: y.astype("<f8").tobytes() for (s, _), y in decoded.latents.items()}
            out[f"image_{kind}"] = {s: image.tobytes() for s, image in images.items()}
        yield flight.number, out
