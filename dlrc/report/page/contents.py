"""What the page of a run says, as one value for JSON: numbers, words, pictures, nothing that is not in the
run."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from constellation import show
from constellation.common.knobs import keys_of, text_of
from constellation.scenario.scenario import Scenario
from constellation.sync.series import constellation_label
from dlrc.report.command import command_of, delivery_command, knob_texts, rules_command
from dlrc.report.fates import CLASSES, OTHER, classes_of
from dlrc.report.lines import TELLING, generated_words
from dlrc.report.page.pictures import PictureBook
from dlrc.report.sheet import colour_of
from dlrc.report.tables import finite, round_row, satellite_row, span_rows
from dlrc.store.results import PICTURED_ROUNDS, Run
from ground.records import RoundRecord, SatelliteRecord

MAX_SATELLITES = 64  # whose maps and pictures a page holds
MAX_ROWS = 4000  # of the table of satellites
BITS_STEP, MSE_STEP = 1 / 8, 1 / 16  # of what the maps of a page tell apart


def contents(run: Run, book: PictureBook) -> dict[str, Any]:
    """Of a run with at least one round."""
    scenario, facts = run.scenario, run.facts
    detailed = _detailed(run.rounds)
    return {
        "name": scenario.name,
        "asked": _asked(run),
        "finished": facts.wall_s is not None,
        "orbits": any(one.geometry for record in run.rounds for one in record.satellites),
        "rounds_done": len(run.rounds),
        "rounds_asked": scenario.rounds,
        "summary": run.summary.model_dump(mode="json", by_alias=True),
        "began": facts.began,
        "scene_real": facts.scene_real,
        "command": command_of(scenario),
        "rules_command": rules_command(scenario),
        "rules": _rules(run),
        "delivery_command": delivery_command(run),
        "digests": {
            "scenario": scenario.digest,
            "weights (SHA-256)": facts.weights_sha256,
            "pictures (SHA-256)": facts.pictures_sha256 or "none, the built-in scene",
        },
        "versions": {"dlrc": facts.version, **facts.versions},
        "knobs": knobs_of(scenario),
        "clock": scenario.clock.profile,
        "faults_asked": {
            "ground.stream_loss": scenario.ground.stream_loss,
            "ground.silent_satellite": scenario.ground.silent_satellite,
        },
        "streams": scenario.dlrc.streams,
        "sharing": scenario.dlrc.enabled and scenario.satellites > 1,
        "station": {
            "name": scenario.ground.each[0].name,
            "others": len(scenario.ground.each) - 1,
            "latitude_deg": scenario.ground.latitude_deg,
            "longitude_deg": scenario.ground.longitude_deg,
        },
        "region": {
            "latitude_deg": scenario.region.latitude_deg,
            "longitude_deg": scenario.region.longitude_deg,
        },
        "window_px": scenario.capture.window_px,
        "patch_px": scenario.capture.patch_px,
        "classes": [
            {"key": c.key, "label": c.label, "told": c.told, "mark": c.mark} for c in (*CLASSES, OTHER)
        ],
        "outcomes": {outcome.value: meaning for outcome, meaning in TELLING.items()},
        "colours": ["#" + bytes(colour_of(i)).hex() for i in range(scenario.satellites)],
        "coast": coastline(),
        "steps": {"bits": BITS_STEP, "mse": MSE_STEP},
        "totals": [_clean(round_row(record)) for record in run.rounds],
        "rows": _rows(run.rounds),
        "rounds": [_round(run, record, book) for record in detailed],
        **({"generated": words} if (words := generated_words(run.rounds)) else {}),
    }


@cache
def coastline() -> list[list[int]]:
    """Rings of longitude and latitude in tenths of a degree (Natural Earth, public domain)."""
    path = Path(show.__file__).with_name("coastline.json")
    return json.loads(path.read_text(encoding="utf-8"))["rings"]


def knobs_of(scenario: Scenario) -> list[dict[str, Any]]:
    """Every knob: as it is, as it would be by default, and what it means."""
    texts = knob_texts(scenario)
    return [
        {
            "key": key.name,
            "value": texts[key.name],
            "default": "" if key.needed else key.default_text,
            "unit": key.unit,
            "meaning": key.meaning,
            "set": key.needed or texts[key.name] != text_of(key.default),
        }
        for key in keys_of(Scenario).values()
    ]


def _rules(run: Run) -> list[dict[str, Any]]:
    """What other rules would have done to the first round; the run's own is marked."""
    network = run.rounds[0].network
    mine = run.scenario.priority.rule
    return [_clean({**vars(one), "mine": one.rule == mine}) for one in (network.rules if network else ())]


def _asked(run: Run) -> list[str]:
    scenario = run.scenario
    satellites = f"{scenario.satellites} satellite{'s' * (scenario.satellites != 1)}"
    rounds = f"{scenario.rounds} round{'s' * (scenario.rounds != 1)}"
    return [
        f"{satellites} of {constellation_label(scenario.orbit)}",
        rounds,
        f"{scenario.codec.said} at lambda {scenario.codec.lambda_:g}",
        f"{scenario.capture.patch_px} px patches in a {scenario.capture.window_px} px window",
        f"priority by {scenario.priority.rule}",
        f"seed {scenario.seed}",
        run.facts.scene_source if run.facts.scene_real else "built-in procedural scene, no real picture",
    ]


def _detailed(rounds: Sequence[RoundRecord]) -> list[RoundRecord]:
    """Those whose maps, clock and network a page shows: the first ones, and the latest."""
    return [*rounds[:PICTURED_ROUNDS], *rounds[PICTURED_ROUNDS:][-1:]]


def _rows(rounds: Sequence[RoundRecord]) -> list[dict[str, Any]]:
    rows = [_clean(satellite_row(record, one)) for record in rounds for one in record.satellites]
    return rows if len(rows) <= MAX_ROWS else rows[: MAX_ROWS // 2] + rows[-(MAX_ROWS // 2) :]


def _round(run: Run, record: RoundRecord, book: PictureBook) -> dict[str, Any]:
    rank = {satellite: place for place, satellite in enumerate(record.order)}
    ordered = sorted(record.satellites, key=lambda one: (rank.get(one.satellite, len(rank)), one.satellite))
    return {
        "number": record.number,
        "title": f"{record.number + 1} of {run.scenario.rounds}",
        "t_round_s": finite(record.t_round_s),
        "spans": [_clean(row) for row in span_rows(record)],
        "network": _network(record),
        "classical": [_clean(vars(point)) for point in record.classical],
        "views": [_view(run, record, one, book) for one in ordered[:MAX_SATELLITES]],
    }


def _view(run: Run, record: RoundRecord, one: SatelliteRecord, book: PictureBook) -> dict[str, Any]:
    pictures = book.view(record.number, one.satellite, run.gallery.images(record.number, one.satellite))
    place = {"row": one.place.row, "column": one.place.col} if one.place else None
    return {
        "satellite": one.satellite,
        "outcome": one.outcome.value,
        "fault": one.fault,
        "place": place,
        "pictures": pictures,
        "map": _map(one),
    }


def _map(one: SatelliteRecord) -> dict[str, Any] | None:
    """The latent grid: class and owner of each position, its bits and errors, packed."""
    shape = one.fates.fate.shape if one.fates else one.cells.bits.shape if one.cells else None
    if shape is None:
        return None
    classes = classes_of(one.fates) if one.fates else np.zeros(shape, np.uint8)
    owner = np.where(one.fates.owner >= 0, one.fates.owner, one.satellite) if one.fates else one.satellite
    cells = {}
    if one.cells is not None:
        for name, step in (("bits", BITS_STEP), ("mse", MSE_STEP)):
            for side in ("", "_independent"):
                values = getattr(one.cells, name + side).astype(np.float64) / step
                cells[name + side] = _packed(np.minimum(np.rint(values), 65535), "<u2")
    return {
        "height": shape[0],
        "width": shape[1],
        "class": _packed(classes, "u1"),
        "owner": _packed(np.broadcast_to(owner, shape), "<i2"),
        **cells,
    }


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


def _network(record: RoundRecord) -> dict[str, Any] | None:
    network = record.network
    if network is None:
        return None
    return {
        "time_s": network.time_s,
        "satellites": network.satellites,
        "links_in_all": network.links_in_all,
        "rule": network.rule,
        "noise": network.noise,
        "until_s": network.until_s,
        "nodes": [_clean(vars(node)) for node in network.nodes],
        "links": [_clean(vars(link)) for link in network.links],
        "waiting": [
            {**_clean({k: v for k, v in vars(one).items() if k != "passes"}),
             "passes": [_clean(vars(over)) for over in one.passes]}
            for one in network.waiting
        ],
    }  # fmt: skip


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    """Floats to the digits that a page shows."""
    return {key: finite(value, 9) if isinstance(value, float) else value for key, value in row.items()}
