"""Boards of users: times by proportion from a YAML file; this machine's own times as a clock's profile."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from constellation.common import yaml_values
from constellation.common.errors import naming
from constellation.common.knobs import Knobs, Positive, build
from constellation.formats.device import DeviceFile, StageTimes


class OwnBoard(Knobs):
    """A board of the user's, in a YAML file."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    """of the board"""
    compute_w: Positive
    """drawn while computing"""
    gmac_s: Positive | None = None
    """1e9 multiply-adds a second"""
    times_slower: Positive | None = None
    """than one thread of the machine that measures"""

    @model_validator(mode="after")
    def _one_measure(self) -> OwnBoard:
        if (self.gmac_s is None) == (self.times_slower is None):
            raise ValueError("expected either gmac_s or times_slower")
        return self

    def ms(self, measured: float, kmac: float) -> float:
        """Milliseconds of what took `measured` here and has `kmac` thousand multiply-adds."""
        return kmac / self.gmac_s / 1e3 if self.gmac_s else measured * (self.times_slower or 1)


def read_board(path: str) -> OwnBoard:
    """A board's profile out of a YAML file. Raises `UserError`."""
    with naming("board"):
        return build(OwnBoard, yaml_values.read(Path(path)), Path(path).name)


def tell_board(board: OwnBoard, rows: Sequence[Mapping]) -> None:
    """The same on a board of the user's."""
    print(f"\non {board.name}, by proportion from its profile\n")
    print("| codec | px | on board ms | J |\n|---|---|---|---|")
    for row in rows:
        ms = board.ms(row["on_board_ms"], row["on_board_kmac"] * row["size_px"] ** 2)
        joules = 1e-3 * ms * board.compute_w
        print(f"| {row['model']}, {row['widths']} | {row['size_px']} | {ms:.1f} | {joules:.2f} |")


def device_of(rows: Sequence[Mapping], called: str, k: int) -> DeviceFile:
    """What `clock.profile` reads: times of the first widths and size, DLRC's the mean over codecs."""
    first = [row for row in rows if all(row[key] == rows[0][key] for key in ("widths", "size_px"))]
    hash_ms, arbitrate_ms = (
        round(float(np.mean([row[key] for row in first])), 3) for key in ("hash_ms", "arbitrate_ms")
    )
    keys = {"analysis_ms": "g_a_ms", "hyperprior_ms": "hyperprior_ms"}
    models = {
        row["model"]: StageTimes(
            **{stage: round(row[key], 3) for stage, key in keys.items()},
            coding_ms=round(max(row["entropy_ms"] - row["hyperprior_ms"], 0.0), 3),
        )
        for row in first
    }
    what = f"{first[0]['widths']} widths, one thread of {platform.machine()}, {date.today()}"
    return DeviceFile(
        name=called or platform.node() or "this machine",
        source=f"dlrc bench onboard, {what}",
        patch_px=first[0]["size_px"],
        k=k,
        hash_ms=hash_ms,
        arbitrate_ms=arbitrate_ms,
        models=models,
    )
