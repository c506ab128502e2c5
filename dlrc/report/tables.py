"""Every table of a run, by name, as columns of equal length: what pages list and files are written from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from constellation.sight.geometry import Geometry
from dlrc.report.command import knob_texts
from dlrc.report.fates import CLASSES, OTHER, classes_of
from dlrc.report.gains import gain_rows, view_row
from dlrc.report.lines import generated_rows
from dlrc.store.results import Run
from ground.records import RoundRecord, SatelliteRecord

LOOK_COLUMNS = (
    "name", "time_s", "target", "off_nadir_deg", "incidence_deg", "azimuth_deg", "gsd_along_m",
    "gsd_across_m", "sun_elevation_deg", "sun_azimuth_deg",
)  # fmt: skip
Table = dict[str, Any]  # column -> values: a list, or an array


def tables(run: Run) -> dict[str, Table]:
    """All of them. Times are simulated seconds of the run; None or NaN where there is no value."""
    rows = {
        "rounds": [round_row(record) for record in run.rounds],
        "satellites": [satellite_row(record, one) for record in run.rounds for one in record.satellites],
        "looks": [
            look_row(record.number, one.satellite, one.geometry) | view_row(one)
            for record in run.rounds
            for one in record.satellites
            if one.geometry is not None
        ],
        "gains": gain_rows(run.rounds) if run.scenario.dlrc.remembers else [],
        "generated": generated_rows(run.rounds),
        "spans": [row for record in run.rounds for row in span_rows(record)],
        "links": [row for record in run.rounds for row in link_rows(record)],
        "passes": [row for record in run.rounds for row in pass_rows(record)],
        "classical": [
            {"round": record.number, **vars(point)} for record in run.rounds for point in record.classical
        ],
        "knobs": [{"key": key, "value": text} for key, text in knob_texts(run.scenario).items()],
    }
    found = {name: _columns(listed) for name, listed in rows.items() if listed}
    positions = _positions(run.rounds)
    return {**found, "positions": positions} if positions else found


def round_row(record: RoundRecord) -> dict[str, Any]:
    """One round: sums over its satellites."""
    network = record.network
    return {
        "round": record.number,
        "time_s": network.time_s if network else None,
        "satellites": len(record.satellites),
        "listened": len(record.listened),
        "exact": sum(one.exact for one in record.satellites),
        "failed": sum(one.failed for one in record.satellites),
        "independent_bytes": sum(one.independent.total for one in record.satellites),
        "dlrc_bytes": sum(one.dlrc.total for one in record.satellites),
        "t_round_s": record.t_round_s,
        "payload_bytes": record.payload_bytes,
        "link_bytes": link_bytes(record),
        "order": " ".join(map(str, record.order)),
    }


def link_bytes(record: RoundRecord) -> float:
    """What a round's exchange took over inter-satellite links, each hop counted; 0 where it is not told."""
    return sum(link.carried_bytes for link in record.network.links) if record.network else 0.0


def satellite_row(record: RoundRecord, one: SatelliteRecord) -> dict[str, Any]:
    """One view."""
    alone, dlrc = one.quality_independent, one.quality_dlrc
    waiting = _waiting(record, one.satellite)
    sections = {
        f"{side}_{name}_bytes": getattr(part, name)
        for side, part in (("independent", one.independent), ("dlrc", one.dlrc))
        for name in ("y", "z", "map", "prediction", "header", "total")
    }
    return {
        "round": record.number,
        "satellite": one.satellite,
        "outcome": one.outcome.value,
        **sections,
        "pixels": one.pixels,
        "hidden_pixels": one.hidden,
        "independent_psnr_db": alone.psnr_db if alone else None,
        "dlrc_psnr_db": dlrc.psnr_db if dlrc else None,
        "independent_ms_ssim": alone.ms_ssim if alone else None,
        "dlrc_ms_ssim": dlrc.ms_ssim if dlrc else None,
        "kept": one.kept,
        "local_copy": one.local_copy,
        "remote_copy": one.remote_copy,
        "predicted": one.predicted,
        "oracle": one.oracle,
        "heard": len(one.heard),
        "payload_bytes": one.payload_bytes,
        "t_sync_s": one.t_sync_s,
        "transmission_s": one.transmission_s,
        "on_ground_s": waiting.finish_s if waiting else None,
        "first_sent_bytes": one.ledger.first,
        "resent_bytes": one.ledger.resent,
        "received_bytes": one.ledger.received,
        "lost_bytes": one.ledger.lost,
        "row_px": one.place.row if one.place else None,
        "column_px": one.place.col if one.place else None,
        "fault": one.fault,
    }


def look_row(number: int, satellite: int, geometry: Geometry) -> dict[str, Any]:
    """How one view was taken, where orbits decide."""
    told = vars(geometry) | {"round": number, "satellite": satellite}
    row = {key: told[key] for key in ("round", "satellite", *LOOK_COLUMNS)}
    for name, (lon, lat) in zip(("ul", "ur", "lr", "ll"), geometry.corners, strict=True):
        row |= {f"{name}_longitude_deg": lon, f"{name}_latitude_deg": lat}
    return row


def span_rows(record: RoundRecord) -> list[dict[str, Any]]:
    """The simulated clock of a round."""
    return [
        {"round": record.number, "satellite": one.satellite, **vars(span), "end_s": span.end_s}
        for one in record.satellites
        for span in one.spans
    ]


def link_rows(record: RoundRecord) -> list[dict[str, Any]]:
    """Inter-satellite links among those that a round's exchange met."""
    network = record.network
    if network is None:
        return []
    names = [node.name for node in network.nodes]
    return [
        {
            "round": record.number,
            "first": names[link.first],
            "second": names[link.second],
            "distance_km": link.distance_km,
            "propagation_s": link.propagation_s,
            "rate_bps": link.rate_bps,
            "carried_bytes": link.carried_bytes,
        }
        for link in network.links
    ]


def pass_rows(record: RoundRecord) -> list[dict[str, Any]]:
    """The next passes of a round's satellites over the station, and when each stream's last byte is down."""
    return [
        {
            "round": record.number,
            "satellite": one.participant,
            "ready_s": one.ready_s,
            "size_bytes": one.size_bytes,
            "on_ground_s": one.finish_s,
            **vars(over),
        }
        for one in (record.network.waiting if record.network else ())
        for over in one.passes
    ]


def _waiting(record: RoundRecord, satellite: int):
    told = record.network.waiting if record.network else ()
    return next((one for one in told if one.participant == satellite), None)


def _columns(rows: Sequence[Mapping[str, Any]]) -> Table:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _positions(rounds: Iterable[RoundRecord]) -> Table:
    """Every latent position of every view: what became of it, what it cost, how far off it is."""
    kinds = np.array([kind.key for kind in (*CLASSES, OTHER)])
    parts: dict[str, list[np.ndarray]] = {}
    for record in rounds:
        for one in record.satellites:
            if one.cells is None:
                continue
            height, width = one.cells.bits.shape
            rows, columns = np.divmod(np.arange(height * width), width)
            fates = one.fates
            told = {
                "round": np.full(height * width, record.number),
                "satellite": np.full(height * width, one.satellite),
                "row": rows,
                "column": columns,
                "fate": kinds[classes_of(fates).reshape(-1)] if fates else np.full(height * width, "kept"),
                "owner": fates.owner.reshape(-1) if fates else np.full(height * width, -1, np.int16),
                **{name: array.reshape(-1).astype(np.float32) for name, array in vars(one.cells).items()},
            }
            for name, values in told.items():
                parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def finite(value: float | None, digits: int = 6) -> float | None:
    """A number for JSON: significant digits, None for what is none."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")
