"""Decode stored streams into images: `python -m ground.files streams=FOLDER_OR_FILES out=FOLDER
[weights=FILE]`.

All files of one round are decoded together, since streams refer to each other; an independent stream decodes
alone (one made with a halo loses a little quality at its border when the round's other streams are not there
to surround it). The streams say which model coded them; `weights=` names the checkpoint where it is not a
shipped one. A stream that cannot be decoded is one line and exit code 2; images of the others are written all
the same."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

from constellation.common.errors import BitstreamError, UserError, user_errors_to_exit

USAGE = "usage: python -m ground.files streams=FOLDER_OR_FILE[,FILE...] out=FOLDER [weights=FILE]"


def main(words: list[str]) -> None:
    """Command line; raises `UserError`."""
    options = dict(word.partition("=")[::2] for word in words)
    unknown = sorted(options.keys() - {"streams", "out", "weights"})
    if unknown or not options.get("streams") or not options.get("out"):
        raise UserError((f"{unknown[0]}: unknown argument; " if unknown else "") + USAGE)
    rounds, faults = read_streams(options["streams"])
    for (number, kind), files in sorted(rounds.items()):
        try:
            images, failures = decode_files(files, options.get("weights", ""))
        except BitstreamError as error:
            faults.append(str(error))
            continue
        for path, image in images.items():
            target = Path(options["out"]) / f"{path.stem}.png"
            write_png(target, image)
            print(f"{path.name} -> {target}")
        faults += [f"{path.name}: {error}" for path, error in failures.items()]
    if faults:
        for fault in faults[1:]:
            print(f"error: {fault}", file=sys.stderr)
        raise BitstreamError(faults[0])


def read_streams(text: str) -> tuple[dict[tuple[int, bool], dict[Path, bytes]], list[str]]:
    """Files by (round, coded with DLRC), and a line for each that is no stream. Raises `UserError` for what
    is not there."""
    from codec.bitstream import MAX_STREAM_BYTES, unpack

    paths: list[Path] = []
    for part in text.split(","):
        path = Path(part)
        if not path.exists():
            raise UserError(f"streams={part}: no such file or folder")
        paths += sorted(path.glob("*.bin")) if path.is_dir() else [path]
    if not paths:
        raise UserError(f"streams={text}: no .bin files there")
    rounds: dict[tuple[int, bool], dict[Path, bytes]] = defaultdict(dict)
    faults = []
    for path in paths:
        if path.stat().st_size > MAX_STREAM_BYTES:
            faults.append(f"{path.name}: {path.stat().st_size} bytes, expected at most {MAX_STREAM_BYTES}")
            continue
        data = path.read_bytes()
        try:
            header = unpack(data).header
        except BitstreamError as error:
            faults.append(f"{path.name}: {error}")
            continue
        rounds[header.round, header.settings.dlrc][path] = data
    return rounds, faults


def decode_files(files: dict[Path, bytes], weights: str):
    """Images (uint8 [P, P, 3]) and failures of one round's files."""
    from codec.bitstream import unpack
    from codec.models.checkpoint import WEIGHTS_FOLDER, load_checkpoint
    from ground.repair import RoundDecoder

    headers = {path: unpack(data).header for path, data in files.items()}
    path_of = {header.satellite: path for path, header in headers.items()}
    if len(path_of) != len(files):
        raise UserError("streams: two files of one satellite and round, expected one each")
    wanted = next(iter(headers.values()))
    candidates = (
        [Path(weights)] if weights else sorted(WEIGHTS_FOLDER.glob(f"{wanted.settings.model}_*.safetensors"))
    )
    for candidate in candidates:
        model, checkpoint = load_checkpoint(candidate, wanted.settings.model)
        if bytes.fromhex(checkpoint.sha256)[:4] == wanted.weights:
            break
    else:
        raise UserError(
            f"weights: none of the {len(candidates)} checkpoints for {wanted.settings.model} is the one that coded these streams "
            f"(SHA-256 {wanted.weights.hex()}...); name it with weights="
        )
    decoder = RoundDecoder(model, checkpoint)
    result = decoder.decode({headers[path].satellite: data for path, data in files.items()})
    decoder.synthesise({"all": result})
    failures = {path_of[s]: error for s, error in result.failures.items()}
    failures |= {
        path_of[s]: BitstreamError(
            f"{count} positions refer to a stream that is not here; their vectors are zero in the image"
        )
        for s, count in result.unresolved.items()
        if count
    }
    return {path_of[s]: image for s, image in result.images.items()}, failures


def write_png(path: Path, image) -> None:
    """Write through a temporary name."""
    from PIL import Image

    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(temporary, format="PNG")
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"out={path.parent}: cannot write there ({error.strerror or error})") from None


if __name__ == "__main__":
    with user_errors_to_exit():
        main(sys.argv[1:])
