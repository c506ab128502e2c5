"""The fields of a stream, in their order: the one table that packing, parsing and the documents follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codec.framing import MAX_SATELLITES
from codec.imagery.scaling import MAX_BANDS
from codec.settings import StreamSettings

MAGIC = b"\xd7L"
VERSION, REMEMBERING, BANDED, BOTH = 4, 5, 6, 7  # plain; refers to earlier rounds; not of 8-bit RGB; both
VERSIONS = (2, 3, 4, 5, 6, 7)  # that can be read
MAX_STREAM_BYTES = 64 << 20
MAX_SIDE = 4096  # latent positions: 65,536 px
MAX_POSITIONS = 1 << 17  # 4,096 px squared, twice


@dataclass(frozen=True)
class Field:
    """One field of the container. kind: raw bytes `bytes`, little-endian `uint`, `varint`, `scales` (of each
    band), or a `section`, whose length is an earlier field. size: bytes, of a band's for `scales`. present:
    whether a stream has it, by version and settings."""

    name: str
    kind: str
    size: int
    says: str
    present: Callable[[int, StreamSettings], bool] = lambda version, settings: True
    low: int = 0
    high: int | None = None


FIELDS = (
    Field("magic", "bytes", 2, "`d7 4c`"),
    Field(
        "version",
        "uint",
        1,
        f"{VERSION}; {REMEMBERING} with earlier rounds, {BANDED} with bands, {BOTH} with both",
    ),
    Field("settings", "uint", 2, "how the stream was coded, in bits (below)"),
    Field("weights", "bytes", 4, "first bytes of the SHA-256 of the checkpoint"),
    Field("satellite", "varint", 0, "who sends", high=MAX_SATELLITES - 1),
    Field("round", "varint", 0, "number of the round", high=(1 << 32) - 1),
    Field("height", "varint", 0, "latent positions, a multiple of 4", low=1, high=MAX_SIDE),
    Field("width", "varint", 0, "latent positions, a multiple of 4", low=1, high=MAX_SIDE),
    Field("k", "varint", 0, "hash rounds", high=255),
    Field(
        "band_count",
        "varint",
        0,
        "new in 6, which pictures have that are not 8-bit RGB: bands of 16-bit counts",
        lambda version, settings: version >= BANDED,
        low=1,
        high=MAX_BANDS,
    ),
    Field(
        "scales",
        "scales",
        8,
        "new in 6, of each band, float32: scale and offset; counts 0 and 65535 are offset, offset + scale",
        lambda version, settings: version >= BANDED,
    ),
    Field(
        "participants",
        "varint",
        0,
        "whose lists the sender heard: 2 n for satellites 0 to n - 1, else 1 + twice a bit mask",
    ),
    Field(
        "earlier",
        "varint",
        0,
        "new in 5, not in 6: views of earlier rounds, satellite + 1024 x rounds ago, ascending, steps from "
        "1023 on of 15 bits, the first lowest",
        lambda version, settings: version in (REMEMBERING, BOTH),
    ),
    Field("z_size", "varint", 0, "bytes"),
    Field("y_size", "varint", 0, "bytes"),
    Field("map_size", "varint", 0, "bytes"),
    Field(
        "prediction_size",
        "varint",
        0,
        "bytes; new in 4, with dedup conditional or hybrid",
        lambda version, settings: settings.predicts,
    ),
    Field(
        "accord",
        "uint",
        4,
        "new in 3, with dedup signature or footprint: checksum of what all satellites of the round agreed on",
        lambda version, settings: version >= 3 and settings.dlrc and not settings.predicts,
    ),
    Field(
        "picture_digest",
        "uint",
        4,
        "new in 4, with portable_pictures where no halo and no vector of another value is in the picture: "
        "CRC-32 of the picture (uint8, row by row, bands fastest)",
        lambda version, settings: settings.shows,
    ),
    Field("z_check", "uint", 2, "CRC-16 (low half of CRC-32) of everything before it, and z"),
    Field("z", "section", 0, "hyper-latents (codec/entropy/encoder.py)"),
    Field("y_check", "uint", 2, "CRC-16 of y"),
    Field("y", "section", 0, "latents (codec/entropy/encoder.py)"),
    Field("map_check", "uint", 2, "CRC-16 of map; absent where there is no map"),
    Field("map", "section", 0, "assignment map (codec/maps/coding.py)"),
    Field("prediction_check", "uint", 2, "CRC-16 of prediction; absent where there is none"),
    Field("prediction", "section", 0, "what its vectors are predicted from (codec/prediction/)"),
    Field(
        "digest",
        "uint",
        4,
        "CRC-32 of the known vectors, continued over the map's references, and over the content hashes of "
        "what is copied from earlier rounds; with a prediction_size: of all vectors",
    ),
)
