"""What a halo costs at the other end: g_s knows nothing beyond the patch, and latents made with a halo expect it to.

A patch encoded alone carries the mark of its own padding in its outer latents, and g_s, trained on such patches, undoes it. Latents cut out of a
halo carry no such mark, so g_s draws a wrong border. This compares what g_s may be given around the H x W latents of a patch: nothing (what the ground
does), the outermost vectors repeated, the vectors of other satellites of the round where there are any (the ground has them all), and,
as a bound, the true surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from codec.models import LATENT_STRIDE_PX, LatentModel
from constellation.scenario import Scenario
from ground.metrics import psnr_db
from nodes.capture import capture
from nodes.scene import open_scene
from studies.rd_rounds import Configuration, board_of
from studies.rounds import Fleet

RING = 4  # latent cells around a patch that g_s is given
WAYS = ("nothing", "edge repeated", "other satellites", "true surroundings")


@dataclass(frozen=True)
class HaloCost:
    """Mean PSNR, dB, of DLRC's images by what surrounds the latents (WAYS), and of independent coding without a halo, on the same patches."""

    patches: int
    without_halo: float
    ways: tuple[float, ...]


@torch.no_grad()
def synthesise(model: LatentModel, latents: np.ndarray, ring: int) -> np.ndarray:
    """uint8 [16 H, 16 W, 3] from latents [M, H + 2 ring, W + 2 ring]: the ring feeds g_s and is cut off."""
    device = model.device
    x_hat = model.synthesis(torch.from_numpy(latents.astype(np.float32))[None].to(device))[0].clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
    edge = ring * LATENT_STRIDE_PX
    return np.rint(x_hat[edge : x_hat.shape[0] - edge, edge : x_hat.shape[1] - edge] * 255).astype(np.uint8)


def canvas_of(latents: Sequence[np.ndarray], corners: Sequence[tuple[int, int]], side: int) -> tuple[np.ndarray, np.ndarray]:
    """All patches of a round on one grid with RING cells around: vectors [M, side + 2 RING, ...] and bool where some satellite sent one.

    corners: (row, col) in latent cells; the earlier of two patches wins.
    """
    full = side + 2 * RING
    canvas, known = np.zeros((latents[0].shape[0], full, full), latents[0].dtype), np.zeros((full, full), bool)
    for vectors, (row, col) in reversed(list(zip(latents, corners, strict=True))):
        place = slice(row + RING, row + RING + vectors.shape[1]), slice(col + RING, col + RING + vectors.shape[2])
        canvas[:, place[0], place[1]], known[place] = vectors, True
    return canvas, known


def surrounded(own: np.ndarray, corner: tuple[int, int], canvas: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`own` [M, H, W] with RING cells of the canvas around it; cells nobody sent take the nearest known one within the cut."""
    from scipy.ndimage import distance_transform_edt

    (row, col), (height, width) = corner, own.shape[1:]
    cut = slice(row, row + height + 2 * RING), slice(col, col + width + 2 * RING)
    vectors, have = canvas[:, cut[0], cut[1]].copy(), known[cut].copy()
    vectors[:, RING : RING + height, RING : RING + width] = own
    have[RING : RING + height, RING : RING + width] = True
    rows, cols = distance_transform_edt(~have, return_distances=False, return_indices=True)
    return vectors[:, rows, cols]


def halo_cost(configuration: Configuration, overrides: Sequence[str], windows: int) -> HaloCost:
    """Over all satellites of the first `windows` windows."""
    scenario = configuration.scenario(overrides)
    fleet, side = Fleet(scenario, board_of(scenario)), scenario.capture.window_px // LATENT_STRIDE_PX
    model, plain, ways = fleet.board.coder.model, [], []
    for number in range(windows):
        flown = fleet.fly(number)
        notes, latents = [m.telemetry for m in flown.messages], flown.results["dlrc"].latents
        good = [n for n in notes if n.satellite in latents]
        corners = {n.satellite: (int(n.row) // LATENT_STRIDE_PX, int(n.col) // LATENT_STRIDE_PX) for n in good}
        canvas, known = canvas_of([latents[s] for s in corners], list(corners.values()), side)
        for satellite, corner in corners.items():
            image, own = flown.messages[satellite].original, latents[satellite]
            repeated = np.pad(own, ((0, 0), (RING, RING), (RING, RING)), mode="edge")
            views = (repeated, surrounded(own, corner, canvas, known), _true_surroundings(fleet, scenario, number, satellite))
            ways.append([psnr_db(image, flown.results["dlrc"].images[satellite]), *(psnr_db(image, synthesise(model, v, RING)) for v in views)])
            alone = np.rint(fleet.board.coder.analyse(image, 0))
            plain.append(psnr_db(image, synthesise(model, alone, 0)))
    return HaloCost(len(plain), float(np.mean(plain)), tuple(np.mean(ways, axis=0).tolist()))


def _true_surroundings(fleet: Fleet, scenario: Scenario, number: int, satellite: int) -> np.ndarray:
    halo = scenario.capture.halo_px + RING * LATENT_STRIDE_PX
    wide = scenario.capture.model_copy(update={"halo_px": halo})
    view = capture(open_scene(scenario.scene, scenario.seed, number, wide.window_px), wide, scenario.seed, number, satellite)
    return np.rint(fleet.board.coder.analyse(view.padded, scenario.capture.halo_px))


def halo_table(costs: dict[Configuration, HaloCost]) -> list[str]:
    """Markdown."""
    lines = ["| model | overlap | halo, px | patches | PSNR without halo | " + " | ".join(f"halo: {way}" for way in WAYS) + " |", "|" + " --- |" * (5 + len(WAYS))]
    return lines + [f"| {c.model} | {c.density} | {c.halo_px} | {cost.patches} | {cost.without_halo:.2f} | " + " | ".join(f"{v:.2f}" for v in cost.ways) + " |"
                    for c, cost in costs.items()]
