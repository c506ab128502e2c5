"""Write docs/container.md, the page about the bytes of a stream, from the code's own table of fields:
`python docs/make/container.py`."""

from __future__ import annotations

from pathlib import Path

from codec import bitstream, fields, framing
from constellation.common.files import write_text

TARGET = Path(__file__).resolve().parents[1] / "container.md"

HEAD = """\
# The container

Made by `python docs/make/container.py` from `codec/fields.py: FIELDS` and `codec/settings.py: SETTINGS`;
do not edit.

The bytes of one satellite's stream of one round, version {version}. The fields follow one another without
gaps; a varint is LEB128 in its shortest form, other numbers are little-endian. `pack` writes it, and `unpack`
refuses whatever `pack` would not write, in one line (`codec/bitstream.py: pack, unpack`). Versions {versions}
are read. The bits of the settings are listed from the lowest.
"""

TAIL = """\
## Limits

A stream has at most {bytes} bytes, a satellite's number is below {satellites}, a side has at most {side}
latent positions (16 px each) and a map {positions}.

## What it rests on

- **accord** tells rounds of different runs apart: followers copy vectors that lists named, and only a stream
  of the same accord has them. Streams of version 2 lack it, and with it that protection.
- **digest** is what a decoder must arrive at: the known vectors, and the references of the map. Wrong
  decoding is an error, never a picture.
- **Streams that predict** (dedup conditional or hybrid) have no accord: every vector is coded or an exact
  copy, so their digest is over all of them, and is that of the satellite's independent stream. The owner's
  index of a copy is a position of the owner's grid, not an entry of a list. `prediction` begins with the
  first 4 bytes of the SHA-256 of the weights that predict.
- **Earlier rounds** (`dlrc.memory=rounds`): a stream that refers to them is of version 5 and lists them in
  `earlier`; map and guide name participants first, then these. Nothing else differs from version 4. Beside a
  `prediction_size` the index of a copy from there is a position of that view's grid. Without, which takes
  dedup signature and the fixed grid, it is an entry of the list that the satellite sent then, so the ground
  keeps vectors by entry; and the digest goes on over the 64-bit content hashes of these vectors
  (`nodes/recognizer.py: content_hashes`), little-endian, in raster order: what either end remembers may be
  wrong, and is a fault then. Version 7 is the same for pictures of other bands than 8-bit RGB.
- **What a section holds**: z and y are rANS words (`codec/entropy/rans.py`) in the order of
  `codec/entropy/order.py: groups`; the map is `successor` or raw LZMA2 (`codec/maps/coding.py: encode_map`).
- **What it does not hold**: place, time, and what the sensor was. A ground segment wraps its own frames
  around it.
- Any change of these bytes is a new version, says so in the changelog, and refreezes `tests/golden`.
"""


def page() -> str:
    """The page's text."""
    head = HEAD.format(version=fields.VERSION, versions=f"{fields.VERSIONS[0]} to {fields.VERSIONS[-1]}")
    tail = TAIL.format(
        bytes=f"{fields.MAX_STREAM_BYTES:,}",
        satellites=f"{framing.MAX_SATELLITES:,}",
        side=f"{fields.MAX_SIDE:,}",
        positions=f"{fields.MAX_POSITIONS:,}",
    )
    return f"{head}\n{bitstream.layout()}\n\n{tail}"


if __name__ == "__main__":
    write_text(TARGET, page())
