"""The runs behind a grid: each is flown once, ever. A cell's folder is its run's, whose name is a digest of
the resolved scenario, weights, pictures and version; one that is there, and as its manifest says, is done."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import dlrc.store.manifest as manifest
from codec.models.checkpoint import weights_sha256
from constellation.common.errors import UserError
from constellation.common.frozen import value
from constellation.scenario.scenario import Scenario
from dlrc.store.folder import folder_of
from dlrc.store.manifest import Closed, inputs_of, inputs_sha256
from dlrc.store.summary import Facts
from dlrc.sweep.grid import Combination
from dlrc.version import __version__
from ground.compensation.apply import check_compensation
from nodes.process.preflight import check_inputs


@value
class Cell:
    """One run of a grid. name: of its first combination. folder: where it is, or will be."""

    name: str
    scenario: Scenario
    folder: Path

    @property
    def done(self) -> bool:
        """Whether the run is finished and no file of it was changed since."""
        try:
            closed = any(isinstance(line, Closed) for line in manifest.lines(self.folder))
            return closed and not manifest.verify(self.folder)
        except UserError:
            return False


def cells_of(combinations: Sequence[Combination]) -> tuple[dict[Path, Cell], list[Path]]:
    """The cells by folder, and the folder of each combination: several may be one run. Raises `UserError` for
    what a run would refuse at its start."""
    weights, inputs = cache(weights_sha256), cache(lambda given: inputs_sha256(dict(given)))
    cells: dict[Path, Cell] = {}
    folders = []
    for one in combinations:
        scenario, codec = one.scenario, one.scenario.codec
        try:
            facts = Facts(
                version=__version__,
                weights_sha256=weights(codec.weights, codec.model, codec.lambda_, codec.flown),
                pictures_sha256=inputs(tuple(inputs_of(scenario).items())),
                scene_source="",
                scene_real=False,
                began="",
            )
            folder = folder_of(scenario, facts)
            if folder not in cells:
                check_inputs(scenario)
                check_compensation(scenario)
        except UserError as error:
            raise UserError(f"{one.name}: {error}") from None
        cells.setdefault(folder, Cell(one.name, scenario, folder))
        folders.append(folder)
    return cells, folders
