"""A run, as a value: what was asked, what came of every round, and the images.

The same whether it was flown in this process or read from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

from constellation.common.frozen import value
from constellation.scenario.scenario import Scenario
from dlrc.store.summary import Facts, RunSummary, summarise
from ground.records import RoundRecord

PICTURED_ROUNDS = 4  # whose images are kept; what later rounds showed can be decoded from their streams


@value
class Images:
    """One view, uint8 [P, P, 3] each: captured, and rebuilt with DLRC and from the independent stream. None
    where there is no such image. generated: what `ground.compensation` made of the one with DLRC; detail in
    it was never sent."""

    captured: np.ndarray | None = None
    dlrc: np.ndarray | None = None
    independent: np.ndarray | None = None
    generated: np.ndarray | None = None


NO_IMAGES = Images()


class Gallery(Protocol):
    """Where a run's images are. folder: that holds them, or None: in memory."""

    @property
    def folder(self) -> Path | None: ...

    def images(self, number: int, satellite: int) -> Images:
        """Those of a satellite in round `number`; none of rounds from `PICTURED_ROUNDS` on. Raises
        `UserError` where a file is damaged."""
        ...


@value
class Held:
    """A gallery in memory. held: by (round, satellite)."""

    held: Mapping[tuple[int, int], Images]
    folder: None = None

    def images(self, number: int, satellite: int) -> Images:
        """As of any gallery."""
        return self.held.get((number, satellite), NO_IMAGES)


@value
class Run:
    """A run. rounds: ascending by number; fewer than `scenario.rounds` where it was cut short."""

    scenario: Scenario
    facts: Facts
    rounds: tuple[RoundRecord, ...]
    gallery: Gallery

    @cached_property
    def summary(self) -> RunSummary:
        """What `summary.json` says. Raises `ValueError` for a run without a round."""
        return summarise(self.scenario, self.facts, self.rounds)

    def show(self) -> None:
        """Print the closing table; in a notebook, show the pictures of the first rounds as well."""
        import_module("dlrc.report").show(self)  # a report reads runs; a run only knows that there is one

    def _repr_html_(self) -> str:
        """The table and the pictures, which a notebook shows where a run is the last word of a cell."""
        return import_module("dlrc.report").as_html(self)
