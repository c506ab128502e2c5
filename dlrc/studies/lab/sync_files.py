"""What `dlrc study sync` leaves beside its page: every number of the day as CSV, JSON and PNG."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from constellation.common.files import write_csv, write_text
from constellation.common.frozen import value
from constellation.orbit.orbits import load_constellation
from constellation.sync.parts import NAMES
from dlrc.report.web.shell import finite
from dlrc.studies.lab.sync_day import Day, Hiding
from dlrc.studies.lab.sync_figure import draw

FILES = ("sync_day.csv", "sync_hiding.csv", "sync_day.json", "sync_day.png")


@value
class Story:
    """A day and what the codecs make of it. device: of the compute times, with its source; empty where no
    codec is installed. command: that makes the page again. about: version and digest."""

    day: Day
    hidings: tuple[Hiding, ...]
    device: str
    source: str
    command: str
    about: tuple[tuple[str, str], ...]

    @property
    def epoch(self) -> datetime:
        """UTC at time 0."""
        return load_constellation(self.day.setting.orbit).epoch


def write_files(story: Story, folder: Path) -> None:
    """Write them, each whole or not at all. Raises `UserError`."""
    day_csv, hiding_csv, data, picture = (folder / name for name in FILES)
    write_csv(day_csv, _DAY, _day_rows(story))
    write_csv(hiding_csv, _HIDING, _hiding_rows(story))
    write_text(data, json.dumps(finite(as_data(story)), separators=(",", ":"), allow_nan=False) + "\n")
    draw(story.day, picture)


_DAY = [
    *("noise", "rule", "schedule", "contention", "payload", "payload_bytes", "time_s", "utc", "participants"),
    *("t_round_s", *(f"{name}_s" for name in NAMES), "unheard_share"),
]
_HIDING = [
    *("codec", "device", "overlap", "payload", "patch_px", "time_s", "utc"),
    *("t_round_s", "beside_s", "hidden"),
]


def _utc(epoch: datetime, time_s: float) -> str:
    return (epoch + timedelta(seconds=float(time_s))).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(number_s: float) -> str:
    """Nothing where undefined."""
    return f"{number_s:.9f}" if math.isfinite(number_s) else ""


def _day_rows(story: Story) -> Iterator[list[object]]:
    day, epoch, t_round_s = story.day, story.epoch, story.day.t_round_s
    for v, variant in enumerate(day.variants):
        for p, payload in enumerate(day.payloads):
            for t, time_s in enumerate(day.times_s.tolist()):
                yield [
                    *asdict(variant).values(),
                    payload.label,
                    f"{1024 * payload.kib:.0f}",
                    f"{time_s:.3f}",
                    _utc(epoch, time_s),
                    int(day.present[t]),
                    _text(t_round_s[v, p, t]),
                    *map(_text, day.parts_s[v, p, t].tolist()),
                    _text(day.unheard[v, p, t]),
                ]


def _hiding_rows(story: Story) -> Iterator[list[object]]:
    day, epoch, t_round_s = story.day, story.epoch, story.day.t_round_s
    said = {1.0: "yes", 0.0: "no"}
    for one in story.hidings:
        payload = day.payloads[one.payload]
        for t, time_s in enumerate(day.times_s.tolist()):
            yield [
                *(one.codec, story.device, one.overlap, payload.label, f"{payload.patch_px:.0f}"),
                *(f"{time_s:.3f}", _utc(epoch, time_s), _text(t_round_s[0, one.payload, t])),
                *(f"{one.beside_s:.9f}", said.get(float(one.hidden[t]), "undefined")),
            ]


def as_data(story: Story) -> dict[str, object]:
    """What the page draws and sync_day.json holds; milliseconds, null where undefined."""
    day = story.day
    return {
        "constellation": day.setting.label,
        "epochMs": round(story.epoch.timestamp() * 1000),
        "times_s": day.times_s,
        "parts": list(NAMES),
        "payloads": [{**asdict(one), "label": one.label, "patch_px": one.patch_px} for one in day.payloads],
        "variants": [asdict(one) for one in day.variants],
        "parts_ms": np.round(1e3 * day.parts_s, 4),
        "t_round_ms": np.round(1e3 * day.t_round_s, 4),
        "unheard": np.round(day.unheard, 6),
        "participants": day.present,
        "device": story.device,
        "hiding": [
            {
                "codec": one.codec,
                "overlap": one.overlap,
                "payload": one.payload,
                "beside_ms": 1e3 * one.beside_s,
                "share": one.share,
            }
            for one in story.hidings
        ],
        "command": story.command,
        **dict(story.about),
    }
