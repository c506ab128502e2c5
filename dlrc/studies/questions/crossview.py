"""What another satellite's picture saves: real bytes of a second view, under disturbances and on real pairs.

The second view is coded alone and in the light of the first one's decoded picture, all side information
counted. Real pairs are cut into patches where the first picture shows the ground; a second reference is
another picture of the same series. The equal vectors beside it are all that signatures could use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from codec.entropy.coder import EntropyCoder
from codec.entropy.encoder import encode, encode_hyper
from codec.maps.assignment import all_kept
from codec.models import registry
from codec.models.checkpoint import load_checkpoint, shipped_weights
from codec.prediction.guides.coding import pack_guide
from codec.prediction.predictor import Predictor, load_predictor
from codec.prediction.search.plan import planned
from codec.prediction.warp import COUNT, compose
from constellation.common.cli import Command, Given, main_of
from constellation.common.files import write_records, write_text
from constellation.common.frozen import value
from constellation.common.knobs import Knobs
from constellation.common.progress import watched
from dlrc.studies.common.disturbances import DISTURBANCES, crops_of, disturbed
from dlrc.studies.common.viewpairs import map_between, patch_places, pixels_of, reference_at
from dlrc.studies.questions.multiview import Pair, pairs_of

SIDE_PX = 256
DIGEST_BYTES = 4  # of the fusion, in every stream with a prediction


class CrossviewKeys(Knobs):
    """Keys of this study."""

    model: str = registry.names()[0]
    """family of the codec"""
    lambda_: Annotated[float, Field(gt=0, le=10, alias="lambda")] = 0.013
    """its lambda"""
    prediction: str = ""
    """fusion; none: the one that ships"""
    pairs: str = "../shared/data/multiview"
    """folder of groups of pictures of the same ground"""
    scenes: str = "../shared/data/scenes"
    """pictures for the disturbances"""
    crops: Annotated[int, Field(ge=0, le=1000)] = 8
    """of the scenes; 0: no disturbances"""
    patches: Annotated[int, Field(ge=0, le=1000)] = 8
    """at most of each pair; 0: no pairs"""
    references: Annotated[int, Field(ge=1, le=2)] = 2
    """at most"""
    output: str = "runs/crossview"
    """folder to write to"""


class Bench:
    """A codec and what predicts it."""

    def __init__(self, model: str, lambda_: float, fusion: str) -> None:
        codec, info = load_checkpoint(shipped_weights(model, lambda_))
        self.predictor: Predictor = load_predictor(codec, info, fusion)
        self.coder, self.codec = EntropyCoder(codec), codec

    def view(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, integers of y, symbols of z, of a picture whose sides are multiples of 64."""
        x = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None] / 255
        with torch.no_grad():
            y = self.codec.analysis(x)
        return image, torch.round(y)[0].numpy().astype(np.int32), self.coder.hyper_symbols(y)

    def decoded(self, image: np.ndarray) -> np.ndarray:
        """What others see of a picture, cut to multiples of 64 px."""
        h, w = (side // 64 * 64 for side in image.shape[:2])
        return self.predictor.transforms.picture(self.view(np.ascontiguousarray(image[:h, :w]))[1])


@value
class Row:
    """A patch coded alone and predicted, bytes. equal: share of its vectors that are the reference's at the
    same place; anywhere: anywhere in it. residual: uint8 [P, 3 P, 3], patch, prediction, difference."""

    group: str
    name: str
    references: int
    alone: int
    predicted: int
    side: int
    used: float
    anywhere: float
    residual: np.ndarray


def coded(bench: Bench, group: str, name: str, image: np.ndarray, references: Sequence) -> Row:
    """Real bytes of a patch given references as `codec.prediction.search.plan` takes them."""
    own = bench.view(image)
    _, y_hat, z = own
    known = all_kept(*y_hat.shape[1:]).known()
    alone = len(encode(bench.coder, z, y_hat, known).y_bytes) + len(encode_hyper(bench.coder, z))
    found, predicted, side, used = planned(bench.predictor, bench.coder, own, references), alone, 0, 0.0
    shown = np.full_like(image, 128)
    if found:
        guide, prediction = found
        side = len(pack_guide(guide, list(range(8)))) + DIGEST_BYTES
        data = encode(bench.coder, z, y_hat, known, prediction)
        predicted = len(data.y_bytes) + len(data.z_bytes) + side
        used = float((guide.levels > 0).mean())
        picture, _ = compose(guide, {satellite: seen for satellite, seen, _ in references})
        shown = (picture // COUNT).astype(np.uint8)
        if predicted > alone:  # what a satellite would send
            predicted, side = alone, 0
    off = np.clip(128 + 2 * (image.astype(int) - shown), 0, 255).astype(np.uint8)
    residual = np.concatenate((image, shown, off), axis=1)
    return Row(
        group,
        name,
        len(references),
        alone,
        predicted,
        side,
        used,
        _anywhere(bench, y_hat, references),
        residual,
    )


def _anywhere(bench: Bench, y_hat: np.ndarray, references: Sequence) -> float:
    """Share of vectors that are somewhere among those of the first reference, cut to multiples of 64 px."""
    picture = references[0][1]
    h, w = (side // 64 * 64 for side in picture.shape[:2])
    other = bench.view(np.ascontiguousarray(picture[:h, :w]))[1]
    theirs = {vector.tobytes() for vector in other.reshape(len(other), -1).T.astype(np.int16)}
    mine = y_hat.reshape(len(y_hat), -1).T.astype(np.int16)
    return float(np.mean([vector.tobytes() in theirs for vector in mine]))


def disturbance_rows(bench: Bench, scenes: Path, crops: int) -> Iterator[Row]:
    """The same ground under each disturbance, seen by a neighbour without."""
    for crop in watched(crops_of(scenes, crops, SIDE_PX), "crops"):
        inner = slice(24, 24 + SIDE_PX)
        seen = bench.decoded(np.ascontiguousarray(crop[inner, inner]))
        for name in DISTURBANCES:
            second = disturbed(crop, name, SIDE_PX)
            yield coded(bench, name, name, second, [(0, seen, (0.0, 0.0))])


def pair_rows(bench: Bench, pairs: Sequence[Pair], keys: CrossviewKeys) -> Iterator[Row]:
    """Second pictures of pairs, given the first, and given another of the series too."""
    held: dict[Path, tuple[np.ndarray, np.ndarray]] = {}

    def picture(path: Path) -> tuple[np.ndarray, np.ndarray]:
        if path not in held:
            pixels = pixels_of(path)
            held[path] = pixels, bench.decoded(pixels)
        return held[path]

    for pair in watched(pairs, "pairs"):
        (_, first), (second, _) = picture(pair.first), picture(pair.second)
        homography = map_between(pair, first, second)
        if homography is None:
            continue
        places = patch_places(homography, first.shape, second.shape, SIDE_PX)
        chosen = [
            places[k] for k in np.linspace(0, len(places) - 1, min(keys.patches, len(places))).astype(int)
        ]
        more = _others(pair, pairs, picture) if keys.references > 1 else []
        for row, column in chosen:
            patch = np.ascontiguousarray(second[row : row + SIDE_PX, column : column + SIDE_PX])
            near = reference_at(first, homography, (row, column), SIDE_PX)
            if near is None:
                continue
            name = f"{pair.first.stem} > {pair.second.stem} {row} {column}"
            references = [(0, near.picture, near.placement)]
            yield coded(bench, pair.group, name, patch, references)
            for decoded, other in more:
                seen = reference_at(decoded, other, (row, column), SIDE_PX)
                if seen is not None and len(references) < 2:
                    references.append((1, seen.picture, seen.placement))
            if len(references) > 1:
                yield coded(bench, pair.group, name, patch, references)


def _others(pair: Pair, pairs: Sequence[Pair], picture) -> list[tuple[np.ndarray, np.ndarray]]:
    """Other pictures of a series that show ground of the second of a pair: (decoded, homography to it)."""
    if pair.first.stem.endswith("_A"):
        return []
    paths = {path for one in pairs if one.group == pair.group for path in (one.first, one.second)}
    found = []
    for path in sorted(paths - {pair.first, pair.second}):
        decoded = picture(path)[1]
        homography = map_between(Pair(pair.group, path, pair.second), decoded, picture(pair.second)[0])
        if homography is not None:
            found.append((decoded, homography))
    return found


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line per group and number of references."""
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.group, row.references].append(row)
    lines = [
        "| second view | references | patches | alone, bytes | saved %, of all bytes | mean of patches "
        "[range] | side information % | roots predicted % | equal vectors anywhere % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (group, references), some in groups.items():
        alone, sent = sum(r.alone for r in some), sum(r.predicted for r in some)
        each = [100 - 100 * r.predicted / r.alone for r in some]
        lines.append(
            f"| {group} | {references} | {len(some)} | {alone / len(some):.0f} | "
            f"{100 - 100 * sent / alone:.1f} | "
            f"{np.mean(each):.1f} [{min(each):.1f}, {max(each):.1f}] | "
            f"{100 * sum(r.side for r in some) / sent:.1f} | {100 * np.mean([r.used for r in some]):.0f} | "
            f"{100 * np.mean([r.anywhere for r in some]):.1f} |"
        )
    return "\n".join(lines)


def study(given: Given) -> None:
    """Measure, print the table, write the rows and the picture of the patches that saved least."""
    own = given.own
    bench = Bench(own.model, own.lambda_, own.prediction)
    rows = list(disturbance_rows(bench, Path(own.scenes), own.crops)) if own.crops else []
    rows += list(pair_rows(bench, pairs_of(Path(own.pairs)), own)) if own.patches else []
    text, folder = table(rows), Path(own.output)
    print(text)
    write_text(folder / f"{own.model}.md", text + "\n")
    names = ("group", "name", "references", "alone", "predicted", "side", "used", "anywhere")
    write_records(folder / f"{own.model}.csv", [{name: getattr(row, name) for name in names} for row in rows])
    _picture(folder / f"{own.model}_least.png", rows)


def _picture(path: Path, rows: Sequence[Row]) -> None:
    """Patch, prediction and difference (grey: none) of the real patches with the smallest savings, a few of
    every group."""
    from PIL import Image

    from constellation.common.files import replacing

    strips = []
    for group in dict.fromkeys(row.group for row in rows if row.group not in DISTURBANCES):
        some = sorted((r for r in rows if r.group == group), key=lambda r: r.alone - r.predicted)
        strips += [some[0].residual, some[-1].residual]
    if strips:
        with replacing(path) as temporary:
            Image.fromarray(np.concatenate(strips)).save(temporary)


COMMAND = Command(
    name="study crossview",
    about=__doc__ or "",
    own=CrossviewKeys,
    work=study,
    examples=("dlrc study crossview", "dlrc study crossview model=mbt patches=4 crops=0"),
)

if __name__ == "__main__":
    main_of(COMMAND)
