"""What became of the bytes that a satellite sent, kind by kind."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Account:
    """Bytes of one kind of send (first, again, independent) of one satellite in a round. sent: as the sender
    told; received: whole, as they were counted on arrival; lost: not, or damaged; again: damaged, so that the
    same was asked for again. It adds up where sent == received + lost + again, and nothing enforces that: a
    run says where it does not."""

    __pydantic_config__ = _STRICT

    kind: str
    sent: int
    received: int = 0
    lost: int = 0
    again: int = 0

    @property
    def adds_up(self) -> bool:
        """Whether every byte is accounted for."""
        return self.sent == self.received + self.lost + self.again
