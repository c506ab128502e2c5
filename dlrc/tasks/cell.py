"""One cell of the study: a task, its bands and a fold. Methods are measured one by one, and kept in files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from codec.imagery.scaling import WIDE, Bands, of_training
from codec.models.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from codec.models.model import LatentModel
from codec.training.classical import BandTransform
from constellation.common.files import write_text
from constellation.common.frozen import value
from dlrc.tasks.coded import Coded, Coder, jpeg2000, learned, shown_by
from dlrc.tasks.fitting import Course, Pair, calibrate, fitted, marked
from dlrc.tasks.scores import Counts, added, counts_of
from dlrc.tasks.sources import Task, Tile
from dlrc.tasks.thresholds import best_threshold, index_of
from dlrc.tasks.tuning import Aim, Start, begun, tuned
from dlrc.tasks.unet import UNet


@value
class Measured:
    """Of one method on a fold's test tiles. counts: by source. size: bytes of real streams. pixels: of the
    tiles. squared: sum of squared errors of values in 0..1, over samples. samples: how many."""

    counts: Mapping[str, Counts]
    size: int
    pixels: int
    squared: float
    samples: int


@value
class Budget:
    """Optimiser steps. steps: of a segmenter; further: more of it, on decoded pictures; tune: of a codec;
    joint: of both together, mu: the segmenter's weight in it."""

    steps: int
    further: int
    tune: int
    joint: int
    mu: float


@value
class Cell:
    """folder: of what is kept. training, test: tiles of other sources and of the fold's own. more: samples
    [bands, H, W] without masks, for the tuning of codecs."""

    task: Task
    folder: Path
    training: Sequence[Tile]
    test: Sequence[Tile]
    budget: Budget
    more: Sequence[np.ndarray] = ()

    @cached_property
    def bands(self) -> Bands:
        """The scale of each band: of 8-bit pictures their whole range, else from the training tiles."""
        samples = [tile.samples for tile in self.training]
        eight = all(one.dtype == np.uint8 for one in samples)
        return Bands.alike(len(samples[0]), 0.0, 255.0) if eight else of_training(samples)

    @cached_property
    def rgb(self) -> bool:
        """Whether a codec of 8-bit RGB is for these pictures as it is."""
        return self.bands == Bands.alike(3, 0.0, 255.0)

    @cached_property
    def pairs(self) -> list[Pair]:
        """Counts and masks of the training tiles."""
        return [(self.bands.to_counts(tile.samples), tile.mask) for tile in self.training]

    @cached_property
    def for_codecs(self) -> list[Pair]:
        """What codecs are tuned on alone: the training tiles, and more, in whose masks is nothing."""
        more = [self.bands.to_counts(samples) for samples in self.more]
        return self.pairs + [(counts, np.zeros(counts.shape[1:], bool)) for counts in more]

    @cached_property
    def transform(self) -> BandTransform:
        """Over the bands, from the training tiles."""
        return BandTransform.of([counts for counts, _ in self.pairs])

    @cached_property
    def segmenter(self) -> UNet:
        """Trained on originals."""
        course = Course(self.budget.steps, 0, self.folder / "unet_originals.pt")
        return fitted(self.pairs, course, f"{self.task.name}: U-Net on originals")

    def retrained(self, name: str, pairs: Sequence[Pair]) -> UNet:
        """The segmenter after further steps on these pairs, `decoded` or, as a control, `pairs`; its state is
        kept by name."""
        course = Course(self.budget.further, 0, self.folder / f"unet_{name}.pt")
        return fitted(pairs, course, f"{self.task.name}: U-Net goes on with {name}", self.segmenter)

    def decoded(self, coder: Coder) -> list[Pair]:
        """The training tiles as a codec shows them, and their masks."""
        return [(coder(counts).counts, mask) for counts, mask in self.pairs]

    def measured(self, coder: Coder, segmenter: UNet) -> Measured:
        """A codec and a segmenter on the test tiles."""
        by_source: dict[str, list[Counts]] = {}
        size, pixels, squared, samples = 0, 0, 0.0, 0
        for tile in self.test:
            counts = self.bands.to_counts(tile.samples)
            coded = coder(counts)
            found = counts_of(marked(segmenter, coded.counts), tile.mask)
            by_source.setdefault(tile.source, []).append(found)
            error = (coded.counts.astype(np.float64) - counts) / WIDE
            size, pixels = size + coded.size, pixels + tile.mask.size
            squared, samples = squared + float(np.square(error).sum()), samples + counts.size
        return Measured(_summed(by_source), size, pixels, squared, samples)

    def thresholded(self) -> Measured:
        """The best threshold of the training tiles, on original test tiles."""
        level = best_threshold(self.task.name, [(tile.samples, tile.mask) for tile in self.training])
        found: dict[str, list[Counts]] = {}
        for tile in self.test:
            hit = index_of(self.task.name, tile.samples) >= level
            found.setdefault(tile.source, []).append(counts_of(hit, tile.mask))
        pixels = sum(tile.mask.size for tile in self.test)
        size = sum(2 * tile.samples.size for tile in self.test)
        return Measured(_summed(found), size, pixels, 0.0, size // 2)

    def jpeg2000(self, level_db: float, transformed: bool) -> Coder:
        """JPEG 2000 at one error, band by band or after the transform."""
        return jpeg2000(level_db, self.transform if transformed else None)

    def codec(self, start: Start) -> tuple[LatentModel, CheckpointInfo]:
        """A codec tuned on the training tiles; kept by name. One of 8-bit RGB is taken as it is, where it is
        for such pictures and of this lambda."""
        path = self.folder / f"{start.name}.safetensors"
        if not path.is_file():
            shipped = load_checkpoint(start.weights)
            if self.rgb and shipped[1].lambda_ == start.lambda_:
                return shipped
            model = begun(start, self.for_codecs, self.rgb)
            course = Course(self.budget.tune, 0, self.folder / f"{start.name}.state.pt")
            tuned(model, self.for_codecs, Aim(start.weight(self.bands.count)), course)
            self.save(path, model, start)
        return load_checkpoint(path)

    def bandwise(self, start: Start) -> Coder:
        """A codec of one band, tuned on all bands of the training tiles one by one, codes every band alone,
        at the slope of the codec of all bands."""
        path, alike = self.folder / f"{start.name}_bandwise.safetensors", Bands.alike(1, 0.0, float(WIDE))
        if not path.is_file():
            pairs = [(plane[None], mask) for counts, mask in self.for_codecs for plane in counts]
            model = begun(start, pairs)
            course = Course(self.budget.tune, 0, self.folder / f"{start.name}_bandwise.state.pt")
            tuned(model, pairs, Aim(start.weight(1)), course)
            notes = {"scales": alike.text, "data": f"{self.task.name}, training folds, band by band"}
            save_checkpoint(path, model, start.weight(1), self.budget.tune, notes)
        coder = learned(*load_checkpoint(path))

        def each(counts: np.ndarray) -> Coded:
            parts = [coder(plane[None]) for plane in counts]
            return Coded(sum(part.size for part in parts), np.concatenate([part.counts for part in parts]))

        return each

    def save(self, path: Path, model: LatentModel, start: Start) -> None:
        """A checkpoint with the scales of this cell."""
        notes = {"data": f"{self.task.name}, training folds"}
        notes |= {} if self.rgb else {"scales": self.bands.text}
        lambda_ = start.lambda_ if self.rgb else start.weight(self.bands.count)
        save_checkpoint(path, model, lambda_, self.budget.tune, notes)

    def trained_together(self, start: Start, mu: float, seed: int) -> tuple[Coder, UNet]:
        """Codec and segmenter after further steps from the same start. mu=0: the control."""
        name, (model, _) = f"{start.name}_mu{mu:g}_seed{seed}", self.codec(start)
        path, state = self.folder / f"{name}.safetensors", self.folder / f"{name}.state.pt"
        net = UNet(self.bands.count)
        net.load_state_dict(self.segmenter.state_dict())
        aim = Aim(start.weight(self.bands.count), mu)
        tuned(model, self.pairs, aim, Course(self.budget.joint, seed, state), net)
        self.save(path, model, start)
        kept_one = load_checkpoint(path)
        calibrate(net.eval(), self.decoded(shown_by(*kept_one)))
        return learned(*kept_one), net


def _summed(found: Mapping[str, list[Counts]]) -> dict[str, Counts]:
    return {source: added(parts) for source, parts in found.items()}


def kept(path: Path, work: Callable[[], Measured]) -> Measured:
    """From the file at `path`, or measured now and written there."""
    if path.is_file():
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    found = work()
    held = {**{name: getattr(found, name) for name in ("size", "pixels", "squared", "samples")}}
    counts = {source: asdict(one) for source, one in found.counts.items()}
    write_text(path, json.dumps({**held, "counts": counts}))
    return found


def _from_json(told: dict[str, Any]) -> Measured:
    counts = {source: Counts(**one) for source, one in told.pop("counts").items()}
    return Measured(counts, **told)


def joined(parts: Iterable[Measured]) -> Measured:
    """Folds of one method together: no source is in two."""
    parts = list(parts)
    counts = {source: one for part in parts for source, one in part.counts.items()}
    names = ("size", "pixels", "squared", "samples")
    return Measured(counts, *(sum(getattr(part, name) for part in parts) for name in names))
