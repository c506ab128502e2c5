"""What one satellite hands to the ground process after a round.

Only `stream` and `independent` are downlinked: they are the bytes that every rate is computed from, and all
that the decoder sees. The original picture and the telemetry travel in the same message for convenience,
*outside the simulated link*, so that the ground can measure quality and draw the trace."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass

import numpy as np

ACKNOWLEDGED, SEND_AGAIN, SEND_INDEPENDENT = (
    b"ack",
    b"again",
    b"independent",
)  # the ground's verdicts on a stream

_HEAD = struct.Struct("<IIIII")


@dataclass(frozen=True)
class Telemetry:
    """What a satellite knows about its own round; times are simulated seconds.

    row, col: of the patch in the scene, px. window_row, window_col: of the round's window. spans: (name,
    start_s, duration_s, category). sections: bytes of z, y, map and framing of the DLRC stream and of z, y,
    framing of the independent one. open_y_bits: the paper's open-loop estimate for the kept vectors (NaN
    unless `codec.context=open`). local_entries: signatures in its list."""

    satellite: int
    round: int
    row: float
    col: float
    window_row: int
    window_col: int
    scene: str
    order: tuple[int, ...]
    heard: tuple[int, ...]
    oracle: float
    payload_bytes: int
    t_sync_s: float
    t_round_s: float
    open_y_bits: float
    spans: tuple[tuple[str, float, float, str], ...]


@dataclass(frozen=True)
class Downlink:
    """One satellite's message of one round. original: uint8 [P, P, 3]."""

    telemetry: Telemetry
    stream: bytes
    independent: bytes
    original: np.ndarray

    def to_bytes(self) -> bytes:
        note = json.dumps(asdict(self.telemetry)).encode()
        side = self.original.shape[0]
        head = _HEAD.pack(len(note), len(self.stream), len(self.independent), side, self.original.shape[1])
        return b"".join(
            [head, note, self.stream, self.independent, np.ascontiguousarray(self.original).tobytes()]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Downlink:
        note, stream, independent, height, width = _HEAD.unpack_from(data)
        at = np.cumsum([_HEAD.size, note, stream, independent])
        if len(data) != at[3] + height * width * 3:
            raise RuntimeError(
                f"downlink message of {len(data)} bytes, expected {at[3] + height * width * 3}"
            )
        values = json.loads(data[at[0] : at[1]])
        for key in ("order", "heard"):
            values[key] = tuple(values[key])
        values["spans"] = tuple((str(n), float(s), float(d), str(c)) for n, s, d, c in values["spans"])
        original = np.frombuffer(data, dtype=np.uint8, offset=int(at[3])).reshape(height, width, 3)
        return cls(Telemetry(**values), data[at[1] : at[2]], data[at[2] : at[3]], original)
