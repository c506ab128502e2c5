"""Which codec and rate keep a map's IoU above a bound, given a downlink budget: a question to the table that
`study segmentation` wrote.

Bits are per pixel and band, measured; intervals are over sources, and a method whose lower end is below the
bound is said to be unsure."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs

_NEEDED = ("task", "bands", "says", "method", "segmenter", "sources", "bpp", "iou", "low")


class PlannerKeys(Knobs):
    """Keys of this study."""

    table: str = "runs/segmentation/segmentation.csv"
    """what study segmentation wrote"""
    task: Literal["cloud", "fire", "building"]
    """which map"""
    iou: Annotated[float, Field(ge=0, le=1)] = 0.5
    """the least that will do"""
    bits: Annotated[float, Field(gt=0, le=1e18)] = 1e9
    """that the downlink carries in a day"""
    mpx: Annotated[float, Field(gt=0, le=1e12)] = 1000.0
    """millions of pixels that are to come down in a day"""


def study(given: Given) -> None:
    """Print what fits, the least bits first."""
    own: PlannerKeys = given.own
    rows = [row for row in _rows(Path(own.table)) if row["task"] == own.task]
    rows = [row for row in rows if " patches " not in row["method"]]  # other pixels than the tiles'
    if not rows:
        raise UserError(f"task={own.task}: not in {own.table}")
    most = own.bits / (own.mpx * 1e6)
    print(f"{own.task} ({rows[0]['says']}): at most {most:.3f} bit/px (all bands), IoU at least {own.iou:g}")
    usable = [row for row in rows if math.isfinite(float(row["iou"])) and row["segmenter"] != "threshold"]
    found = sorted((r for r in usable if float(r["iou"]) >= own.iou), key=lambda r: float(r["bpp"]))
    if not found:
        best = max(usable, key=lambda r: float(r["iou"]))
        print(f"none reaches it; the best is {_line(best)}")
    for row in found:
        fits = "fits" if float(row["bpp"]) <= most else "too many bits"
        sure = "" if float(row["low"]) >= own.iou else ", unsure: the interval reaches below"
        print(f"{fits:<14}{_line(row)}{sure}")


def _line(row: dict[str, str]) -> str:
    where = f"{row['method']}, {row['bands']}, U-Net: {row['segmenter']}"
    return f"{where}: {float(row['bpp']):.3f} bit/px, IoU {float(row['iou']):.3f} ({row['sources']} sources)"


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            _ = [float(row[name]) for name in ("bpp", "iou", "low")]
        if not rows or not set(_NEEDED) <= rows[0].keys():
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"table={path}: no table of study segmentation") from None
    return rows


COMMAND = Command(
    name="study planner",
    about=__doc__ or "",
    own=PlannerKeys,
    work=study,
    examples=("dlrc study planner task=fire iou=0.5 bits=2e9 mpx=1000",),
)

if __name__ == "__main__":
    main_of(COMMAND)
