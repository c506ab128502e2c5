"""What a command is: its name, its own keys, and the sections that it honours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from constellation.common.knobs import Key, Knobs, keys_of


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
    where none is given; None: one must be given. spell: makes key=value words of what people type."""

    name: str
    about: str
    own: type[Knobs]
    work: Callable[[Given], Any]
    subject: Subject | None = None
    honours: tuple[str, ...] = ()
    sets: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    examples: tuple[str, ...] = ()
    spell: Callable[[Sequence[str]], list[str]] = list

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

    @property
    def honoured(self) -> str:
        """What it honours, for people: sections it honours in part are named once."""
        parts = dict.fromkeys(name.partition(".")[0] for name in self.honours)
        return ", ".join(part if part in self.honours else f"parts of {part}" for part in parts)

    def takes(self, name: str) -> bool:
        """Whether it honours this key of the subject."""
        parts = name.split(".")
        return name not in self.sets and any(".".join(parts[:n]) in self.honours for n in (1, 2, 3))


@dataclass(frozen=True)
class Given:
    """What a command line asks for. own: the command's keys; subject: the loaded file of knobs, None where
    the command has none; words: the overrides that were laid over it; name: what it is called."""

    own: Any
    subject: Any = None
    words: tuple[str, ...] = ()
    name: str = ""


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".:")
