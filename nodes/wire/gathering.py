"""What a step that gathers sends: int64 slots, one a satellite, alike in shape on every process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from nodes.wire.stages import Send


def slots_of(send: Send, satellites: Sequence[int], slots: int) -> np.ndarray:
    """int64 [slots, 1 + words] of a crew. A slot is led by 1, or 0 where nobody sends, beside a digest of
    what must be alike on every side. Raises `ValueError` for a message of another size."""
    words = -(-send.size // 8)
    mine = np.zeros((slots, 1 + words), np.int64)
    mine[:, 0] = _mark(send)
    for slot, satellite in enumerate(satellites):
        data = send.messages.get(satellite)
        if data is None:
            continue
        if len(data) != send.size:
            raise ValueError(f"{send.stage}: satellite {satellite} sends {len(data)} of {send.size} bytes")
        mine[slot, 0] |= 1
        mine[slot, 1:] = np.frombuffer(data.ljust(8 * words, b"\0"), np.int64)
    return mine


def messages_of(send: Send, everybody: np.ndarray, crews: Sequence[Sequence[int]]) -> dict[int, bytes]:
    """By satellite, from int64 [processes, slots, 1 + words]; crews: of each process. Raises `ValueError`
    where sides disagree."""
    if np.any(everybody[:, :, 0] & ~1 != _mark(send)):
        raise ValueError(f"{send.stage}: sides disagree about the size or the audience of its messages")
    return {
        satellite: everybody[at, slot, 1:].tobytes()[: send.size]
        for at, crew in enumerate(crews)
        for slot, satellite in enumerate(crew)
        if everybody[at, slot, 0] & 1
    }


def _mark(send: Send) -> int:
    """63 bits that are alike where stage, size and audience are, shifted past the bit that says whether a
    slot is used."""
    audience = None if send.audience is None else sorted((s, sorted(r)) for s, r in send.audience.items())
    said = repr((send.stage.round, int(send.stage.step), send.stage.part, send.size, audience)).encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:7], "little") << 1
