"""Joint decoding of a round's streams: one set of context vectors, one schedule, one matrix product per layer
and step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np

from codec.entropy import order, rans
from codec.entropy.coder import BATCH_ROWS, EntropyCoder, context_digest
from codec.entropy.schedule import Rows, rows_of, schedule
from codec.entropy.tables import code_lengths
from codec.fields import MAX_POSITIONS
from codec.maps.assignment import KNOWN
from codec.maps.references import CIRCLE, References
from codec.prediction.exact import Outlook
from codec.prediction.values import HYPER_POSITIONS, Prediction
from constellation.common.errors import BitstreamError
from constellation.common.frozen import value

STEP_CELLS = 8192  # of a step that are at work at once
Exchange = Callable[[np.ndarray, list[int], list[int], np.ndarray, slice], np.ndarray]


@value
class StreamItem:
    """One stream to decode. known: int32 [H, W] (`AssignmentMap.known`). y_digest: what its header says,
    checked if given. given: [M, H, W], vectors that are there before any stream is decoded, of the cells
    `at`, bool [H, W]; None: of all that are KNOWN. prediction: in the light of which it was coded (fixed
    grid, portable)."""

    z_bytes: bytes
    y_bytes: bytes
    known: np.ndarray
    y_digest: int | None = None
    given: np.ndarray | None = None
    prediction: Prediction | None = None
    at: np.ndarray | None = None

    @property
    def hyper_sent(self) -> np.ndarray:
        """Which hyper-latents its z section has, bool [h, w]."""
        h, w = (-(-side // HYPER_POSITIONS) for side in self.known.shape)
        return np.ones((h, w), bool) if self.prediction is None else self.prediction.hyper.reshape(h, w)

    @property
    def away(self) -> np.ndarray:
        """Cells whose vectors come from other streams of the batch, bool [H * W]."""
        return (self.known.reshape(-1) == KNOWN) & (self.given is None or ~self.held)

    @property
    def held(self) -> np.ndarray:
        """Cells whose vectors are given, bool [H * W]."""
        return (self.known == KNOWN if self.at is None else self.at).reshape(-1)


@value
class DecodedLatents:
    """z_symbols: int32 [N, h, w]. y_context: int32 (centred grid: float32) [M, H, W], every vector this side
    knows: kept, local and exact remote copies; zero at fills. y_digest: its CRC-32. y_bits: float32 [H, W],
    what the coder spent at each position; zero where nothing is coded."""

    z_symbols: np.ndarray
    y_context: np.ndarray
    y_digest: int
    y_bits: np.ndarray


class Walk:
    """Some images' vectors, made step by step along the joint schedule from the hyper-latents alone: the
    decoder, and the encoder of the centred grid.

    items: the images' streams; their bytes do not matter here. z_symbols: int32 [N, h, w] each. cell: as of
    `rows_of`. Raises ValueError for what no map says."""

    def __init__(
        self,
        coder: EntropyCoder,
        items: Sequence[StreamItem],
        z_symbols: Sequence[np.ndarray],
        cell: np.ndarray | None = None,
    ) -> None:
        self._exact, passes = coder.exact, coder.model.passes
        knowns = [item.known for item in items]
        self.orders = [order.groups(passes, known) for known in knowns]
        self.rows: Rows = rows_of(knowns, cell)
        self.schedule = schedule(passes, self.orders, self.rows)
        self._vectors = np.zeros((self.rows.zero + 1, coder.model.m), dtype=coder.vector_type)
        hyper = [self._exact.hyper(z, *known.shape) for z, known in zip(z_symbols, knowns, strict=True)]
        self._hyper = np.concatenate(hyper or [np.zeros((0, 0))])  # [cells of all images, P]
        self._outlook = Outlook(
            [(item.prediction, rows, item.known.shape) for item, rows in zip(items, hyper, strict=True)]
        )
        self._windows: dict[bytes, np.ndarray] = {}  # by the offsets: int64 [cells, window], rows
        self._earlier: dict[int, tuple[object, dict]] = {}  # image -> network, its rows by group

    def give(self, b: int, held: np.ndarray, vectors: np.ndarray) -> None:
        """Lay down those of image b's vectors, [M, H, W], that are `held`, bool [H * W]."""
        at = np.flatnonzero(held)
        self._vectors[self.rows.first[b] + at] = vectors.reshape(len(vectors), -1)[:, at].T

    def run(self, exchange: Exchange) -> None:
        """`exchange(parameters [n, 2 C], images, counts, rows, channels)` gives the vectors' values [n, C] of
        each step. counts[i] of the n rows belong to images[i]; rows: their cells, numbered through all
        images."""
        for step in self.schedule.steps:
            for number in sorted({int(self.orders[b].passes[g]) for b, g in step}):
                pairs = [(b, g) for b, g in step if self.orders[b].passes[g] == number]
                for some in self._bounded(pairs):
                    self._run_pass(number, some, exchange)

    def context_map(self, b: int) -> np.ndarray:
        """What is known of image b: int32 or float32 [M, H, W]."""
        values = np.moveaxis(self._vectors[self.rows.of(b)], -1, 0)
        return np.ascontiguousarray(values, dtype=np.float32 if values.dtype.kind == "f" else np.int32)

    def _bounded(self, pairs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        """Pairs of one step, which need nothing of each other, some at a time, a bound on memory."""
        cells = np.cumsum([0] + [len(self.orders[b].group(g)) for b, g in pairs[:-1]]) // STEP_CELLS
        for _, some in groupby(zip(cells, pairs), key=lambda one: one[0]):
            yield [pair for _, pair in some]

    def _run_pass(self, number: int, pairs: list[tuple[int, int]], exchange: Exchange) -> None:
        groups = [self.rows.first[b] + self.orders[b].group(g) for b, g in pairs]
        rows = np.concatenate(groups)
        if not len(rows):
            return
        beside = [part for b, g in pairs if (part := self._earlier_of(number, b, g)) is not None]
        earlier = np.concatenate(beside) if beside else None
        window = self._window(number)
        parts = []
        for at in range(0, len(rows), BATCH_ROWS):
            some, batch = rows[at : at + BATCH_ROWS], slice(at, at + BATCH_ROWS)
            part, cells = None if earlier is None else earlier[batch], (self._vectors, window[some])
            parts.append(self._exact.parameters(number, self._hyper[some], part, cells))
        parameters = parts[0] if len(parts) == 1 else np.concatenate(parts)
        channels = self._exact.passes[number].step.channels
        parameters = self._outlook.correct(number, rows, channels, parameters)
        self._vectors[rows, channels] = exchange(
            parameters, [b for b, _ in pairs], [len(group) for group in groups], rows, channels
        )

    def _window(self, number: int) -> np.ndarray:
        offsets = self._exact.passes[number].step.offsets
        if offsets.tobytes() not in self._windows:
            windows = [self.rows.window(b, offsets) for b in range(len(self.orders))]
            self._windows[offsets.tobytes()] = np.concatenate(windows)
        return self._windows[offsets.tobytes()]

    def _earlier_of(self, number: int, b: int, g: int) -> np.ndarray | None:
        """Computed for all groups of all passes that share a network at once: earlier channels are
        complete."""
        passes, mine = self._exact.passes, self.orders[b]
        network = passes[number].earlier
        if network is None:
            return None
        if b not in self._earlier or self._earlier[b][0] is not network:
            sharing = [h for h in range(g, mine.groups) if passes[mine.passes[h]].earlier is network]
            positions = np.concatenate([mine.group(h) for h in sharing])
            found = self._exact.earlier(number, self._vectors, self.rows.of(b), positions)
            cuts = np.cumsum([len(mine.group(h)) for h in sharing])[:-1]
            self._earlier[b] = network, dict(zip(sharing, np.split(found, cuts), strict=True))
        return self._earlier[b][1][g]


# ---------------------------------------------------------------- streams


def decode(
    coder: EntropyCoder, items: Sequence[StreamItem], references: References | None = None
) -> list[DecodedLatents | BitstreamError]:
    """Decode streams side by side, following references between them.
    references: of the items' maps, in their order; None where no item has exact remote copies. In place of a
    result stands a BitstreamError for a damaged stream, another digest, references that lead nowhere or
    round in a circle, and a stream that has vectors of one of those in its context."""
    results: list[DecodedLatents | BitstreamError | None] = [
        _misfit(item, b, references) for b, item in enumerate(items)
    ]
    needs = _needs(items, references)
    _spread(results, needs)
    sound = [b for b, error in enumerate(results) if error is None]
    chosen = [items[b] for b in sound]
    for b, result in zip(sound, _decode(coder, chosen, _cells(items, sound, references)), strict=True):
        named = isinstance(result, str)
        results[b] = BitstreamError(f"stream {b} of the batch: {result}") if named else result
    _spread(results, needs)
    return [result for result in results if result is not None]  # by now none is


def _decode(
    coder: EntropyCoder, items: Sequence[StreamItem], cell: np.ndarray | None
) -> list[DecodedLatents | str]:
    """Latents, or what is wrong with a stream. cell: as of `rows_of`."""
    z_symbols, faults = _decode_hyper(coder, items)
    walk = Walk(coder, items, z_symbols, cell)
    for b, item in enumerate(items):
        if item.given is not None:
            walk.give(b, item.held, item.given)
    decoder = rans.Decoder([item.y_bytes for item in items], coder.tables.code)
    bits = np.zeros(walk.rows.zero + 1, dtype=np.float32)
    walk.run(_receiver(coder, decoder, bits))
    for b, fault in enumerate(decoder.faults()):
        if b in walk.schedule.stuck:
            faults[b] = "its vectors and those of others wait for each other in a circle"
        elif fault and not faults[b]:
            faults[b] = f"y section of {len(items[b].y_bytes)} bytes {fault}"
    results: list[DecodedLatents | str] = []
    for b, item in enumerate(items):
        y_context = walk.context_map(b)
        digest = context_digest(y_context)
        wrong = f"y digest {digest:08x} after decoding, its header has {item.y_digest or 0:08x}"
        mismatch = wrong if item.y_digest not in (None, digest) else ""
        own = slice(walk.rows.first[b], walk.rows.first[b + 1])  # not where its copies lie
        spent = bits[own].reshape(item.known.shape)
        results.append(faults[b] or mismatch or DecodedLatents(z_symbols[b], y_context, digest, spent))
    return results


def _receiver(coder: EntropyCoder, decoder: rans.Decoder, bits: np.ndarray) -> Exchange:
    """bits: float32 [cells of all images], to which each step adds what it took."""

    def receive(parameters, images, counts, rows, channels):
        width = parameters.shape[1] // 2
        table, centre = coder.tables.index(parameters, with_mean=coder.grid == "fixed")
        symbols = decoder.decode(table, np.asarray(counts) * width, images).reshape(-1, width)
        bits[rows] += code_lengths(symbols, table, coder.tables.code).sum(axis=1)
        if coder.grid == "centred":
            return symbols + parameters[:, width:].astype(np.float64)
        return np.clip(symbols + centre, -32768, 32767)

    return receive


def _decode_hyper(coder: EntropyCoder, items: Sequence[StreamItem]) -> tuple[list[np.ndarray], list[str]]:
    """z of each stream, int32 [N, h, w], zero where it is not sent and where its section is at fault, and
    what is wrong with it or ''."""
    sent = [item.hyper_sent for item in items]
    decoder = rans.Decoder([item.z_bytes for item in items], coder.z_tables)
    indices = [coder.z_indices(int(one.sum())) for one in sent]
    counts = [len(i) for i in indices]
    symbols = decoder.decode(np.concatenate(indices or [np.zeros(0)]), counts, np.arange(len(items)))
    parts = np.split(symbols, np.cumsum(counts)[:-1]) if items else []
    pairs = zip(items, decoder.faults(), strict=True)
    faults = [f"z section of {len(one.z_bytes)} bytes {fault}" if fault else "" for one, fault in pairs]
    z = [np.zeros((coder.z_tables.count, *one.shape), np.int32) for one in sent]
    for image, part, one, fault in zip(z, parts, sent, faults, strict=True):
        image[:, one] = part.reshape(int(one.sum()), len(image)).T * (not fault)
    return z, faults


# ---------------------------------------------------------------- references between streams


def _misfit(item: StreamItem, b: int, references: References | None) -> BitstreamError | None:
    """What is wrong with a stream before any of its bytes is decoded."""
    size, away, fault = item.known.size, int(item.away.sum()), ""
    if not 0 < size <= MAX_POSITIONS:
        height, width = item.known.shape
        fault = f"a latent map of {height} x {width}, expected 1 to {MAX_POSITIONS} positions"
    elif away and references is None:
        fault = f"refers to {away} vectors of other satellites, but no references were given"
    elif references is not None and away:
        coded = references.of(b)[item.away]
        if (coded == CIRCLE).any():
            fault = "references go round in a circle"
        elif (coded < 0).any():
            fault = (
                f"{int((coded < 0).sum())} exact remote copies refer to a satellite whose stream is not here"
            )
    return BitstreamError(f"stream {b} of the batch: {fault}") if fault else None


def _needs(items: Sequence[StreamItem], references: References | None) -> dict[int, set[int]]:
    """The streams whose vectors each has in its context."""
    needs: dict[int, set[int]] = {}
    for b, item in enumerate(items):
        if references is not None and item.away.any():
            coded = references.of(b)[item.away]
            needs[b] = set(np.unique(references.place(coded[coded >= 0])).tolist()) - {b}
    return needs


def _spread(results: list, needs: dict[int, set[int]]) -> None:
    """A stream that needs vectors of a failed one fails too."""
    followers: dict[int, list[int]] = {}
    for b, others in needs.items():
        for c in others:
            followers.setdefault(c, []).append(b)
    failed = [b for b, result in enumerate(results) if isinstance(result, BitstreamError)]
    while failed:
        c = failed.pop()
        for b in followers.get(c, ()):
            if not isinstance(results[b], BitstreamError):
                results[b] = BitstreamError(f"stream {b} of the batch refers to stream {c}, which failed")
                failed.append(b)


def _cells(items: Sequence[StreamItem], sound: list[int], references: References | None) -> np.ndarray | None:
    """The cells that code those of the sound streams, numbered through these alone; a cell whose vector is
    given stands for itself."""
    if not sound or (references is None and all(items[b].given is None for b in sound)):
        return None
    sizes = np.array([items[b].known.size for b in sound])
    begin = np.cumsum(sizes) - sizes
    shift = np.zeros(len(items) + 1, dtype=np.int64)
    here = np.zeros(len(items) + 1, dtype=bool)
    here[sound] = True
    cell = np.full(sizes.sum(), -1, dtype=np.int64)
    if references is not None:
        shift[sound] = begin - references.first[sound]
        cell = np.concatenate([references.of(b) for b in sound])
        place = np.where(cell >= 0, references.place(np.maximum(cell, 0)), len(items))
        cell = np.where(here[place], cell + shift[place], -1)
    for b, at in zip(sound, begin.tolist(), strict=True):
        if items[b].given is not None:
            own = at + np.flatnonzero(items[b].held)
            cell[own] = own
    return cell
