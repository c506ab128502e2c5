"""A run's tables as CSV and Parquet, and pictures that say what they show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from constellation.common.files import replacing
from dlrc.report.fates import shares_of
from dlrc.report.sheet import captions
from dlrc.report.tables import Table, tables
from dlrc.store.results import Run
from ground.records import RoundRecord

if TYPE_CHECKING:
    from PIL import Image

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">'
    '<Iptc4xmpCore:AltTextAccessibility><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt>'
    "</Iptc4xmpCore:AltTextAccessibility></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def write_tables(run: Run, to: Path) -> list[Path]:
    """Every table as NAME.csv and NAME.parquet below a folder, each file whole or not at all; returns their
    names. Raises `UserError` where the disk refuses."""
    return [path for name, columns in tables(run).items() for path in write_table(name, columns, to)]


def write_table(name: str, columns: Table, to: Path) -> list[Path]:
    """One table as NAME.csv and NAME.parquet below a folder, each file whole or not at all; returns their
    names. Raises `UserError` where the disk refuses."""
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    table = pyarrow.table({column: pyarrow.array(values) for column, values in columns.items()})
    written = []
    for suffix, write in (("csv", pyarrow.csv.write_csv), ("parquet", pyarrow.parquet.write_table)):
        path = to / f"{name}.{suffix}"
        with replacing(path) as temporary:
            write(table, str(temporary))
        written.append(path)
    return written


def alt_of(name: str, run: Run, record: RoundRecord) -> str:
    """What a picture of a round shows, in words. name: images or owners."""
    title, about = captions(run, record)
    exact = sum(one.exact for one in record.satellites)
    told = f"{exact} of {len(record.satellites)} streams were decoded exactly"
    if name == "images":
        return (
            f"{title}. {about}. Three mosaics of the window, captured, rebuilt with DLRC, and rebuilt from "
            f"independent streams; {told}."
        )
    shares = [
        f"satellite {one.satellite}: " + ", ".join(f"{key} {100 * share:.0f} %" for key, share in told_shares)
        for one in record.satellites
        if one.fates is not None and (told_shares := shares_of(one.fates).items())
    ]
    return f"{title}. {about}. Footprints, and each latent grid by owner; {told}. {'; '.join(shares)}."


def save_png(picture: Image.Image, path: Path, alt: str) -> None:
    """A PNG that carries its alternative text: as IPTC's AltTextAccessibility in XMP, and as the PNG keyword
    Description. Raises `UserError` where the disk refuses."""
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_itxt("Description", alt)
    told.add_itxt("XML:com.adobe.xmp", _XMP.format(escape(alt)))
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=told)
