"""What compression does to maps: clouds, burned area and buildings, marked by a small U-Net on decoded
pictures.

Each cell is {cloud, burned area, building} x {one band, all bands}; its codecs are JPEG 2000 of each band and
after a Karhunen-Loeve transform over the bands, and learned codecs that begin from the RGB checkpoints and
are tuned on the training folds. Folds hold whole scenes, fires or places; scales of bands, transform, tuning
and segmenters see the training folds alone. Every stage is kept below out=, so a second call goes on. Prints
one table a cell; writes segmentation.csv and segmentation.png."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from codec.imagery.scene import default_data_folder
from codec.models import registry
from codec.models.storage import WEIGHTS_FOLDER
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.files import make_folder
from constellation.common.knobs import Knobs, Several, Word
from constellation.common.progress import note
from dlrc.commands.models import known_models
from dlrc.studies.downstream.segmentation_report import Row, report, row_of
from dlrc.tasks.cell import Budget, Cell, Measured, joined, kept
from dlrc.tasks.coded import original
from dlrc.tasks.flown import KINDS, PATCH_PX, Maps, maps
from dlrc.tasks.sources import TASKS, folds, load, thinned


class SegmentationKeys(Knobs):
    """Keys of this study."""

    data: str = ""
    """folder with segmentation/; none: DLRC_DATA"""
    out: Annotated[str, Field(min_length=1)] = "runs/segmentation"
    """folder of stages and results"""
    init: str = ""
    """folder of the RGB checkpoints to begin from; none: those that ship"""
    tasks: Several[Literal["cloud", "fire", "building"]] = ("cloud", "fire", "building")
    """maps: cloud, fire (a proxy: burned area) and building"""
    bands: Several[Literal["one", "all"]] = ("one", "all")
    """one band (NIR, SWIR, grey), or all"""
    codecs: Several[Word] = registry.whole()
    """learned ones, beside JPEG 2000"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """of the learned ones"""
    levels_db: Several[Annotated[float, Field(ge=5, le=90)]] = (24.0, 28.0, 32.0, 36.0, 42.0)
    """PSNR that JPEG 2000 aims at"""
    retrain_db: Annotated[float, Field(ge=5, le=90)] = 32.0
    """level of JPEG 2000 whose decoded pictures a segmenter is trained on"""
    retrain: Several[Word] = ("jpeg2000", "klt", *registry.whole())
    """codecs on whose decoded pictures a U-Net is trained as well; none: no codec at all"""
    folds: Annotated[int, Field(ge=2, le=16)] = 3
    """folds of whole sources"""
    tiles: Annotated[int, Field(ge=1, le=1000)] = 1000
    """of a source at most, spread over its names"""
    steps: Annotated[int, Field(ge=1, le=10**6)] = 400
    """optimiser steps of a U-Net"""
    tune: Annotated[int, Field(ge=1, le=10**6)] = 150
    """optimiser steps of a codec"""
    joint: Annotated[int, Field(ge=0, le=10**6)] = 60
    """further steps of codec and U-Net together, and of the control; 0: none"""
    joint_codec: Word = registry.names()[0]
    """which codec is trained together with a segmenter"""
    mu: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """weight of the segmenter's loss; the control has 0"""
    seeds: Annotated[int, Field(ge=1, le=20)] = 3
    """of the joint training and its control"""
    bandwise: bool = False
    """the learned codecs band by band, too"""
    dlrc: bool = False
    """maps of captures that overlap, with and without DLRC (first fold, joint_codec)"""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """CPU threads"""


def study(given: Given) -> None:
    """Measure what is not kept yet, then print and write everything."""
    own: SegmentationKeys = given.own
    torch.set_num_threads(own.threads)
    known_models((*own.codecs, own.joint_codec), "codecs")
    root = Path(own.data) if own.data else default_data_folder()
    if root is None or not root.is_dir():
        raise UserError(f"data={own.data}: no such folder; give one that has segmentation/ in it")
    out, rows = make_folder(Path(own.out), "out"), []
    for task in own.tasks:
        for bands in own.bands:
            rows += list(_cell_rows(own, root, (task, bands), out))
            report(rows, out)
    print("\n".join(report(rows, out)))


def _cell_rows(own: SegmentationKeys, root: Path, which: tuple[str, str], out: Path) -> Iterator[Row]:
    task, (name, bands) = TASKS[which[0]], which
    budget = Budget(own.steps, own.tune, own.joint, own.lambda_, own.mu)
    tiles = thinned(load(task, root, bands), own.tiles)
    count = min(own.folds, len({tile.source for tile in tiles}))
    found: dict[tuple[str, str], list] = {}
    for fold, (training, test) in enumerate(folds(tiles, count)):
        folder = make_folder(out / f"{name}_{bands}_fold{fold}", "out")
        cell = Cell(task, folder, training, test, budget)
        for key, work in _methods(own, cell, fold):
            note(f"{name}, {bands}: fold {fold}, {', '.join(key)}")
            stage = folder / f"{'_'.join(key).replace(' ', '-')}.json"
            found.setdefault(key, []).append(kept(stage, work))
    shown = task.single_name if bands == "one" else f"{len(tiles[0].samples)} bands"
    for (method, segmenter), parts in found.items():
        yield row_of((name, shown, task.proxy), method, segmenter, (len(parts), joined(parts)))


def _methods(own: SegmentationKeys, cell: Cell, fold: int) -> Iterator:
    """(method, segmenter) and what measures it, of one fold."""
    yield ("original", "originals"), lambda: cell.measured(original, cell.segmenter)
    yield ("original", "threshold"), cell.thresholded
    for transformed in (False, True) if cell.bands.count > 1 else (False,):
        label = "JPEG 2000 KLT" if transformed else "JPEG 2000"
        for level in sorted({*own.levels_db, own.retrain_db}):
            coder = cell.jpeg2000(level, transformed)
            yield (f"{label} {level:g} dB", "originals"), partial(_measured, cell, coder)
        if ("klt" if transformed else "jpeg2000") not in own.retrain:
            continue
        coder = cell.jpeg2000(own.retrain_db, transformed)
        yield (f"{label} {own.retrain_db:g} dB", "retrained"), partial(_retrained, cell, coder, label)
    for model in own.codecs:
        yield (model, "originals"), partial(_learned, own, cell, model)
        if own.bandwise and cell.bands.count > 1:
            yield (f"{model} band by band", "originals"), partial(_bandwise, own, cell, model)
        if model in own.retrain:
            yield (model, "retrained"), partial(_learned_retrained, own, cell, model)
    for seed in range(own.seeds if own.joint and fold == 0 else 0):
        for mu in (0.0, own.mu):
            kind = "joint" if mu else "control"
            yield (f"{own.joint_codec} {kind} seed {seed}", kind), partial(_together, own, cell, (mu, seed))
    if own.dlrc and fold == 0:
        flown = cache(lambda: _flown(own, cell))
        for kind in KINDS:
            yield (f"{own.joint_codec} patches {kind}", "originals"), partial(_of_kind, cell, flown, kind)


def _flown(own: SegmentationKeys, cell: Cell) -> Maps:
    _tuned(own, cell, own.joint_codec)
    weights = cell.folder / f"{own.joint_codec}.safetensors"
    return maps(weights, own.joint_codec, cell.test, cell.segmenter)


def _of_kind(cell: Cell, flown: Callable[[], Maps], kind: str) -> Measured:
    found, pixels = flown(), flown().captures * PATCH_PX**2
    samples = pixels * cell.bands.count
    return Measured(found.counts[kind], found.sizes.get(kind, 2 * samples), pixels, 0.0, samples)


def _measured(cell: Cell, coder):
    return cell.measured(coder, cell.segmenter)


def _retrained(cell: Cell, coder, label: str):
    return cell.measured(coder, cell.retrained(label.replace(" ", ""), coder))


def _bandwise(own: SegmentationKeys, cell: Cell, model: str):
    return cell.measured(cell.bandwise(_weights(own, model), model), cell.segmenter)


def _weights(own: SegmentationKeys, model: str) -> Path:
    return Path(own.init or WEIGHTS_FOLDER) / f"{model}_lambda{own.lambda_:g}.safetensors"


def _tuned(own: SegmentationKeys, cell: Cell, model: str):
    return cell.codec(_weights(own, model), model)


def _learned(own: SegmentationKeys, cell: Cell, model: str):
    return cell.measured(cell.learned(_tuned(own, cell, model)), cell.segmenter)


def _learned_retrained(own: SegmentationKeys, cell: Cell, model: str):
    codec = _tuned(own, cell, model)
    return cell.measured(cell.learned(codec), cell.retrained(model, cell.shown_by(codec)))


def _together(own: SegmentationKeys, cell: Cell, drawn: tuple[float, int]):
    coder, net = cell.trained_together(_tuned(own, cell, own.joint_codec), *drawn)
    return cell.measured(coder, net)


COMMAND = Command(
    name="study segmentation",
    about=__doc__ or "",
    own=SegmentationKeys,
    work=study,
    examples=(
        "dlrc study segmentation data=FOLDER",
        "dlrc study segmentation data=FOLDER tasks=fire bands=all steps=100 tune=40 joint=0 dlrc=true",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
