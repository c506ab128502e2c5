"""How deep a patch border reaches into the latents: shares of equal vectors by depth, for patches that
overlap.

Every transform pads its input, so a latent position near the border of a patch sees padding where another
patch sees ground. Depth d is the number of latent cells between a position and the nearest border (0: the
outermost ring). The same ground, encoded once as a patch that ends there and once with surroundings wider
than any receptive field, gives two round(y) per position; they agree or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from codec.models import registry
from constellation.common.cli import Command, Given, main_of
from constellation.common.knobs import Knobs, Several, Word
from constellation.common.progress import watched
from constellation.scenario.load import SCENARIO, changed
from dlrc.commands.models import known_models
from dlrc.studies.common.sights import Sights
from dlrc.studies.paper.rd_rounds import board_of
from nodes.encoder import analyse
from nodes.process.board import Board

DEPTHS = 8
WIDE_HALO_PX = 128
MARGIN_SHARE, HALO_SHARE = 0.95, 0.995


@dataclass(frozen=True)
class Margin:
    """agree: float64 [DEPTHS], share of positions at that depth whose whole vector agrees; the last entry:
    all deeper ones too."""

    agree: tuple[float, ...]

    def depth(self, share: float) -> int:
        """The first depth from which on at least `share` of the positions agree; DEPTHS where none does."""
        below = [depth for depth, value in enumerate(self.agree) if value < share]
        return below[-1] + 1 if below else 0

    @property
    def halo_px(self) -> int:
        """As wide as 99.5 % of the outermost positions need."""
        return 16 * self.depth(HALO_SHARE)


def margin_of(board: Board, sights: Sights, rounds: int = 12, satellites: Sequence[int] = (0, 1)) -> Margin:
    """Measured on the patches that `satellites` see in the first `rounds` rounds."""
    wide, pairs = sights.under(halo_px=WIDE_HALO_PX), []
    for number in watched(range(rounds), "windows"):
        for satellite in satellites:
            view, _ = wide.look(number, satellite)
            pairs.append(agreement(board, view.image, view.padded))
    return by_depth(pairs)


def agreement(board: Board, image: np.ndarray, padded: np.ndarray) -> np.ndarray:
    """Whether round(y) of the patch alone equals round(y) of the patch in its surroundings, bool [H, W]."""
    halo_px = (padded.shape[0] - image.shape[0]) // 2
    alone, inside = analyse(board, image, 0), analyse(board, padded, halo_px)
    return (np.rint(alone) == np.rint(inside)).all(axis=0)


def by_depth(maps: Sequence[np.ndarray]) -> Margin:
    """Shares by depth of boolean maps [H, W] of one shape."""
    height, width = maps[0].shape
    rows, cols = (
        np.minimum(np.arange(height), np.arange(height)[::-1]),
        np.minimum(np.arange(width), np.arange(width)[::-1]),
    )
    depth = np.minimum(np.minimum(rows[:, None], cols[None, :]), DEPTHS - 1)
    stack = np.stack(maps)
    return Margin(
        tuple(
            float(stack[:, depth == d].mean()) if (depth == d).any() else float("nan") for d in range(DEPTHS)
        )
    )


def margin_table(margins: Mapping[tuple[str, float], Margin]) -> list[str]:
    """Shares of equal vectors by depth, in percent."""
    head = [
        "model",
        "lambda",
        *(f"depth {d}" for d in range(DEPTHS - 1)),
        f"{DEPTHS - 1} and more",
        "margin, cells",
        "halo=auto, px",
    ]
    rows = [
        [
            model,
            f"{value:g}",
            *(f"{100 * share:.1f}" for share in margin.agree),
            str(margin.depth(0.95)),
            str(margin.halo_px),
        ]
        for (model, value), margin in margins.items()
    ]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


class MarginKeys(Knobs):
    """Keys of this study."""

    models: Several[Word] = registry.whole()
    """families"""
    windows: Annotated[int, Field(ge=1, le=1000)] = 12
    """rounds to look at, two patches each"""


def study(given: Given) -> None:
    """Measure every model and print a row each."""
    models, base = known_models(given.own.models), given.subject
    sights = Sights(base.scene, base.capture, base.seed)
    codecs = {model: changed(base, codec={"model": model}).codec for model in models}
    margins = {
        (model, codec.lambda_): margin_of(board_of(codec), sights, given.own.windows)
        for model, codec in codecs.items()
    }
    print("\n".join(margin_table(margins)))


COMMAND = Command(
    name="study margin",
    about=__doc__ or "",
    own=MarginKeys,
    work=study,
    subject=SCENARIO,
    honours=("seed", "scene", "capture", "codec.lambda", "codec.device"),
    sets={"capture.halo_px": ""},
    default="dense",
    examples=("dlrc study margin models=bmshj windows=2", "dlrc study margin scene.path=FOLDER"),
)

if __name__ == "__main__":
    main_of(COMMAND)
