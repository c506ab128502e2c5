"""The runs below a folder: finished, cut short, and damaged ones."""

from __future__ import annotations

from pathlib import Path

from constellation.common.errors import UserError
from constellation.common.frozen import value
from dlrc.store.cost import read_cost
from dlrc.store.manifest import NAME, Closed, Committed, Opened, lines, read_bytes
from dlrc.store.summary import RunSummary


@value
class Listed:
    """A run. began: UTC, ISO 8601. rounds: that were committed. summary: of a finished one. fault: why the
    run cannot be read, or empty."""

    folder: Path
    scenario: str = ""
    began: str = ""
    rounds: int = 0
    finished: bool = False
    summary: RunSummary | None = None
    fault: str = ""

    @property
    def saving_pct(self) -> float | None:
        """Of all bytes; None where the run is not finished."""
        return None if self.summary is None else self.summary.saving_pct.total

    @property
    def psnr_db(self) -> float | None:
        """Mean, with DLRC; None where there is none."""
        return None if self.summary is None else self.summary.quality.dlrc.psnr_db

    @property
    def estimate(self) -> bool:
        """Whether its rates are of no real streams."""
        return self.summary is not None and self.summary.bpp.kind == "estimate"


def listed(output: str | Path) -> list[Listed]:
    """The runs below a folder, the latest last; those that were cut short and those that are damaged are
    among them."""
    found = [path.parent for path in Path(output).glob(f"*/{NAME}")]
    runs = [_listed(folder) for folder in found if not folder.name.startswith(".")]
    return sorted(runs, key=lambda run: (run.began, run.folder.name))


def _listed(folder: Path) -> Listed:
    try:
        told = list(lines(folder))
        if not told or not isinstance(told[0], Opened):
            raise UserError("its manifest is empty")
        cost = read_cost(folder)
        began = (cost.began if cost else told[0].facts.began)[:20]
        rounds = sum(isinstance(line, Committed) for line in told)
        if not isinstance(told[-1], Closed):
            name = folder.name.removesuffix(".part").rpartition("-")[0]
            return Listed(folder, name, began, rounds)
        summary = RunSummary.model_validate_json(read_bytes(folder / "summary.json"))
    except UserError as error:
        return Listed(folder, fault=str(error).removeprefix(f"{folder}/"))
    except ValueError:
        return Listed(folder, fault="summary.json is none")
    if cost is not None:
        summary = summary.model_copy(update={"wall_s": cost.wall_s, "peak_rss_mib": cost.peak_rss_mib})
    return Listed(folder, summary.scenario, began, rounds, finished=True, summary=summary)
