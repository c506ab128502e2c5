"""What a round was, as values: bytes, fates, qualities and simulated times of every satellite, and JSON both
ways.

Table, `summary.json`, trace and pictures are drawn from these records and compute nothing that is not in
them. Images and streams are not: whoever keeps them finds them by (round, satellite)."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import astuple, dataclass
from enum import Enum
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, ConfigDict, PlainSerializer, TypeAdapter, ValidationError

from codec.maps.assignment import KEPT, LOCAL, REMOTE, AssignmentMap
from codec.prediction.values import Guide
from constellation.clock import Span
from constellation.common.errors import UserError
from constellation.sight.geometry import Geometry
from constellation.snapshot import Snapshot
from ground.accounts import Account, Ledger
from ground.cells import JsonCells
from ground.compensation.quality import Generated
from ground.metrics import Quality
from nodes.streams.fates import source_of

MAX_POSITIONS = 1 << 20  # of one map, as in the container
PREDICTED = 3  # a fate beside an assignment map's: kept, and coded in the light of another's picture
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


class Outcome(str, Enum):
    """How a satellite's image came to the ground. Map, picture and rates of its record follow it.

    EXACT: its stream decoded to what was coded. RESENT: so did the same stream, sent again after it had
    arrived damaged. INDEPENDENT: its independent stream stood in, because it or an owner of its vectors was
    lost. INCOMPLETE: an image with vectors that never came, zero in it. LOST: no image."""

    EXACT = "exact"
    RESENT = "resent"
    INDEPENDENT = "independent"
    INCOMPLETE = "incomplete"
    LOST = "lost"

    __str__ = str.__str__


@dataclass(frozen=True)
class SectionBytes:
    """Bytes of streams, by section; header is everything that is not y, z, map or prediction. Whole numbers
    of real streams; fractions where `codec.context=open` estimates them."""

    __pydantic_config__ = _STRICT

    y: float
    z: float
    map: float = 0.0
    header: float = 0.0
    prediction: float = 0.0

    def __post_init__(self) -> None:
        """Whole numbers become floats at once, as those of a record that was read back from its file are."""
        for name, held in vars(self).items():
            object.__setattr__(self, name, float(held))

    @property
    def total(self) -> float:
        """All sections together, bytes."""
        return self.y + self.z + self.map + self.header + self.prediction

    def __add__(self, other: SectionBytes) -> SectionBytes:
        return SectionBytes(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, eq=False)
class Fates:
    """Where each latent position's vector came from: an assignment map without the places that its copies
    name, with what its kept vectors are predicted from.

    fate: uint8 [H, W], KEPT, LOCAL, REMOTE or PREDICTED. exact: bool [H, W]. owner: int16 [H, W], of a copy,
    or the satellite that a vector is predicted from (of an average the first of two), else -1. Read-only."""

    fate: np.ndarray
    exact: np.ndarray
    owner: np.ndarray

    def __post_init__(self) -> None:
        for name, kind in (("fate", "u1"), ("exact", "?"), ("owner", "<i2")):
            array = np.array(getattr(self, name), dtype=kind)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fates):
            return NotImplemented
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in ("fate", "exact", "owner"))

    __hash__ = None  # type: ignore[assignment]

    @staticmethod
    def of(assignment: AssignmentMap, guide: Guide | None = None) -> Fates:
        """Those of an assignment map, and of what the stream is predicted from."""
        fate, owner = assignment.fate, assignment.owner
        if guide is not None:
            source = source_of(guide, assignment)
            fate, owner = np.where(source >= 0, PREDICTED, fate), np.where(source >= 0, source, owner)
        return Fates(fate, assignment.exact, owner)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Positions kept (predicted or not), copied from the same grid, copied from another satellite."""
        counts = np.bincount(self.fate.reshape(-1), minlength=4)
        return int(counts[KEPT] + counts[PREDICTED]), int(counts[LOCAL]), int(counts[REMOTE])

    @property
    def predicted(self) -> int:
        """Positions that are predicted from another satellite."""
        return int((self.fate == PREDICTED).sum())


def _fates_to_json(fates: Fates | None) -> dict[str, Any] | None:
    if fates is None:
        return None
    packed = zlib.compress(fates.fate.tobytes() + fates.exact.tobytes() + fates.owner.tobytes(), 9)
    return {
        "height": fates.fate.shape[0],
        "width": fates.fate.shape[1],
        "data": base64.b64encode(packed).decode(),
    }


def _fates_from_json(value: Any) -> Any:
    """Back from `_fates_to_json`; what is no such value raises `ValueError` (pydantic tells where)."""
    if value is None or isinstance(value, Fates):
        return value
    try:
        height, width, data = (value[key] for key in ("height", "width", "data"))
        cells = height * width
        if not (isinstance(cells, int) and 0 < cells <= MAX_POSITIONS and height > 0 and len(value) == 3):
            raise ValueError(f"a map of {height} x {width}, expected 1 to {MAX_POSITIONS} positions")
        reader = zlib.decompressobj()
        raw = reader.decompress(base64.b64decode(data, validate=True), 4 * cells + 1)
    except (KeyError, TypeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"not a map ({type(error).__name__})") from None
    if len(raw) != 4 * cells:
        raise ValueError(f"{len(raw)} bytes of a map of {height} x {width}, expected {4 * cells}")
    fate, exact = (np.frombuffer(raw, np.uint8, cells, at).reshape(height, width) for at in (0, cells))
    owner = np.frombuffer(raw, "<i2", cells, 2 * cells).reshape(height, width)
    if fate.max() > PREDICTED or exact.max() > 1:
        raise ValueError(f"a map with fate {fate.max()}, expected {KEPT} to {PREDICTED}")
    return Fates(fate, exact, owner)


JsonFates = Annotated[Fates | None, BeforeValidator(_fates_from_json), PlainSerializer(_fates_to_json)]


@dataclass(frozen=True)
class Place:
    """Where a view lies, px: top left corner of the patch in the round's window, and of the window in the
    scene."""

    __pydantic_config__ = _STRICT

    row: int
    col: int
    window_row: int
    window_col: int
    scene: str


@dataclass(frozen=True)
class SatelliteRecord:
    """One view: one satellite in one round.

    pixels: of the patch, those that show anything; rates and qualities are over them. hidden: the others
    (no data in the picture). dlrc: bytes that its image took: of its DLRC stream, and of the independent one
    as well where that stood in; a stream sent again counts once, as its loss would have hit any coding.
    independent: bytes of its independent stream. kept, local_copy, remote_copy: latent positions by fate, of
    the image that the ground has (an independent one keeps all; a lost one has none). oracle: latent
    positions that an earlier satellite of the priority order covers. predicted: those of the kept that are
    coded in the light of another's picture; bits: what the tables charge for kept vectors, by the satellite
    that they are predicted from, (satellite, bits), -1 for those coded plainly; empty where none is
    predicted. transmission_s: simulated time on the downlink alone, without waiting for a contact; None for a
    stream that never came. fault: what was wrong with its stream, or empty. Of a satellite that died before
    it could tell about itself: place, qualities, t_sync_s None, payload_bytes 0. A quality is None too
    where there is no image. cells: bits and errors by latent position, where there are latents and an
    original. needs: satellites without whose vectors its stream does not decode, both of every average
    among them. geometry: how it was taken, where orbits decide. earlier: (satellite, round) of views of
    earlier rounds that its stream refers to. offered: whether others may use its own."""

    __pydantic_config__ = _STRICT

    round: int
    satellite: int
    outcome: Outcome
    ledger: Ledger
    pixels: int
    dlrc: SectionBytes
    independent: SectionBytes
    kept: int
    local_copy: int
    remote_copy: int
    oracle: int
    quality_dlrc: Quality | None = None
    quality_independent: Quality | None = None
    fates: JsonFates = None
    place: Place | None = None
    heard: tuple[int, ...] = ()
    payload_bytes: int = 0
    gathered_bytes: int = 0
    t_sync_s: float | None = None
    transmission_s: float | None = None
    spans: tuple[Span, ...] = ()
    fault: str = ""
    hidden: int = 0
    accounts: tuple[Account, ...] = ()
    cells: JsonCells = None
    predicted: int = 0
    bits: tuple[tuple[int, float], ...] = ()
    needs: tuple[int, ...] = ()
    geometry: Geometry | None = None
    earlier: tuple[tuple[int, int], ...] = ()
    offered: bool = False

    @property
    def exact(self) -> bool:
        """Whether the ground decoded the very vectors that DLRC coded."""
        return self.outcome in (Outcome.EXACT, Outcome.RESENT)

    @property
    def failed(self) -> bool:
        """Whether the image is missing, or vectors in it are."""
        return self.outcome in (Outcome.INCOMPLETE, Outcome.LOST)

    @property
    def uncounted_bytes(self) -> int:
        """Sent on request, and not in `dlrc`: no byte is counted twice."""
        counted = int(self.independent.total) if self.outcome is Outcome.INDEPENDENT else 0
        return self.ledger.resent - counted


@dataclass(frozen=True)
class ClassicalPoint:
    """A classical codec on a round's own pictures, at one quality for all: bytes over valid pixels, mean PSNR
    of the images. patches: how many of the round's."""

    __pydantic_config__ = _STRICT

    codec: str
    level: float
    bpp: float
    psnr_db: float
    patches: int


@dataclass(frozen=True)
class RoundRecord:
    """One round. satellites: ascending by number; one of which neither a stream nor word of itself came is
    not among them. order: satellites by priority, highest first. t_round_s: simulated time of the exchange,
    None without one. bystanders: satellites that did not look, each with those whose streams it heard. Notes
    for reports, which may be missing: network, satellites and links; classical, other codecs on the same
    pictures; generated, pictures made beside the decoded ones (in no JSON without any)."""

    __pydantic_config__ = _STRICT

    number: int
    satellites: tuple[SatelliteRecord, ...]
    order: tuple[int, ...] = ()
    t_round_s: float | None = None
    network: Snapshot | None = None
    classical: tuple[ClassicalPoint, ...] = ()
    bystanders: tuple[tuple[int, tuple[int, ...]], ...] = ()
    generated: tuple[Generated, ...] = ()

    @property
    def looked_away(self) -> frozenset[int]:
        """Satellites of which nothing was to come."""
        return frozenset(s for s, _ in self.bystanders) - {one.satellite for one in self.satellites}

    @property
    def listened(self) -> frozenset[int]:
        """Of these, who heard anybody."""
        return self.looked_away & {s for s, heard in self.bystanders if heard}

    @property
    def payload_bytes(self) -> float:
        """Sent by one satellite in the exchange, mean."""
        return float(np.mean([one.payload_bytes for one in self.satellites])) if self.satellites else 0.0

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives an equal record."""
        return _ROUND.dump_json(self, exclude=None if self.generated else {"generated"}).decode()

    @staticmethod
    def from_json(text: str | bytes) -> RoundRecord:
        """Back from `to_json`. Raises `UserError`, one line, for anything else."""
        try:
            return _ROUND.validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "record of a round"
            raise UserError(f"{where}: {first['msg']}") from None


_ROUND = TypeAdapter(RoundRecord)
