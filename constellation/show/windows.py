"""Contact windows as records: the columns of contacts.csv and contacts.json, in the page as on disk."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from constellation.show.data import ViewData

COLUMNS: tuple[str, ...] = (
    "satellite",
    "rise_utc",
    "set_utc",
    "rise_s",
    "set_s",
    "duration_s",
    "max_elevation_deg",
    "capacity_bytes",
)


def window_records(view: ViewData) -> list[dict[str, object]]:
    """One per window, in order of rise; seconds after the epoch to the millisecond, bytes that the downlink
    can carry."""
    windows = view.windows
    return [
        {
            "satellite": view.names[int(who)],
            "rise_utc": view.utc(rise),
            "set_utc": view.utc(end),
            "rise_s": round(float(rise), 3),
            "set_s": round(float(end), 3),
            "duration_s": round(float(end - rise), 3),
            "max_elevation_deg": round(float(high), 2),
            "capacity_bytes": round(float(size)),
        }
        for who, rise, end, high, size in zip(
            windows.satellite,
            windows.rise_s,
            windows.set_s,
            windows.max_elevation_deg,
            windows.capacity_bytes,
            strict=True,
        )
    ]


def windows_json(view: ViewData, records: Sequence[dict[str, object]]) -> dict[str, object]:
    """The records with what they are of."""
    ground = view.ground
    return {
        "constellation": view.constellation,
        "epoch": view.utc(0.0),
        "station": ground.name,
        "latitude_deg": ground.latitude_deg,
        "longitude_deg": ground.longitude_deg,
        "min_elevation_deg": ground.min_elevation_deg,
        "windows": list(records),
    }


def csv_text(records: Sequence[dict[str, object]]) -> str:
    """A header, then a line a window."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
