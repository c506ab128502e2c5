"""Nothing is lost silently (design.md): damaged streams are asked for again, and what an owner's loss blocks
is repaired.

A satellite keeps a round until the ground has acknowledged it. The ground gives two verdicts: after the first
attempt, streams that arrived damaged are sent again; after the second, a satellite whose image is still
incomplete (its owner never downlinked) sends its own independent stream, which needs nobody. Until then the
image is missing or filled, and the report says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from codec.bitstream import Bitstream, unpack
from codec.entropy.coder import EntropyCoder
from codec.maps.assignment import AssignmentMap
from codec.models.checkpoint import CheckpointInfo
from codec.models.model import LatentModel
from constellation.common.errors import BitstreamError
from constellation.scenario.network import GroundKnobs
from constellation.scenario.scenario import CodecKnobs
from ground.decoder import Decoded, decode, parse
from ground.reconstructor import Grid, reconstruct
from nodes.downlink import ACKNOWLEDGED, SEND_AGAIN, SEND_INDEPENDENT

_LOSS = 0x105E
Ask = Callable[[int, bytes], bytes]  # satellite, verdict -> the bytes it sends (empty when acknowledged)


@dataclass(frozen=True)
class RoundResult:
    """What a round's streams gave, by satellite (ground.decoder.Decoded); images: after `synthesise`."""

    streams: dict[int, Bitstream] = field(default_factory=dict)
    maps: dict[int, AssignmentMap] = field(default_factory=dict)
    latents: dict[int, np.ndarray] = field(default_factory=dict)
    failures: dict[int, BitstreamError] = field(default_factory=dict)
    unresolved: dict[int, int] = field(default_factory=dict)
    images: dict[int, np.ndarray] = field(default_factory=dict)


class RoundDecoder:
    """`ground.decoder.decode` with one checkpoint, by satellite; for callers that do not drive a round
    yet."""

    def __init__(
        self, model: LatentModel, checkpoint: CheckpointInfo, device: str = "cpu", portable: bool = True
    ) -> None:
        self.model, self.checkpoint, self.device, self.portable = model, checkpoint, device, portable
        model.net.to(device)
        self._coders: dict[str, EntropyCoder] = {}

    def entropy(self, codec: CodecKnobs) -> EntropyCoder:
        """As `nodes.crew.Board.entropy`."""
        if codec.grid not in self._coders:
            self._coders[codec.grid] = EntropyCoder(self.model, portable=self.portable, grid=codec.grid)
        return self._coders[codec.grid]

    def decode(self, streams: Mapping[int, bytes]) -> RoundResult:
        """All streams of one round, latents included."""
        return _result(decode(self, _by_source(streams), self.portable), streams)

    def parse(self, streams: Mapping[int, bytes]) -> RoundResult:
        """Containers and maps alone."""
        return _result(parse(self, _by_source(streams)), streams)

    def synthesise(self, results: Mapping[str, RoundResult]) -> None:
        """Images of all latents, into `images`."""
        grids = [
            {s: Grid(y, r.streams[s].header.settings.halo) for s, y in r.latents.items()}
            for r in results.values()
        ]
        for result, images in zip(results.values(), reconstruct(self.model, *grids), strict=True):
            result.images.update(images)


def _by_source(streams: Mapping[int, bytes]) -> dict[tuple[int, int], bytes]:
    def number(data: bytes) -> int:
        try:
            return unpack(data).header.round
        except BitstreamError:
            return 0

    return {(satellite, number(data)): data for satellite, data in streams.items()}


def _result(decoded: Decoded, streams: Mapping[int, bytes]) -> RoundResult:
    def by_satellite(values: Mapping) -> dict:
        found = {satellite: found for (satellite, _), found in values.items()}
        return {satellite: found[satellite] for satellite in streams if satellite in found}

    missing = {s: int(cells.sum()) for s, cells in by_satellite(decoded.missing).items()}
    parts = (decoded.streams, decoded.maps, decoded.latents, decoded.faults)
    return RoundResult(*map(by_satellite, parts), missing)


@dataclass(frozen=True)
class Repaired:
    """A round after repair. resent: satellites whose stream was sent again; replaced: those that sent their
    independent stream instead."""

    result: RoundResult
    resent: tuple[int, ...]
    replaced: tuple[int, ...]


def arrive(
    streams: Mapping[int, bytes], knobs: GroundKnobs, seed: int, round_number: int
) -> dict[int, bytes]:
    """The streams as they reach the ground the first time: some damaged (`ground.stream_loss`), one missing
    (`ground.silent_satellite`)."""
    out = {}
    for satellite, data in streams.items():
        if satellite == knobs.silent_satellite:
            continue
        draw = np.random.Generator(
            np.random.Philox(np.random.SeedSequence([_LOSS, seed, round_number, satellite]))
        )
        damaged = bytearray(data)
        if draw.random() < knobs.stream_loss:
            damaged[int(draw.integers(len(damaged)))] ^= 0xFF
        out[satellite] = bytes(damaged)
    return out


def decode_with_repair(
    decoder: RoundDecoder, streams: Mapping[int, bytes], satellites: Sequence[int], silent: int, ask: Ask
) -> Repaired:
    """Decode a round, ask twice for what is missing, and return the best there is."""
    arrived = dict(streams)
    result = decoder.decode(arrived)
    damaged = [s for s in satellites if s in result.failures and s not in result.streams and s != silent]
    arrived |= _ask_all(satellites, damaged, SEND_AGAIN, ask)
    if damaged:
        result = decoder.decode(arrived)
    incomplete = [
        s for s in satellites if s != silent and (s in result.failures or result.unresolved.get(s, 0))
    ]
    replacements = _ask_all(satellites, incomplete, SEND_INDEPENDENT, ask)
    if replacements:
        spare = decoder.decode(replacements)
        for satellite in replacements:
            if satellite in spare.latents:
                result.latents[satellite] = spare.latents[satellite]
                result.failures.pop(satellite, None)
                result.unresolved[satellite] = 0
    return Repaired(result, tuple(damaged), tuple(replacements))


def _ask_all(satellites: Sequence[int], chosen: Sequence[int], verdict: bytes, ask: Ask) -> dict[int, bytes]:
    """Give every satellite its verdict, in order; the answers of those chosen."""
    answers = {
        satellite: ask(satellite, verdict if satellite in chosen else ACKNOWLEDGED)
        for satellite in satellites
    }
    return {satellite: answers[satellite] for satellite in chosen}
