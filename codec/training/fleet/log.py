"""What a fleet tells: lines with the seconds since its start, a table of losses, and the clock that both
follow."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

COLUMNS = ("seconds", "model", "lambda", "kind", "steps", "lr", "loss", "bpp", "psnr_db", "skipped")


class Log:
    """Lines on the terminal and rows of log.csv."""

    def __init__(self, folder: Path, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        """The clock, s, begins now; the fleet has `minutes`."""
        self.clock, self.started, self.minutes = clock, clock(), minutes
        self.file = open(folder / "log.csv", "w", newline="")  # noqa: SIM115 (open as long as the fleet)
        self.table = csv.writer(self.file)
        self.table.writerow(COLUMNS)

    @property
    def elapsed_s(self) -> float:
        """Since the start."""
        return self.clock() - self.started

    @property
    def progress(self) -> float:
        """Share of the time that is over."""
        return self.elapsed_s / (self.minutes * 60)

    def say(self, text: str) -> None:
        """A line on the terminal."""
        print(f"{self.elapsed_s:6.1f} s  {text}", flush=True)

    def row(self, name: str, lambda_: float, kind: str, *cells: object) -> None:
        """A row of the table; what is left out at its end is empty."""
        cells = (f"{self.elapsed_s:.1f}", name, lambda_, kind, *cells)
        self.table.writerow((*cells, *[""] * (len(COLUMNS) - len(cells))))

    def flush(self) -> None:
        """Let the table reach the disk."""
        self.file.flush()

    def close(self) -> None:
        """No more rows."""
        self.file.close()
