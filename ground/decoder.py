"""From the streams of a round to its latents: what the ground knows is the bytes and the checkpoint, nothing
else.

    streams -> containers and maps -> references -> latents, all streams of a round side by side -> copies
    resolved

Streams are independent of the order in which they are listed; a stream that cannot be read, and what needs
its vectors, is a fault beside the others, never an exception."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

import numpy as np

from codec.bitstream import Bitstream, unpack
from codec.earlier import source_of_number
from codec.entropy.coder import EntropyCoder
from codec.entropy.decoder import DecodedLatents, StreamItem
from codec.entropy.decoder import decode as decode_streams
from codec.entropy.order import rank
from codec.maps.assignment import AssignmentMap, all_kept, combined_digest, signature_positions
from codec.maps.coding import decode_map
from codec.maps.references import follow
from codec.prediction.values import Guide
from constellation.common.errors import BitstreamError
from constellation.common.frozen import value
from constellation.scenario.coding import CodecKnobs
from ground.predicted import Chain, guide_of, sources_of
from ground.reconstructor import Grid
from nodes.lists.given import Given, given_by
from nodes.process.board import Board

Source = tuple[int, int]  # satellite, round
TOGETHER = 64  # streams that nothing ties to each other
Maps = dict[Source, AssignmentMap]
Faults = dict[Source, BitstreamError]


@value
class Decoded:
    """What streams gave, by source: (satellite, round).

    streams: containers of those that could be read, maps included. maps: their assignment maps. latents:
    y_tilde, float [M, H, W], of those that decoded to what was coded, complete but where `missing`, bool [H,
    W]: zero there, as the owner's vectors never came. faults: why a stream gave no latents. bits: float32 [H,
    W], what the y section spent at each position. guides: what streams are predicted from, of those that
    are. remembered: views of earlier rounds whose vectors were there."""

    streams: Mapping[Source, Bitstream]
    maps: Mapping[Source, AssignmentMap]
    latents: Mapping[Source, np.ndarray]
    missing: Mapping[Source, np.ndarray]
    faults: Mapping[Source, BitstreamError]
    bits: Mapping[Source, np.ndarray] = field(default_factory=dict)
    guides: Mapping[Source, Guide] = field(default_factory=dict)
    remembered: frozenset[Source] = frozenset()

    @property
    def whole(self) -> frozenset[Source]:
        """Streams that gave all their vectors, exactly as coded."""
        return frozenset(source for source in self.latents if not self.missing[source].any())

    @property
    def damaged(self) -> frozenset[Source]:
        """Streams that are at fault themselves: unreadable, or decoded to something else than what was coded
        although every satellite that they refer to is sound. Of one that refers to a fault, nobody can
        tell."""
        return frozenset(
            source
            for source in self.faults
            if source not in self.streams or self.needs(source) <= self.latents.keys() | self.remembered
        )

    def needs(self, source: Source) -> set[Source]:
        """The streams that one of `streams` refers to."""
        numbers = sources_of(self.maps[source], self.guides.get(source))
        return {source_of_number(number, source[1]) for number in numbers}

    def entries(self, source: Source) -> np.ndarray:
        """What streams of later rounds may refer to, int32: all vectors, [M, H, W], or those of its list,
        [M, U]."""
        vectors, settings = (
            np.rint(self.latents[source]).astype(np.int32),
            self.streams[source].header.settings,
        )
        if settings.predicts or not settings.dlrc:
            return vectors
        return vectors.reshape(len(vectors), -1)[:, signature_positions(self.maps[source])]

    @property
    def grids(self) -> dict[int, Grid]:
        """Latents by satellite, of streams of one round, as the Reconstructor takes them."""
        return {
            source[0]: Grid(latents, self.streams[source].header, source in self.whole)
            for source, latents in self.latents.items()
        }


NOTHING = Decoded({}, {}, {}, {}, {})
NO_MEMORY: Mapping[Source, np.ndarray] = {}


def parse(board: Board, streams: Mapping[Source, bytes]) -> Decoded:
    """Containers, assignment maps and guides alone: no latents."""
    opened, maps, guides, faults = {}, {}, {}, {}
    for source, data in sorted(streams.items()):
        try:
            stream, assignment = _opened(board, source, data)
            guide = guide_of(board, stream) if stream.header.settings.predicts else None
        except BitstreamError as error:
            faults[source] = error
            continue
        opened[source], maps[source] = stream, assignment
        if guide is not None:
            guides[source] = guide
    for source, stream in opened.items():
        if stream.header.settings.predicts:  # its digest is over all vectors
            continue
        owners = {(satellite, source[1]) for satellite in sources_of(maps[source], None)}
        for owner in sorted(owners & opened.keys()):
            if opened[owner].header.accord != stream.header.accord:
                faults[source] = BitstreamError(
                    f"copies vectors of satellite {owner[0]}, whose stream here is of another run or round: "
                    f"accord {opened[owner].header.accord:08x}, expected {stream.header.accord:08x}"
                )
    return Decoded(opened, maps, {}, {}, faults, guides=guides)


def decode(
    board: Board, streams: Mapping[Source, bytes], remembered: Mapping[Source, np.ndarray] = NO_MEMORY
) -> Decoded:
    """Decode streams: each under its source, in which it must name itself; those of one round follow each
    other's references, and those to earlier rounds that are among the streams or `remembered`, as of
    `Decoded.entries`."""
    read = parse(board, streams)
    latents, missing, bits, faults = {}, {}, {}, dict(read.faults)
    past = dict(remembered)
    for group in _groups(read):  # those that may refer to each other
        settings = read.streams[group[0]].header.settings
        knobs = CodecKnobs.model_validate({"grid": settings.grid, "portable": settings.portable})
        apart = {s: read.maps[s] for s in group if not read.streams[s].header.settings.predicts}
        given = _given(board.model.m, read, apart, remembered, faults)
        results = _decoded(board.entropy(knobs), read, given, faults)
        coded = {source: given[source].over(result.y_context) for source, result in results.items()}
        found, gaps = _copied({source: given[source].ends for source in coded}, coded)
        whole = {source: y for source, y in found.items() if not gaps[source].any()}
        chain = Chain(board, {s: read.streams[s] for s in group if s not in apart}, read.maps, read.guides)
        chain.decode(past | whole)
        faults |= chain.faults
        results |= chain.results
        found |= {source: result.y_context for source, result in chain.results.items()}
        latents |= found
        missing |= gaps | {s: np.zeros(found[s].shape[1:], bool) for s in chain.results}
        bits |= {source: result.y_bits for source, result in results.items()}
        past |= {source: found[source] for source in found if not missing[source].any()}
    return Decoded(
        read.streams, read.maps, latents, missing, faults, bits, read.guides, frozenset(remembered)
    )


def _opened(board: Board, source: Source, data: bytes) -> tuple[Bitstream, AssignmentMap]:
    """A stream's container and map. Raises `BitstreamError` where it is not the stream of `source`, or of
    another checkpoint."""
    stream = unpack(data)
    header, settings = stream.header, stream.header.settings
    if (header.satellite, header.round) != source:
        raise BitstreamError(
            f"stream of satellite {header.satellite} in round {header.round}, expected satellite {source[0]} "
            f"in round {source[1]}"
        )
    mine = bytes.fromhex(board.checkpoint.ground.sha256)[:4]
    if header.weights != mine or settings.model != board.model.ground.name:
        raise BitstreamError(
            f"coded by {settings.model} with weights {header.weights.hex()}, this ground station has "
            f"{board.model.ground.name} with {mine.hex()}"
        )
    if not settings.dlrc:
        return stream, all_kept(header.height, header.width)
    return stream, decode_map(
        stream.map,
        settings.map_coding,
        participants=header.sources,
        satellite=header.satellite,
        rank=rank(board.model.passes, header.height, header.width),
    )


def _groups(read: Decoded) -> Iterable[list[Source]]:
    kind_of = {}
    for source, stream in read.streams.items():
        settings = stream.header.settings
        if source not in read.faults:
            kind_of[source] = source[1], settings.grid, settings.portable
    return [
        [source for source in kind_of if kind_of[source] == kind] for kind in sorted(set(kind_of.values()))
    ]


def _given(
    m: int, read: Decoded, maps: Maps, remembered: Mapping[Source, np.ndarray], faults: Faults
) -> dict[Source, Given]:
    """Of each map what is there before any stream is decoded; of those that lack some of it a fault. m:
    channels of the codec."""
    given = {}
    for source, one in maps.items():
        try:
            earlier = bool(read.streams[source].header.earlier)
            given[source] = given_by(one, source[1], remembered, m) if earlier else Given(one)
        except BitstreamError as error:
            faults[source] = error
    return given


def _decoded(
    coder: EntropyCoder, read: Decoded, given: Mapping[Source, Given], faults: Faults
) -> dict[Source, DecodedLatents]:
    """The coded vectors of those that decode to what was coded; the others' faults into `faults`."""
    coded, streams = {}, read.streams
    for some in _side_by_side({source: one.ends for source, one in given.items()}):
        items = [
            StreamItem(
                streams[s].z,
                streams[s].y,
                read.maps[s].known(streams[s].header.settings.context),
                given=given[s].vectors,
                at=given[s].at,
            )
            for s in some
        ]
        results = decode_streams(coder, items, follow(_by_satellite(some)))
        for source, result in zip(some, results, strict=True):
            if isinstance(result, BitstreamError):
                faults[source] = result
                continue
            told = combined_digest(result.y_digest, read.maps[source], given[source].contents)
            fault = _mismatch(streams[source], result.y_digest, told)
            if fault is not None:
                faults[source] = fault
            else:
                coded[source] = result
    return {source: coded[source] for source in given if source in coded}


def _side_by_side(maps: Maps) -> list[Maps]:
    """Maps that are followed together: those that refer to others, with these; the rest a few at a time, as
    what decodes streams holds all their parameters at once."""
    if len(maps) <= TOGETHER:
        return [maps]
    tied: set[int] = set()
    for source, one in maps.items():
        if apart := sources_of(one, None) - {source[0]}:
            tied |= apart | {source[0]}
    free = [source for source in maps if source[0] not in tied]
    parts = [free[at : at + TOGETHER] for at in range(0, len(free), TOGETHER)]
    parts.append([source for source in maps if source[0] in tied])
    return [{source: maps[source] for source in part} for part in parts if part]


def _mismatch(stream: Bitstream, y_digest: int, combined: int) -> BitstreamError | None:
    found = combined if stream.header.settings.dlrc else y_digest
    if found == stream.digest:
        return None
    return BitstreamError(
        f"decoded latents have digest {found:08x}, the satellite coded {stream.digest:08x}: "
        + (
            ("the stream is damaged" + ", or what is remembered is wrong" * bool(stream.header.earlier))
            if stream.header.settings.portable
            else "codec.portable=false decodes only where float32 sums come out as on board"
        )
    )


def _copied(
    maps: Maps, coded: dict[Source, np.ndarray]
) -> tuple[dict[Source, np.ndarray], dict[Source, np.ndarray]]:
    """Latents [M, H, W] with every copy resolved, and where one could not be, bool [H, W]."""
    references = follow(_by_satellite(maps))
    latents = dict(zip(maps, references.copied([coded[source] for source in maps]), strict=True))
    missing = {s: (references.of(i) < 0).reshape(maps[s].shape) for i, s in enumerate(maps)}
    return latents, missing


def _by_satellite(maps: Maps) -> dict[int, AssignmentMap]:
    """Of one round: its maps name owners by satellite."""
    return {satellite: assignment for (satellite, _), assignment in maps.items()}
