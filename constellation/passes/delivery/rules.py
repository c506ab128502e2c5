"""What is asked of a delivery: the files, how they are sent, in which order, and what a full store drops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.common.knobs import Knobs, Several

Order = Literal["fifo", "newest", "smallest", "priority", "needed"]
ORDERS: tuple[Order, ...] = ("fifo", "newest", "smallest", "priority", "needed")
Drop = Literal["newest", "oldest", "largest", "last"]


@value
class File:
    """A stream on board. satellite: index in the constellation. owner: its number in the round. rank: its
    place in the round's priority order, 0 first. needs: indices of the files without which its picture is of
    no use; needed: how many pictures need it."""

    index: int
    satellite: int
    round: int
    owner: int
    size_bytes: int
    ready_s: float
    rank: int = 0
    needs: tuple[int, ...] = ()
    needed: int = 0


class TransferKnobs(Knobs):
    """How streams are sent down."""

    segment_bytes: Annotated[int, Field(ge=16, le=65000)] = 1024
    """file data of one unit on the link"""
    unit_loss: Annotated[float, Field(ge=0, le=0.9)] = 0.001
    """chance that a unit is lost, either way, whatever the weather"""
    timer_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    """after which what is not answered is asked again, within a contact"""
    handover_s: Annotated[float, Field(ge=0, le=600)] = 5.0
    """until a satellite and an antenna that turn to each other carry data"""
    weather: Literal["clear", "rain"] = "clear"
    """clear sky, or rain by ITU-R P.618 (needs itur)"""
    coding: Literal["planned", "adaptive"] = "planned"
    """rate of a clear sky less the margin, or one that follows the rain"""
    margin_db: Annotated[float, Field(ge=0, le=30)] = 3.0
    """below the planned rate's; a deeper fade loses everything"""
    relay: Literal["none", "links"] = "none"
    """none, or links: over other satellites to one with a contact"""
    storage_mib: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    """on board of each satellite; 0: without end"""
    drop: Drop = "newest"
    """of files not begun when full: newest, oldest, largest, last"""
    orders: Several[Order] = ("fifo", "needed", "priority")
    """of the queue: fifo, newest, smallest, priority, needed"""


def sort_key(order: Order) -> Callable[[File], tuple]:
    """Smaller goes first. fifo: oldest; newest; smallest; priority: rank in the round, then age; needed:
    whom most pictures wait for."""
    keys: dict[str, Callable[[File], tuple]] = {
        "fifo": lambda file: (file.ready_s, file.index),
        "newest": lambda file: (-file.ready_s, file.index),
        "smallest": lambda file: (file.size_bytes, file.index),
        "priority": lambda file: (file.rank, file.ready_s, file.index),
        "needed": lambda file: (-file.needed, file.ready_s, file.index),
    }
    return keys[order]


def to_drop(waiting: list[File], arriving: File, rule: Drop, order: Order) -> File:
    """Which of the files that wait unsent, or the one that arrives, a full store gives up."""
    among = [*waiting, arriving]
    if rule == "newest":
        return max(among, key=lambda file: (file.ready_s, file.index))
    if rule == "oldest":
        return min(among, key=lambda file: (file.ready_s, file.index))
    if rule == "largest":
        return max(among, key=lambda file: (file.size_bytes, file.index))
    return max(among, key=sort_key(order))


def check_files(files: tuple[File, ...]) -> None:
    """Raises `UserError` where there is nothing to deliver."""
    if not files:
        raise UserError("delivery: no stream was made, so there is nothing to deliver")
