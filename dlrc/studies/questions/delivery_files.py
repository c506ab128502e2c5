"""The streams of a run as files on board: whose, when ready, how large, and which need which; and what the
study asks of their delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.network import SpaceSegment
from constellation.passes.delivery.account import Account
from constellation.passes.delivery.rules import File, TransferKnobs
from dlrc.store.results import Run
from ground.records import Fates, RoundRecord, SatelliteRecord

Coding = str  # "dlrc" or "independent"


class DeliveryKeys(TransferKnobs):
    """Keys of this study."""

    run: str = ""
    """folder of a stored run, instead of flying the scenario"""
    rules: tuple[str, ...] = ()
    """priority rules to fly the scenario with, id,link,...; none: its own"""
    tiles: Annotated[int, Field(ge=1, le=10**9)] = 10000
    """streams that each one stands for"""
    plan: str = ""
    """contact plan of ION or HDTN instead of computed passes"""
    days: Annotated[float, Field(ge=0.01, le=30)] = 1.0
    """of passes after the first capture"""


@dataclass(frozen=True)
class Delivered:
    """One way of a delivery. kept_by: the priority rule that the run was flown with; coding: dlrc or
    independent."""

    kept_by: str
    coding: str
    account: Account


def files_of(run: Run, coding: Coding, tiles: int) -> tuple[File, ...]:
    """One file a stream that was sent, each as large as `tiles` like it. A file is ready when its satellite
    has coded it; it needs those whose vectors it copies, and those that these need. Independent streams need
    nothing."""
    space = SpaceSegment(run.scenario)
    files: list[File] = []
    for record in run.rounds:
        instant = space.at(record.number)
        members, begin_s = instant.members, instant.time_s
        needs = needs_of(record) if coding == "dlrc" else {}
        sizes = {one.satellite: _bytes(one, coding) * tiles for one in record.satellites}
        made = [one for one in record.satellites if sizes[one.satellite]]
        place = {one.satellite: len(files) + at for at, one in enumerate(made)}
        for one in made:
            asks = needs.get(one.satellite, frozenset())
            files.append(
                File(
                    index=place[one.satellite],
                    satellite=int(members[one.satellite]),
                    round=record.number,
                    owner=one.satellite,
                    size_bytes=sizes[one.satellite],
                    ready_s=begin_s + coded_after_s(one),
                    rank=record.order.index(one.satellite) if one.satellite in record.order else 0,
                    # what needs a stream that was never sent is of no use: -1 is nobody's file
                    needs=tuple(sorted(place.get(owner, -1) for owner in asks)),
                    needed=sum(one.satellite in others for others in needs.values()),
                )
            )
    return tuple(files)


def needs_of(record: RoundRecord) -> dict[int, frozenset[int]]:
    """Whom each satellite's picture needs beside itself: those that its stream does not decode without, and
    theirs."""
    direct = {
        one.satellite: frozenset(one.needs) | _named(one.fates)
        for one in record.satellites
        if one.fates is not None
    }
    found = {}
    for satellite in direct:
        reached: set[int] = set()
        ahead = set(direct[satellite])
        while ahead:
            reached |= ahead
            ahead = set().union(*(direct.get(owner, frozenset()) for owner in ahead)) - reached
        found[satellite] = frozenset(reached - {satellite})
    return found


def _named(fates: Fates) -> frozenset[int]:
    """The owners of a map: all that a record of an earlier version tells of an image's needs."""
    return frozenset(np.unique(fates.owner[fates.owner >= 0]).tolist())


def coded_after_s(one: SatelliteRecord) -> float:
    """When the stream is ready, after the round began."""
    return max((span.end_s for span in one.spans if span.name != "downlink"), default=0.0)


def _bytes(one: SatelliteRecord, coding: Coding) -> int:
    return one.ledger.first if coding == "dlrc" else round(one.independent.total)
