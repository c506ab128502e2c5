"""Files that are whole or not there: written under a temporary name, renamed when complete.

Whatever the disk refuses (full, read-only, no right to write there) is a `UserError` of one line, and leaves
nothing half-written behind."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from constellation.common.errors import UserError


@contextlib.contextmanager
def refused_by_disk(what: str) -> Iterator[None]:
    """Turn an `OSError` into one line: `what` (output=runs, say), and the system's reason."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{what}: cannot write there ({error.strerror or error})") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, with its suffix, for the block to write; renamed to `path` at the end.

    Where the block fails, the temporary file is removed and what was at `path` stays. Raises `UserError`
    where the disk refuses."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        with refused_by_disk(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """The whole file or none. Raises `UserError`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """The whole file or none, UTF-8. Raises `UserError`."""
    write_bytes(path, text.encode("utf-8"))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A header and rows, lines that end in a line feed; the whole file or none. Raises `UserError`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_records(path: Path, records: Sequence[Mapping[str, object]]) -> None:
    """Dictionaries of the same keys as CSV, a line each; the whole file or none. Raises `UserError`."""
    write_csv(path, list(records[0]), [list(record.values()) for record in records])


def make_folder(path: Path, key: str = "output") -> Path:
    """The folder, made where it is missing, after trying that a file can be written into it.

    For the start of a command, before any work. Raises `UserError` that names `key`, and then leaves no new
    folder behind."""
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    probe = path / f".{os.getpid()}.tmp"
    try:
        with refused_by_disk(f"{key}={path}"):
            path.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"\0" * 4096)  # a full disk still makes empty files
    except UserError:
        _remove_empty(probe, missing)
        raise
    probe.unlink(missing_ok=True)
    return path


def check_target(path: Path, key: str = "out") -> Path:
    """The file's name, once its folder is seen to take files. Raises `UserError`."""
    if os.path.isdir(path):
        raise UserError(f"{key}={path}: is a folder, expected the name of a file")
    make_folder(path.parent, key)
    return path


def _remove_empty(probe: Path, folders: Sequence[Path]) -> None:
    with contextlib.suppress(OSError):
        probe.unlink(missing_ok=True)
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
