"""From stored streams to images, without the run that made them: what a ground segment would do.

    python examples/decode_streams.py [FOLDER_OF_BIN_FILES]

Without a folder it flies a round first and decodes its streams. All streams of a round are decoded together,
since they refer to each other; what cannot be decoded is a fault beside the others."""

import sys
import tempfile
from pathlib import Path

import dlrc
from ground.files import batches, decode_files, read_streams


def decode_folder(folder: Path) -> None:
    """Print what became of every stream of a folder."""
    stored, unreadable = read_streams(str(folder))
    for batch in batches(stored):  # of one round and checkpoint; with DLRC and independent ones apart
        images, faults = decode_files(batch, weights="")
        for path, image in images.items():
            print(f"{path.name}: {path.stat().st_size} bytes -> image {image.shape}")
        unreadable += [f"{path.name}: {fault}" for path, fault in faults.items()]
    print(*unreadable, sep="\n", end="")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        decode_folder(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as output:
            run = dlrc.run("smoke", output=output)
            assert run.gallery.folder is not None
            decode_folder(run.gallery.folder / "rounds" / "000")
