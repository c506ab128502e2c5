"""Words for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SHOWN = 60  # characters of a value that a message repeats


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 round", "4 rounds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` most likely means: alike in spelling, or the same last part of a dotted key.
    None where nothing is near."""
    known = list(known)
    near = difflib.get_close_matches(word[:MAX_SHOWN], known, n=1, cutoff=0.5)
    last = word.rpartition(".")[2]
    near = [other for other in known if other.rpartition(".")[2] == last][:1] or near
    return near[0] if near else None


def shown(value: object) -> str:
    """A value as a message repeats it: on one line, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in itself
        text = f"a {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def plain_number(value: float) -> str:
    """A number as one would type it, exactly: 4, 0.013, 3e8, 1e-7."""
    text = repr(value)
    if isinstance(value, int):
        return text
    text = f"{value:.0e}" if value and abs(value) >= 1e6 and float(f"{value:.0e}") == value else text
    return text.removesuffix(".0").replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
