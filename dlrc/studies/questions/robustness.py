"""When reality bites: DLRC beside the footprint rule under shifts, rotation, radiometry, noise, clouds and
moving objects.

Every condition is flown three times over the same captures: DLRC by LSH signatures, DLRC by content hashes,
and `footprint`, where satellites exchange only where they look and the highest-priority one codes each ground
cell. Quality is measured against each satellite's own capture. Shifts, rotations and gains are drawn evenly
up to the bound named; what is in one view only is in satellite w mod N's in window w. `pairs` adds two
satellites that capture the two pictures of real multi-view and multi-date pairs. Writes
runs/robustness-<digest>/: robustness.csv, pairs.csv, robustness.png."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_records
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import watched
from constellation.scenario.load import SCENARIO
from dlrc.commands.models import known_models
from dlrc.studies.common.figures import save
from dlrc.studies.common.sights import Sights
from dlrc.studies.common.terms import FLOWN, METHODS, refuse_estimates, surveyed
from dlrc.studies.common.variants import Compared, Looks, Shared, Trial, fly, see, shown
from dlrc.studies.questions.multiview import pair_rows, pair_table, pairs_of
from nodes.capture import Capture
from nodes.process.board import load_board
from nodes.process.preflight import check_inputs

COLOURS = {"lsh": "#1f5fa8", "content": "#3a8f5c", "footprint": "#d9822b"}


@dataclass(frozen=True)
class Condition:
    """A disturbance: capture knobs, in all views or (`one_view`) in that of one satellite alone, each in
    turn, and whether an object is there that others do not see."""

    name: str
    knobs: dict = field(default_factory=dict)
    one_view: bool = False
    object: bool = False


CONDITIONS = [
    Condition("none"),
    Condition("jitter 0.25 px", {"jitter_px": 0.25}),
    Condition("jitter 0.5 px", {"jitter_px": 0.5}),
    Condition("jitter 2 px", {"jitter_px": 2.0}),
    Condition("rotation 0.5 deg", {"rotation_deg": 0.5}),
    Condition("rotation 3 deg", {"rotation_deg": 3.0}),
    Condition("gain 1 %", {"gain": 0.01}),
    Condition("gain 5 %", {"gain": 0.05}),
    Condition("noise 1 count", {"noise": 1.0}),
    Condition("noise 4 counts", {"noise": 4.0}),
    Condition("clouds 20 %", {"clouds": 0.2}),
    Condition("clouds 50 %", {"clouds": 0.5}),
    Condition("cloud 20 %, one view", {"clouds": 0.2}, one_view=True),
    Condition("object, one view", one_view=True, object=True),
]


def look_under(condition: Condition, satellites: int) -> Looks:
    """The captures of a run of so many satellites under a condition."""

    def look(sights: Sights, number: int, satellite: int) -> tuple[Capture, str]:
        disturbed = satellite == number % satellites or not condition.one_view
        view, name = (sights.under(**condition.knobs) if disturbed else sights).look(number, satellite)
        return (with_object(view) if condition.object and disturbed else view), name

    return look


def with_object(view: Capture, length_px: int = 96, width_px: int = 32) -> Capture:
    """The view with a bright ship-like object in the middle of the patch, with a dark edge below and to the
    right."""
    padded = view.padded.copy()
    row, col = (padded.shape[0] - width_px) // 2, (padded.shape[1] - length_px) // 2
    padded[row + 4 : row + width_px + 4, col + 4 : col + length_px + 4] = 40
    padded[row : row + width_px, col : col + length_px] = (225, 215, 205)
    halo = (padded.shape[0] - view.image.shape[0]) // 2
    size = view.image.shape[0]
    return replace(
        view, padded=padded, image=np.ascontiguousarray(padded[halo : halo + size, halo : halo + size])
    )


class RobustnessKeys(Knobs):
    """Keys of this study."""

    windows: Annotated[int, Field(ge=0, le=10000)] = 4
    """rounds of every condition"""
    conditions: Several[str] = ("all",)
    """beginnings of names: none, jitter, rotation, gain, noise, clouds, cloud, object"""
    pairs: str = ""
    """folder of picture pairs to fly too"""


def study(given: Given) -> None:
    """Fly every condition by every method, print, write."""
    scenario, windows = given.subject, given.own.windows
    refuse_estimates(scenario.codec)
    pairs = pairs_of(Path(given.own.pairs)) if given.own.pairs else []
    wanted = pick(given.own.conditions)
    known_models([scenario.codec.model], "codec.model")
    check_inputs(scenario)  # before a folder is made
    folder = make_folder(Path(scenario.output) / f"robustness-{scenario.digest}")
    trial = Trial(scenario, load_board(scenario.codec))
    rows = survey(trial, windows, wanted, folder / "robustness.csv")
    where = f"{scenario.name}, k = {scenario.dlrc.k}, {surveyed(scenario.scene, windows)}"
    print(f"{scenario.codec.model}, {where}\n\n{table(rows)}")
    if rows:
        draw(rows, folder / "robustness.png")
    if pairs:
        print("\n" + pair_table(pair_rows(trial, pairs, folder / "pairs.csv")))
    print(f"\nwrote {folder}/")


def pick(names: Sequence[str]) -> list[Condition]:
    """`all`, or the conditions whose names begin like one of these. Raises `UserError` for a name that none
    begins with."""
    for name in names:
        if name != "all" and not any(c.name.startswith(name) for c in CONDITIONS):
            there = "; ".join(c.name for c in CONDITIONS)
            raise UserError(f"conditions={','.join(names)}: no such disturbance {name!r}; there are: {there}")
    return [c for c in CONDITIONS if "all" in names or any(c.name.startswith(name) for name in names)]


def survey(trial: Trial, windows: int, conditions: Sequence[Condition], path: Path) -> list[dict]:
    """One row per condition, method and window; the CSV grows as they come."""
    rows: list[dict] = []
    for window in watched(range(windows), "windows"):
        for condition in conditions:
            views = see(trial, window, look_under(condition, trial.scenario.satellites))
            if not shown(views, window):
                continue
            for method, knobs in METHODS.items():
                found = outcome(trial.under(dlrc=knobs), window, views)
                rows.append({"condition": condition.name, "method": method, "window": window, **found})
            write_records(path, rows)
    return rows


def outcome(trial: Trial, window: int, views: Sequence[Shared]) -> dict:
    """Bytes with and without deduplication, and quality against every satellite's own capture."""
    flown = fly(trial, window, views)
    psnr = Compared.of(views, flown)
    return {
        "y_bytes": sum(flown.y_bytes),
        "total_bytes": sum(flown.total_bytes),
        "alone_y_bytes": sum(v.alone_y_bytes for v in views),
        "alone_total_bytes": sum(len(v.alone) for v in views),
        "remote_share": flown.remote_share,
        "psnr_alone_db": float(psnr.alone.mean()),
        "dpsnr_db": float(psnr.change.mean()),
        "worst_dpsnr_db": float(psnr.change.min()),
        "failed": flown.failed,
    }


def summarise(rows: Sequence[dict]) -> dict[tuple[str, str], dict]:
    """Per condition and method: saving of all bytes and of y bytes (percent), mean and worst quality change
    (dB), share of remote copies."""
    out = {}
    for key in dict.fromkeys((row["condition"], row["method"]) for row in rows):
        mine = [row for row in rows if (row["condition"], row["method"]) == key]
        total = {
            name: sum(row[name] for row in mine)
            for name in ("y_bytes", "alone_y_bytes", "total_bytes", "alone_total_bytes")
        }
        out[key] = {
            "y": 100 - 100 * total["y_bytes"] / total["alone_y_bytes"],
            "total": 100 - 100 * total["total_bytes"] / total["alone_total_bytes"],
            "dpsnr": float(np.mean([row["dpsnr_db"] for row in mine])),
            "worst": min(row["worst_dpsnr_db"] for row in mine),
            "remote": 100 * float(np.mean([row["remote_share"] for row in mine])),
            "windows": len(mine),
        }
    return out


def table(rows: Sequence[dict]) -> str:
    """Markdown: a line per condition, a column per method; total bytes saved, mean change of PSNR (worst
    view)."""
    found = summarise(rows)
    lines = [
        "| disturbance | " + " | ".join(f"{m}: saved %, dPSNR dB (worst view)" for m in METHODS) + " |",
        "|---|" + "---|" * len(METHODS),
    ]
    for name in dict.fromkeys(condition for condition, _ in found):
        cells = [found.get((name, method)) for method in METHODS]
        lines.append(
            f"| {name} | "
            + " | ".join(f"{c['total']:.1f}, {c['dpsnr']:+.2f} ({c['worst']:+.2f})" for c in cells if c)
            + " |"
        )
    return "\n".join(lines)


def draw(rows: Sequence[dict], path: Path) -> None:
    """Two panels: bytes saved, and what that cost in PSNR, per disturbance and method."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = summarise(rows)
    names = list(dict.fromkeys(condition for condition, _ in found))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 0.36 * len(names) + 1.5), sharey=True, layout="constrained"
    )
    at = np.arange(len(names))
    for index, method in enumerate(METHODS):
        where = at + 0.27 * (index - 1)
        left.barh(
            where, [found[name, method]["total"] for name in names], 0.25, color=COLOURS[method], label=method
        )
        right.barh(where, [found[name, method]["dpsnr"] for name in names], 0.25, color=COLOURS[method])
    left.set_yticks(at, names)
    left.invert_yaxis()
    left.set_xlabel("bytes saved, %")
    right.set_xlabel("change of PSNR against the own capture, dB (symlog)")
    right.set_xscale("symlog", linthresh=0.1)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
    save(figure, path)


COMMAND = Command(
    name="study robustness",
    about=__doc__ or "",
    own=RobustnessKeys,
    work=study,
    subject=SCENARIO,
    honours=FLOWN,
    sets={"dlrc.signature": "", "dlrc.dedup": "", "dlrc.enabled": ""},
    default="dense",
    examples=(
        "dlrc study robustness windows=1 conditions=none,jitter",
        "dlrc study robustness pairs=FOLDER windows=0",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
