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


@dataclass(frozen=True)
class Ledger:
    """Bytes of one satellite's downlink. first: sent at the first attempt. resent: sent on request, the
    stream again or the independent one. received: arrived whole. lost: did not arrive, or damaged.

    Every byte that was sent arrived or was lost: raises `ValueError` unless first + resent == received +
    lost."""

    __pydantic_config__ = _STRICT

    first: int
    resent: int
    received: int
    lost: int

    def __post_init__(self) -> None:
        if min(self.first, self.resent, self.received, self.lost) < 0:
            raise ValueError(f"ledger: {self}, expected no negative number of bytes")
        if self.first + self.resent != self.received + self.lost:
            raise ValueError(
                f"ledger: {self.first} + {self.resent} bytes sent, {self.received} received and "
                f"{self.lost} lost"
            )
