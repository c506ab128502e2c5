"""The page of `dlrc study sync` from its command line: fly the day, ask the codecs, write the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from constellation.clock import SOURCES, DeviceProfile, device_profile
from constellation.common.cli import Given
from constellation.common.files import write_text
from constellation.common.progress import note
from constellation.sync.series import Setting
from dlrc.report.web.shell import rendered
from dlrc.studies.lab.story import about, command_line
from dlrc.studies.lab.sync_day import day_of, hidings, payloads_of
from dlrc.studies.lab.sync_files import Story, write_files
from dlrc.studies.lab.sync_page import page_of

DEVICE = next(iter(SOURCES))  # whose compute times are known for every codec


def tell(given: Given, folder: Path) -> Path:
    """Fly, write, and return the page's path. Raises `UserError`."""
    own, scenario = given.own, given.subject
    profile = known_times()
    payloads = payloads_of(own.payloads_kib, own.streams_kib)
    times_s = np.arange(own.instants) * (own.hours * 3600 / own.instants)
    day = day_of(Setting.of(scenario), payloads, times_s)
    story = Story(
        day=day,
        hidings=tuple(hidings(day, profile)),
        device=profile.name if profile else "",
        source=profile.source if profile else "",
        command=command_line("study sync", given),
        about=about(scenario.digest),
    )
    write_files(story, folder)
    write_text(folder / "index.html", rendered(page_of(story)))
    return folder / "index.html"


def known_times() -> DeviceProfile | None:
    """Compute times of every codec; None where the codecs are not installed."""
    try:
        from codec.models import registry

        return device_profile(DEVICE, registry.seconds(DEVICE))
    except ModuleNotFoundError:
        note("the codecs are not installed: the page says nothing of what hides behind them")
        return None
