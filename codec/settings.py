"""How a stream was coded: what its container says in one word of bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codec.models import registry
from constellation.common.errors import BitstreamError
from constellation.scenario.coding import BY_STREAMS

GRIDS = ("fixed", "centred")
CONTEXTS = ("exact", "independent", "open")
SIGNATURES = ("lsh", "content")
REPRESENTATIVES = ("original", "mean")
MAP_CODINGS = ("successor", "lzma")
DEDUPS = ("signature", "footprint", "conditional", "hybrid")


@dataclass(frozen=True)
class StreamSettings:
    """How the stream was coded; every field is one of `SETTINGS`' values."""

    model: str = registry.NAMES[0]
    grid: str = "fixed"
    context: str = "exact"
    signature: str = "lsh"
    representative: str = "mean"
    map_coding: str = "successor"
    dedup: str = "signature"
    dlrc: bool = True
    halo: bool = False
    """the latents saw what surrounds the patch"""
    portable: bool = True
    """coded in exact arithmetic; else in float32, and it decodes only where sums come out as on board"""
    portable_pictures: bool = False
    """its picture is made in exact arithmetic"""

    @property
    def predicts(self) -> bool:
        """Whether its vectors may be coded in the light of other satellites' pictures."""
        return self.dlrc and self.dedup in BY_STREAMS

    @property
    def remembers(self) -> bool:
        """Whether its map may name lists of earlier rounds."""
        return self.dlrc and self.dedup == "signature" and self.grid == "fixed"

    @property
    def shows(self) -> bool:
        """Whether who codes knows the picture to the bit, and gives its digest: all vectors are its own, or
        equal to them, and none from around the patch are needed."""
        same = self.signature == "content" and self.dedup == "signature"
        own = not self.dlrc or self.predicts or same
        return self.portable_pictures and not self.halo and own


@dataclass(frozen=True)
class Setting:
    """Some bits of the settings word. values: by their number; a setting that stands here twice has its
    higher bits at the second place."""

    name: str
    values: Callable[[], tuple]
    bits: int
    since: int = 2


SETTINGS = (
    Setting("model", lambda: tuple(name for _, name in sorted(registry.numbers().items())), 3),
    Setting("grid", lambda: GRIDS, 1),
    Setting("context", lambda: CONTEXTS, 2),
    Setting("signature", lambda: SIGNATURES, 1),
    Setting("representative", lambda: REPRESENTATIVES, 1),
    Setting("map_coding", lambda: MAP_CODINGS, 2),
    Setting("dedup", lambda: DEDUPS, 1),
    Setting("dlrc", lambda: (False, True), 1),
    Setting("halo", lambda: (False, True), 1),
    Setting("portable", lambda: (True, False), 1, since=3),
    Setting("dedup", lambda: DEDUPS, 1, since=4),
    Setting("portable_pictures", lambda: (False, True), 1, since=4),
)


def settings_bits(settings: StreamSettings) -> int:
    """The word, in the newest version."""
    bits = shift = 0
    used: dict[str, int] = {}  # bits of a number that have been written
    for part in SETTINGS:
        number = part.values().index(getattr(settings, part.name)) >> used.get(part.name, 0)
        bits |= (number & ((1 << part.bits) - 1)) << shift
        used[part.name] = used.get(part.name, 0) + part.bits
        shift += part.bits
    return bits


def settings_of(bits: int, version: int) -> StreamSettings:
    """Inverse of `settings_bits`. Raises `BitstreamError` for bits without a meaning in that version."""
    numbers: dict[str, int] = {}
    used: dict[str, int] = {}
    for part in SETTINGS:
        if part.since > version:
            continue
        number = (bits & ((1 << part.bits) - 1)) << used.get(part.name, 0)
        numbers[part.name] = numbers.get(part.name, 0) | number
        used[part.name] = used.get(part.name, 0) + part.bits
        bits >>= part.bits
    if bits:
        raise BitstreamError("settings: unknown bits are set")
    return StreamSettings(**{name: _value(name, number) for name, number in numbers.items()})


def _value(name: str, number: int) -> Any:
    values = next(part.values() for part in SETTINGS if part.name == name)
    if number >= len(values):
        raise BitstreamError(f"settings: {name} is number {number}, expected at most {len(values) - 1}")
    return values[number]
