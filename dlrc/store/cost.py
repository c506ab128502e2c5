"""What a run cost on the machines that flew it: `cost.json`, the one file of a run's folder that no two runs
have alike.

Wall time, memory and accidents of hosts stand here and nowhere else, so every other file of a run is equal to
the byte to that of the same run flown again, or cut short and resumed. The manifest does not list it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from constellation.common.files import write_text

NAME = "cost.json"
MAX_BYTES = 1 << 20


class Mishap(BaseModel):
    """An accident of a host. what: befell whom, in a line. cost_s: wall time until it was back; 0 where
    nobody had to come back."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    who: str
    what: str
    cost_s: float = 0.0


class Cost(BaseModel):
    """began: UTC, ISO 8601, of the first start. wall_s, peak_rss_mib (sum of the peaks of all processes): of
    the last start; None until the run is finished. starts: 1, and one more for each time it was resumed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    began: str
    wall_s: float | None = None
    peak_rss_mib: float | None = None
    starts: int = 1
    accidents: tuple[Mishap, ...] = ()

    def write(self, folder: Path) -> None:
        """Into a run's folder. Raises `UserError` where the disk refuses."""
        write_text(folder / NAME, self.model_dump_json(indent=2) + "\n")


def read_cost(folder: Path) -> Cost | None:
    """What a folder says; None where it says nothing that can be read: nothing depends on it."""
    path = folder / NAME
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        return Cost.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
