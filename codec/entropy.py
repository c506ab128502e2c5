"""Entropy coding of one satellite's latents, and joint decoding of a round's streams (design.md, "The decision that makes it decodable").

    coder = EntropyCoder(model)                                   # model: codec.models.LatentModel; weights are frozen here
    z = coder.hyper_symbols(y)                                    # on board
    coded = coder.encode(z, np.rint(y), layout)                   # fixed grid: no loop over positions
    latents = coder.decode([StreamItem(coded.z_bytes, coded.y_bytes, H, W, layout)])[0]     # at the ground
    latents.y_context == layout.context_map(y_hat)

With `portable=True` (default) every table index comes from exact arithmetic (codec/portable.py), and streams decode on any machine, in any batch, with
any number of threads. With `portable=False` the same networks run in float32: for comparison; such a stream decodes only where float32 sums
come out as they did at the encoder, which other shapes, threads or libraries do not promise (the digest then tells).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from codec import rans
from codec.assignment import LOCAL, REMOTE
from codec.models import LatentModel, wrap_network
from codec.portable import int8_is_exact
from codec.priors import portable_prior
from codec.schedule import (FILL, KNOWN, CodingOrder, ContextLayout, JointSchedule, Pointers, coding_order, joint_schedule, neighbours,
                            resolve)
from codec.tables import bottleneck_tables, code_lengths, gaussian_tables
from constellation.errors import BitstreamError

Y_LIMIT = 32000  # |y_hat| is at most this
MAX_POSITIONS = 1 << 20  # of one stream: 16,384 px squared
BATCH_ROWS = 2048  # rows of the 1x1 networks at a time, a bound on memory


@dataclass(frozen=True)
class EncodedLatents:
    """z_bytes, y_bytes: entropy-coded sections.  y_digest: CRC-32 of the context map (`context_digest`).  n_coded: positions coded in y_bytes.

    y_hat: float32 [M, H, W], centred grid only: the vectors that a decoder will have (context map).
    """

    z_bytes: bytes
    y_bytes: bytes
    y_digest: int
    n_coded: int
    y_hat: np.ndarray | None = None


@dataclass(frozen=True)
class StreamItem:
    """One stream to decode. height, width: of the latent map.  y_digest: what its header says, checked if given.

    known: int16 (centred grid: float32) [K, M], vectors that references (-1, row) of the layout point to.
    """

    z_bytes: bytes
    y_bytes: bytes
    height: int
    width: int
    layout: ContextLayout
    known: np.ndarray | None = None
    y_digest: int | None = None


@dataclass(frozen=True)
class DecodedLatents:
    """z_symbols: int32 [N, h, w].  y_context: int32 (centred grid: float32) [M, H, W], every vector this side knows: kept, local and exact
    remote copies; zero at fills.  y_digest: its CRC-32."""

    z_symbols: np.ndarray
    y_context: np.ndarray
    y_digest: int


def context_digest(y_context: np.ndarray) -> int:
    """CRC-32 of a context map [M, H, W] as little-endian int16 (integers) or float32."""
    kind = "<f4" if y_context.dtype.kind == "f" else "<i2"
    return zlib.crc32(np.ascontiguousarray(y_context.astype(kind)).tobytes())


def encoder_layout(assignment, context: str = "exact") -> ContextLayout:
    """The satellite's own layout from its `codec.assignment.AssignmentMap`. context: exact | independent (every remote copy is a fill)."""
    return _layout(assignment, context, None)


def decoder_layout(assignment, sources: np.ndarray, items: Sequence[int], context: str = "exact") -> ContextLayout:
    """The layout of the same map at the ground.

    sources: int64 [H * W], slot * H * W + position that each position refers to (`ground.reconstructor.immediate_sources`); negative: unknown.
    items: for each slot, the index of that satellite's stream in the `decode` call.
    Raises BitstreamError where an exact remote copy refers to nothing that is there.
    """
    cells = assignment.fate.size
    sources = np.asarray(sources, dtype=np.int64).reshape(-1)
    wanted = (assignment.fate.reshape(-1) == REMOTE) & assignment.exact.reshape(-1) & (context == "exact")
    if (sources[wanted] < 0).any():
        raise BitstreamError(f"{int((sources[wanted] < 0).sum())} exact remote copies refer to a satellite whose stream is not here")
    items = np.asarray(items, dtype=np.int64)
    slot = np.where(wanted, sources // cells, 0)
    reference = np.stack((items[slot], np.where(wanted, sources % cells, 0)), axis=1)
    return _layout(assignment, context, reference)


def _layout(assignment, context: str, reference: np.ndarray | None) -> ContextLayout:
    if context not in ("exact", "independent"):
        raise ValueError(f"context {context!r}: expected exact or independent")
    height, width = assignment.fate.shape
    fate, local = assignment.fate.reshape(-1), assignment.source.reshape(-1)
    source = np.arange(fate.size, dtype=np.int32)
    source[fate == LOCAL] = local[fate == LOCAL]
    source[fate == REMOTE] = FILL
    if context == "exact":
        source[(fate == REMOTE) & assignment.exact.reshape(-1)] = KNOWN
    return ContextLayout(height, width, source, reference)


def warm_up() -> None:
    """Load tables and choose the arithmetic now rather than at the first stream."""
    gaussian_tables()
    int8_is_exact()


@dataclass
class _Batch:
    """Images coded side by side: what a run over the joint schedule reads and writes."""

    layouts: list[ContextLayout]
    orders: list[CodingOrder]
    pointers: Pointers
    schedule: JointSchedule
    hyper: np.ndarray  # [cells of all images, P]
    vectors: np.ndarray  # [rows of pointers, M] int16 or float32
    window: np.ndarray  # int64 [cells, 12], rows of each cell's context
    side: dict = field(default_factory=dict)  # image -> channel context at its kept positions (elic)


class EntropyCoder:
    """Codes latents of one model. grid: fixed (y_hat = round(y)) or centred (CompressAI's rule, round(y - mean) + mean)."""

    def __init__(self, model: LatentModel, *, portable: bool = True, grid: str = "fixed", backend: str = "auto") -> None:
        if grid not in ("fixed", "centred"):
            raise ValueError(f"grid {grid!r}: expected fixed or centred")
        self.model, self.family, self.portable, self.grid = model, model.name, portable, grid
        with torch.no_grad():
            self.prior = portable_prior(model, portable, backend)
        self.tables = gaussian_tables()
        self.z_tables = bottleneck_tables(model.entropy_bottleneck)
        self._z_median = model.entropy_bottleneck._get_medians().detach().cpu().reshape(-1, 1, 1)

    @staticmethod
    def of_network(name: str, net, **options) -> EntropyCoder:
        """A coder for CompressAI's own network of the family bmshj | mbt | cheng | elic."""
        return EntropyCoder(wrap_network(name, net), **options)

    # ---- on board ------------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def hyper_symbols(self, y: torch.Tensor) -> np.ndarray:
        """z = h_a(y) on the grid around its medians, int32 [N, h, w], for y [1, M, H, W] on the model's device."""
        z = self.model.hyper_analysis(y)[0].float().cpu() - self._z_median
        return torch.round(z).clamp(-Y_LIMIT, Y_LIMIT).to(torch.int32).numpy()

    def encode(self, z_symbols: np.ndarray, y_hat: np.ndarray, layout: ContextLayout) -> EncodedLatents:
        """Entropy-code one image on the fixed grid: z_symbols int32 [N, h, w], y_hat integers [M, H, W]."""
        y_hat = np.asarray(y_hat)
        if self.grid == "centred" and self.family != "bmshj":
            raise ValueError("grid=centred: use encode_centred")
        if y_hat.shape != (self.model.m, layout.height, layout.width):
            raise ValueError(f"y_hat of shape {y_hat.shape}, expected ({self.model.m}, {layout.height}, {layout.width})")
        if np.abs(y_hat).max(initial=0) > Y_LIMIT:
            raise ValueError(f"y_hat reaches {np.abs(y_hat).max()}, expected at most {Y_LIMIT}")
        context = layout.context_map(y_hat.astype(np.int16))
        order = coding_order(self.family, layout)
        symbols, tables = [], []
        for positions, channels, table, centre in self._one_pass(z_symbols, context, order):
            rows = context.reshape(len(context), -1)[channels, :][:, positions].T
            symbols.append((rows - centre).reshape(-1))
            tables.append(table.reshape(-1))
        y_bytes = rans.encode(np.concatenate(symbols), np.concatenate(tables), self.tables.code)
        return EncodedLatents(self.encode_hyper(z_symbols), y_bytes, context_digest(context), len(order.positions))

    def encode_hyper(self, z_symbols: np.ndarray) -> bytes:
        """The z section: raster order, channels fastest."""
        n = z_symbols.shape[0]
        return rans.encode(z_symbols.reshape(n, -1).T.reshape(-1), self._z_indices(z_symbols[0].size), self.z_tables)

    def encode_centred(self, z_symbols: np.ndarray, y: np.ndarray, layout: ContextLayout, known: np.ndarray | None = None) -> EncodedLatents:
        """Entropy-code one image with symbols round(y - mean); y_hat = symbol + mean feeds the context, so this walks the wavefront.

        y: float [M, H, W]. known: float32 [K, M], the vectors that references (-1, row) of the layout name.
        """
        y = np.ascontiguousarray(y, dtype=np.float64).reshape(self.model.m, -1).T
        batch = self._batch([layout], [known], [z_symbols], "float32")
        collected: dict[int, tuple] = {}

        def quantise(parameters, images, counts, rows, channels):
            table, _ = self.tables.index(parameters, with_mean=False)
            mean = parameters[:, parameters.shape[1] // 2 :].astype(np.float64)
            symbol = np.clip(np.rint(y[rows, channels] - mean), -Y_LIMIT, Y_LIMIT)
            collected[len(collected)] = (symbol.astype(np.int32).reshape(-1), table.reshape(-1))
            return symbol + mean

        self._run(batch, quantise)
        symbols, tables = (np.concatenate([part[i] for part in collected.values()] or [np.zeros(0, np.int32)]) for i in (0, 1))
        y_hat = self._context_of(batch, 0)
        return EncodedLatents(self.encode_hyper(z_symbols), rans.encode(symbols, tables, self.tables.code), context_digest(y_hat),
                              len(batch.orders[0].positions), y_hat)

    def estimate_bits(self, z_symbols: np.ndarray, y_hat: np.ndarray, y_context: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Bits of y at each kept position on the fixed grid, float64 [H, W] (0 elsewhere): the coder's own tables, no bytes written.

        y_context: integers [M, H, W], what the context model sees; the satellite's own y_hat gives the paper's open-loop estimate.
        """
        layout = ContextLayout(*kept.shape, np.where(kept.reshape(-1), np.arange(kept.size), KNOWN))
        order = coding_order(self.family if self.family == "elic" else "bmshj", layout)
        flat = np.asarray(y_hat).reshape(self.model.m, -1)
        bits = np.zeros(kept.size)
        for positions, channels, table, centre in self._one_pass(z_symbols, np.asarray(y_context).astype(np.int16), order):
            bits[positions] += code_lengths(flat[channels, :][:, positions].T - centre, table, self.tables.code).sum(axis=1)
        return bits.reshape(kept.shape)

    def estimate_hyper_bits(self, z_symbols: np.ndarray) -> float:
        """Bits of z by its tables."""
        n = z_symbols.shape[0]
        return float(code_lengths(z_symbols.reshape(n, -1).T.reshape(-1), self._z_indices(z_symbols[0].size), self.z_tables).sum())

    def _one_pass(self, z_symbols: np.ndarray, context: np.ndarray, order: CodingOrder):
        """For each coding pass over one image of known context: (positions, channels, table indices, integer means)."""
        m, height, width = context.shape
        if self.grid == "centred" and self.family != "bmshj":
            raise ValueError("the centred grid has no parameters before y_hat is coded")
        vectors = np.zeros((height * width + 1, m), dtype=np.int16)
        vectors[:-1] = context.reshape(m, -1).T
        hyper = self.prior.hyper(z_symbols, height, width)
        window = neighbours(height, width, self.prior.window_offsets)
        for number in range(self.prior.passes):
            positions, start = order.positions, 0
            if self.family == "elic":
                start, positions = order.bounds[number % 2], order.group(number % 2)
                if number % 2 == 0:
                    side = self.prior.side(number, vectors, np.arange(height * width), height, width, order.positions)
            for at in range(0, max(1, len(positions)), BATCH_ROWS):
                some = positions[at : at + BATCH_ROWS]
                beside = None if self.family != "elic" or side is None else side[start + at : start + at + len(some)]
                parameters = self.prior.parameters(number, hyper[some], beside, vectors, window[some])
                yield some, self.prior.channels(number), *self.tables.index(parameters)

    def _z_indices(self, positions: int) -> np.ndarray:
        return np.tile(np.arange(self.z_tables.count, dtype=np.int32), positions)

    # ---- at the ground -------------------------------------------------------------------------------------------------------------

    def decode(self, items: Sequence[StreamItem], on_error: str = "raise") -> list[DecodedLatents | BitstreamError]:
        """Decode the streams of a round side by side, following references between them.

        A damaged stream, a digest that does not match and a stream that refers to one of those give BitstreamError: raised for the first, or with
        on_error="return" put in its place in the list. References that lead nowhere or in a circle raise in either case.
        """
        z_symbols, errors = self._decode_hyper(items)
        known = [self._known(item) for item in items]
        batch = self._batch([item.layout for item in items], known, z_symbols, "float32" if self.grid == "centred" else "int16")
        decoder = rans.Decoder([item.y_bytes for item in items], self.tables.code)

        def receive(parameters, images, counts, rows, channels):
            width = parameters.shape[1] // 2
            table, centre = self.tables.index(parameters, with_mean=self.grid == "fixed")
            symbols = decoder.decode(table, np.asarray(counts) * width, images).reshape(-1, width)
            if self.grid == "centred":
                return symbols + parameters[:, width:].astype(np.float64)
            return np.clip(symbols + centre, -32768, 32767)

        self._run(batch, receive)
        for b, fault in enumerate(decoder.faults()):
            if fault and errors[b] is None:
                errors[b] = BitstreamError(f"stream {b} of the batch: y section of {len(items[b].y_bytes)} bytes {fault}")
        results = []
        for b, item in enumerate(items):
            y_context = self._context_of(batch, b)
            digest = context_digest(y_context)
            if errors[b] is None and item.y_digest is not None and digest != item.y_digest:
                errors[b] = BitstreamError(f"stream {b} of the batch: y digest {digest:08x} after decoding, its header has {item.y_digest:08x}")
            results.append(DecodedLatents(z_symbols[b], y_context, digest))
        self._spread(errors, batch.schedule.followers)
        if on_error == "raise":
            for error in filter(None, errors):
                raise error
        return [result if error is None else error for result, error in zip(results, errors, strict=True)]

    @staticmethod
    def _spread(errors: list, followers: np.ndarray) -> None:
        """A stream that needs vectors of a failed one fails too."""
        for _ in errors:
            for b in range(len(errors)):
                bad = [c for c in np.flatnonzero(followers[b]) if errors[c] is not None]
                if errors[b] is None and bad:
                    errors[b] = BitstreamError(f"stream {b} of the batch refers to stream {bad[0]}, which failed")

    def _known(self, item: StreamItem) -> np.ndarray | None:
        if not 0 < item.height * item.width <= MAX_POSITIONS or min(item.height, item.width) < 1:
            raise BitstreamError(f"a latent map of {item.height} x {item.width}, expected 1 to {MAX_POSITIONS} positions")
        if (item.layout.height, item.layout.width) != (item.height, item.width):
            raise BitstreamError(f"a layout of {item.layout.height} x {item.layout.width} for a map of {item.height} x {item.width}")
        if item.known is not None and (item.known.ndim != 2 or item.known.shape[1] != self.model.m):
            raise ValueError(f"known vectors of shape {item.known.shape}, expected [K, {self.model.m}]")
        return item.known

    def _decode_hyper(self, items: Sequence[StreamItem]) -> tuple[list[np.ndarray], list[BitstreamError | None]]:
        shapes = [(self.z_tables.count, -(-item.height // 4), -(-item.width // 4)) for item in items]
        decoder = rans.Decoder([item.z_bytes for item in items], self.z_tables)
        indices = [self._z_indices(h * w) for _, h, w in shapes]
        symbols = decoder.decode(np.concatenate(indices or [np.zeros(0)]), [len(i) for i in indices], np.arange(len(items)))
        parts = np.split(symbols, np.cumsum([len(i) for i in indices])[:-1]) if items else []
        faults = decoder.faults()
        errors = [BitstreamError(f"stream {b} of the batch: z section of {len(items[b].z_bytes)} bytes {fault}") if fault else None
                  for b, fault in enumerate(faults)]
        z = [np.ascontiguousarray(part.reshape(-1, n).T).reshape(n, h, w) * (not fault)
             for part, (n, h, w), fault in zip(parts, shapes, faults, strict=True)]
        return z, errors

    # ---- both ----------------------------------------------------------------------------------------------------------------------

    def _batch(self, layouts, known, z_symbols, kind: str) -> _Batch:
        try:
            orders = [coding_order(self.family, layout) for layout in layouts]
        except ValueError as error:
            raise BitstreamError(str(error)) from None
        pointers = resolve(layouts, [0 if k is None else len(k) for k in known])
        schedule = joint_schedule(self.family, layouts, orders, pointers, self.prior.passes)
        vectors = np.zeros((pointers.zero + 1, self.model.m), dtype=kind)
        if any(k is not None for k in known):
            vectors[pointers.first[-1] : pointers.zero] = np.concatenate([k for k in known if k is not None])
        hyper, window = [], []
        for first, layout, z in zip(pointers.first, layouts, z_symbols, strict=False):
            hyper.append(self.prior.hyper(z, layout.height, layout.width))
            cells = neighbours(layout.height, layout.width, self.prior.window_offsets)
            window.append(pointers.row[np.where(cells < len(layout.source), first + cells, pointers.zero)])
        empty = [np.zeros((0, 0))]
        return _Batch(layouts, orders, pointers, schedule, np.concatenate(hyper or empty), vectors, np.concatenate(window or empty))

    def _run(self, batch: _Batch, exchange: Callable) -> None:
        """Walk the joint schedule; `exchange(parameters, images, counts, rows, channels)` gives the values [n, C] of each step's vectors."""
        for step in batch.schedule.steps:
            for number in sorted({g for _, g in step}) if self.family == "elic" else [0]:
                pairs = [(b, g) for b, g in step if self.family != "elic" or g == number]
                self._run_pass(batch, number, pairs, exchange)

    def _run_pass(self, batch: _Batch, number: int, pairs: list[tuple[int, int]], exchange: Callable) -> None:
        beside = []
        rows, images = [], []
        for b, g in pairs:
            order, first = batch.orders[b], batch.pointers.first[b]
            rows.append(first + order.group(g % 2 if self.family == "elic" else g))
            images.append(b)
            if self.family == "elic":
                beside.append(self._side(batch, number, b))
        counts = [len(part) for part in rows]
        rows = np.concatenate(rows)
        side = np.concatenate(beside) if beside and beside[0] is not None else None
        channels = self.prior.channels(number)
        parts = [self.prior.parameters(number, batch.hyper[some], None if side is None else side[at : at + BATCH_ROWS], batch.vectors,
                                       batch.window[some])
                 for at in range(0, len(rows), BATCH_ROWS) for some in [rows[at : at + BATCH_ROWS]]]
        if parts:
            batch.vectors[rows, channels] = exchange(np.concatenate(parts), images, counts, rows, channels)

    def _side(self, batch: _Batch, number: int, b: int) -> np.ndarray | None:
        order, layout, first = batch.orders[b], batch.layouts[b], batch.pointers.first
        if number % 2 == 0:
            cells = batch.pointers.row[first[b] : first[b + 1]]
            batch.side[b] = self.prior.side(number, batch.vectors, cells, layout.height, layout.width, order.positions)
        side = batch.side[b]
        return None if side is None else side[order.bounds[number % 2] : order.bounds[number % 2 + 1]]

    def _context_of(self, batch: _Batch, b: int) -> np.ndarray:
        layout, first = batch.layouts[b], batch.pointers.first
        values = batch.vectors[batch.pointers.row[first[b] : first[b + 1]]].T.reshape(-1, layout.height, layout.width)
        return np.ascontiguousarray(values, dtype=np.float32 if values.dtype.kind == "f" else np.int32)
