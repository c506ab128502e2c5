"""What `--help` prints: one screen for a command, another for a section of knobs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from constellation.common.commands import Command, first_sentence
from constellation.common.errors import UserError
from constellation.common.knobs import keys_of, sections_of
from constellation.common.text import nearest

FEW = 5  # files of a subject, beyond which they are named in a line
LONGEST_DEFAULT = 60  # characters
COLUMNS = 110


def page(command: Command, section: str = "") -> str:
    """What --help prints: one screen. With a section, its keys. Raises `UserError` for an unknown one."""
    if section:
        return _section_page(command, section)
    about, _, more = command.about.strip().partition("\n\n")
    lines = [*_wrapped(" ".join(about.split())), "", f"usage: {usage(command)}"]
    lines += _key_lines("keys of its own", keys_of(command.own).values())
    if command.subject is not None:
        if command.subject.key not in command.sets:
            lines += _subject_lines(command)
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
        if command.subject.key not in command.sets:
            words.append(word if command.default is None else f"[{word}]")
    needed = [f"{key.name}=..." for key in keys_of(command.own).values() if key.needed]
    section = " [section.key=value ...]" if command.subject is not None else ""
    return " ".join([*words, *needed, "[key=value ...]"]) + section


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
    default_width = min(max(len(_shown(key.default_text)) for key in keys) + 2, 26)
    lines = ["", title] if title else [""]
    for key in keys:
        meaning = f"{key.meaning or key.expects}" + (f" ({key.expects})" if expects and key.meaning else "")
        head = f"  {key.name:<{name_width}}{_shown(key.default_text) + '  ':<{default_width}}"
        lines += _wrapped(head + meaning, " " * (2 + name_width + default_width))
    return lines


def _shown(default: str) -> str:
    """A default; of a list that is longer than LONGEST_DEFAULT its first item, and how many there are."""
    first, *others = default.split(",")
    return f"{first}, ... ({1 + len(others)})" if others and len(default) > LONGEST_DEFAULT else default


def _subject_lines(command: Command) -> Iterator[str]:
    assert command.subject is not None
    default = f" (default {command.default})" if command.default else ""
    shipped = command.subject.shipped()
    if len(shipped) > FEW:
        yield from ("", *_wrapped(f"{command.subject.key}s{default}: {', '.join(shipped)}", "  "))
    else:
        yield from ("", f"{command.subject.key}s{default}")
        yield from (_row(name, brief) for name, brief in shipped.items())


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
