"""A segment from end to end: DC coefficients, AC depths, bit planes (sections 4.3 to 4.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from codec.ccsds122 import bits, decoding, encoding, rice
from codec.ccsds122.bits import DAMAGED, FAULT, POSITION
from codec.ccsds122.header import DEPTH_AC, DEPTH_DC, Header, Settings


class Stop(NamedTuple):
    """Where a stage ends. plane -1: what comes before the bit planes."""

    plane: int
    stage: int
    bits: int


class Coded(NamedTuple):
    """A segment's bits behind the header, and where stages end in them."""

    payload: bytes
    depth_dc: int
    depth_ac: int
    stops: tuple[Stop, ...]


def depths_of(magnitudes: np.ndarray) -> np.ndarray:
    """Bits of whole numbers from 0 up, int64."""
    return np.frexp(magnitudes.astype(np.float64))[1].astype(np.int64)


def quantiser(depth_dc: int, depth_ac: int, shift: int) -> int:
    """q of table 4-8: DC bits below it are sent with the bit planes."""
    half = 1 + (depth_ac >> 1)
    if depth_dc <= 3:
        q = 0
    elif depth_dc - half <= 1:
        q = depth_dc - 3
    elif depth_dc - half > 10:
        q = depth_dc - 10
    else:
        q = half
    return max(q, shift)


def encode(blocks: np.ndarray, shifts: np.ndarray, settings: Settings) -> Coded:
    """Bits of int32 or int64 blocks [K, 64], as far as DCStop, BitPlaneStop and StageStop let them go. Raises
    `ValueError` for coefficients that a header cannot tell the depth of."""
    dc, ac = blocks[:, 0].astype(np.int64), blocks[:, 1:]
    depth_dc = 1 + int(depths_of(np.where(dc < 0, ~dc, dc)).max())
    depths = depths_of(np.abs(ac).max(1))
    depth_ac, shift = int(depths.max()), int(shifts[0])
    if depth_dc > DEPTH_DC or depth_ac > DEPTH_AC:
        raise ValueError(
            f"CCSDS 122: coefficients of {depth_dc} (DC) and {depth_ac} (AC) bits, expected at most "
            f"{DEPTH_DC} and {DEPTH_AC}; lower weights, or fewer bits a pixel"
        )
    ac = np.ascontiguousarray(ac, dtype=np.int32)  # magnitudes below 2^31
    buffer, state = bits.writer(64 + len(blocks) * (8 + 20 * (depth_ac + 2) + depth_dc))
    q = quantiser(depth_dc, depth_ac, shift)
    _put_values(buffer, state, dc >> q, (max(depth_dc - q, 1), True, settings.optimum))
    for plane in range(q - 1, max(depth_ac, shift) - 1, -1):
        bits.put_column(buffer, state, dc, plane)
    stops = [Stop(-1, 0, int(state[POSITION]))]
    if not settings.dc_stop:
        _put_values(buffer, state, depths, (depth_ac.bit_length(), False, settings.optimum))
        stops += _put_planes((buffer, state), (dc, q), (ac, depths, shifts), settings)
    size = -(-int(state[POSITION]) // 8)
    return Coded(buffer[:size].tobytes(), depth_dc, depth_ac, tuple(stops))


def _put_values(buffer: np.ndarray, state: np.ndarray, values: np.ndarray, how: tuple) -> None:
    """DC coefficients or AC depths. how: (bits, whether signed, whether k is searched)."""
    width, signed, optimum = how
    if width == 1:
        bits.put_column(buffer, state, values, 0)
    elif width > 1:
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        rice.put_gaggles(buffer, state, rice.mapped_differences(values, low, high), width, optimum)


def _put_planes(out: tuple, dc: tuple, ac: tuple, settings: Settings) -> list[Stop]:
    """All stages of all bit planes, from the highest. dc: (coefficients, q); ac: (coefficients, depths,
    shifts)."""
    (buffer, state), (values, q), (coefficients, depths, shifts) = out, dc, ac
    own, shift = shifts[1:], int(shifts[0])
    peaks = encoding.set_peaks(np.abs(coefficients)).astype(np.int64)
    floors = -encoding.set_peaks(-own[None])[0]
    words = np.zeros((len(coefficients), encoding.SLOTS, 5), dtype=np.int32)
    gaggles, stops = -(-len(coefficients) // rice.GAGGLE), []
    for plane in range(int(depths.max()) - 1, settings.plane_stop - 1, -1):
        if shift <= plane < q:
            bits.put_column(buffer, state, values, plane)
        encoding.plane_words(words, coefficients, own, peaks, floors, depths, plane)
        options, told = np.zeros((gaggles, 3), np.int64), np.zeros((gaggles, 3), np.bool_)
        encoding.choose_options(words, options)
        last = settings.stage_stop + 1 if plane == settings.plane_stop else 4
        for stage in range(1, last + 1):
            if stage < 4:
                first, end = encoding.STAGE_SLOTS[stage - 1 : stage + 1]
                encoding.put_stage(buffer, state, words, options, told, first, end)
            else:
                order = encoding.REFINEMENT_ORDER
                encoding.put_refinement(buffer, state, coefficients, own, order, depths, plane)
            stops.append(Stop(plane, stage, int(state[POSITION])))
            if settings.byte_limit and state[POSITION] >= 8 * settings.byte_limit:
                return stops  # what follows is cut off
    return stops


class Decoder:
    """A segment of which more and more is known: `stages` goes on from stop to stop.

    dc: int64 [K], and dc_known [K], the lowest bit known of each; ac: int32 [K, 63], and known [K, 63], the
    lowest bit known of what is not 0."""

    def __init__(self, data: bytes, header: Header, shifts: np.ndarray) -> None:
        count = header.blocks
        self.header, self.shifts = header, shifts
        self.buffer, self.state = bits.reader(data)
        self.q = quantiser(header.depth_dc, header.depth_ac, int(shifts[0]))
        self.dc, self.dc_known = np.zeros(count, np.int64), np.full(count, self.q, np.int64)
        self.ac, self.known = np.zeros((count, 63), np.int32), np.zeros((count, 63), np.int8)

    @property
    def spent(self) -> bool:
        """Whether bits ran out before the end. Raises `ValueError` where they make no sense."""
        if self.state[FAULT] == DAMAGED:
            raise ValueError("CCSDS 122: the stream is damaged")
        return bool(self.state[FAULT])

    def stages(self) -> Iterator[Stop]:
        """Decode on; after each stage, where it ends. The last is the end of the segment or of the bits."""
        header, settings, shift = self.header, self.header.settings, int(self.shifts[0])
        width = max(header.depth_dc - self.q, 1)
        self.dc, known = self._take_values(width, signed=True)
        if known < len(self.dc):
            self.dc[known:] = self.dc[known - 1] if known else 0
        self.dc <<= self.q
        for plane in range(self.q - 1, max(header.depth_ac, shift) - 1, -1):
            bits.take_column(self.buffer, self.state, self.dc, self.dc_known, plane)
        yield Stop(-1, 0, int(self.state[POSITION]))
        if self.spent or settings.dc_stop:
            return
        depths, known = self._take_values(header.depth_ac.bit_length(), signed=False)
        if known == len(depths) and depths.max(initial=0) > header.depth_ac:
            raise ValueError("CCSDS 122: the stream is damaged: a block is deeper than its segment")
        if not self.spent:
            yield from self._take_planes(depths)

    def _take_values(self, width: int, *, signed: bool) -> tuple[np.ndarray, int]:
        """(DC coefficients or AC depths, int64 [K], how many of them are known)."""
        values = np.zeros(self.header.blocks, np.int64)
        if width == 0:
            return values, len(values)
        if width == 1:
            known = np.ones(len(values), np.int64)
            bits.take_column(self.buffer, self.state, values, known, 0)
            return -values if signed else values, int((known == 0).sum())
        known = rice.take_gaggles(self.buffer, self.state, values, width)
        if known and signed and values[0] >> (width - 1):
            values[0] -= 1 << width
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        rice.summed_differences(values[:known], low, high, self.state)
        if self.state[FAULT] == DAMAGED:
            raise ValueError("CCSDS 122: the stream is damaged")
        return values, known

    def _take_planes(self, depths: np.ndarray) -> Iterator[Stop]:
        settings, own, shift = self.header.settings, self.shifts[1:], int(self.shifts[0])
        floors = -encoding.set_peaks(-own[None])[0]
        found = (self.ac, self.known, own)
        sets = (np.zeros((len(depths), encoding.SETS), np.uint8), floors)
        for plane in range(self.header.depth_ac - 1, settings.plane_stop - 1, -1):
            if shift <= plane < self.q:
                bits.take_column(self.buffer, self.state, self.dc, self.dc_known, plane)
            options = np.full((-(-len(depths) // rice.GAGGLE), 3), -1, np.int64)
            last = settings.stage_stop + 1 if plane == settings.plane_stop else 4
            for stage in range(1, last + 1):
                if stage < 4:
                    args = (self.buffer, self.state, options, found, sets, depths, stage, plane)
                    decoding.take_stage(*args)
                else:
                    order = encoding.REFINEMENT_ORDER
                    decoding.take_refinement(self.buffer, self.state, found, order, depths, plane)
                yield Stop(plane, stage, int(self.state[POSITION]))
                if self.spent:
                    return

    def blocks(self, middle: float) -> np.ndarray:
        """Coefficients float64 [K, 64] without their weights: of what is not known, `middle` times its range
        (half: the middle) is added."""
        ac = self.ac.astype(np.float64)
        unknown = np.maximum((1 << self.known.astype(np.int64)) - (1 << self.shifts[1:]), 0)
        ac += np.sign(self.ac) * unknown * middle
        dc = self.dc + 0.5 * np.maximum((1 << self.dc_known) - (1 << self.shifts[0]), 0)
        return np.concatenate([dc[:, None], ac], axis=1) / (1 << self.shifts)
