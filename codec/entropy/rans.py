"""rANS (Duda 2013) over integer tables, a whole sequence per call to encode and one call per decoding step
for any number of streams.

Design choices:
* 64-bit state with lower bound L = 2^32, 16-bit probabilities and 16-bit words: the state never exceeds 48
  bits, one word at most moves per symbol, and the loss against the tables' entropy is below 2^-16 bit per
  symbol.
* A stream is: the encoder's last state (3 words), then the words in the order the decoder wants them,
  little-endian. Zero symbols are zero bytes.
* The encoder starts at state L, so a decoder that ends elsewhere, or with words left, has read a damaged
  stream. Most damage shows so for free; a symbol exchanged for another of equal frequency does not, hence the
  digests of the layer above.
* A value outside its table is coded as the table's escape symbol, then sign and length (6 raw bits) and an
  Elias-gamma remainder (raw bits).
* Decoding never reads past the end and accepts any bytes: a fault marks that stream, its symbols become 0,
  and the other streams go on.
"""

from __future__ import annotations

import numba
import numpy as np

from codec.entropy.tables import SymbolTables

STATE_LOW = 1 << 32  # L
HEAD_WORDS = 3  # words of the final state
MAX_EXCESS_BITS = 17  # int16 values around int16 means are never further off

_FAULTS = (
    "",
    "ends too early",
    "starts with an impossible state",
    "has an impossible escape",
    "does not end where its sender began",
    "has bytes left over",
    "has an odd number of bytes",
    "has bytes but no symbols",
)
_OK, _SHORT, _STATE, _BAD_ESCAPE, _END, _REST, _ODD, _NOTHING = range(8)


@numba.njit("int64(int64)", cache=True, nogil=True)
def _bit_length(value):
    bits = 0
    while value > 0:
        value >>= 1
        bits += 1
    return bits


@numba.njit("uint64(uint64, int64, int64, uint16[::1], int64[::1])", cache=True, nogil=True)
def _push(state, start, frequency, words, at):
    if state >= np.uint64(frequency) << np.uint64(32):
        at[0] -= 1
        words[at[0]] = np.uint16(state & np.uint64(0xFFFF))
        state >>= np.uint64(16)
    f = np.uint64(frequency)
    quotient = state // f
    return (quotient << np.uint64(16)) + (state - quotient * f) + np.uint64(start)


@numba.njit(
    "int64(int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], uint16[::1])",
    cache=True,
    nogil=True,
)
def _encode(
    symbols, tables, cdf, offset, size, first, words
):  # returns the index of the first word used, or -1
    at = np.empty(1, dtype=np.int64)
    at[0] = len(words)
    state = np.uint64(STATE_LOW)
    for i in range(len(symbols) - 1, -1, -1):
        t = tables[i]
        base = offset[t]
        n = np.int64(size[t])
        index = np.int64(symbols[i]) - np.int64(first[t])
        if index < 0 or index >= n:
            excess = -index if index < 0 else index - n + 1  # 1, 2, 3, ...
            bits = _bit_length(excess) - 1
            if bits > MAX_EXCESS_BITS:
                return -1
            rest = excess - (np.int64(1) << bits)
            if bits > 8:
                state = _push(state, (rest & 0xFF) << 8, 256, words, at)
                state = _push(
                    state, (rest >> 8) << (16 - (bits - 8)), np.int64(1) << (16 - (bits - 8)), words, at
                )
            elif bits > 0:
                state = _push(state, rest << (16 - bits), np.int64(1) << (16 - bits), words, at)
            state = _push(
                state, (((np.int64(1) if index < 0 else np.int64(0)) << 5) | bits) << 10, 1024, words, at
            )
            index = n
        low = np.int64(cdf[base + index])
        state = _push(state, low, np.int64(cdf[base + index + 1]) - low, words, at)
    for _ in range(HEAD_WORDS):
        at[0] -= 1
        words[at[0]] = np.uint16(state & np.uint64(0xFFFF))
        state >>= np.uint64(16)
    return at[0]


@numba.njit("int64(int32[::1], int32[::1], int32[::1], int32[::1], int64)", cache=True, nogil=True)
def _count_escapes(symbols, tables, size, first, tables_count):  # -1: a table index out of range
    escapes = 0
    for i in range(len(symbols)):
        t = tables[i]
        if t < 0 or t >= tables_count:
            return -1
        index = np.int64(symbols[i]) - np.int64(first[t])
        if index < 0 or index >= size[t]:
            escapes += 1
    return escapes


def encode(symbols: np.ndarray, tables: np.ndarray, code: SymbolTables) -> bytes:
    """Bytes of `symbols` int32 [n] under the tables named by `tables` int32 [n]. Raises ValueError for a
    value or index out of range."""
    symbols = np.ascontiguousarray(symbols, dtype=np.int32).reshape(-1)
    tables = np.ascontiguousarray(tables, dtype=np.int32).reshape(-1)
    if len(symbols) != len(tables):
        raise ValueError(f"{len(symbols)} symbols and {len(tables)} table indices")
    if not len(symbols):
        return b""
    escapes = _count_escapes(symbols, tables, code.size, code.first, code.count)
    if escapes < 0:
        raise ValueError("table index out of range")
    words = np.empty(len(symbols) + 4 * escapes + HEAD_WORDS + 1, dtype=np.uint16)
    start = _encode(symbols, tables, *code.arrays, words)
    if start < 0:
        raise ValueError(f"a symbol is more than {1 << MAX_EXCESS_BITS} outside its table")
    return words[start:].astype("<u2", copy=False).tobytes()


@numba.njit(
    "UniTuple(uint64, 2)(uint64, int64, int64, uint64, int64, uint16[::1])",
    cache=True,
    nogil=True,
    inline="always",
)
def _advance(state, start, frequency, position, end, words):
    """State and position after a symbol of [start, start + frequency); state 0, which no stream reaches, if
    the words have ended."""
    x = np.uint64(frequency) * (state >> np.uint64(16)) + (state & np.uint64(0xFFFF)) - np.uint64(start)
    if x < np.uint64(STATE_LOW):
        if position >= np.uint64(end):
            return np.uint64(0), position
        x = (x << np.uint64(16)) | np.uint64(words[position])
        position += np.uint64(1)
    return x, position


@numba.njit("UniTuple(uint64, 3)(int64, uint64, uint64, int64, uint16[::1])", cache=True, nogil=True)
def _raw_bits(bits, state, position, end, words):
    """(value, state, position) after `bits` raw bits; state 0 as in `_advance`."""
    if bits == 0 or state == 0:
        return np.uint64(0), state, position
    value = np.int64(state & np.uint64(0xFFFF)) >> (16 - bits)
    state, position = _advance(state, value << (16 - bits), np.int64(1) << (16 - bits), position, end, words)
    return np.uint64(value), state, position


@numba.njit("UniTuple(uint64, 4)(uint64, uint64, int64, uint16[::1])", cache=True, nogil=True)
def _escape(state, position, end, words):
    """(sign, distance from the table's edge or 0 for an impossible one, state, position) of a value outside
    its table."""
    code, state, position = _raw_bits(6, state, position, end, words)
    bits = np.int64(code) & 31
    if bits > MAX_EXCESS_BITS:
        return np.uint64(0), np.uint64(0), state, position
    high, state, position = _raw_bits(max(0, bits - 8), state, position, end, words)
    low, state, position = _raw_bits(min(8, bits), state, position, end, words)
    return (
        code >> np.uint64(5),
        np.uint64((1 << bits) + (np.int64(high) << 8) + np.int64(low)),
        state,
        position,
    )


@numba.njit(
    "void(int32[::1], int32[::1], int64[::1], int64[::1], uint64[::1], int64[::1], int64[::1], int64[::1],"
    "uint16[::1], int32[::1], int32[::1], int32[::1], int32[::1])",
    cache=True,
    nogil=True,
)
def _decode(out, tables, segment, stream, states, positions, ends, faults, words, cdf, offset, size, first):
    for g in range(len(stream)):
        s = stream[g]
        state, position, end, fault = states[s], np.uint64(positions[s]), ends[s], faults[s]
        for i in range(segment[g], segment[g + 1]):
            if fault != 0:
                out[i] = 0
                continue
            t = tables[i]
            base = np.int64(offset[t])
            n = np.int64(size[t])
            slot = np.int64(state & np.uint64(0xFFFF))
            low = base
            count = n + 1
            while count > 1:  # the last bin that starts at or below the slot, without a branch to mispredict
                half = count >> 1
                low = low + half if cdf[low + half] <= slot else low
                count -= half
            start = np.int64(cdf[low])
            state, position = _advance(state, start, np.int64(cdf[low + 1]) - start, position, end, words)
            low -= base
            value = np.int64(first[t]) + low
            if low == n:
                sign, distance, state, position = _escape(state, position, end, words)
                value = np.int64(first[t]) - np.int64(distance) if sign else value + np.int64(distance) - 1
                if distance == 0:
                    fault = _BAD_ESCAPE
            if state == 0:
                fault = _SHORT
            out[i] = np.int32(value) if fault == 0 else np.int32(0)
        states[s], positions[s], faults[s] = state, np.int64(position), fault


class Decoder:
    """Reads several streams side by side, a step at a time.

    `faults()` names what went wrong with each stream; `decode` itself never raises for bad bytes.
    """

    def __init__(self, streams: list[bytes], code: SymbolTables) -> None:
        self._code = code
        lengths = np.array([len(stream) // 2 for stream in streams], dtype=np.int64)
        bounds = np.concatenate(([0], np.cumsum(lengths)))
        self._words = np.frombuffer(
            b"".join(s[: len(s) & ~1] for s in streams) or b"\0\0", dtype="<u2"
        ).astype(np.uint16)
        self._position, self._end = bounds[:-1].astype(np.int64), bounds[1:].astype(np.int64)
        self._fault = np.zeros(len(streams), dtype=np.int64)
        self._state = np.full(len(streams), STATE_LOW, dtype=np.uint64)
        self._empty = lengths == 0
        self._decoded = np.zeros(len(streams), dtype=np.int64)
        for s, stream in enumerate(streams):
            if len(stream) & 1:
                self._fault[s] = _ODD
            elif lengths[s]:
                self._read_state(s)

    def _read_state(self, s: int) -> None:
        at = int(self._position[s])
        if self._end[s] - at < HEAD_WORDS:
            self._fault[s] = _SHORT
            return
        high, middle, low = (int(word) for word in self._words[at : at + HEAD_WORDS])
        value = high << 32 | middle << 16 | low
        self._position[s] = at + HEAD_WORDS
        self._state[s] = value
        if value < STATE_LOW:
            self._fault[s] = _STATE

    def decode(
        self, tables: np.ndarray, counts: np.ndarray | list[int], streams: np.ndarray | list[int]
    ) -> np.ndarray:
        """The next symbols, int32 [n]: counts[g] from stream streams[g], one after the other, under `tables`
        int32 [n].

        Symbols of a stream with a fault are 0. Table indices come from this side's own networks and must be
        in range."""
        tables = np.ascontiguousarray(tables, dtype=np.int32).reshape(-1)
        counts = np.asarray(counts, dtype=np.int64)
        streams = np.asarray(streams, dtype=np.int64)
        segment = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
        if segment[-1] != len(tables):
            raise ValueError(f"{len(tables)} table indices for {segment[-1]} symbols")
        if len(tables) and not 0 <= int(tables.min()) <= int(tables.max()) < self._code.count:
            raise ValueError("table index out of range")
        starved = streams[(counts > 0) & self._empty[streams]]
        self._fault[starved[self._fault[starved] == 0]] = _SHORT
        np.add.at(self._decoded, streams, counts)
        out = np.empty(len(tables), dtype=np.int32)
        _decode(
            out,
            tables,
            segment,
            streams,
            self._state,
            self._position,
            self._end,
            self._fault,
            self._words,
            *self._code.arrays,
        )
        return out

    def faults(self) -> list[str]:
        """After the last symbol: '' for each sound stream, else what is wrong with it."""
        fault = self._fault.copy()
        fault[(fault == 0) & (self._decoded == 0) & ~self._empty] = _NOTHING
        fault[(fault == 0) & (self._state != STATE_LOW)] = _END
        fault[(fault == 0) & (self._position != self._end)] = _REST
        return [_FAULTS[code] for code in fault]
