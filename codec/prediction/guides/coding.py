"""A guide as bytes: what a stream spends on its prediction.

Everything goes through the adaptive binary coder (codec/maps/binary_coder.py), written once for both
directions. First which hyper-latents are sent. By root in raster order: the level, given the levels left and
above, of all of it or of each of its positions; whether the root goes on as its left or upper neighbour does
(then nothing more), else its reference and its quad-tree, whose vectors are differences to the median of the
neighbours left, above and above right. Roots without a level send nothing.

Bytes from outside decode to a guide or raise `BitstreamError`, in time that the patch bounds; a guide has one
spelling, every other is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codec.maps.binary_coder import code_uniform, finish, start_decoding, start_encoding
from codec.prediction.guides.contexts import PROFILES, fresh_contexts
from codec.prediction.guides.tree import code_guide
from codec.prediction.values import CELL_PX, LATENT_PX, ROOT_PX, Guide, all_sent
from codec.prediction.warp import GAIN_MAX, MAX_REFERENCES, OFFSET_STEP
from constellation.common.errors import BitstreamError

MAX_BYTES = 1 << 20
VECTOR_MAX, CORNER_MAX, OFFSET_MAX = 4095, 1 << 19, 510  # of what a guide may hold


def pack_guide(guide: Guide, participants: Sequence[int]) -> bytes:
    """The bytes of a guide whose sources are all among `participants`, which the decoder knows too."""
    rows, columns = guide.roots.shape
    numbers, *fields = fields_of(guide, participants)
    packed = []
    for profile in range(PROFILES):
        buffer = np.zeros(4096 + 64 * rows * columns, dtype=np.uint8)
        coder = start_encoding()
        model = (coder, buffer, *fresh_contexts(profile))
        code_uniform(model, profile, PROFILES)
        code_guide(model, numbers, len(participants), *fields)
        size = finish(coder, buffer)
        if size < 0:
            raise ValueError("a guide of more bytes than its patch allows")
        packed.append(buffer[:size].tobytes())
    return min(packed, key=len)


def fields_of(guide: Guide, participants: Sequence[int]) -> list[np.ndarray]:
    """What `code_guide` codes: numbers of the header, hyper, levels, roots, motion, depth, int64 each and
    writable."""
    given = guide.hyper, guide.levels, guide.roots, guide.motion, guide.depth
    fields = [np.array(v, dtype=np.int64) for v in given]
    fields[2][_tops(guide.levels) == 0] = 0
    return [_header_of(guide, list(participants)), *fields]


def unpack_guide(data: bytes, shape: tuple[int, int], participants: Sequence[int]) -> Guide:
    """The guide of a patch of `shape` px. Raises `BitstreamError` where the bytes are none."""
    rows, columns = (side // ROOT_PX for side in shape)
    if len(data) > MAX_BYTES or not participants:
        raise BitstreamError(f"guide: {len(data)} bytes for {len(participants)} participants")
    buffer = np.frombuffer(data, dtype=np.uint8).copy()
    numbers = np.zeros(1 + MAX_REFERENCES * 15, dtype=np.int64)
    roots = np.zeros((rows, columns), np.int64)
    levels = roots.repeat(ROOT_PX // LATENT_PX, 0).repeat(ROOT_PX // LATENT_PX, 1)
    hyper = all_sent(levels).astype(np.int64)
    cells = (ROOT_PX // CELL_PX * rows, ROOT_PX // CELL_PX * columns)
    motion, depth = np.zeros((*cells, 2), np.int64), np.zeros(cells, np.int64)
    fields = hyper, levels, roots, motion, depth
    coder = start_decoding(buffer)
    profile = code_uniform((coder, buffer, *fresh_contexts(0)), 0, PROFILES)
    code_guide((coder, buffer, *fresh_contexts(int(profile))), numbers, len(participants), *fields)
    guide = _checked(numbers, list(participants), fields)
    if pack_guide(guide, participants) != data:
        raise BitstreamError("guide: another spelling than its own")
    return guide


def _tops(levels: np.ndarray) -> np.ndarray:
    """The highest level of each root."""
    side = ROOT_PX // LATENT_PX
    return levels.reshape(len(levels) // side, side, -1, side).max(axis=(1, 3))


def _header_of(guide: Guide, participants: list[int]) -> np.ndarray:
    """What is sent once: int64, count of references, and for each its place, corners, gains, offsets."""
    numbers = np.zeros(1 + MAX_REFERENCES * 15, dtype=np.int64)
    numbers[0] = len(guide.sources)
    for k, source in enumerate(guide.sources):
        part = numbers[1 + 15 * k : 16 + 15 * k]
        part[0] = participants.index(source)
        part[1:9], part[9:12] = guide.placements[k], guide.gains[k]
        part[12:15] = guide.offsets[k] // OFFSET_STEP
    return numbers


def _checked(numbers: np.ndarray, participants: list[int], fields: tuple[np.ndarray, ...]) -> Guide:
    count = int(numbers[0])
    parts = numbers[1 : 1 + 15 * count].reshape(count, 15)
    hyper, levels, roots, motion, depth = fields
    sources = tuple(participants[int(part[0])] for part in parts)
    within = (
        len(set(sources)) == count
        and bool((np.abs(parts[:, 1:9]) <= CORNER_MAX).all())
        and bool(((parts[:, 9:12] >= 0) & (parts[:, 9:12] <= GAIN_MAX)).all())
        and bool((np.abs(parts[:, 12:15]) <= OFFSET_MAX).all())
        and bool((np.abs(motion) <= VECTOR_MAX).all())
    )
    if not within:
        raise BitstreamError("guide: a source twice, or a number out of range")
    return Guide(
        sources,
        parts[:, 1:9].astype(np.int32),
        parts[:, 9:12].astype(np.int32),
        (parts[:, 12:15] * OFFSET_STEP).astype(np.int32),
        roots.astype(np.uint8),
        levels.astype(np.uint8),
        hyper.astype(bool),
        motion.astype(np.int16),
        depth.astype(np.uint8),
    )
