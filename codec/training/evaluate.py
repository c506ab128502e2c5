"""R + lambda D of checkpoints on held-out patches, beside JPEG 2000 and CCSDS 122 at their best.

The loss that decides between codecs, R + lambda 255^2 MSE, with everything rounded as it is when it is sent:
of 84 patches of 256 px, six from each lossless picture of a folder of scenes that no training saw. The rate
is an estimate (likelihoods on the fixed grid, full context); real bytes of these patches are what `dlrc study
codecs` measures.
JPEG 2000 and CCSDS 122 (after JPEG 2000's reversible colour transform, and band by band, as missions code)
take for each patch the quality with the least loss. The last column says what missing context costs: the bits
of the right half of each patch when nothing of its left half is known, against the same bits with full
context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from codec.ccsds122 import bands
from codec.entropy import smooth
from codec.entropy.smooth import gaussian_likelihood
from codec.models.checkpoint import CheckpointInfo, load_checkpoint
from codec.models.model import LATENT_STRIDE_PX, LatentModel
from codec.models.storage import WEIGHTS_FOLDER
from codec.training import classical
from codec.training.data import CropSampler, open_pictures
from codec.training.step import hyper_likelihood
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError, naming
from constellation.common.knobs import Knobs, Several
from constellation.common.progress import note, watched

PATCH_PX, SEED, BATCH = 256, 7, 6
RIVALS = ("JPEG 2000", "CCSDS 122 after RCT", "CCSDS 122, bands alone")
LOSSLESS = (
    "aerial_nadir_flood_suburb_2504_half.png",
    "airport_dota_P2805.png",
    "airport_planet_scene1.png",
    "bus_depot_dota_demo.png",
    "city_hrrsd_05207_half.png",
    "coast_ocean_dg_flame_georef.tif",
    "farmland_oam_5dded5bc_georef.tif",
    "forest_field_haldimand_georef.tif",
    "forest_road_neon_yell.png",
    "harbour_dota_P0706.png",
    "suburb_burnt_xbd_santa_rosa_7_post.png",
    "suburb_coast_inria_bellingham1.tif",
    "suburb_massachusetts_22978945_georef.tif",
    "urban_stadium_dota_P1440.png",
)


def held_out_patches(folder: str | Path, names: Sequence[str] = LOSSLESS, count: int = 6) -> np.ndarray:
    """uint8 [len(names) * count, 3, 256, 256], the same on every machine: `count` random patches of each
    picture. Raises `UserError`."""
    if "" in names:  # it would be the whole folder
        raise UserError("scenes: found an empty name, expected those of pictures")
    opened = ((name, open_pictures(Path(folder) / name)) for name in names)
    return np.concatenate(
        [
            naming(f"scenes={name}")(CropSampler)(pictures, PATCH_PX, SEED).batch(0, range(count))
            for name, pictures in opened
        ]
    )


def checkpoints(weights: Sequence[str] | None) -> dict[Path, CheckpointInfo]:
    """Files, those shipped where none are given, and what each says. Raises `UserError` for one that does not
    load, or is no codec of 8-bit RGB."""
    files = [Path(file) for file in weights or sorted(WEIGHTS_FOLDER.glob("*.safetensors"))]
    found = {file: naming("weights")(load_checkpoint)(file)[1] for file in files}
    for file, info in found.items():
        if info.bands is not None or info.widths.bands != 3:
            raise UserError(f"weights {file.name}: bands of its own, expected a codec of 8-bit RGB")
    return found


@torch.no_grad()
def rate_and_error(model: LatentModel, x: Tensor) -> Tensor:
    """[B, 2] of pictures x [B, 3, H, W] in 0..1: bits per pixel by likelihoods (full context) and mean
    squared error of 8-bit pixels in 0..1."""
    y = model.analysis(x)
    z = model.quantize_hyper(model.hyper_analysis(y))
    z_bits = -torch.log2(hyper_likelihood(model, z)).reshape(z.shape[1], len(x), -1).sum((0, 2))
    y_hat = torch.round(y)
    means, scales = smooth.parameters(model, z, y_hat)
    y_bits = -torch.log2(gaussian_likelihood(y_hat, means, scales)).sum((1, 2, 3))
    x_hat = torch.round(model.synthesis(y_hat).clamp(0, 1) * 255) / 255
    pixels = y.shape[2] * y.shape[3] * LATENT_STRIDE_PX**2
    return torch.stack(((y_bits + z_bits) / pixels, (x_hat - x).square().mean((1, 2, 3))), 1)


def judged(model: LatentModel, patches: Tensor, lambda_: float) -> tuple[float, float, float]:
    """(loss, bits per pixel, PSNR in dB of the mean error) over patches uint8 [K, 3, H, W]."""
    parts = (part.to(model.device).float() / 255 for part in patches.split(BATCH))
    figures = torch.cat([rate_and_error(model, part) for part in parts]).double().cpu()
    return loss_of(figures.numpy(), lambda_)


def loss_of(figures: np.ndarray, lambda_: float) -> tuple[float, float, float]:
    """(loss, bits per pixel, PSNR in dB of the mean error) of figures [K, 2]: bits per pixel, mean squared
    error."""
    bpp, mse = figures.mean(0).tolist()
    return bpp + lambda_ * 255**2 * mse, bpp, float(-10 * np.log10(max(mse, 1e-12)))


def rate_and_psnr(figures: Tensor) -> tuple[float, float]:
    """Means over pictures of rate, bit/px, and PSNR, dB, of figures [K, 2] (`rate_and_error`)."""
    psnr_db = -10 * torch.log10(figures[:, 1].clamp_min(1e-10))
    return float(figures[:, 0].mean()), float(psnr_db.mean())


@torch.no_grad()
def missing_context_cost(model: LatentModel, x: Tensor) -> float:
    """Relative extra bits of the right half of y when the left half is unknown: 0.05 is 5 percent."""
    y = model.analysis(x)
    z_hat, y_hat = model.quantize_hyper(model.hyper_analysis(y)), torch.round(y)
    half, bits = y.shape[-1] // 2, []
    for context in (y_hat, torch.cat((torch.zeros_like(y_hat[..., :half]), y_hat[..., half:]), dim=-1)):
        means, scales = smooth.parameters(model, z_hat, context)
        bits.append(float(-torch.log2(gaussian_likelihood(y_hat, means, scales))[..., half:].sum()))
    return bits[1] / bits[0] - 1


class EvaluateKeys(Knobs):
    """Keys of this command."""

    data: Annotated[str, Field(min_length=1)]
    """folder of the pictures"""
    weights: Several[str] | None = None
    """checkpoints; none: all shipped ones"""
    scenes: Several[str] = LOSSLESS
    """names of pictures in the folder"""
    patches: Annotated[int, Field(ge=1, le=1000)] = 6
    """of each picture"""
    classical: bool = True
    """JPEG 2000 and CCSDS 122 beside the checkpoints"""


def compare(given: Given) -> None:
    """Print one row per checkpoint; a bad one is refused before anything is printed."""
    own: EvaluateKeys = given.own
    infos = checkpoints(own.weights)
    patches = held_out_patches(own.data, own.scenes, own.patches)
    lambdas = {info.lambda_ for info in infos.values()}
    rivals = _rivals(patches, lambdas) if own.classical else {}
    columns = ("checkpoint", "N, M", "steps (last run)", "bpp (estimate)", "PSNR of the mean error, dB")
    print(f"| {' | '.join((*columns, 'R + lambda D', *RIVALS, 'missing context'))} |")
    print(f"|{' --- |' * 10}")
    for file in watched(infos, "checkpoints"):
        model, info = load_checkpoint(file)
        print(_row(file, model, info, torch.from_numpy(patches), rivals), flush=True)


def _rivals(patches: np.ndarray, lambdas: set[float]) -> dict[str, dict[float, float]]:
    """The least loss of each of RIVALS at each lambda; nothing, and a note, where it cannot be measured."""
    slopes = bands.slopes_around(lambdas)
    ways: tuple[Callable[[], np.ndarray], ...] = (
        lambda: classical.points(patches),
        lambda: bands.points(patches, slopes, colour=True),
        lambda: bands.points(patches, slopes),
    )
    out: dict[str, dict[float, float]] = {}
    for name, points in zip(RIVALS, ways, strict=True):
        try:
            found = points()
        except UserError as error:
            note(f"{error}; its column stays empty")
            continue
        out[name] = {lambda_: loss_of(classical.best(found, lambda_), lambda_)[0] for lambda_ in lambdas}
    return out


def _row(
    file: Path,
    model: LatentModel,
    info: CheckpointInfo,
    patches: Tensor,
    rivals: dict[str, dict[float, float]],
) -> str:
    loss, bpp, psnr_db = judged(model, patches, info.lambda_)
    cost = "none needed"
    if model.has_context:
        parts = patches.split(BATCH)
        cost = f"+{100 * np.mean([missing_context_cost(model, part.float() / 255) for part in parts]):.1f} %"
    others = [f"{rivals[name][info.lambda_]:.4f}" if name in rivals else "-" for name in RIVALS]
    cells = (f"`{file.stem}`", f"{info.n}, {info.m}", info.steps, f"{bpp:.4f}", f"{psnr_db:.2f}")
    return f"| {' | '.join(map(str, (*cells, f'{loss:.4f}', *others, cost)))} |"


COMMAND = Command(
    name="evaluate",
    about=__doc__ or "",
    own=EvaluateKeys,
    work=compare,
    examples=(
        "dlrc evaluate data=FOLDER",
        "dlrc evaluate data=FOLDER weights=mine.safetensors scenes=a.png,b.tif",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
