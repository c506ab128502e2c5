"""What compression does to maps: clouds, burned area and buildings, marked by a small U-Net on decoded
pictures.

Each cell is {cloud, burned area, building} x {one band, all bands}; its codecs are JPEG 2000 of each band and
after a Karhunen-Loeve transform over the bands, and learned codecs that begin from the RGB checkpoints and
are tuned on the training folds (series=true: and on the 12-band Sentinel-2 series, where it has such bands).
Every picture is decoded from the bytes that are counted. Folds hold whole scenes, fires or places; scales of
bands, transform, tuning and segmenters see the training folds alone. Every stage is kept below out=, so a
second call goes on. Prints two tables a cell; writes segmentation.csv, and of each task curves and masks as
PNG. From nothing well under two hours on two cores."""

from __future__ import annotations

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
from dlrc.studies.downstream.segmentation_masks import draw_masks
from dlrc.studies.downstream.segmentation_methods import Plan, methods
from dlrc.studies.downstream.segmentation_report import Found, Table, report, table_of
from dlrc.tasks.cell import Budget, Cell, kept
from dlrc.tasks.sources import TASKS, folds, load, series, thinned

Db = Annotated[float, Field(ge=5, le=90)]
Lambda = Annotated[float, Field(gt=0, le=10)]
CLASSICAL = ("jpeg2000", "klt", "none")
TaskName = Literal["cloud", "fire", "building"]
CODECS = registry.whole()[:1] + registry.whole()[2:]  # without the second: the first and a context model


class SegmentationKeys(Knobs):
    """Keys of this study."""

    data: str = ""
    """folder with segmentation/; none: DLRC_DATA"""
    out: Annotated[str, Field(min_length=1)] = "runs/segmentation"
    """folder of stages and results"""
    init: str = ""
    """folder of the RGB checkpoints to begin from; none: those that ship"""
    tasks: Several[TaskName] = ("fire", "cloud", "building")
    """maps: cloud, fire (a proxy: burned area) and building"""
    bands: Several[Literal["one", "all"]] = ("all", "one")
    """one band (NIR, SWIR, grey), or all"""
    codecs: Several[Word] = CODECS
    """learned ones, beside JPEG 2000"""
    lambda_: Annotated[Lambda, Field(alias="lambda")] = 0.013
    """of all learned ones; of RGB: a band's error costs the same whatever the number of bands"""
    lambdas: Several[Lambda] = (0.0017, 0.0067, 0.0483)
    """further ones of curve=, from the checkpoint that is nearest"""
    curve: Word = CODECS[0]
    """the learned codec with several lambdas, trained together with a segmenter, and flown"""
    levels_db: Several[Db] = (20.0, 24.0, 28.0, 32.0, 38.0)
    """PSNR that JPEG 2000 aims at"""
    retrain: Several[Word] = (*CLASSICAL[:2], *CODECS)
    """codecs on whose decoded pictures the U-Net goes on as well: at retrain_db=, at lambda=, and curve= at
    the least lambda; none: no codec at all"""
    retrain_db: Db = 24.0
    """level of JPEG 2000 whose decoded pictures the U-Net goes on with"""
    once: Several[Word] = ("none",)
    """codecs that are measured on the first fold alone: its sources are fewer, and so is the time"""
    folds: Annotated[int, Field(ge=0, le=16)] = 0
    """folds of whole sources; 0: three of clouds, which have three scenes, else two"""
    tiles: Annotated[int, Field(ge=1, le=1000)] = 4
    """of a source at most, spread over its names"""
    steps: Annotated[int, Field(ge=1, le=10**6)] = 240
    """optimiser steps of a U-Net"""
    further: Annotated[int, Field(ge=1, le=10**6)] = 60
    """further steps of it on decoded pictures, and of the control on originals"""
    tune: Annotated[int, Field(ge=1, le=10**6)] = 40
    """optimiser steps of a codec"""
    series: bool = False
    """tune codecs on the 12-band series as well, where there are such bands; docs/results/downstream.md says
    what it costs"""
    deep: Several[Literal["none", TaskName]] = ("fire",)  # type: ignore[valid-type]
    """tasks whose cell of all bands gets joint=, bandwise= and dlrc= too"""
    joint: Annotated[int, Field(ge=0, le=10**6)] = 40
    """further steps of codec and U-Net together, and of the control (first fold); 0: none"""
    mu: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """weight of the segmenter's loss; the control has 0"""
    seeds: Annotated[int, Field(ge=1, le=20)] = 3
    """of the joint training and its control"""
    bandwise: bool = True
    """the codec of curve= band by band, too"""
    dlrc: bool = True
    """maps of captures that overlap, with and without DLRC (first fold)"""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """CPU threads"""


def study(given: Given) -> None:
    """Measure what is not kept yet, then print and write everything."""
    own: SegmentationKeys = given.own
    torch.set_num_threads(own.threads)
    known_models((*own.codecs, own.curve), "codecs")
    known_models([word for word in own.retrain if word not in CLASSICAL], "retrain")
    known_models([word for word in own.once if word != "none"], "once")
    root = Path(own.data) if own.data else default_data_folder()
    if root is None or not root.is_dir():
        raise UserError(f"data={own.data}: no such folder; give one that has segmentation/ in it")
    out, tables, lines = make_folder(Path(own.out), "out"), [], []
    for bands in own.bands:
        for task in own.tasks:
            tables.append(_cell_table(own, root, (task, bands), out))
            lines = report(tables, out)
    print("\n".join(lines))


def _cell_table(own: SegmentationKeys, root: Path, which: tuple[str, str], out: Path) -> Table:
    task, (name, bands) = TASKS[which[0]], which
    tiles = thinned(load(task, root, bands), own.tiles)
    more = series(task, root, bands) if own.series else []
    count = min(own.folds or task.folds, len({tile.source for tile in tiles}))
    budget = Budget(own.steps, own.further, own.tune, own.joint, own.mu)
    found: Found = {}
    for fold, (training, test) in enumerate(folds(tiles, count)):
        folder = make_folder(out / f"{name}_{bands}_fold{fold}", "out")
        cell = Cell(task, folder, training, test, budget, more)
        plan = _plan(own, cell, fold)
        stages = dict(methods(plan, cell))
        for place, (key, work) in enumerate(stages.items(), 1):
            note(f"{name}, {bands}: fold {fold + 1} of {count}, {place} of {len(stages)}: {', '.join(key)}")
            stage = folder / f"{'_'.join(key).replace(' ', '-')}.json"
            found.setdefault(key, []).append(kept(stage, work))
        if fold == 0 and bands == "all":
            draw_masks(plan, cell, out / f"masks_{name}.png")
    shown = task.single_name if bands == "one" else f"{len(tiles[0].samples)} bands"
    return table_of((name, shown, task.label), found)


def _plan(own: SegmentationKeys, cell: Cell, fold: int) -> Plan:
    deep = fold == 0 and cell.task.name in own.deep and cell.bands.count > 1
    also = cell.task.name in own.deep and cell.bands.count > 1
    return Plan(
        weights=Path(own.init or WEIGHTS_FOLDER),
        codecs=tuple(model for model in own.codecs if fold == 0 or model not in own.once),
        curve=own.curve,
        lambda_=own.lambda_,
        lambdas=own.lambdas,
        levels_db=own.levels_db,
        retrain=own.retrain,
        retrain_db=own.retrain_db,
        bandwise=own.bandwise and also,
        seeds=own.seeds if own.joint and deep else 0,
        flown=own.dlrc and deep,
    )


COMMAND = Command(
    name="study segmentation",
    about=__doc__ or "",
    own=SegmentationKeys,
    work=study,
    examples=(
        "dlrc study segmentation data=FOLDER",
        "dlrc study segmentation data=FOLDER tasks=fire bands=all codecs=bmshj steps=100 joint=0",
    ),
)

if __name__ == "__main__":
    main_of(COMMAND)
