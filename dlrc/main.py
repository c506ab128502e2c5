"""The console script: `dlrc COMMAND key=value ...`; words without a command are a run's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from constellation.common.cli import options_of, page, read, run
from constellation.common.errors import UserError, user_errors_to_exit
from constellation.common.progress import QUIET
from constellation.common.text import nearest, shown
from constellation.scenario.load import SCENARIO, SUFFIXES
from dlrc.commands.table import (
    ENTRIES,
    FAMILIES,
    RUN,
    Entry,
    benches,
    loaded,
    naming_extras,
    spelt_out,
    studies,
)
from dlrc.version import __version__

HELP = ("--help", "-h", "help")


def main() -> None:
    """The words that the program was given. A rank of a run is one too, where torchrun's variables say so."""
    if "RANK" in os.environ:
        from dlrc.launch import main as be_a_rank

        be_a_rank()
        return
    words = sys.argv[1:]
    with user_errors_to_exit(), naming_extras(words[0] if words and words[0] in ENTRIES else "run"):
        dispatch(words)


def dispatch(words: Sequence[str]) -> None:
    """Do what the words say. Raises `UserError`, and `SystemExit` with the code of what was done."""
    first, rest = (words[0], words[1:]) if words else ("--help", [])
    if "--version" in words:
        print(f"dlrc {__version__}")
    elif first in HELP:
        _help(rest)
    elif first == "run":
        fly(rest)
    elif first in ENTRIES:
        command = loaded(ENTRIES[first])
        run(command, command.spell(rest))
    elif first in FAMILIES:
        _one_of(first, rest)
    elif "=" in first or first.startswith("-"):
        fly(words)
    else:
        raise UserError(_unknown(first))


def fly(words: Sequence[str]) -> None:
    """A run: leading words that begin with -- are torchrun's, but for our own options. A first word alone
    names the scenario: `run smoke`."""
    from dlrc.launch import split_options, start

    words = spelt_out(words)
    if any(word in HELP for word in words):
        options_of(RUN, words)  # answers and leaves
    options, rest = split_options([word for word in words if word not in ("--quiet", "-q")])
    QUIET.set(len(options) + len(rest) < len(words))
    raise SystemExit(start(read(RUN, rest).subject, options, rest))


def _help(rest: Sequence[str]) -> None:
    if not rest or rest[0].startswith("-"):
        from dlrc.commands.overview import overview

        print(overview(), end="")
    elif rest[0] == "run" or rest[0] not in ENTRIES:
        print(page(RUN, "" if rest[0] == "run" else rest[0]))
    else:
        print(page(loaded(ENTRIES[rest[0]])))


def _one_of(family: str, words: Sequence[str]) -> None:
    """`study NAME ...` or `bench NAME ...`."""
    entries = studies() if family == "study" else benches()
    name = words[0] if words else ""
    if name in HELP:
        print("\n".join(f"  {entry.name:<22}{entry.brief}" for entry in entries.values()))
    elif name in entries:
        run(loaded(entries[name]), words[1:])
    elif not entries:
        raise UserError(f"{family}: benchmarks lie in a checkout and are not installed")
    else:
        raise UserError(_no_such(family, name, entries))


def _no_such(family: str, name: str, entries: Mapping[str, Entry]) -> str:
    near = nearest(name, entries) if name else None
    what = f"{family} {shown(name)[1:-1]}: no such {family}" if name else f"{family} NAME: missing"
    return f"{what}; " + (f"did you mean {family} {near}?" if near else f"there are {', '.join(entries)}")


def _unknown(word: str) -> str:
    if word in studies():
        return f"{word}: unknown command; did you mean study {word}?"
    if word in benches():
        return f"{word}: unknown command; did you mean bench {word}?"
    if word in SCENARIO.shipped() or word.endswith(SUFFIXES):
        return f"{word}: unknown command; did you mean run {word}?"
    known = [*ENTRIES, *FAMILIES]
    near = nearest(word, known)
    return f"{shown(word)[1:-1]}: unknown command; " + (
        f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    )


if __name__ == "__main__":
    main()
