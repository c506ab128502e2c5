"""Pages about runs: one of a run, one that compares several, one that lists all."""

from __future__ import annotations

import time
from pathlib import Path

from constellation.common.errors import UserError
from constellation.common.files import write_text
from dlrc.report.page.contents import contents
from dlrc.report.page.day import MAP, has_looks, map_page
from dlrc.report.page.html import page
from dlrc.report.page.pictures import PictureBook
from dlrc.report.page.several import NAME, comparison_page, write_shelf
from dlrc.store.results import Run

__all__ = ["MAP", "NAME", "RunPage", "comparison_page", "map_page", "run_page", "write_map", "write_shelf"]

SHARE = 0.05  # of a run's time, at most, goes into pages that are overwritten by the next


def run_page(run: Run, book: PictureBook | None = None) -> str:
    """The page of a run, with at least one round, as one HTML document."""
    data = contents(run, PictureBook() if book is None else book)
    scripts = ("base.js", "charts.js", "views.js", "run.js")
    return page("run.html", f"{run.scenario.name}: what DLRC saved", data, scripts)


def write_map(run: Run, folder: Path) -> Path | None:
    """Write the map of a run from orbits into a folder, whole or not at all; None of any other. Raises
    `UserError` where the disk refuses."""
    if not has_looks(run):
        return None
    write_text(folder / MAP, map_page(run))
    return folder / MAP


class RunPage:
    """The page of a run that is being flown: written after a round where its time allows, and at the end."""

    def __init__(self) -> None:
        self._book = PictureBook()
        self._took_s, self._written_s = 0.0, -1e9

    def write(self, run: Run, folder: Path) -> Path:
        """Write the page into a folder, whole or not at all. Raises `UserError` where the disk refuses."""
        began = time.monotonic()
        path = folder / NAME
        write_text(path, run_page(run, self._book))
        self._written_s = time.monotonic()
        self._took_s = self._written_s - began
        return path

    def follow(self, run: Run, folder: Path) -> None:
        """Write the page of an unfinished run, unless the last one was too short ago. What cannot be written
        is left: the round itself is committed, and the run goes on."""
        if time.monotonic() - self._written_s < self._took_s / SHARE:
            return
        try:
            self.write(run, folder)
        except UserError:
            self._took_s = 60.0  # a full disk: try again much later
