"""Figure 8: what the satellite of lowest priority saw, and what the ground got of it without and with DLRC,
per model.

The satellite of lowest priority sends the fewest vectors of its own and takes the most from others. The crop
is the square of `crop` px with the largest share of remote copies (of the first model), so that it shows what
was never sent by this satellite. Rates and qualities printed below are those of the whole patch. Writes
runs/visual-<digest>/visual.png and visual.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from codec.maps.assignment import REMOTE
from codec.models import registry
from codec.models.model import LATENT_STRIDE_PX
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder, write_csv
from constellation.common.knobs import Knobs, Several, Word
from constellation.common.progress import watched
from constellation.scenario.load import SCENARIO, load_scenario
from dlrc.commands.models import known_models
from dlrc.local import fly, sides_of
from dlrc.studies.common.figures import save
from dlrc.studies.common.terms import FLOWN, refuse_estimates
from dlrc.studies.paper.rd_rounds import board_of
from ground.metrics import Quality, bpp
from ground.records import Outcome
from nodes.process.preflight import check_inputs


class VisualKeys(Knobs):
    """Keys of this study."""

    models: Several[Word] = registry.whole()
    """families, a row each"""
    density: Literal["dense", "sparse"] = "dense"
    """overlap: the scenario to fly"""
    window: Annotated[int, Field(ge=0, le=10**6)] = 0
    """number of the round"""
    crop: Annotated[int, Field(ge=32, le=4096, multiple_of=LATENT_STRIDE_PX)] = 128
    """side of the crop, px"""


@dataclass(frozen=True)
class Sight:
    """One model's views of the lowest-priority satellite. images: uint8 [P, P, 3]; remote: bool [P/16, P/16];
    bpp of whole containers."""

    model: str
    satellite: int
    scene: str
    original: np.ndarray
    independent: np.ndarray
    dlrc: np.ndarray
    remote: np.ndarray
    bpp_independent: float
    bpp_dlrc: float
    quality_independent: Quality
    quality_dlrc: Quality

    @property
    def captions(self) -> tuple[str, str]:
        """Below the independent picture and below DLRC's."""
        return (
            _caption(self.bpp_independent, self.quality_independent),
            _caption(self.bpp_dlrc, self.quality_dlrc),
        )


def study(given: Given) -> None:
    """Fly one round per model, print, write."""
    own, overrides = given.own, given.words
    density, window, crop = own.density, own.window, own.crop
    models = known_models(own.models)
    scenario = load_scenario(density, overrides)
    refuse_estimates(scenario.codec)
    if crop > scenario.capture.patch_px:
        raise UserError(f"crop={crop}: larger than capture.patch_px={scenario.capture.patch_px}")
    check_inputs(load_scenario(density, [*overrides, f"codec.model={models[0]}"]))  # before a folder is made
    folder = make_folder(Path(scenario.output) / f"visual-{scenario.digest}")
    sights = [look(model, density, overrides, window) for model in watched(models, "models")]
    corner = most_remote(sights[0].remote, crop // LATENT_STRIDE_PX)
    where = sights[0].scene if scenario.scene.path else "built-in procedural scene"
    print(
        f"{where}, {density}, window {window}, satellite {sights[0].satellite} (lowest priority); crop of "
        f"{crop} px at row {corner[0]}, column {corner[1]}\n"
    )
    print("\n".join(table(sights)))
    write_csv(
        folder / "visual.csv",
        [
            "model",
            "satellite",
            "scene",
            "bpp_i",
            "psnr_i",
            "ms_ssim_i",
            "bpp_d",
            "psnr_d",
            "ms_ssim_d",
            "remote_share",
        ],
        [
            [
                s.model,
                s.satellite,
                s.scene,
                s.bpp_independent,
                s.quality_independent.psnr_db,
                s.quality_independent.ms_ssim,
                s.bpp_dlrc,
                s.quality_dlrc.psnr_db,
                s.quality_dlrc.ms_ssim,
                s.remote.mean(),
            ]
            for s in sights
        ],
    )
    draw(sights, corner, crop, f"Lowest-priority satellite, {density}: {where}", folder / "visual.png")
    print(f"\nwrote {folder}/ (visual.png, visual.csv)")


def _caption(rate: float, quality: Quality) -> str:
    return f"{rate:.3f} bpp, {quality.psnr_db:.2f} dB, {quality.ms_ssim:.4f}"


def look(model: str, density: str, overrides: Sequence[str], window: int) -> Sight:
    """Fly one window with one model and take the last satellite of the priority order. Raises `UserError`
    where its streams did not decode."""
    scenario = load_scenario(density, [*overrides, f"codec.model={model}"])
    landed = fly(sides_of(scenario, board_of(scenario.codec)), window).landed
    satellite = landed.record.order[-1]
    record, witness = landed.record.satellites[satellite], landed.arrived.witness[satellite]
    if record.outcome is not Outcome.EXACT:
        raise UserError(f"window={window}: satellite {satellite} of {model} was not decoded: {record.fault}")
    alone, dlrc = record.quality_independent, record.quality_dlrc
    if not record.pixels or alone is None or dlrc is None:
        raise UserError(
            f"window={window}: satellite {satellite} sees nothing but hidden cells (no data there)"
        )
    return Sight(
        model,
        satellite,
        witness.note.scene,
        witness.original,
        landed.images_alone[satellite],
        landed.images[satellite],
        landed.decoded.maps[satellite, window].fate == REMOTE,
        bpp(record.independent.total, record.pixels),
        bpp(record.dlrc.total, record.pixels),
        alone,
        dlrc,
    )


def most_remote(remote: np.ndarray, side: int) -> tuple[int, int]:
    """Corner (row, col), px, of the square of `side` latent cells with the most remote copies among those
    that are not wholly remote.

    A square on the edge between copies and own vectors shows both, and whether there is a seam; where all
    squares are alike, the first."""
    windows = np.lib.stride_tricks.sliding_window_view(remote, (side, side)).mean(axis=(2, 3))
    mixed = np.where(windows < 1, windows, -1)
    row, col = np.unravel_index(int(np.argmax(mixed)), mixed.shape)
    return int(row) * LATENT_STRIDE_PX, int(col) * LATENT_STRIDE_PX


def table(sights: Sequence[Sight]) -> list[str]:
    """Markdown."""
    lines = [
        "| model | bpp without / with DLRC | PSNR, dB | MS-SSIM | remote copies, % |",
        "|" + " --- |" * 5,
    ]
    for s in sights:
        a, b = s.quality_independent, s.quality_dlrc
        lines.append(
            f"| {s.model} | {s.bpp_independent:.3f} / {s.bpp_dlrc:.3f} | {a.psnr_db:.2f} / {b.psnr_db:.2f} | "
            f"{a.ms_ssim:.4f} / {b.ms_ssim:.4f} | {100 * s.remote.mean():.1f} |"
        )
    return lines


def draw(sights: Sequence[Sight], corner: tuple[int, int], crop: int, title: str, path: Path) -> None:
    """One column per model: independent above, DLRC below; the original, and the whole patch with the crop
    and the remote copies marked, at the left."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    row, col = corner
    cut = (slice(row, row + crop), slice(col, col + crop))
    figure = Figure(figsize=(2.35 * (len(sights) + 1), 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(sights) + 1, squeeze=False)
    for axis in axes.reshape(-1):
        axis.set_xticks([])
        axis.set_yticks([])
    first = sights[0]
    axes[0, 0].imshow(first.original)
    cells = np.kron(first.remote, np.ones((LATENT_STRIDE_PX, LATENT_STRIDE_PX), bool))
    axes[0, 0].imshow(np.dstack([np.ones((*cells.shape, 1)) * np.array([0.84, 0.37, 0.0]), 0.35 * cells]))
    axes[0, 0].add_patch(Rectangle((col, row), crop, crop, fill=False, edgecolor="white", linewidth=1.5))
    axes[0, 0].set_xlabel(
        f"patch; orange: remote\ncopies of {first.model} ({100 * first.remote.mean():.0f} %)", fontsize=8
    )
    axes[1, 0].imshow(first.original[cut], interpolation="nearest")
    axes[1, 0].set_xlabel("original", fontsize=8)
    for place, sight in enumerate(sights, start=1):
        axes[0, place].set_title(sight.model, fontsize=10)
        for axis, image, caption, kind in zip(
            axes[:, place], (sight.independent, sight.dlrc), sight.captions, ("without DLRC", "DLRC")
        ):
            axis.imshow(image[cut], interpolation="nearest")
            axis.set_xlabel(f"{kind}\n{caption}", fontsize=8)
    figure.suptitle(f"{title} (bpp, PSNR and MS-SSIM of the whole patch)", fontsize=10)
    save(figure, path)


COMMAND = Command(
    name="study visual",
    about=__doc__ or "",
    own=VisualKeys,
    work=study,
    subject=SCENARIO,
    honours=FLOWN,
    sets={"scenario": "density", "codec.model": "models"},
    default="dense",
    examples=(
        "dlrc study visual models=bmshj",
        "dlrc study visual scene.path=FOLDER density=sparse window=3",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
