"""One command line for every command: `key=value ...`, `--help [SECTION]`, `--version`, `--quiet`.

A command declares a model of its own keys and, where it works on a file of knobs (a scenario), which sections
of that it honours. Keys of the others are refused in one line, and so are unknown and repeated ones."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from constellation.common.errors import UserError, user_errors_to_exit
from constellation.common.knobs import (
    Key,
    Knobs,
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

COLUMNS = 110
OPTIONS = ("--help", "--version", "--quiet")


@dataclass(frozen=True)
class Subject:
    """A named file of knobs that commands work on.

    key: the word that names it (`scenario`). load(name, words) reads one and lays the words over it.
    shipped() lists names with a line each."""

    key: str
    model: type[Knobs]
    load: Callable[[str, Sequence[str]], Any]
    shipped: Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Command:
    """What one command is called, what it does, and which words it takes.

    about: the first paragraph says what it does; the rest is printed by --help below the keys. own: model of
    its own keys. honours: sections and keys of the subject that matter to it. sets: keys within these that
    the command sets itself, each with the own key to use instead ("" for none). default: the subject's name
    where none is given; None: one must be given."""

    name: str
    about: str
    own: type[Knobs]
    work: Callable[[Given], Any]
    subject: Subject | None = None
    honours: tuple[str, ...] = ()
    sets: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    examples: tuple[str, ...] = ()

    @property
    def brief(self) -> str:
        """The first sentence of what it does."""
        return first_sentence(self.about)

    @property
    def keys(self) -> dict[str, Key]:
        """Keys of the subject that it takes."""
        if self.subject is None:
            return {}
        return {name: key for name, key in keys_of(self.subject.model).items() if self.takes(name)}

    def takes(self, name: str) -> bool:
        """Whether it honours this key of the subject."""
        parts = name.split(".")
        return name not in self.sets and any(".".join(parts[:n]) in self.honours for n in (1, 2, 3))


@dataclass(frozen=True)
class Given:
    """What a command line asks for. own: the command's keys; subject: the loaded file of knobs, None where
    the command has none; words: the overrides that were laid over it."""

    own: Any
    subject: Any = None
    words: tuple[str, ...] = ()


def run(command: Command, words: Sequence[str]) -> None:
    """Do what the words ask of a command. A `UserError` is one line and exit code 2, Ctrl-C exit code 130."""
    with user_errors_to_exit():
        words, quiet = options_of(command, words)
        token = QUIET.set(quiet or QUIET.get())
        try:
            command.work(read(command, words))
        finally:
            QUIET.reset(token)


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
        elif subject is not None and name == subject.key:
            names.append(text)
        else:
            check_honoured(command, name)
            others.append(word)
    knobs = build(command.own, overlay({}, own, command.own))
    if subject is None:
        return Given(knobs)
    return Given(knobs, subject.load(_name_of(command, subject, names), others), tuple(others))


def check_honoured(command: Command, name: str) -> None:
    """Raises `UserError` where a command does not take this key of its subject."""
    subject = command.subject
    if subject is not None and command.takes(name):
        return
    if subject is not None and name in keys_of(subject.model):
        if name in command.sets:
            instead = command.sets[name]
            raise UserError(
                f"{name}: set by {command.name} itself" + (f"; use {instead}=" if instead else "")
            )
        raise UserError(
            f"{name}: means nothing to {command.name}, which honours {', '.join(command.honours)}"
        )
    known = [*keys_of(command.own), *([subject.key] if subject else []), *command.keys]
    sections = [] if subject is None else [s for s in sections_of(subject.model) if s in command.honours]
    message = unknown_key(name, known, sections)
    raise UserError(message if known else f"{name}: unknown key; {command.name} takes none")


def page(command: Command, section: str = "") -> str:
    """What --help prints: one screen. With a section, its keys. Raises `UserError` for an unknown one."""
    if section:
        return _section_page(command, section)
    about, _, more = command.about.strip().partition("\n\n")
    lines = [*_wrapped(" ".join(about.split())), "", f"usage: {usage(command)}"]
    lines += _key_lines("keys of its own", keys_of(command.own).values())
    if command.subject is not None:
        lines += [
            "",
            f"{command.subject.key}s" + (f" (default {command.default})" if command.default else ""),
        ]
        lines += [_row(name, brief) for name, brief in command.subject.shipped().items()]
        plain = [key for key in command.keys.values() if not key.section]
        lines += _key_lines(f"keys of the {command.subject.key}", plain)
        lines += _section_lines(command)
    lines += ["", "options: --help [SECTION]  --version  --quiet (no bars, no notes); NO_COLOR is honoured"]
    if command.examples:
        lines += ["", "examples", *(f"  {example}" for example in command.examples)]
    if more.strip():
        lines += ["", more.strip()]
    return "\n".join(lines)


def usage(command: Command) -> str:
    """One line."""
    words = [command.name]
    if command.subject is not None:
        word = f"{command.subject.key}=NAME"
        words.append(word if command.default is None else f"[{word}]")
    needed = [f"{key.name}=..." for key in keys_of(command.own).values() if key.needed]
    section = " [section.key=value ...]" if command.subject is not None else ""
    return " ".join([*words, *needed, "[key=value ...]"]) + section


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".:")


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


def _section_page(command: Command, section: str) -> str:
    sections = {} if command.subject is None else sections_of(command.subject.model)
    honoured = [name for name in sections if any(key.section == name for key in command.keys.values())]
    if section not in honoured:
        near = nearest(section, honoured)
        there = f"did you mean {near}?" if near else f"there are {', '.join(honoured) or 'none'}"
        raise UserError(f"--help {section}: no section of {command.name}; {there}")
    keys = [key for key in command.keys.values() if key.section == section]
    lines = _wrapped(f"{section}: {' '.join((sections[section].__doc__ or '').split())}")
    return "\n".join(lines + _key_lines("", keys, expects=True))


def _key_lines(title: str, keys: Any, expects: bool = False) -> list[str]:
    keys = list(keys)
    if not keys:
        return []
    name_width = max(len(key.name) for key in keys) + 2
    default_width = min(max(len(key.default_text) for key in keys) + 2, 26)
    lines = ["", title] if title else [""]
    for key in keys:
        meaning = f"{key.meaning or key.expects}" + (f" ({key.expects})" if expects and key.meaning else "")
        head = f"  {key.name:<{name_width}}{key.default_text:<{default_width}}"
        lines += _wrapped(head + meaning, " " * (2 + name_width + default_width))
    return lines


def _section_lines(command: Command) -> Iterator[str]:
    assert command.subject is not None
    taken = command.keys
    yield from ("", f"sections of the {command.subject.key}, section.key=value (--help SECTION lists them)")
    for name, model in sections_of(command.subject.model).items():
        if any(key.section == name for key in taken.values()):
            yield _row(name, first_sentence(model.__doc__ or ""))


def _row(name: str, text: str) -> str:
    return f"  {name:<18}" + textwrap.shorten(text, COLUMNS - 20, placeholder=" ...")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        subsequent_indent=indent,
        drop_whitespace=True,
        replace_whitespace=False,
        break_on_hyphens=False,
    )


def main_of(command: Command) -> None:
    """For `python -m`: the words that the program was given."""
    run(command, sys.argv[1:])
