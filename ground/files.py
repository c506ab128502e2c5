"""Turn stored streams into images.

All files of one round are decoded together, since streams refer to each other; an independent stream decodes
alone (one made with a halo loses a little quality at its border when the round's other streams are not there
to surround it). The streams say which model coded them; `weights` names the checkpoint where it is not a
shipped one. What cannot be decoded is one line each and exit code 2; the others' images are written all the
same."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from codec.bitstream import Header, unpack
from codec.earlier import MAX_AGE, Source
from codec.fields import MAX_STREAM_BYTES
from codec.imagery.colours import false_colour, range_of
from codec.imagery.scaling import WIDE
from codec.models.checkpoint import load_checkpoint
from codec.models.storage import WEIGHTS_FOLDER
from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import BitstreamError, UserError, naming
from constellation.common.files import make_folder, replacing
from constellation.common.frozen import value
from constellation.common.knobs import Knobs, Says, Several
from constellation.scenario.imaging import COLOURS
from constellation.scenario.network import GroundKnobs
from ground.compensation.apply import Compensator, compensator_of
from ground.compensation.marks import write_generated
from ground.decoder import Decoded, decode
from ground.reconstructor import reconstruct
from nodes.process.board import Board


@value
class Stored:
    """A stream in a file. header: of its container."""

    path: Path
    data: bytes
    header: Header

    @property
    def source(self) -> tuple[int, int]:
        """(satellite, round)."""
        return self.header.satellite, self.header.round

    @property
    def batch(self) -> tuple[int, bool, str, bytes]:
        """What streams that may refer to each other have in common."""
        settings = self.header.settings
        return self.header.round, settings.dlrc, settings.model, self.header.weights


class DecodeKeys(Knobs):
    """Keys of this command."""

    streams: Several[str]
    """folders of runs or of streams, and .bin files"""
    out: Annotated[str, Field(min_length=1)]
    """folder for the images, NAME.png each; of other bands than 8-bit RGB NAME.tif, in the samples' own unit,
    and NAME.png in false colours"""
    weights: str = ""
    """checkpoint that coded them; none: a shipped one"""
    prediction: str = ""
    """weights that predicted them from other views; none: the shipped ones"""
    compensation: Literal["none", "regressor", "diffusion"] = "none"
    """net that makes NAME.generated.png beside each NAME.png; the picture itself stays as it is"""
    compensation_weights: str = ""
    """its file; none: the one that ships for the codec"""
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """of a diffusion's noise"""
    colours: Annotated[str, Field(pattern=COLOURS), Says("one number or three, as 4 or 3,2,1")] = ""
    """bands to show as red, green and blue, of pictures of more than three; none: 3,2,1"""


def turn(given: Given) -> None:
    """Decode and write. Raises `UserError` for the first fault, after all images that there are have been
    written."""
    own: DecodeKeys = given.own
    stored, faults = read_streams(",".join(own.streams))
    names = names_of([one.path for one in stored])
    out = make_folder(Path(own.out), "out")
    past: dict[Source, np.ndarray] = {}
    for files in batches(stored):
        try:
            images, failures = decode_files(files, own.weights, own.prediction, past)
        except UserError as error:
            faults.append(str(error))
            continue
        net = _net(own, files)
        for path, image in images.items():
            target = out / f"{names[path]}.png"
            bands = next(one.header.bands for one in files if one.path == path)
            if bands is not None:
                write_tiff(out / f"{names[path]}.tif", bands.from_counts(image.transpose(2, 0, 1)))
            write_png(target, _shown(image, own.colours))
            if net is not None:
                print(f"{path.name} -> {write_generated(target, net.picture(image))} (generated, not sent)")
            print(f"{path.name} -> {target if bands is None else target.with_suffix('.tif')}")
        faults += [f"{path.name}: {error}" for path, error in failures.items()]
    if faults:
        for fault in faults[1:]:
            print(f"error: {fault}", file=sys.stderr)
        raise BitstreamError(faults[0])


def _net(own: DecodeKeys, files: list[Stored]) -> Compensator | None:
    """What makes generated pictures of a batch, if anything is to. Raises `UserError`."""
    if own.compensation == "none":
        return None
    asked = {"compensation": own.compensation, "compensation_weights": own.compensation_weights}
    codec = board_of(files[0].header, own.weights).checkpoint.ground
    return compensator_of(GroundKnobs.model_validate(asked), own.seed, codec)


def read_streams(text: str) -> tuple[list[Stored], list[str]]:
    """The streams in files, folders and folders of runs, by commas, each file once; and a line for each
    file that is no stream. Raises `UserError` for what is not there."""
    paths: list[Path] = []
    for part in text.split(","):
        path = Path(part)
        if not path.exists():
            raise UserError(f"streams={part}: no such file or folder")
        paths += (
            [*sorted(path.glob("*.bin")), *sorted(path.glob("rounds/*/*.bin"))] if path.is_dir() else [path]
        )
    if not paths:
        raise UserError(f"streams={text}: no .bin files there")
    stored, faults = [], []
    for path in {path.resolve(): path for path in paths}.values():
        try:
            if path.stat().st_size > MAX_STREAM_BYTES:
                raise BitstreamError(f"{path.stat().st_size} bytes, expected at most {MAX_STREAM_BYTES}")
            data = path.read_bytes()
            stored.append(Stored(path, data, unpack(data).header))
        except OSError as error:
            faults.append(f"{path.name}: cannot read it ({error.strerror or error})")
        except BitstreamError as error:
            faults.append(f"{path.name}: {error}")
    return stored, faults


def names_of(paths: Iterable[Path]) -> dict[Path, str]:
    """What to call each file's image: by its own name, with its folder's where two files have the same.
    Raises `UserError` where that does not tell them apart."""
    paths = list(paths)
    count = Counter(path.stem for path in paths)
    names = {
        path: path.stem if count[path.stem] == 1 else f"{path.resolve().parent.name}_{path.stem}"
        for path in paths
    }
    taken: dict[str, Path] = {}
    for path, name in names.items():
        other = taken.setdefault(name, path)
        if other is not path:
            raise UserError(
                f"streams: {other} and {path} would both become {name}.png; decode them into two folders"
            )
    return names


def batches(stored: Iterable[Stored]) -> Iterator[list[Stored]]:
    """Streams of one round, kind and checkpoint, in order of rounds."""
    stored = list(stored)
    for batch in sorted({one.batch for one in stored}):
        yield [one for one in stored if one.batch == batch]


def decode_files(
    files: list[Stored], weights: str, prediction: str = "", past: dict[Source, np.ndarray] | None = None
) -> tuple[dict[Path, np.ndarray], dict[Path, BitstreamError]]:
    """Images, uint8 [P, P, B], and failures of one batch. past: vectors of earlier rounds, that streams may
    refer to; those of this batch are added, and what is too old for any reference goes. Raises `UserError`
    where no checkpoint is theirs, or two are of one satellite."""
    first: dict[tuple[int, int], Stored] = {}
    for one in files:
        other = first.setdefault(one.source, one)
        if other is not one:
            raise UserError(
                f"streams: {other.path} and {one.path} are both of satellite {one.source[0]} in round "
                f"{one.source[1]}, expected one; decode different runs one by one"
            )
    board = replace(board_of(files[0].header, weights), prediction=prediction)
    past = {} if past is None else past
    decoded = decode(board, {one.source: one.data for one in files}, past)
    past |= {source: decoded.entries(source) for source in decoded.whole}
    for old in [one for one in past if one[1] < files[0].header.round - MAX_AGE]:
        del past[old]
    (images,) = reconstruct(board, decoded.grids)
    path_of = {one.source: one.path for one in files}
    return {path_of[s]: images[s[0]] for s in decoded.latents}, {
        path_of[s]: error for s, error in _failures(decoded).items()
    }


def _failures(decoded: Decoded) -> Mapping[tuple[int, int], BitstreamError]:
    gaps = {source: int(missing.sum()) for source, missing in decoded.missing.items() if missing.any()}
    return {**decoded.faults} | {
        source: BitstreamError(
            f"{number} positions refer to a stream that is not here; their vectors are zero in the image"
        )
        for source, number in gaps.items()
    }


def board_of(header: Header, weights: str) -> Board:
    """The checkpoint that coded a stream, on this machine's processor: `weights`, or a shipped one. Raises
    `UserError`."""
    name = header.settings.model
    candidates = [Path(weights)] if weights else sorted(WEIGHTS_FOLDER.glob(f"{name}_*.safetensors"))
    for candidate in candidates:
        model, checkpoint = naming("weights")(load_checkpoint)(candidate)
        if model.ground.name != name:
            raise UserError(f"weights {candidate.name}: holds {model.name}, the streams are of {name}")
        if bytes.fromhex(checkpoint.ground.sha256)[:4] == header.weights:
            return Board(model, checkpoint, "cpu")
    raise UserError(
        f"weights: none of the {len(candidates)} checkpoints for {name} is the one that coded these "
        f"streams of round {header.round} (SHA-256 {header.weights.hex()}...); name it with weights="
    )


def _shown(image: np.ndarray, colours: str) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    try:
        return false_colour(image, colours, range_of(image))
    except ValueError as error:
        raise UserError(str(error)) from None


def write_tiff(path: Path, samples: np.ndarray) -> None:
    """Samples float64 [bands, H, W] as TIFF, through a temporary name: uint16 where they are whole numbers
    of it once rounded by at most half a step, else float32. Raises `UserError`."""
    import rasterio

    whole = np.rint(samples)
    fits = whole.min() >= 0 and whole.max() <= WIDE and samples.max() > 2
    stored = whole.astype(np.uint16) if fits else samples.astype(np.float32)
    bands, height, width = stored.shape
    size = {"count": bands, "height": height, "width": width, "dtype": stored.dtype.name}
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no georeference: none is known
        with rasterio.open(temporary, "w", driver="GTiff", compress="deflate", **size) as dataset:
            dataset.write(stored)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write through a temporary name. Raises `UserError`."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


COMMAND = Command(
    name="decode",
    about=__doc__ or "",
    own=DecodeKeys,
    work=turn,
    examples=("dlrc decode streams=runs/dense-b7111418 out=images", "dlrc decode streams=a.bin,b.bin out=."),
)

if __name__ == "__main__":
    main_of(COMMAND)
