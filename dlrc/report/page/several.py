"""Pages about several runs: what differs between some, and a list of all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constellation.common.files import write_text
from constellation.common.knobs import keys_of
from constellation.scenario.scenario import Scenario
from dlrc.report.command import knob_texts
from dlrc.report.page.html import page
from dlrc.report.tables import finite
from dlrc.store.results import Run
from dlrc.store.shelf import Listed, listed
from dlrc.store.summary import RunSummary

NAME = "index.html"
_NOT_COMPARED = ("output", "name")


@dataclass(frozen=True)
class Figure:
    """A number of a summary. better: -1 where less is, 1 where more is, 0 where neither."""

    label: str
    unit: str
    digits: int
    better: int
    of: Callable[[RunSummary], float | None]


FIGURES = (
    Figure("saved, of all bytes", "%", 2, 1, lambda s: s.saving_pct.total),
    Figure("saved, of y bytes", "%", 2, 1, lambda s: s.saving_pct.y),
    Figure("rate with DLRC", "bpp", 4, -1, lambda s: s.bpp.dlrc.total),
    Figure("rate, independent", "bpp", 4, -1, lambda s: s.bpp.independent.total),
    Figure("map", "bpp", 5, -1, lambda s: s.bpp.dlrc.map),
    Figure("PSNR with DLRC", "dB", 3, 1, lambda s: s.quality.dlrc.psnr_db),
    Figure("PSNR, independent", "dB", 3, 1, lambda s: s.quality.independent.psnr_db),
    Figure("MS-SSIM with DLRC", "", 4, 1, lambda s: s.quality.dlrc.ms_ssim),
    Figure("positions seen by an earlier satellite", "%", 1, 0, lambda s: 100 * s.positions.oracle),
    Figure("positions coded where they are seen", "%", 1, 0, lambda s: 100 * s.positions.kept),
    Figure("positions copied from another satellite", "%", 1, 0, lambda s: 100 * s.positions.remote_copy),
    Figure("exchange, mean", "ms", 2, -1, lambda s: 1000 * s.sync.t_round_s.mean),
    Figure("exchange, longest", "ms", 2, -1, lambda s: 1000 * s.sync.t_round_s.max),
    Figure("sent in the exchange, each", "B", 0, -1, lambda s: s.sync.payload_bytes),
    Figure(
        "transmission, mean", "ms", 3, -1,
        lambda s: None if s.downlink.time_s is None else 1000 * s.downlink.time_s.mean,
    ),
    Figure("streams decoded exactly", "%", 1, 1, lambda s: 100 * s.decode.exact / max(1, s.decode.streams)),
    Figure("images that failed", "", 0, -1, lambda s: s.decode.failed),
    Figure("sent again", "B", 0, -1, lambda s: s.decode.resent_bytes),
    Figure("wall time", "s", 1, 0, lambda s: s.wall_s),
)  # fmt: skip


def comparison_page(runs: Sequence[Run], where: Path) -> str:
    """A page with what differs between runs, first. where: the file that it will be, for its links."""
    names = _names(runs)
    data = {
        "runs": [_told(run, name, where) for run, name in zip(runs, names, strict=True)],
        "knobs": differing_knobs(runs),
        "same": sum(len(set(texts)) == 1 for texts in _texts(runs).values()),
        "figures": figures(runs),
    }
    return page("compare.html", f"{len(runs)} runs compared", data, ("base.js", "compare.js"))


def differing_knobs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Knobs whose values are not the same in all runs, in the order of the scenario."""
    keys = keys_of(Scenario)
    return [
        {"key": name, "values": texts, "meaning": keys[name].meaning, "unit": keys[name].unit}
        for name, texts in _texts(runs).items()
        if len(set(texts)) > 1
    ]


def figures(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Figures of the runs' summaries: those that differ most, against the first run's, come first; those that
    do not differ, last."""
    rows = []
    for figure in FIGURES:
        values = [finite(figure.of(run.summary), 9) for run in runs]
        rows.append(
            {"label": figure.label, "unit": figure.unit, "digits": figure.digits, "better": figure.better,
             "values": values, "apart": _apart(values)}
        )  # fmt: skip
    return sorted(rows, key=lambda row: -row["apart"])


def _apart(values: Sequence[float | None]) -> float:
    """How far values lie from the first, as a share of the larger; 1 where one of them is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return float(bool(known))
    first = known[0]
    return max((abs(v - first) / max(abs(v), abs(first)) for v in known if v != first), default=0.0)


def _texts(runs: Sequence[Run]) -> dict[str, list[str]]:
    texts = [knob_texts(run.scenario) for run in runs]
    return {key: [text[key] for text in texts] for key in texts[0] if key not in _NOT_COMPARED}


def _names(runs: Sequence[Run]) -> list[str]:
    return [run.gallery.folder.name if run.gallery.folder else run.scenario.name for run in runs]


def _told(run: Run, name: str, where: Path) -> dict[str, Any]:
    folder = run.gallery.folder
    link = os.path.relpath(folder / NAME, where.parent) if folder and (folder / NAME).is_file() else None
    return {
        "name": name,
        "link": link,
        "began": run.facts.began,
        "finished": run.facts.wall_s is not None,
        "rounds": len(run.rounds),
        "estimate": run.summary.bpp.kind == "estimate",
        "weights": run.facts.weights_sha256[:12],
        "version": run.facts.version,
        "bpp": run.summary.bpp.model_dump(mode="json"),
        "quality": run.summary.quality.model_dump(mode="json"),
        "saving": run.summary.saving_pct.model_dump(mode="json"),
    }


# ---------------------------------------------------------------- all runs


def shelf_page(runs: Sequence[Listed]) -> str:
    """A list of runs that sorts by any of its columns."""
    return page(
        "shelf.html", "Runs", {"runs": [_row(run) for run in reversed(runs)]}, ("base.js", "shelf.js"), False
    )


def write_shelf(output: Path) -> Path:
    """Write `index.html` of a folder of runs. Raises `UserError` where the disk refuses."""
    path = output / NAME
    write_text(path, shelf_page(listed(output)))
    return path


def _row(run: Listed) -> dict[str, Any]:
    summary = run.summary
    row: dict[str, Any] = {
        "folder": run.folder.name,
        "page": (run.folder / NAME).is_file(),
        "scenario": run.scenario,
        "began": run.began,
        "rounds": run.rounds,
        "state": "damaged" if run.fault else "finished" if run.finished else "not finished",
        "fault": run.fault,
    }
    if summary is not None:
        row |= {
            "satellites": summary.satellites,
            "codec": f"{summary.model.name} {summary.model.lambda_:g}",
            "estimate": run.estimate,
            "saved_pct": summary.saving_pct.total,
            "psnr_db": summary.quality.dlrc.psnr_db,
            "bpp": summary.bpp.dlrc.total,
            "t_round_s": summary.sync.t_round_s.mean,
            "wall_s": summary.wall_s,
        }
    return row
