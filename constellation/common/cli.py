"""One command line for every command: `key=value ...`, `--help [SECTION]`, `--version`, `--quiet`.

A command declares a model of its own keys and, where it works on a file of knobs (a scenario), which sections
of that it honours. Keys of the others are refused in one line, and so are unknown and repeated ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata

from constellation.common.commands import Command, Given, Subject
from constellation.common.errors import UserError, user_errors_to_exit
from constellation.common.help import page
from constellation.common.knobs import (
    build,
    keys_of,
    overlay,
    refuse_repeats,
    sections_of,
    split_word,
    unknown_key,
)
from constellation.common.progress import QUIET
from constellation.common.text import nearest, shown

OPTIONS = ("--help", "--version", "--quiet")

__all__ = ["Command", "Given", "Subject", "main_of", "page", "perform", "read", "run", "version"]


def run(command: Command, words: Sequence[str]) -> None:
    """Do what the words ask of a command. A `UserError` is one line and exit code 2, Ctrl-C exit code 130."""
    with user_errors_to_exit():
        words, quiet = options_of(command, words)
        token = QUIET.set(quiet or QUIET.get())
        try:
            perform(command, words)
        finally:
            QUIET.reset(token)


def perform(command: Command, words: Sequence[str]) -> None:
    """Do what `key=value` words ask of a command. Raises `UserError`."""
    command.work(read(command, words))


def options_of(command: Command, words: Sequence[str]) -> tuple[list[str], bool]:
    """The `key=value` words, and whether to be quiet; `--help` and `--version` are answered here. Raises
    `UserError` for another option."""
    for place, word in enumerate(words):
        if word in ("--help", "-h", "help"):
            after = [other for other in words[place + 1 :] if not other.startswith("-")]
            print(page(command, after[0] if after and "=" not in after[0] else ""))
            raise SystemExit(0)
        if word == "--version":
            print(version())
            raise SystemExit(0)
        if word.startswith("-") and word not in ("--quiet", "-q"):
            near = nearest(word, OPTIONS)
            raise UserError(
                f"{shown(word)[1:-1]}: unknown option; "
                + (f"did you mean {near}?" if near else f"there are {', '.join(OPTIONS)}")
            )
    rest = [word for word in words if word not in ("--quiet", "-q")]
    return rest, len(rest) < len(words)


def read(command: Command, words: Sequence[str]) -> Given:
    """The words as values. Raises `UserError`."""
    own_keys, subject = keys_of(command.own), command.subject
    refuse_repeats(words)
    own, others, names = [], [], []
    for word in words:
        name, text = split_word(word)
        if name in own_keys:
            own.append(word)
        elif subject is not None and name == subject.key and name not in command.sets:
            names.append(text)
        else:
            check_honoured(command, name)
            others.append(word)
    knobs = build(command.own, overlay({}, own, command.own))
    if subject is None:
        return Given(knobs)
    name = _name_of(command, subject, names)
    return Given(knobs, subject.load(name, others), tuple(others), name)


def check_honoured(command: Command, name: str) -> None:
    """Raises `UserError` where a command does not take this key of its subject."""
    subject = command.subject
    if subject is not None and command.takes(name):
        return
    if name in command.sets:
        instead = command.sets[name]
        raise UserError(f"{name}: set by {command.name} itself" + (f"; use {instead}=" if instead else ""))
    if subject is not None and name in keys_of(subject.model):
        raise UserError(f"{name}: means nothing to {command.name}, which honours {command.honoured}")
    known = [*keys_of(command.own), *([subject.key] if subject else []), *command.keys]
    sections = [] if subject is None else [s for s in sections_of(subject.model) if s in command.honours]
    message = unknown_key(name, known, sections)
    raise UserError(message if known else f"{name}: unknown key; {command.name} takes none")


def version() -> str:
    """The installed version; from a checkout that is not installed, "unknown"."""
    try:
        return f"dlrc {metadata.version('dlrc')}"
    except metadata.PackageNotFoundError:
        return "dlrc (not installed; run from a checkout)"


def _name_of(command: Command, subject: Subject, names: Sequence[str]) -> str:
    name = names[0] if names else command.default
    if not name:
        there = ", ".join(subject.shipped())
        raise UserError(f"{subject.key}=NAME: missing; there are {there} (or a .yaml file); --help says more")
    return name


def main_of(command: Command) -> None:
    """For `python -m`: the words that the program was given."""
    run(command, sys.argv[1:])
