"""Recognizer (paper section 3.3): one int64 signature per latent vector, by k rounds of cross-polytope
hashing.

Round r rotates the vector and takes the signed index of its largest component, h_r in {+-1 .. +-C}; the k
codes are mixed into 64 bits. Two rotations are offered (`dlrc.rotation`):

* `hadamard` (default): round r applies x <- H D_r x, with D_r random signs from the scenario's seed and H the
  Walsh-Hadamard matrix of the next power of two, on top of the rotations of the rounds before it: O(HW k C
  log C), a chain of pseudo-random rotations (Andoni et al. 2015, section 4, use the same H D blocks). It runs
  on integers (y on a grid of 2^-12), so a signature is the same on every processor, thread count and library:
  ties go to the lowest index, everywhere.
* `dense`: a Haar-random rotation per round, all k of them as one matrix product, as the paper writes it: O(HW
  k C^2), in float32.

The paper's hash sees directions only. Flat ground (water, roofs, a black frame) gives vectors of one
direction and many lengths, and merging those costs up to 12 dB in single patches of real scenes. So by
default (`dlrc.magnitude`) the length, in sixteenths of the latent grid's step, is mixed in as one more code;
`dlrc.magnitude=false` is the paper's signature.

The *content hash* is a hash of the integer vector that would be coded; equal content hashes mean an exact
copy."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

GRID_BITS = 12  # y is hashed on a grid of 2^-12
# H D blocks before the first code, so that one channel's energy is spread when round 1 looks
WARM_UP_ROTATIONS = 2
LENGTH_STEPS = 16  # lengths are told apart in sixteenths of the latent grid's step
# |y| < 1024: norm <= 2^22 sqrt(C), and a butterfly sums to at most norm * sqrt(C2), below 2^31 for C <= 448
CLAMP = 1 << 22
_BLOCK = 32  # positions hashed together: 512 channels x 32 positions x 4 bytes = 64 KiB, in cache

_MIX_A = np.uint64(0x9E3779B97F4A7C15)
_MIX_B = np.uint64(0xBF58476D1CE4E5B9)
_MIX_C = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class HashFamily:
    """The projection space that all satellites of a run share (same seed, same channels, same k).

    signs: int32 [k + WARM_UP_ROTATIONS, C2], +-1, C2 the next power of two of C; used by `hadamard`. matrix:
    float32 [C, k * C], k Haar rotations side by side; used by `dense`, else None. magnitude: whether the
    length is hashed too."""

    channels: int
    k: int
    rotation: str
    signs: np.ndarray
    matrix: np.ndarray | None
    magnitude: bool = True


def hash_family(
    seed: int, channels: int, k: int, rotation: str = "hadamard", magnitude: bool = True
) -> HashFamily:
    """The k rotations for `channels` latent channels, from the scenario's seed alone."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, channels, 0xD1C])))
    width = 1 << max(1, (channels - 1).bit_length())
    signs = (rng.integers(0, 2, size=(k + WARM_UP_ROTATIONS, width), dtype=np.int32) * 2 - 1).astype(np.int32)
    matrix = None
    if rotation == "dense":
        blocks = [np.linalg.qr(rng.standard_normal((channels, channels)))[0].T for _ in range(k)]
        matrix = np.concatenate(blocks, axis=1).astype(np.float32)
    return HashFamily(channels, k, rotation, signs, matrix, magnitude)


def signatures(y: np.ndarray, family: HashFamily) -> np.ndarray:
    """LSH signatures of the latent vectors of `y`, float32 [C, H, W] -> int64 [H * W] in raster order (paper,
    h and F of section 3.3)."""
    channels = y.shape[0]
    if channels != family.channels:
        raise ValueError(f"y has {channels} channels, the hash family {family.channels}")
    flat = np.ascontiguousarray(y.reshape(channels, -1), dtype=np.float32)
    grid = _on_grid(flat)
    codes = (
        _dense_codes(flat, family)
        if family.rotation == "dense"
        else _hadamard_codes(grid, family.signs, family.k)
    )
    if family.magnitude:
        codes = np.concatenate([codes, _length_codes(grid)])
    return _mix(codes)


def content_hashes(y_hat: np.ndarray) -> np.ndarray:
    """64-bit hashes of the integer vectors of `y_hat`, int32 [C, H, W] -> int64 [H * W] in raster order."""
    return _content(np.ascontiguousarray(y_hat.reshape(y_hat.shape[0], -1), dtype=np.int32))


def _on_grid(flat: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(flat * np.float32(1 << GRID_BITS)), -CLAMP, CLAMP).astype(np.int32)


def _length_codes(grid: np.ndarray) -> np.ndarray:
    """Euclidean length of every vector in sixteenths of the latent grid's step, int32 [1, L]: exact sums, a
    correctly rounded square root."""
    squares = np.einsum("cl,cl->l", grid, grid, dtype=np.float64)
    return np.floor(np.sqrt(squares) * LENGTH_STEPS / (1 << GRID_BITS) + 0.5).astype(np.int32)[None]


def _dense_codes(flat: np.ndarray, family: HashFamily) -> np.ndarray:
    rotated = (flat.T @ family.matrix).reshape(flat.shape[1], family.k, family.channels)
    index = np.abs(rotated).argmax(axis=2)
    value = np.take_along_axis(rotated, index[:, :, None], axis=2)[:, :, 0]
    return np.ascontiguousarray((np.where(value < 0, -1, 1) * (index + 1)).T.astype(np.int32))


@numba.njit(cache=True, nogil=True, inline="always")
def _walsh_hadamard(
    flat,
    # [width * _BLOCK], channel by channel: whole runs of a butterfly lie side by side, so loops are long and
    # vectorise
):
    """All stages but the first."""
    span = 2 * _BLOCK
    while span < len(flat):
        for base in range(0, len(flat), 2 * span):
            upper = flat[base : base + span]
            lower = flat[base + span : base + 2 * span]
            for i in range(span):
                a = upper[i]
                b = lower[i]
                upper[i] = a + b
                lower[i] = a - b
        span *= 2


@numba.njit(cache=True, nogil=True, inline="always")
def _signed(x, signs):
    """The first stage of a butterfly, of channels times their signs."""
    for c in range(0, len(signs), 2):
        upper, lower, even, odd = x[c], x[c + 1], signs[c], signs[c + 1]
        for p in range(_BLOCK):
            a = upper[p] * even
            b = lower[p] * odd
            upper[p] = a + b
            lower[p] = a - b


@numba.njit(cache=True, nogil=True, inline="always")
def _rescale(flat, shift):
    """Divide by 2^shift, halves up. The sum is cut to 32 bits, which it never exceeds, and callers give
    shift as a constant: only so does the loop vectorise as 32 bits, twice as fast."""
    half = 1 << (shift - 1)
    for i in range(len(flat)):
        flat[i] = np.int32(flat[i] + half) >> shift


@numba.njit(cache=True, nogil=True, inline="always")
def _rescaled(flat, shift):
    if shift == 1:
        _rescale(flat, 1)
    elif shift == 2:
        _rescale(flat, 2)
    elif shift == 3:
        _rescale(flat, 3)
    elif shift == 4:
        _rescale(flat, 4)
    elif shift == 5:
        _rescale(flat, 5)
    elif shift > 0:  # over 1,024 channels
        _rescale(flat, shift)


@numba.njit(cache=True, nogil=True, inline="always")
def _signed_argmax(x, best, index, codes):
    best[:] = -1
    for c in range(len(x)):
        row, number = x[c], np.int32(c)
        for p in range(_BLOCK):
            magnitude = np.int32(abs(row[p]))
            before = best[p]
            best[p] = max(magnitude, before)
            index[p] = number if magnitude > before else index[p]
    for p in range(codes.shape[0]):
        code = index[p] + 1
        codes[p] = -code if x[index[p], p] < 0 else code


@numba.njit("int32[:,::1](int32[:,::1], int32[:,::1], int64)", cache=True, nogil=True)
def _hadamard_codes(grid, signs, k):  # grid: [C, L] -> codes [k, L]
    channels, length = grid.shape
    rounds, width = signs.shape
    log2_width = 0
    while (1 << log2_width) < width:
        log2_width += 1
    codes = np.zeros((k, length), dtype=np.int32)
    x = np.zeros((width, _BLOCK), dtype=np.int32)
    flat = x.reshape(-1)
    best, index = np.zeros(_BLOCK, dtype=np.int32), np.zeros(_BLOCK, dtype=np.int32)
    for start in range(0, length, _BLOCK):
        stop = min(start + _BLOCK, length)
        x[:] = 0
        x[:channels, : stop - start] = grid[:, start:stop]
        for r in range(rounds):
            _signed(x, signs[r])
            _walsh_hadamard(flat)
            # norm-preserving: log2(width) / 2 bits a round, half bits made up every second round
            _rescaled(flat, ((r + 1) * log2_width) // 2 - (r * log2_width) // 2)
            if r >= rounds - k:
                _signed_argmax(x, best, index, codes[r - (rounds - k), start:stop])
    return codes


@numba.njit("uint64(uint64)", cache=True, nogil=True)
def _splitmix(x):
    x = (x ^ (x >> np.uint64(30))) * _MIX_B
    x = (x ^ (x >> np.uint64(27))) * _MIX_C
    return x ^ (x >> np.uint64(31))


@numba.njit("int64[::1](int32[:,::1])", cache=True, nogil=True)
def _mix(codes):  # [k, L] -> [L]
    k, length = codes.shape
    out = np.empty(length, dtype=np.int64)
    for p in range(length):
        s = np.uint64(0)
        for r in range(k):
            s = _splitmix((s ^ np.uint64(np.int64(codes[r, p]) & 0xFFFFFFFF)) + _MIX_A)
        out[p] = np.int64(s)
    return out


@numba.njit("int64[::1](int32[:,::1])", cache=True, nogil=True)
def _content(flat):  # [C, L] -> [L]; multiply-xor over channels, one final avalanche
    channels, length = flat.shape
    state = np.full(length, np.uint64(0x2545F4914F6CDD1D), dtype=np.uint64)
    for c in range(channels):
        for p in range(length):
            s = (state[p] ^ np.uint64(np.int64(flat[c, p]) & 0xFFFFFFFF)) * _MIX_B
            state[p] = s ^ (s >> np.uint64(29))
    out = np.empty(length, dtype=np.int64)
    for p in range(length):
        out[p] = np.int64(_splitmix(state[p]))
    return out
