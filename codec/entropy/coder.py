"""Entropy coding of one satellite's latents, and joint decoding of a round's streams (design.md, "The
decision that makes it decodable").

    coder = EntropyCoder(model)                                   # model: codec.models.model.LatentModel; weights are frozen here
    z = coder.hyper_symbols(y)                                    # on board
    coded = coder.encode(z, np.rint(y), layout)                   # fixed grid: no loop over positions
    latents = coder.decode([StreamItem(coded.z_bytes, coded.y_bytes, H, W, layout)])[0]     # at the ground
    latents.y_context == layout.context_map(y_hat)

With `portable=True` (default) every table index comes from exact arithmetic (codec/entropy/exact.py), and
streams decode on any machine, in any batch, with any number of threads. With `portable=False` the same
networks run in float32: for comparison; such a stream decodes only where float32 sums come out as they did at
the encoder, which other shapes, threads or libraries do not promise (the digest then tells)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from codec.entropy import rans
from codec.entropy.digits import int8_is_exact
from codec.entropy.exact import ExactParameters
from codec.entropy.joint import BATCH_ROWS, JointRun, codable
from codec.entropy.layouts import KNOWN, ContextLayout, decoder_layout, encoder_layout
from codec.entropy.schedule import CodingOrder, coding_order, neighbours
from codec.entropy.tables import bottleneck_tables, code_lengths, gaussian_tables
from codec.models.model import LatentModel
from constellation.common.errors import BitstreamError

__all__ = [
    "ContextLayout",
    "DecodedLatents",
    "EncodedLatents",
    "EntropyCoder",
    "StreamItem",
    "context_digest",
    "decoder_layout",
    "encoder_layout",
    "warm_up",
]

Y_LIMIT = 32000  # |y_hat| is at most this
MAX_POSITIONS = 1 << 17  # of one stream: 4,096 px squared, twice


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


def warm_up() -> None:
    """Load tables and choose the arithmetic now rather than at the first stream."""
    gaussian_tables()
    int8_is_exact()


class EntropyCoder:
    """Codes latents of one model. grid: fixed (y_hat = round(y)) or centred (CompressAI's rule, round(y -
    mean) + mean)."""

    def __init__(
        self, model: LatentModel, *, portable: bool = True, grid: str = "fixed", backend: str = "auto"
    ) -> None:
        if grid not in ("fixed", "centred"):
            raise ValueError(f"grid {grid!r}: expected fixed or centred")
        self.model, self.family, self.portable, self.grid = model, model.name, portable, grid
        with torch.no_grad():
            self.prior = ExactParameters(model, portable, backend)
        self.tables = gaussian_tables()
        self.z_tables = bottleneck_tables(model.bottleneck)
        self._z_median = model.bottleneck._get_medians().detach().cpu().reshape(-1, 1, 1)

    # ---- on board
    # ------------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def hyper_symbols(self, y: torch.Tensor) -> np.ndarray:
        """z = h_a(y) on the grid around its medians, int32 [N, h, w], for y [1, M, H, W] on the model's
        device."""
        z = self.model.hyper_analysis(y)[0].float().cpu() - self._z_median
        return torch.round(z).clamp(-Y_LIMIT, Y_LIMIT).to(torch.int32).numpy()

    def encode(self, z_symbols: np.ndarray, y_hat: np.ndarray, layout: ContextLayout) -> EncodedLatents:
        """Entropy-code one image on the fixed grid: z_symbols int32 [N, h, w], y_hat integers [M, H, W]."""
        y_hat = np.asarray(y_hat)
        if self.grid == "centred" and self.family != "bmshj":
            raise ValueError("grid=centred: use encode_centred")
        if y_hat.shape != (self.model.m, layout.height, layout.width):
            raise ValueError(
                f"y_hat of shape {y_hat.shape}, expected ({self.model.m}, {layout.height}, {layout.width})"
            )
        if np.abs(y_hat).max(initial=0) > Y_LIMIT:
            raise ValueError(f"y_hat reaches {np.abs(y_hat).max()}, expected at most {Y_LIMIT}")
        context = layout.context_map(y_hat.astype(np.int16))
        order = coding_order(self.family, layout)
        symbols, tables = [], []
        for positions, channels, parameters in self.parameter_passes(z_symbols, context, order):
            table, centre = self.tables.index(parameters)
            rows = context.reshape(len(context), -1)[channels, :][:, positions].T
            symbols.append((rows - centre).reshape(-1))
            tables.append(table.reshape(-1))
        y_bytes = rans.encode(np.concatenate(symbols), np.concatenate(tables), self.tables.code)
        return EncodedLatents(
            self.encode_hyper(z_symbols), y_bytes, context_digest(context), len(order.positions)
        )

    def encode_hyper(self, z_symbols: np.ndarray) -> bytes:
        """The z section: raster order, channels fastest."""
        n = z_symbols.shape[0]
        return rans.encode(
            z_symbols.reshape(n, -1).T.reshape(-1), self._z_indices(z_symbols[0].size), self.z_tables
        )

    def encode_centred(
        self, z_symbols: np.ndarray, y: np.ndarray, layout: ContextLayout, known: np.ndarray | None = None
    ) -> EncodedLatents:
        """Entropy-code one image with symbols round(y - mean); y_hat = symbol + mean feeds the context, so
        this walks the wavefront.

        y: float [M, H, W]. known: float32 [K, M], the vectors that references (-1, row) of the layout name.
        """
        run, parts = self._centred_run(z_symbols, y, layout, known)
        symbols, tables = (
            np.concatenate([part[i].reshape(-1) for part in parts] or [np.zeros(0, np.int32)]) for i in (1, 2)
        )
        y_hat = run.context_map(0)
        return EncodedLatents(
            self.encode_hyper(z_symbols),
            rans.encode(symbols, tables, self.tables.code),
            context_digest(y_hat),
            len(run.orders[0].positions),
            y_hat,
        )

    def _centred_run(
        self, z_symbols, y, layout, known=None
    ) -> tuple[JointRun, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """The finished walk, and its steps: (positions [n], symbols [n, C], table indices [n, C])."""
        y = np.ascontiguousarray(y, dtype=np.float64).reshape(self.model.m, -1).T
        run = JointRun(self.prior, self.family, [layout], [known], [z_symbols], "float32")
        parts = []

        def quantise(parameters, images, counts, rows, channels):
            table, _ = self.tables.index(parameters, with_mean=False)
            mean = parameters[:, parameters.shape[1] // 2 :].astype(np.float64)
            symbol = np.clip(np.rint(y[rows, channels] - mean), -Y_LIMIT, Y_LIMIT)
            parts.append((rows, symbol.astype(np.int32), table))
            return symbol + mean

        run.run(quantise)
        return run, parts

    def estimate_centred_bits(self, z_symbols: np.ndarray, y: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """The paper's estimate as printed (centred grid, the satellite's own complete y_hat as context): bits
        at kept positions, float64 [H, W]."""
        _, parts = self._centred_run(z_symbols, y, ContextLayout.all_kept(*kept.shape))
        bits = np.zeros(kept.size)
        for positions, symbols, tables in parts:
            bits[positions] += code_lengths(symbols, tables, self.tables.code).sum(axis=1)
        return (bits * kept.reshape(-1)).reshape(kept.shape)

    def estimate_bits(
        self, z_symbols: np.ndarray, y_hat: np.ndarray, y_context: np.ndarray, kept: np.ndarray
    ) -> np.ndarray:
        """Bits of y at each kept position on the fixed grid, float64 [H, W] (0 elsewhere): the coder's own
        tables, no bytes written.

        y_context: integers [M, H, W], what the context model sees; the satellite's own y_hat gives the
        paper's open-loop estimate."""
        layout = ContextLayout(*kept.shape, np.where(kept.reshape(-1), np.arange(kept.size), KNOWN))
        order = coding_order(self.family if self.family == "elic" else "bmshj", layout)
        flat = np.asarray(y_hat).reshape(self.model.m, -1)
        bits = np.zeros(kept.size)
        for positions, channels, parameters in self.parameter_passes(
            z_symbols, np.asarray(y_context).astype(np.int16), order
        ):
            table, centre = self.tables.index(parameters)
            bits[positions] += code_lengths(
                flat[channels, :][:, positions].T - centre, table, self.tables.code
            ).sum(axis=1)
        return bits.reshape(kept.shape)

    def estimate_hyper_bits(self, z_symbols: np.ndarray) -> float:
        """Bits of z by its tables."""
        n = z_symbols.shape[0]
        return float(
            code_lengths(
                z_symbols.reshape(n, -1).T.reshape(-1), self._z_indices(z_symbols[0].size), self.z_tables
            ).sum()
        )

    def parameter_passes(
        self, z_symbols: np.ndarray, context: np.ndarray, order: CodingOrder
    ) -> Iterator[tuple[np.ndarray, slice, np.ndarray]]:
        """One image of known context map int16 [M, H, W], in coding order: (positions [n], channels, their
        scales and means [n, 2 C])."""
        m, height, width = context.shape
        if self.grid == "centred" and self.family != "bmshj":
            raise ValueError("the centred grid has no parameters before y_hat is coded")
        vectors = np.zeros((height * width + 1, m), dtype=np.int16)
        vectors[:-1] = context.reshape(m, -1).T
        hyper = self.prior.hyper(z_symbols, height, width)
        window = neighbours(height, width, self.prior.passes[-1].offsets)
        for number in range(len(self.prior.passes)):
            positions, start = order.positions, 0
            if self.family == "elic":
                start, positions = order.bounds[number % 2], order.group(number % 2)
                if number % 2 == 0:
                    side = self.prior.earlier(
                        number, vectors, np.arange(height * width).reshape(height, width), order.positions
                    )
            for at in range(0, max(1, len(positions)), BATCH_ROWS):
                some = positions[at : at + BATCH_ROWS]
                beside = (
                    None
                    if self.family != "elic" or side is None
                    else side[start + at : start + at + len(some)]
                )
                parameters = self.prior.parameters(number, hyper[some], beside, (vectors, window[some]))
                yield some, self.prior.passes[number].step.channels, parameters

    def _z_indices(self, positions: int) -> np.ndarray:
        return np.tile(np.arange(self.z_tables.count, dtype=np.int32), positions)

    # ---- at the ground
    # -------------------------------------------------------------------------------------------------------------

    def decode(
        self, items: Sequence[StreamItem], on_error: str = "raise"
    ) -> list[DecodedLatents | BitstreamError]:
        """Decode the streams of a round side by side, following references between them.

        A damaged stream, a digest that does not match, references that lead nowhere or round in a circle, and
        a stream that refers to one of those give BitstreamError: raised for the first, or with
        on_error="return" put in its place in the list. Sizes that do not fit always raise."""
        known = [self._known(item) for item in items]
        layouts, faults = codable(self.family, [item.layout for item in items], known)
        z_symbols, errors = self._decode_hyper(items)
        errors = [
            BitstreamError(f"stream {b} of the batch: {fault}") if fault else errors[b]
            for b, fault in enumerate(faults)
        ]
        kind = "float32" if self.grid == "centred" else "int16"
        run = JointRun(self.prior, self.family, layouts, known, z_symbols, kind)
        decoder = rans.Decoder([item.y_bytes for item in items], self.tables.code)

        def receive(parameters, images, counts, rows, channels):
            width = parameters.shape[1] // 2
            table, centre = self.tables.index(parameters, with_mean=self.grid == "fixed")
            symbols = decoder.decode(table, np.asarray(counts) * width, images).reshape(-1, width)
            if self.grid == "centred":
                return symbols + parameters[:, width:].astype(np.float64)
            return np.clip(symbols + centre, -32768, 32767)

        run.run(receive)
        for b, fault in enumerate(decoder.faults()):
            if fault and errors[b] is None:
                errors[b] = BitstreamError(
                    f"stream {b} of the batch: y section of {len(items[b].y_bytes)} bytes {fault}"
                )
        results = []
        for b, item in enumerate(items):
            y_context = run.context_map(b)
            digest = context_digest(y_context)
            if errors[b] is None and item.y_digest is not None and digest != item.y_digest:
                errors[b] = BitstreamError(
                    f"stream {b} of the batch: y digest {digest:08x} after decoding, its header has {item.y_digest:08x}"
                )
            results.append(DecodedLatents(z_symbols[b], y_context, digest))
        self._spread(errors, run.followers)
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
                    errors[b] = BitstreamError(
                        f"stream {b} of the batch refers to stream {bad[0]}, which failed"
                    )

    def _known(self, item: StreamItem) -> np.ndarray | None:
        if not 0 < item.height * item.width <= MAX_POSITIONS or min(item.height, item.width) < 1:
            raise BitstreamError(
                f"a latent map of {item.height} x {item.width}, expected 1 to {MAX_POSITIONS} positions"
            )
        if (item.layout.height, item.layout.width) != (item.height, item.width):
            raise BitstreamError(
                f"a layout of {item.layout.height} x {item.layout.width} for a map of {item.height} x {item.width}"
            )
        if item.known is not None and (item.known.ndim != 2 or item.known.shape[1] != self.model.m):
            raise ValueError(f"known vectors of shape {item.known.shape}, expected [K, {self.model.m}]")
        return item.known

    def _decode_hyper(
        self, items: Sequence[StreamItem]
    ) -> tuple[list[np.ndarray], list[BitstreamError | None]]:
        shapes = [(self.z_tables.count, -(-item.height // 4), -(-item.width // 4)) for item in items]
        decoder = rans.Decoder([item.z_bytes for item in items], self.z_tables)
        indices = [self._z_indices(h * w) for _, h, w in shapes]
        symbols = decoder.decode(
            np.concatenate(indices or [np.zeros(0)]), [len(i) for i in indices], np.arange(len(items))
        )
        parts = np.split(symbols, np.cumsum([len(i) for i in indices])[:-1]) if items else []
        faults = decoder.faults()
        errors = [
            BitstreamError(f"stream {b} of the batch: z section of {len(items[b].z_bytes)} bytes {fault}")
            if fault
            else None
            for b, fault in enumerate(faults)
        ]
        z = [
            np.ascontiguousarray(part.reshape(-1, n).T).reshape(n, h, w) * (not fault)
            for part, (n, h, w), fault in zip(parts, shapes, faults, strict=True)
        ]
        return z, errors
