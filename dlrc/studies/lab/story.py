"""What stands at the foot of every page of the laboratory: the command that makes it again, and of what it
is."""

from __future__ import annotations

from constellation.common.cli import Given
from constellation.common.knobs import keys_of
from constellation.common.text import plain_number
from dlrc.version import __version__


def command_line(name: str, given: Given) -> str:
    """The words that ask for the same again: scenario, its overrides, own keys that are not the defaults."""
    words = [f"scenario={given.name}"] if given.name else []
    words += given.words
    own, usual = given.own, type(given.own)()
    for key in keys_of(type(own)):
        if getattr(own, key) != getattr(usual, key):
            words.append(f"{key}={_typed(getattr(own, key))}")
    return " ".join([f"dlrc {name}", *words])


def about(digest: str) -> tuple[tuple[str, str], ...]:
    """Version, and the digest of the scenario."""
    return ("version", f"dlrc {__version__}"), ("scenario's digest", digest)


def _typed(held: object) -> str:
    if isinstance(held, bool):
        return str(held).lower()
    if isinstance(held, (int, float)):
        return plain_number(held)
    return ",".join(map(_typed, held)) if isinstance(held, tuple) else str(held)
