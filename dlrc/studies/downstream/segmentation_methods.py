"""Methods of the study of maps on one fold of a cell: who codes, and what the segmenter was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from constellation.common.frozen import value
from dlrc.tasks.cell import Cell, Measured
from dlrc.tasks.coded import Coder, learned, original, shown_by
from dlrc.tasks.flown import KINDS, PATCH_PX, Maps, maps
from dlrc.tasks.tuning import Start, start_of

Key = tuple[str, str]  # who codes, and what the segmenter saw
Work = Callable[[], Measured]
ORIGINALS: Key = ("original", "originals")
CONTROL: Key = ("original", "went on with originals")


@value
class Plan:
    """What is measured on a fold. weights: folder of the RGB checkpoints. lambdas: further ones of `curve`.
    seeds: of joint training; 0: none. flown: captures that overlap, with and without DLRC."""

    weights: Path
    codecs: tuple[str, ...]
    curve: str
    lambda_: float
    lambdas: tuple[float, ...]
    levels_db: tuple[float, ...]
    retrain: tuple[str, ...]
    retrain_db: float
    bandwise: bool
    seeds: int
    flown: bool

    @property
    def starts(self) -> list[Start]:
        """Of all learned codecs, by name and lambda."""
        pairs = {(model, self.lambda_) for model in self.codecs}
        pairs |= {(self.curve, one) for one in self.lambdas if self.curve in self.codecs}
        return [start_of(self.weights, *pair) for pair in sorted(pairs)]

    @property
    def main(self) -> Start:
        """Of what is trained together with a segmenter, and flown."""
        return start_of(self.weights, self.curve, self.lambda_)

    def goes_on(self, start: Start) -> bool:
        """Whether a segmenter goes on with what this codec shows."""
        rates = {self.lambda_} | (
            {min((self.lambda_, *self.lambdas))} if start.model == self.curve else set()
        )
        return start.model in self.retrain and start.lambda_ in rates


def reference_of(key: Key) -> Key:
    """What a method's change is against: originals under a segmenter with the same training; joint training
    under its control; captures as they were; with DLRC the independent streams."""
    method, segmenter = key
    if segmenter == "joint":
        return method.replace("joint", "control"), "control"
    if method.endswith("patches dlrc"):
        return method.replace("dlrc", "independent"), segmenter
    if method.endswith("patches independent"):
        return method.replace("independent", "captured"), segmenter
    if method.endswith("patches captured"):
        return "", ""  # other pixels than the tiles'
    if segmenter == "went on with decoded":
        return CONTROL
    return ORIGINALS if segmenter == "originals" and method != "original" else ("", "")


def methods(plan: Plan, cell: Cell) -> Iterator[tuple[Key, Work]]:
    """All of one fold, each with what measures it."""
    yield ORIGINALS, lambda: cell.measured(original, cell.segmenter)
    yield CONTROL, lambda: cell.measured(original, cell.retrained("originals_further", cell.pairs))
    yield ("original", "threshold"), cell.thresholded
    yield from _classical(plan, cell)
    yield from _learned(plan, cell)
    if plan.seeds:
        yield from _joint(plan, cell)
    if plan.flown:
        yield from _flown(plan, cell)


def _classical(plan: Plan, cell: Cell) -> Iterator[tuple[Key, Work]]:
    for transformed in (False, True) if cell.bands.count > 1 else (False,):
        label, word = ("JPEG 2000 KLT", "klt") if transformed else ("JPEG 2000", "jpeg2000")
        for level in sorted({*plan.levels_db, plan.retrain_db}):
            coder = cell.jpeg2000(level, transformed)
            yield (f"{label} {level:g} dB", "originals"), partial(_measured, cell, coder)
        if word in plan.retrain:
            coder = cell.jpeg2000(plan.retrain_db, transformed)
            key = (f"{label} {plan.retrain_db:g} dB", "went on with decoded")
            yield key, partial(_retrained, cell, f"{word}_{plan.retrain_db:g}", coder, coder)


def _measured(cell: Cell, coder: Coder) -> Measured:
    return cell.measured(coder, cell.segmenter)


def _retrained(cell: Cell, name: str, coder: Coder, shown: Coder) -> Measured:
    """shown: what the coder shows, without streams where that is quicker."""
    return cell.measured(coder, cell.retrained(name, cell.decoded(shown)))


def _learned(plan: Plan, cell: Cell) -> Iterator[tuple[Key, Work]]:
    for start in plan.starts:
        name = f"{start.model} {start.lambda_:g}"
        yield (name, "originals"), partial(_of_codec, cell, start)
        if plan.goes_on(start):
            yield (name, "went on with decoded"), partial(_of_codec_retrained, cell, start)
        if plan.bandwise and start.model == plan.curve and cell.bands.count > 1:
            yield (f"{name} band by band", "originals"), partial(_bandwise, cell, start)


def _of_codec(cell: Cell, start: Start) -> Measured:
    return _measured(cell, learned(*cell.codec(start)))


def _of_codec_retrained(cell: Cell, start: Start) -> Measured:
    codec = cell.codec(start)
    return _retrained(cell, start.name, learned(*codec), shown_by(*codec))


def _bandwise(cell: Cell, start: Start) -> Measured:
    return _measured(cell, cell.bandwise(start))


def _joint(plan: Plan, cell: Cell) -> Iterator[tuple[Key, Work]]:
    for seed in range(plan.seeds):
        for mu in (0.0, cell.budget.mu):
            kind = "joint" if mu else "control"
            name = f"{plan.main.model} {plan.main.lambda_:g} {kind} seed {seed}"
            yield (name, kind), partial(_together, cell, plan.main, mu, seed)


def _together(cell: Cell, start: Start, mu: float, seed: int) -> Measured:
    return cell.measured(*cell.trained_together(start, mu, seed))


def _flown(plan: Plan, cell: Cell) -> Iterator[tuple[Key, Work]]:
    flown = cache(lambda: _fly(plan.main, cell))
    for kind in KINDS:
        name = f"{plan.main.model} {plan.main.lambda_:g} patches {kind}"
        yield (name, "originals"), partial(_of_kind, cell, flown, kind)


def _fly(start: Start, cell: Cell) -> Maps:
    cell.codec(start)
    path = cell.folder / f"{start.name}.safetensors"
    weights = path if path.is_file() else start.weights  # RGB as shipped
    return maps(weights, start.model, cell.test, cell.segmenter, cell.folder)


def _of_kind(cell: Cell, flown: Callable[[], Maps], kind: str) -> Measured:
    found, pixels = flown(), flown().captures * PATCH_PX**2
    samples = pixels * cell.bands.count
    return Measured(found.counts[kind], found.sizes.get(kind, 2 * samples), pixels, 0.0, samples)
