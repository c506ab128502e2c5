"""Element sets as files hold them: text of any usual encoding, and one satellite's elements, good or bad.

Files are hostile until parsed. What is wrong with a file as a whole (truncated, binary, checksums) refuses
it; what is wrong with one satellite alone is kept beside its name, for `orbit.skip_bad` to pass over."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgp4.api import SGP4_ERRORS, Satrec

from constellation.common.errors import UserError

MAX_FILE_BYTES = 64 << 20
LONGEST_NAME = 64
_BOMS = (  # UTF-32's begins with UTF-16's: longest first
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = {chr(code) for code in range(32)} - set("\t\r\n\f\x1a")  # form feed, and MS-DOS's end of file


@dataclass(frozen=True, eq=False)
class Elements:
    """One satellite of a file. fault: why SGP4 may not propagate it, "" for a good one; where: file and place
    in it."""

    name: str
    record: Satrec
    where: str
    fault: str = ""


def usable(found: Sequence[Elements], skip_bad: bool) -> tuple[list[Elements], list[str]]:
    """The good ones, and a line for each one left out. Raises `UserError` for the first bad one unless
    `skip_bad`."""
    bad = [one for one in found if one.fault]
    if bad and not skip_bad:
        raise UserError(f"{bad[0].where} ({bad[0].name}): {bad[0].fault}")
    return [one for one in found if not one.fault], [f"{one.name}: {one.fault}" for one in bad]


def text_of(path: str) -> str:
    """The file as text: UTF-8, UTF-16 or UTF-32 with a byte order mark, or Latin-1. Raises `UserError`."""
    try:
        if not Path(path).is_file() and Path(path).exists():
            raise UserError(f"{path}: found no file but a folder or a device, expected a file of elements")
        size = Path(path).stat().st_size
        if size > MAX_FILE_BYTES:
            raise UserError(f"{path}: {size} bytes, expected at most {MAX_FILE_BYTES}")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        # names of satellites with accents in old files; anything binary has zeros or controls
        text = data.decode("latin-1") if encoding == "utf-8" else "\0"
    if not _CONTROLS.isdisjoint(text):
        raise UserError(f"{path}: not a text file")
    return text.removesuffix("\x1a")


def fault_of_record(record: Satrec) -> str:
    """What SGP4 itself finds wrong with freshly read elements; "" where nothing."""
    if record.error:
        return f"{SGP4_ERRORS.get(record.error, 'elements refused by SGP4')}"
    if not (record.no_kozai > 0 and 0 <= record.ecco < 1):
        found = f"mean motion {record.no_kozai:g} rad/min and eccentricity {record.ecco:g}"
        return f"{found}, expected a closed orbit"
    return ""


def clean_name(text: str) -> str:
    """A name of one line of at most 64 characters."""
    return " ".join(text.split())[:LONGEST_NAME]
